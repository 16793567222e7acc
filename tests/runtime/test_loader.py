"""Where kernels come from: artifact folders, the environment, the cache; and what a hit does not need."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen.build import cpu
from logsig_codegen.build.artifact import MANIFEST
from logsig_codegen.runtime import loader

PROBE = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])
ANSWER = [6.0, 9.0, 1.5]  # 3 + (1 * 7 - 2 * 5) / 2

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"sympy", "jinja2", "torch", "pycparser", "cffi", "filelock"}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that ``generate`` wrote: d2_n2 in it, with two groups of operations."""
    out = tmp_path_factory.mktemp("generated")
    lg.generate(2, 2, out, operations=("join", "combine"))
    return out


@pytest.fixture
def artifact(generated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated / "d2_n2", tmp_path / "d2_n2"))


@pytest.fixture(autouse=True)
def nothing_loaded() -> None:
    lg.clear_cache()


@pytest.fixture
def new_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, for tests that look at what is built."""
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path / "new cache"))
    return tmp_path / "new cache"


def groups_in(folder: Path) -> list[list[str]]:
    """The groups of operations each entry of a cache has, sorted."""
    manifests = (folder / "kernels").glob(f"*/{MANIFEST}")
    return sorted(json.loads(manifest.read_text(encoding="utf-8"))["groups"] for manifest in manifests)


def edit(artifact: Path, **changes: Any) -> None:
    manifest = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))
    (artifact / MANIFEST).write_text(json.dumps({**manifest, **changes}), encoding="utf-8")


def test_a_cache_hit_imports_no_generator_and_starts_no_process(run_python: RunPython) -> None:
    lg.load(2, 2)
    run_python(
        BLOCKED
        + """
import os, subprocess
def refuse(*args, **kwargs):
    raise AssertionError("a process was started")
subprocess.Popen = os.posix_spawn = os.fork = os.system = refuse
import numpy as np, logsig_codegen as lg
kernel = lg.load(2, 2)
assert kernel.join(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])).tolist() == [6.0, 9.0, 1.5]
kernel.words, kernel.brackets, kernel.source("c"), str(kernel.report)
assert not {"sympy", "jinja2", "torch", "pycparser", "cffi"} & set(sys.modules)
assert not [name for name in sys.modules if name.startswith(("logsig_codegen.compiler", "logsig_codegen.emit."))]
"""
    )


def test_a_build_does_not_import_sympy(run_python: RunPython) -> None:
    """That takes longer than deriving and writing a small problem; formulas to read need it."""
    run_python(
        """
        import sys
        from logsig_codegen.operations import GROUPS
        from logsig_codegen.problem import Problem
        from logsig_codegen.targets.base import BuildSpec
        from logsig_codegen.targets.builder import source_texts
        from logsig_codegen.targets.c import C
        assert "log_sig.c" in source_texts(C, BuildSpec(Problem(2, 2), tuple(GROUPS), emit_only=True))
        assert "sympy" not in sys.modules
        """
    )


def test_import_is_silent_and_light(run_python: RunPython, tmp_path: Path) -> None:
    result = run_python(
        """
        import sys, logsig_codegen
        print(sorted({"sympy", "jinja2", "torch", "pycparser", "cffi", "platformdirs", "filelock"} & set(sys.modules)))
        """,
        {"HOME": str(tmp_path), "LOGSIG_CODEGEN_CACHE": None, "XDG_CACHE_HOME": None},
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["folder", "parent", "list", "environment", "environment list"])
def test_artifacts_need_no_compiler_sympy_or_jinja(
    run_python: RunPython, generated: Path, tmp_path: Path, how: str
) -> None:
    (tmp_path / "other").mkdir()
    artifacts = {
        "folder": repr(str(generated / "d2_n2")),
        "parent": repr(str(generated)),
        "list": repr([str(tmp_path / "other"), str(generated)]),
    }.get(how, "None")
    named = {
        "environment": str(generated / "d2_n2"),
        "environment list": os.pathsep.join(["/nowhere", "", str(tmp_path / "other"), str(generated)]),
    }.get(how)
    output = run_python(
        BLOCKED
        + f"""
