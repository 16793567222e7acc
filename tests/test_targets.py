"""Targets: one from outside the package goes every way that those of the package go."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from processes import process_environment
from toy_target import ToyTarget

import logsig_codegen as lg
from logsig_codegen import cli, targets
from logsig_codegen.build import cache
from logsig_codegen.build.artifact import read_artifact
from logsig_codegen.targets.base import BuildSpec, Target
from logsig_codegen.targets.builder import cached

SPEC = BuildSpec(lg.Problem(2, 2), ("join",))


@pytest.fixture
def toy() -> Iterator[ToyTarget]:
    target = ToyTarget()
    targets.register(target)
    yield target
    targets.known().pop("toy")


def joined(text: str) -> list[Fraction]:
    """What a file of the toy computes for two segments, the second one in the direction of the first letter."""
    names: dict[str, Any] = {}
    exec(text, names)
    first, second = [Fraction(2), Fraction(3), Fraction(0)], [Fraction(5), Fraction(0)]
    result: list[Fraction] = names["join"](first, second)
    return result


AREA = [Fraction(7), Fraction(3), Fraction(-15, 2)]
"""Of the segments (2, 3) and (5, 0): their sum, and half of 2 · 0 - 3 · 5."""


def test_a_target_is_generated(toy: ToyTarget, tmp_path: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, targets=("toy",), operations=("join",))
    assert folder.path == tmp_path / "d2_n2_toy"
    assert sorted(file.name for file in folder.path.iterdir()) == ["manifest.json", "programs.py"]
    assert joined((folder.path / "programs.py").read_text()) == AREA
    described = {name: folder.manifest[name] for name in ("target", "groups", "sources", "library")}
    assert described == {"target": "toy", "groups": ["join"], "sources": ["programs.py"], "library": None}
    toy.check(read_artifact(folder.path), lg.Problem(2, 2))
    with pytest.raises(lg.ArtifactError, match="holds the target 'toy', not 'c'"):
        lg.load(2, 2, artifacts=folder.path)
    with pytest.raises(lg.ArtifactError, match=r"not for \(dimension=2, degree=3\)"):
        toy.check(read_artifact(folder.path), lg.Problem(2, 3))
    (folder.path / "programs.py").write_text("")
    with pytest.raises(lg.ArtifactError, match=r"programs\.py: is damaged"):
        toy.check(read_artifact(folder.path), lg.Problem(2, 2))


def test_folders_of_other_targets_are_passed_over(toy: ToyTarget, tmp_path: Path) -> None:
    paths = [lg.generate(2, 2, tmp_path, targets=(name,), operations=("join",)).path for name in ("toy", "c")]
    assert lg.load(2, 2, artifacts=paths).path == tmp_path / "d2_n2"


def test_the_command_knows_it(toy: ToyTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dim", "2", "--degree", "2", "--operations", "join"]
    assert cli.main([*words, "--target", "toy,c,torch", "--emit-only", "--out", str(tmp_path)]) == 0
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["d2_n2", "d2_n2_toy"]
    assert (tmp_path / "d2_n2" / "operators.cpp").is_file()
    capsys.readouterr()
    assert cli.main(["show", *words, "--what", "source", "--target", "toy", "--format", "json"]) == 0
    assert joined(json.loads(capsys.readouterr().out)["programs.py"]) == AREA
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "toy: the programs as Python functions" in " ".join(capsys.readouterr().out.split())
    cli.main(["doctor"])
    assert "toy: nothing has to be compiled" in capsys.readouterr().out


def test_a_kernel_shows_its_source(toy: ToyTarget) -> None:
    head, text = lg.load(2, 2).source("toy").split("\n", 1)
    assert head == "/* ==== programs.py ==== */"
    assert joined(text) == AREA


def test_it_is_cached(toy: ToyTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    first = cached(toy, SPEC, lambda: None)
    assert joined((first.path / "programs.py").read_text()) == AREA
    before = (first.path / "programs.py").stat().st_mtime_ns
    assert cached(toy, SPEC, lambda: None).path == first.path
    assert (first.path / "programs.py").stat().st_mtime_ns == before
    other = cached(ToyTarget("# Another."), SPEC, lambda: None)
    assert other.path != first.path
    assert cached(targets.C, SPEC, lambda: targets.C.tools(SPEC)).path not in (first.path, other.path)
    (first.path / "programs.py").write_text("")
    assert joined((cached(toy, SPEC, lambda: None).path / "programs.py").read_text()) == AREA
    assert len(cache.entries()) == 3


def test_an_installed_package_brings_its_target_along(tmp_path: Path) -> None:
    about = tmp_path / "toy_target-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-target\nVersion: 1.0\n")
    points = "toy = toy_target:ToyTarget\nlost = no_such_module:Target\n"
    (about / "entry_points.txt").write_text(f"[{targets.ENTRY_POINTS}]\n{points}")
    (tmp_path / "toy_target.py").write_text((Path(__file__).parent / "toy_target.py").read_text())
    environment = process_environment()
    environment["PYTHONPATH"] += f":{tmp_path}"
    command = [sys.executable, "-m", "logsig_codegen", "--dim", "2", "--degree", "2", "--target", "toy"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], env=environment, capture_output=True, text=True, check=True
    )
    assert "the target no_such_module:Target cannot be used: No module named 'no_such_module'" in done.stderr
    assert joined((tmp_path / "out" / "d2_n2_toy" / "programs.py").read_text()) == AREA


def test_names_are_given_once(toy: ToyTarget) -> None:
    class Imitation(ToyTarget):
        name = "c"

    class Nameless(ToyTarget):
        name = "my target"

    targets.register(ToyTarget())  # again, by a module that is loaded once more
    with pytest.raises(ValueError, match="there is a target 'c' already"):
        targets.register(Imitation())
    with pytest.raises(ValueError, match="expected a name of letters, digits and underscores, got 'my target'"):
        targets.register(Nameless())
    with pytest.raises(TypeError, match="target: expected a Target, got str 'c'"):
        targets.register("c")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="target: expected one of c, cuda, jax, torch, toy, got 'metal'"):
        targets.named("metal")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("c", "torch"), ("torch",)),
        (("cuda", "c"), ("c", "cuda")),
        (("torch", "cuda", "c"), ("torch", "cuda")),
        (("c",), ("c",)),
    ],
)
def test_one_folder_for_what_extends_another(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert tuple(target.name for target in targets.folders(names)) == expected


@pytest.mark.parametrize("target", [targets.C, targets.CUDA, targets.TORCH])
def test_the_key_names_the_target(target: Target) -> None:
    from logsig_codegen.targets.builder import make_request

    tools = target.tools(BuildSpec(lg.Problem(2, 2), ("join",), emit_only=True))
    request = make_request(target, SPEC, tools)
    assert request.ingredients["target"] == target.name
    assert json.loads(json.dumps(request.ingredients)) == request.ingredients
