"""Compiling: what happens when the compiler refuses, and that it has nothing to complain about."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import together

import logsig_codegen as lg
from logsig_codegen.build.compile import compile_library
from logsig_codegen.build.toolchain import describe, find_compiler
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.errors import CompilerError


@pytest.fixture(autouse=True)
def keep_failures_here(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sources kept after a failure go where pytest cleans up; no test deletes them itself."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("kept")))


def test_an_error_carries_command_stderr_and_a_kept_source(tmp_path: Path) -> None:
    unit = SourceUnit("broken.c", "int broken(void) { return undeclared_name; }\n", "c", (("SOME=1",), ("SOME=2",)))
    (tmp_path / unit.name).write_text(unit.text, encoding="utf-8")
    with pytest.raises(CompilerError) as caught:
        compile_library(tmp_path, (unit,), "libbroken.so", describe(find_compiler(), "native"))
    error = caught.value
    assert "undeclared_name" in error.stderr
    assert "undeclared_name" in str(error)
    assert "broken.c" in error.command
    assert Path(error.source).read_text(encoding="utf-8") == unit.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.c"]


def test_the_linker_s_error_is_reported_too(tmp_path: Path) -> None:
    tools = describe(find_compiler(), "native")
    units = [SourceUnit(f"{name}.c", "int twice(void) { return 2; }\n", "c") for name in ("one", "two")]
    for unit in units:
        (tmp_path / unit.name).write_text(unit.text, encoding="utf-8")
    with pytest.raises(CompilerError, match="twice") as caught:
        compile_library(tmp_path, units, "libtwice.so", tools)
    assert sorted(path.name for path in Path(caught.value.source).iterdir()) == ["one.c", "two.c"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_sources_give_no_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    if os.path.realpath(str(shutil.which(compiler))) == find_compiler().path:
        folder = together.complete() / "d2_n3"
    else:
        monkeypatch.setenv("CC", f"{compiler} -Wall -Wextra -Werror")
        folder = lg.generate(2, 3, tmp_path).path
    assert (folder / "liblogsig_d2_n3.so").is_file()
