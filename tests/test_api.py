"""``generate``: self-contained folders, replaced in one step."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import together

import logsig_codegen as lg
from logsig_codegen.operations import GROUPS, OPERATIONS

JOIN = ("join",)  # where it does not matter: everything takes several times as long


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_folder_is_complete_and_vouched_for() -> None:
    folder = together.complete() / "d2_n3"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert set(os.listdir(folder)) == {*manifest["files"], "manifest.json"}
    assert {"module.c", "logsig_d2_n3.h", "liblogsig_d2_n3.so"} <= set(manifest["files"])
    assert {f"{operation}.c" for operation in OPERATIONS} <= set(manifest["files"])
    assert manifest["groups"] == list(GROUPS)
    assert {"README.md", "formulas.txt", "formulas.tex", "formulas.json"} <= set(manifest["files"])
    for name, described in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert described == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["dtypes"] == ["float32", "float64"]
    assert manifest["march"] == "native"
    assert manifest["compiler"]["version"]
    text = json.dumps(manifest)
    assert str(folder.parent) not in text
    assert "request" not in manifest


@pytest.mark.usefixtures("unoptimised")
def test_what_generate_says_of_its_folder(tmp_path: Path) -> None:
    result = lg.generate(2, 2, tmp_path / "deep" / "out", operations=JOIN)
    assert result.path == tmp_path / "deep" / "out" / "d2_n2"
    assert result.seconds > 0
    assert json.loads((result.path / "manifest.json").read_text(encoding="utf-8")) == result.manifest
    assert str(tmp_path) not in json.dumps(result.manifest)
    assert os.listdir(result.path.parent) == ["d2_n2"]
    assert (result.path.stat().st_mode & 0o777) == 0o755


def test_sources_alone_are_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lg.generate(2, 3, tmp_path / "a", emit_only=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    second = lg.generate(2, 3, tmp_path / "b", emit_only=True)
    assert contents(first.path) == contents(second.path)
    assert first.manifest["compiler"] is first.manifest["library"] is first.manifest["cpu"] is None
    with pytest.raises(lg.CompilerNotFoundError):
        lg.generate(2, 3, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_formulas_are_parsable_and_complete(tmp_path: Path) -> None:
    folder = lg.generate(2, 3, tmp_path, emit_only=True, operations=JOIN).path
    data = json.loads((folder / "formulas.json").read_text(encoding="utf-8"))
    assert set(data) == {"series", "coordinates", "adjoint"}
    assert len(data["coordinates"]) == 5
    assert len(data["adjoint"]) == 7
    text = (folder / "formulas.txt").read_text(encoding="utf-8")
    for section in ("series", "coordinates", "adjoint"):
        assert lg.formulas(2, 3).show(section) in text
        assert lg.formulas(2, 3).show(section, "latex") in (folder / "formulas.tex").read_text(encoding="utf-8")


def test_number_types_and_march(tmp_path: Path) -> None:
    result = lg.generate(2, 2, tmp_path, dtypes=("float32",), operations=JOIN, march="x86-64-v2", jobs=1)
    assert result.manifest["dtypes"] == ["float32"]
    assert "-march=x86-64-v2" in result.manifest["flags"]
    assert "avx" not in result.manifest["cpu"]["features"]
    kernel = lg.load(2, 2, artifacts=tmp_path)
    assert kernel.join(np.float32([1, 2, 3]), np.float32([5, 7])).tolist() == [6.0, 9.0, 1.5]


def test_an_older_folder_is_replaced(tmp_path: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, emit_only=True).path
    lg.generate(2, 2, tmp_path, operations=JOIN)
    assert not (folder / "combine.c").exists()
    assert lg.load(2, 2, artifacts=folder).size == 3
    assert os.listdir(tmp_path) == ["d2_n2"]


def test_a_folder_with_some_groups(tmp_path: Path) -> None:
    """The order is the table's, and what was not asked for is neither in the folder nor in its header."""
    result = lg.generate(2, 3, tmp_path, operations=["log_sig_by_signature", "combine", "combine"], emit_only=True)
    assert result.manifest["groups"] == ["combine", "log_sig_by_signature"]
    kernels = {"combine", "log_sig_by_signature"}
    assert set(result.manifest["plan"]) == set(result.manifest["bytes_per_sample"]) == kernels
    assert {file.stem for file in result.path.glob("*.c")} == {*kernels, "calls", "coordinates", "module"}
    header = (result.path / "logsig_d2_n3.h").read_text(encoding="utf-8")
    declared = {operation for operation in OPERATIONS if f"logsig_d2_n3_{operation}_f64(" in header}
    assert declared == kernels


def test_a_group_the_problem_cannot_have(tmp_path: Path) -> None:
    message = r"operations: expected one or more of join, .* \(dimension=10, degree=5\).*got log_sig_by_signature"
    with pytest.raises(lg.ProblemTooLargeError, match=message):
        lg.generate(10, 5, tmp_path / "out", operations=("join", "log_sig_by_signature"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "d2_n2"
    precious = target if kind == "file" else target / "thesis.txt"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("years of work", encoding="utf-8")
    with pytest.raises(lg.ArtifactError, match="it is left as it is"):
        lg.generate(2, 2, tmp_path)
    assert precious.read_text(encoding="utf-8") == "years of work"


def test_a_failed_compilation_leaves_the_older_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str]
) -> None:
    out = tmp_path / "out"
    before = contents(lg.generate(2, 2, out, operations=JOIN).path)
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "kept"))
    monkeypatch.setenv("CC", compiler_script('case "$*" in *join.c*) exit 1;; esac; exec $REAL "$@"'))
    with pytest.raises(lg.CompilerError):
        lg.generate(2, 2, out, operations=JOIN)
    assert contents(out / "d2_n2") == before
    assert os.listdir(out) == ["d2_n2"]


def test_an_out_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(lg.OutputError, match=r"out: .*file"):
        lg.generate(2, 2, tmp_path / "file" / "below", emit_only=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"targets": ("metal",)},
            ValueError,
            r"targets: expected one or more of c, cuda, jax, torch, got \('metal',\)",
        ),
        ({"targets": ()}, ValueError, "targets: expected one or more of c"),
        ({"targets": "c"}, TypeError, "targets: expected a sequence of strings, got str"),
        (
            {"operations": ("log",)},
            ValueError,
            r"operations: expected one or more of join, join_backprop, .*got \('log',\)",
        ),
        ({"operations": ()}, ValueError, "operations: expected one or more of join"),
        ({"operations": "join"}, TypeError, "operations: expected a sequence of strings, got str"),
        ({"dtypes": ("float16",)}, ValueError, "dtypes: expected one or more of float32, float64"),
        ({"dtypes": None}, TypeError, "dtypes: expected a sequence"),
        ({"march": "-Ofast"}, ValueError, "march: expected the name of a processor"),
        ({"march": "pentium9000"}, lg.CompilerError, "pentium9000"),
        ({"jobs": 0}, ValueError, "jobs: expected at least 1, got 0"),
        ({"jobs": 1.5}, TypeError, "jobs: expected an integer"),
        ({"max_terms": 1}, lg.ProblemTooLargeError, "the limit is 1"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lg.generate(3, 2, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []


def test_the_library_needs_nothing_but_the_system(tmp_path: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, operations=JOIN).path
    listed = subprocess.run(
        ["ldd", str(folder / "liblogsig_d2_n2.so")], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[0].split("/")[-1].split(".so")[0] for line in listed.splitlines()}
    assert names <= {
        "linux-vdso",
        "libm",
        "libc",
        "libgomp",
        "libpthread",
        "libdl",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    }
