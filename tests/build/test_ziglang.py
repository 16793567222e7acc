"""Zig's compiler, where there is no other one: when it is chosen, and how it is called.

Trusts gcc, which plays Zig's part in a script that knows Zig's spelling only. The last test needs the package itself,
which ``pip install "logsig-codegen[compiler]"`` brings; ``.ci/run`` has it.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import logsig_codegen as lg
from logsig_codegen.build import platforms, toolchain, ziglang
from logsig_codegen.errors import CompilerNotFoundError

MARCH = platforms.host().levels[0]
PATH, REAL = os.environ["PATH"], shutil.which("gcc") or shutil.which("cc")  # of now: tests change them
SCRIPT = """#!/bin/sh
test "$1" = cc || exit 2
test -d "$ZIG_GLOBAL_CACHE_DIR" || exit 3
shift
for one; do
    shift
    case $one in
    {spelled}) one=-march={march} ;;
    -march=*-*) echo "unknown CPU: $one" >&2; exit 1 ;;
    -fopenmp) echo "no omp.h" >&2; exit 1 ;;
    esac
    set -- "$@" "$one"
done
PATH={path} exec {real} "$@"
"""


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No compiler is named, or on the path."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)


@pytest.fixture
def zig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``ziglang`` whose program is gcc; of its folders nothing is written but a temporary one."""
    program = tmp_path / "packages" / "ziglang" / "zig"
    program.parent.mkdir(parents=True)
    program.with_name("__init__.py").touch()
    text = SCRIPT.format(spelled=ziglang.spelled(f"-march={MARCH}"), march=MARCH, path=PATH, real=REAL)
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.syspath_prepend(program.parents[1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "usual"))
    ziglang._cache.cache_clear()
    return program


def test_it_is_the_last_that_is_tried(zig: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    assert toolchain.find_compiler().origin in toolchain.CANDIDATES
    monkeypatch.setenv("PATH", str(tmp_path))
    found = toolchain.find_compiler()
    assert (found.command, found.origin) == ((str(zig), "cc"), "ziglang")
    before = found.identity()
    zig.write_text(zig.read_text() + "\n# another version\n")
    assert toolchain.find_compiler().identity() != before
    monkeypatch.setenv("CC", f"{zig} cc -g")
    assert toolchain.find_compiler().origin == "$CC"


@pytest.mark.usefixtures("nothing")
def test_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ziglang, "find_spec", lambda name: None)
    with pytest.raises(CompilerNotFoundError, match=r"pip install 'logsig-codegen\[compiler\]'"):
        toolchain.find_compiler()


@pytest.mark.usefixtures("nothing")
def test_flags_are_spelled_as_zig_does(zig: Path) -> None:
    tools = toolchain.describe(toolchain.find_compiler(), MARCH)
    assert ziglang.spelled(f"-march={MARCH}") in [flag.text for flag in tools.compile_flags]
    assert not tools.openmp
    assert [flag.text for flag in tools.link_flags] == ["-shared", "-lm", "-pthread", "-s"]
    assert tools.march == MARCH


@pytest.mark.parametrize(
    ("flag", "spelled"),
    [
        ("-march=x86-64-v3", "-march=x86_64_v3"),
        ("-march=native", "-march=native"),
        ("-march=neoverse-n1", "-march=neoverse_n1"),
        ("-march=armv8-a", "-march=generic"),
        ("-ffp-contract=off", "-ffp-contract=off"),
    ],
)
def test_spelling(flag: str, spelled: str) -> None:
    assert ziglang.spelled(flag) == spelled


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("/opt/zig", "cc"), True),
        (("/usr/bin/python3", "-m", "ziglang", "cc"), True),
        (("/usr/bin/gcc",), False),
        (("/opt/zig/bin/clang",), False),
    ],
)
def test_which_commands_are_zigs(command: tuple[str, ...], expected: bool) -> None:
    assert ziglang.is_zig(command) is expected


@pytest.mark.usefixtures("nothing", "zig")
def test_where_zig_keeps_what_it_compiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = toolchain.find_compiler().environment
    assert usual is not None
    assert usual["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "usual" / "zig")
    ziglang._cache.cache_clear()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    own = toolchain.find_compiler().environment
    assert own is not None
    assert Path(own["ZIG_GLOBAL_CACHE_DIR"]).is_dir()
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", "/somewhere")
    assert toolchain.find_compiler().environment is None
    ziglang._cache.cache_clear()


@pytest.mark.skipif(find_spec("ziglang") is None, reason="the package ziglang is not installed")
def test_zig_compiles_the_same_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    z, v, d = (rng.normal(size=(203, width)) for width in (5, 2, 5))

    def results() -> list[bytes]:
        lg.clear_cache()
        kernel = lg.load(2, 3)
        arrays = kernel.join(z, v, n_jobs=2), *kernel.join_backprop(d, z, v, n_jobs=2)
        assert kernel.report.compiler.startswith(toolchain.find_compiler().path)
        return [array.tobytes() for array in arrays]

    expected = results()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path / "cache"))
    assert toolchain.find_compiler().origin == "ziglang"
    assert results() == expected
    lg.clear_cache()
