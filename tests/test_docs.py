"""The pages tell the truth: their code runs, prints what they show, and their links lead somewhere.

Trusts the text of the pages, which people have read; where numbers can be had from elsewhere, they are.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import documents
import numpy as np
import pysiglib
import pytest
import together

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.operations import GROUPS
from logsig_codegen.problem import Problem

ROOT = documents.ROOT
PAGES = documents.pages()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """A working folder that holds what the pages take for granted."""
    path = tmp_path_factory.mktemp("pages")  # the pages write into it
    shutil.copytree(together.complete() / "d2_n3", path / "generated" / "d2_n3")
    return path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_prints_what_the_page_shows(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    namespace: dict[str, object] = {"__name__": "page"}
    for example in documents.examples(path.read_text()):
        printed = documents.run(example.code.text, namespace, f"{path.name}:{example.code.line}")
        if example.output is not None:
            assert printed == example.output.text, f"{path.name}, line {example.output.line}"


def test_enough_is_shown() -> None:
    """The walk-through and the pages beside it do contain code with output: the test above is not empty."""
    shown = {path.stem: sum(e.output is not None for e in documents.examples(path.read_text())) for path in PAGES}
    assert shown["pipeline"] >= 5
    assert shown["mathematics"] >= 3
    assert shown["tutorial"] >= 4
    assert shown["pytorch"] >= 5
    assert shown["README"] >= 1


def test_an_output_block_belongs_to_the_code_right_above_it() -> None:
    page = "```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nprint(2)\n```\n\nwords\n\n```text\nother\n```\n"
    first, second = documents.examples(page)
    assert first.output is not None
    assert first.output.text == "1\n"
    assert second.output is None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", documents.FENCE.sub("", path.read_text())):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_page_and_decision_is_linked_from_its_index() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "decisions"):
        linked = re.findall(r"\]\(([^)#/]+\.md)", (folder / "index.md").read_text())
        assert sorted({"index.md", *linked}) == sorted(path.name for path in folder.glob("*.md"))


def test_the_two_commands_stand_in_the_readme_and_are_what_ci_runs() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for command in ("pip install . && logsig-gen --dim 5 --degree 3", 'pip install -e ".[test]" && pytest'):
        assert command in readme
        assert command in ci


@pytest.mark.parametrize("name", ["join", "log_sig"])
def test_c_program(folder: Path, tmp_path: Path, name: str) -> None:
    """The C programs of the documents compile without a warning and agree with pySigLib on the same path."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "this test needs a C compiler"
    artifact = folder / "generated" / "d2_n3"
    program = tmp_path / name
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{artifact}"]
    link = [f"-L{artifact}", "-llogsig_d2_n3", f"-Wl,-rpath,{artifact}"]
    subprocess.run([compiler, *flags, str(ROOT / "docs" / f"{name}.c"), *link, "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    steps = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]])
    pysiglib.prepare_log_sig(2, 3, 2)
    expected = pysiglib.log_sig(np.cumsum(steps, axis=0), 3, method=2)
    np.testing.assert_allclose(np.array(printed.split(), dtype=float), expected, atol=1e-6)


def test_c_page_shows_the_program_and_its_output(folder: Path, tmp_path: Path) -> None:
    shown = documents.blocks((ROOT / "docs" / "c_api.md").read_text())
    for name in ("join.c", "log_sig.c", "windows.c"):
        assert (ROOT / "docs" / name).read_text() in [block.text for block in shown if block.language == "c"]
    steps = [[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]]
    kernel = lg.load(2, 3)
    state = np.zeros(kernel.size)
    for step in np.array(steps):
        state = kernel.join(state, step)
    line = " ".join(f"{value:.6f}" for value in state) + "\n"
    assert line in [block.text for block in shown if block.language == "text"]


def test_the_page_of_torch_shows_the_program_that_is_tested() -> None:
    shown = documents.blocks((ROOT / "docs" / "pytorch.md").read_text())
    assert (ROOT / "docs" / "join_torch.cpp").read_text() in [block.text for block in shown if block.language == "cpp"]


def test_c_declarations_on_the_page_are_those_of_the_header() -> None:
    """Spaces aside, what the page declares stands in the generated header."""

    def squeeze(text: str) -> str:
        return re.sub(r"\s+", "", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))

    units = c_sources(compile_problem(Problem(2, 3), groups=tuple(GROUPS)))
    header = squeeze("".join(unit.text for unit in units if unit.name == "logsig_d2_n3.h"))
    shown = [
        block.text for block in documents.blocks((ROOT / "docs" / "c_api.md").read_text()) if block.language == "c"
    ]
    declared = "".join(text for text in shown if "#include" not in text)
    names = re.findall(r"int (\w+)\(", declared)
    assert len(names) == 7
    for declaration in declared.split(";"):
        assert squeeze(declaration) in header


@pytest.mark.parametrize(("page", "accuracy"), [("scikit_learn.md", 0.97), ("gallery/activities.md", 0.94)])
def test_ten_lines_of_scikit_learn_classify_real_recordings(page: str, accuracy: float) -> None:
    first, *_ = documents.examples((ROOT / "docs" / page).read_text())
    assert sum(bool(line) for line in first.code.text.splitlines()) == 10
    assert first.output is not None
    assert float(first.output.text.split()[-1]) > accuracy


def test_the_page_of_errors_names_all_of_them() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    errors = [name for name in lg.__all__ if isinstance(getattr(lg, name), type) and name.endswith("Error")]
    assert len(errors) >= 8
    assert [name for name in errors if f"`{name}`" not in page] == []