import numpy as np, logsig_codegen as lg
kernel = lg.load(2, 2, artifacts={artifacts})
print(kernel.join(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])).tolist(), kernel.path)
assert lg.load(2, 2, artifacts={artifacts}) is kernel
""",
        {
            "PATH": str(tmp_path / "other"),
            "CC": None,
            "LOGSIG_CODEGEN_PATH": named,
            "LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache"),
        },
    ).stdout
    assert output == f"{ANSWER} {generated / 'd2_n2'}\n"
    assert not (tmp_path / "cache").exists()


PATHS = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 2.0], [1.0, 2.0]]])
LOG_SIGS = [[1.0, 2.0, 1.0], [1.0, 2.0, -1.0]]  # the last one is the area between path and chord


@pytest.mark.usefixtures("unoptimised")
def test_a_group_is_built_when_it_is_first_called(new_cache: Path) -> None:
    assert lg.log_sig(PATHS, 2, method=2).tolist() == LOG_SIGS
    assert groups_in(new_cache) == [["log_sig"]]
    kernel = lg.load(2, 2)
    assert groups_in(new_cache) == [["join"], ["log_sig"]]
    assert kernel.log_sig(PATHS).tolist() == LOG_SIGS
    assert kernel.join(*PROBE).tolist() == ANSWER
    assert groups_in(new_cache) == [["join"], ["log_sig"]]
    assert kernel.combine(*np.array(LOG_SIGS)).tolist() == [2.0, 4.0, 0.0]  # the two displacements are parallel
    assert groups_in(new_cache) == [["combine"], ["join"], ["log_sig"]]


@pytest.mark.usefixtures("unoptimised")
def test_a_long_path_alone_needs_the_product_and_nothing_else(new_cache: Path) -> None:
    lengths = np.linspace(0.0, 1.0, 300)
    straight = np.stack([lengths, -2 * lengths], axis=-1)
    np.testing.assert_allclose(lg.log_sig(straight, 2, method=2), [1.0, -2.0, 0.0], atol=1e-12)
    assert groups_in(new_cache) == [["combine"], ["log_sig"]]


@pytest.mark.usefixtures("unoptimised")
def test_a_gradient_needs_its_log_signature_and_nothing_else(new_cache: Path) -> None:
    d_out = np.array([1.0, 0.0, 0.0])
    assert lg.log_sig_backprop(d_out, PATHS[0], 2, method=2).tolist() == [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    assert groups_in(new_cache) == [["log_sig"], ["log_sig_backprop"]]


@pytest.mark.usefixtures("unoptimised")
def test_forgotten_groups_come_from_the_cache(new_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lg.load(2, 2).prepare("combine")
    lg.clear_cache()
    monkeypatch.setattr("logsig_codegen.build.cache.obtain", None)  # what builds
    kernel = lg.load(2, 2)
    kernel.prepare("combine", "join")
    assert kernel.combine(*np.array(LOG_SIGS)).tolist() == [2.0, 4.0, 0.0]


def test_a_group_that_cannot_be_built_leaves_the_others(
    new_cache: Path, monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str], tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "kept"))
    monkeypatch.setenv(
        "CC", compiler_script(f'case "$*" in *combine.c*) test ! -e {fault} || exit 1;; esac; exec $REAL "$@"')
    )
    kernel = lg.load(2, 2)
    fault.touch()
    with pytest.raises(lg.CompilerError):
        kernel.prepare("combine")
    assert kernel.join(*PROBE).tolist() == ANSWER
    assert groups_in(new_cache) == [["join"]]
    fault.unlink()
    assert kernel.combine(*np.array(LOG_SIGS)).tolist() == [2.0, 4.0, 0.0]


@pytest.mark.usefixtures("unoptimised")
def test_a_folder_with_some_groups_leaves_the_others_to_the_cache(generated: Path, new_cache: Path) -> None:
    kernel = lg.load(2, 2, artifacts=generated)
    assert kernel.path == generated / "d2_n2"
    assert kernel.combine(*np.array(LOG_SIGS)).tolist() == [2.0, 4.0, 0.0]
    assert not new_cache.exists()
    assert kernel.log_sig(PATHS).tolist() == LOG_SIGS
    assert groups_in(new_cache) == [["log_sig"]]
    assert set(kernel.report.plan) == {"join", "combine", "log_sig"}
    assert kernel.report.path == generated / "d2_n2"


@pytest.mark.usefixtures("unoptimised")
def test_a_folder_without_the_join(tmp_path: Path, new_cache: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, operations=("log_sig",)).path
    kernel = lg.load(2, 2, artifacts=folder)
    assert kernel.join(*PROBE).tolist() == ANSWER
    assert kernel.path.parent.name == "kernels"
    assert kernel.log_sig(PATHS).tolist() == LOG_SIGS
    assert groups_in(new_cache) == [["join"]]


def test_without_a_compiler_a_folder_has_what_it_has(
    generated: Path, new_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(loader, "_warned", False)
    kernel = lg.load(2, 2, artifacts=generated)
    with pytest.warns(lg.InterpretedWarning, match="No C compiler"):
        kernel.log_sig(PATHS)
    assert kernel.combine(*np.array(LOG_SIGS)).tolist() == [2.0, 4.0, 0.0]
    assert not new_cache.exists()


def test_relative_folders(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(generated / "d2_n2")
    assert lg.load(2, 2, artifacts=".").join(*PROBE).tolist() == ANSWER
    monkeypatch.chdir(generated)
    assert lg.load(2, 2, artifacts=Path("d2_n2")).path == generated / "d2_n2"


def test_a_problem_that_no_folder_holds_comes_from_the_cache(generated: Path) -> None:
    assert lg.load(1, 2, artifacts=generated).path.parent.name == "kernels"


def test_a_folder_of_another_problem(generated: Path) -> None:
    with pytest.raises(
        lg.ArtifactError, match=r"made for \(dimension=2, degree=2\), not for \(dimension=2, degree=3\)"
    ):
        lg.load(2, 3, artifacts=generated / "d2_n2")


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(lg.ArtifactError, match=r"artifacts: .* is not a folder"):
            lg.load(2, 2, artifacts=wrong)
    for wrong in (3, [3], {"a"}, b"x"):
        with pytest.raises(TypeError, match="artifacts: expected a path or a list of paths"):
            lg.load(2, 2, artifacts=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["truncated", "gone", "one bit"])
def test_a_damaged_library_is_refused_and_left_alone(artifact: Path, damage: str) -> None:
    library = artifact / "liblogsig_d2_n2.so"
    content = library.read_bytes()
    library.unlink()
    if damage != "gone":
        library.write_bytes(content[:4096] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(lg.ArtifactError, match="cannot be read" if damage == "gone" else "is damaged"):
        lg.load(2, 2, artifacts=artifact)
    assert artifact.is_dir()


def test_a_damaged_manifest_is_refused(artifact: Path) -> None:
    (artifact / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(lg.ArtifactError, match="is not a manifest"):
        lg.load(2, 2, artifacts=artifact)
    (artifact / MANIFEST).unlink()
    with pytest.raises(lg.ArtifactError, match=r"manifest\.json: cannot be read"):
        lg.load(2, 2, artifacts=artifact.parent)


def test_another_processor_is_refused_before_an_instruction_of_it_is_run(artifact: Path) -> None:
    edit(artifact, march="future", cpu={"machine": cpu.machine(), "features": ["avx4096", "avx4097"]})
    with pytest.raises(lg.ArtifactError, match=r"march='future', but this processor lacks avx4096, avx4097"):
        lg.load(2, 2, artifacts=artifact)
    edit(artifact, cpu={"machine": "linux-sparc", "features": []})
    with pytest.raises(lg.ArtifactError, match=f"built for linux-sparc, this machine is {cpu.machine()}"):
        lg.load(2, 2, artifacts=artifact)


def test_a_processor_like_ours_without_a_feature_it_uses(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    required = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))["cpu"]["features"]
    known = cpu.features()
    assert known is not None
    assert set(required) <= known
    monkeypatch.setattr(cpu, "features", lambda: known - {required[-1]})
    with pytest.raises(lg.ArtifactError, match=f"this processor lacks {required[-1]}"):
        lg.load(2, 2, artifacts=artifact)


def test_another_interface_is_refused(artifact: Path) -> None:
    edit(artifact, abi_version=999)
    with pytest.raises(lg.ArtifactError, match="interface version 999"):
        lg.load(2, 2, artifacts=artifact)


def test_a_manifest_that_belongs_to_another_library(artifact: Path, tmp_path: Path) -> None:
    other = lg.generate(2, 3, tmp_path, operations=("join",)).path
    library = other / "liblogsig_d2_n3.so"
    files = json.loads((other / MANIFEST).read_text(encoding="utf-8"))["files"]
    shutil.copy(library, artifact)
    edit(artifact, library=library.name, files=files)
    with pytest.raises(lg.ArtifactError, match=r"degree, size\) = \(\d+, 2, 3, 5\), expected \(\d+, 2, 2, 3\)"):
        lg.load(2, 2, artifacts=artifact)


def test_sources_only(tmp_path: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, emit_only=True).path
    with pytest.raises(lg.ArtifactError, match="holds source text only"):
        lg.load(2, 2, artifacts=folder)


def test_a_folder_with_one_number_type(tmp_path: Path) -> None:
    kernel = lg.load(2, 2, artifacts=lg.generate(2, 2, tmp_path, dtypes=["float64"], operations=["join"]).path)
    assert kernel.join(*PROBE).tolist() == ANSWER
    with pytest.raises(TypeError, match=r"dtype: expected float64 .*built for.*, got float32"):
        kernel.join(PROBE[0].astype(np.float32), PROBE[1].astype(np.float32))


def test_a_second_load_returns_the_same_kernel() -> None:
    kernel = lg.load(2, 2)
    assert lg.load(2, 2) is kernel
    assert lg.load(np.int64(2), 2) is kernel
    lg.clear_cache()
    assert lg.load(2, 2) is not kernel
    assert kernel.join(*PROBE).tolist() == ANSWER


def test_another_march() -> None:
    kernel = lg.load(2, 2, march="x86-64")
    assert kernel.report.march == "x86-64"
    assert "-march=x86-64" in kernel.report.flags
    assert kernel.join(*PROBE).tolist() == ANSWER
    assert lg.load(2, 2) is not kernel


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 3), ValueError, "dimension: expected at least 1, got 0"),
        ((2, 0), ValueError, "degree: expected at least 1, got 0"),
        ((-1, 3), ValueError, "dimension: expected at least 1, got -1"),
        ((True, 3), TypeError, "dimension: expected an integer, got bool True"),
        ((2, np.True_), TypeError, "degree: expected an integer, got bool"),
        ((2.0, 3), TypeError, "dimension: expected an integer, got float 2.0"),
        (("2", 3), TypeError, "dimension: expected an integer, got str '2'"),
        ((2, None), TypeError, "degree: expected an integer, got NoneType"),
        ((10, 12), lg.ProblemTooLargeError, r"\(dimension=10, degree=12\) .*max_terms"),
        ((10**9, 10**9), lg.ProblemTooLargeError, "more than 2\\*\\*62 coordinates"),
        ((2, 10**30), lg.ProblemTooLargeError, "more than 2\\*\\*62 coordinates"),
    ],
)  # fmt: skip
def test_wrong_problems(
    arguments: Any, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path / "cache"))
    for call in (
        lambda: lg.load(*arguments),
        lambda: lg.generate(*arguments, tmp_path / "out"),
        lambda: lg.prepare_log_sig(*arguments, 2) if arguments != (2, 0) else lg.load(*arguments),  # nothing to prepare
        lambda: lg.formulas(*arguments).coordinates,
        lambda: lg.log_sig_join(np.zeros(3), np.zeros(2), *arguments),
    ):
        with pytest.raises((error, ValueError) if error is lg.ProblemTooLargeError else error):
            call()
    with pytest.raises(error, match=message):
        lg.load(*arguments)
    assert [path for path in tmp_path.rglob("*") if path.name[:1] != "." and path.is_file()] == []


def test_other_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="march: expected the name of a processor"):
        lg.load(2, 2, march="-O3")
    with pytest.raises(TypeError, match="max_terms: expected an integer, got float"):
        lg.load(2, 2, max_terms=1e6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_terms: expected at least 1, got 0"):
        lg.load(2, 2, max_terms=0)


def test_the_limit_can_be_lowered_and_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path))
    with pytest.raises(lg.ProblemTooLargeError, match="the limit is 1"):
        lg.load(2, 3, max_terms=1)
    assert lg.load(2, 3).size == lg.load(2, 3, max_terms=1000).size == 5  # that limit was for its call
