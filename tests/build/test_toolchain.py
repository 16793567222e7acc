"""Finding and describing the C compiler."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from logsig_codegen.build import toolchain
from logsig_codegen.errors import CompilerError, CompilerNotFoundError


@pytest.fixture(autouse=True)
def no_cc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)


def test_cc_may_carry_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc -DSOME='a thing'")
    found = toolchain.find_compiler()
    assert found.command == (shutil.which("gcc"), "-DSOME=a thing")
    assert found.origin == "$CC"
    assert os.path.isabs(found.path)


def test_without_cc_the_path_is_searched_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("clang", "gcc"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.find_compiler().command == (str(tmp_path / "gcc"),)


def test_no_compiler_says_what_to_install_and_the_way_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CompilerNotFoundError, match=r"cc, gcc, clang.*apt install gcc.*logsig-gen.*LOGSIG_CODEGEN_PATH"
    ):
        toolchain.find_compiler()
    monkeypatch.setenv("CC", "/nowhere/icc -fast")
    with pytest.raises(CompilerNotFoundError, match=r"\$CC is '/nowhere/icc -fast'"):
        toolchain.find_compiler()


def test_finding_a_compiler_does_not_run_it(
    monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", compiler_script(f"touch {tmp_path}/was-run"))
    first = toolchain.find_compiler().identity()
    assert not (tmp_path / "was-run").exists()
    monkeypatch.setenv("CC", compiler_script("exit 0 # another compiler in the same place"))
    assert toolchain.find_compiler().identity() != first


def test_march_is_checked_before_anything_is_run() -> None:
    for wrong in (None, 3, b"native"):
        with pytest.raises(TypeError, match="march: expected a string"):
            toolchain.check_march(wrong)  # type: ignore[arg-type]
    for wrong in ("", "native -O0", "-x", "na\ntive", "a;b"):
        with pytest.raises(ValueError, match="march: expected the name of a processor"):
            toolchain.check_march(wrong)


def test_a_processor_the_compiler_does_not_know() -> None:
    with pytest.raises(CompilerError) as caught:
        toolchain.describe(toolchain.find_compiler(), "pentium9000")
    assert "-march=pentium9000" in caught.value.command
    assert "pentium9000" in caught.value.stderr


def test_no_flag_changes_values() -> None:
    tools = toolchain.describe(toolchain.find_compiler(), "native")
    texts = [flag.text for flag in (*tools.compile_flags, *tools.link_flags)]
    assert "-ffp-contract=off" in texts
    assert not {
        "-Ofast",
        "-ffast-math",
        "-funsafe-math-optimizations",
        "-fassociative-math",
        "-ffinite-math-only",
    } & set(texts)
    assert all(flag.reason for flag in (*tools.compile_flags, *tools.link_flags))


def test_a_compiler_without_openmp_is_used_without_it(
    monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str]
) -> None:
    monkeypatch.setenv(
        "CC", compiler_script('case "$*" in *-fopenmp*) echo no OpenMP >&2; exit 1;; esac; exec $REAL "$@"')
    )
    tools = toolchain.describe(toolchain.find_compiler(), "native")
    assert not tools.openmp
    assert toolchain.OPENMP in tools.rejected
    assert toolchain.OPENMP not in (*tools.compile_flags, *tools.link_flags)


def test_a_compiler_that_cannot_be_executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(CompilerError, match="cannot be run"):
        toolchain.describe(toolchain.find_compiler(), "native")


def test_a_compiler_is_found_once(
    monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str], tmp_path: Path
) -> None:
    """It runs in other folders: what is named from this one has to be found there."""
    compiler = Path(compiler_script('test "$1" = -I"$HERE/include" && test "$2" = "$HERE/tool" && exec $REAL "$@"'))
    (tmp_path / "tool").touch()
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", f"./{compiler.name} -I./include ./tool -DX=./x")
    found = toolchain.find_compiler()
    assert found.command == (str(compiler), f"-I{tmp_path}/include", f"{tmp_path}/tool", f"-DX={tmp_path}/x")
    monkeypatch.setenv("CC", f"./{compiler.name}")
    monkeypatch.setenv("HERE", "")
    compiler.write_text(compiler.read_text().replace("test", "true"))
    assert toolchain.describe(toolchain.find_compiler(), "native").version != "unknown"
    monkeypatch.setenv("CC", compiler.name)
    monkeypatch.setenv("PATH", ".", prepend=os.pathsep)
    assert toolchain.find_compiler().command == (str(compiler),)


@pytest.mark.parametrize("wrong", ["gcc '-D", "''", '"', "gcc \\"])
def test_a_command_that_is_none_is_named(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", wrong)
    with pytest.raises(CompilerNotFoundError, match=re.escape(f"$CC is {wrong!r}")):
        toolchain.find_compiler()
