"""Other machines: what is compiled for them runs there, or looks as it has to, and Python's side does without POSIX.

Kernels for 64-bit ARM run under QEMU and those for Windows under Wine, compared bit for bit with this machine's; the
library for macOS is read. Trusts both emulators, this machine's kernels, and the formats of ELF, PE and Mach-O as their
documents have them. Zig compiles: ``pip install "logsig-codegen[compiler]"``; ``.ci/run`` has it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import logsig_codegen as lg
from logsig_codegen import cli
from logsig_codegen.build import artifact, cache, cpu, elf, packs, platforms, processes, toolchain
from logsig_codegen.build.cache import locks, marks
from logsig_codegen.build.compile import compile_library
from logsig_codegen.build.platforms import CROSS
from logsig_codegen.build.replace import put_in_place
from logsig_codegen.build.toolchain import Flag
from logsig_codegen.build.wheel import platform_tag
from logsig_codegen.errors import ArtifactError, CompilerNotFoundError
from logsig_codegen.problem import Problem
from logsig_codegen.targets import C
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import emit

PROBLEM = Problem(2, 3)
ROWS = 37
needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason='needs Zig: pip install "logsig-codegen[compiler]"')
DRIVER = """
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#endif
#define ROWS 37
typedef struct { const char *operation, *dtype; void *function; } entry;
typedef struct { int abi, dimension, degree, n; long long size; const entry *entries; } module;
static const module *about;
#ifdef _WIN32
static const module *describe(void)
{
    HMODULE library = LoadLibraryA("liblogsig_d2_n3.dll");
    if (!library) exit(6);
    return ((const module *(*)(void))GetProcAddress(library, "logsig_describe"))();
}
#else
const module *logsig_describe(void);
#define describe logsig_describe
#endif
static void *find(const char *operation, const char *dtype)
{
    for (int i = 0; i < about->n; i++)
        if (!strcmp(about->entries[i].operation, operation) && !strcmp(about->entries[i].dtype, dtype))
            return about->entries[i].function;
    exit(3);
}
static void print(const void *numbers, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) printf("%02x", ((const unsigned char *)numbers)[i]);
    printf("\\n");
}
#define CHECK(real, dtype)                                                                                            \\
    {                                                                                                                 \\
        typedef int (*join)(const real *, ptrdiff_t, const real *, ptrdiff_t, real *, ptrdiff_t, ptrdiff_t, int);     \\
        typedef int (*backprop)(const real *, ptrdiff_t, const real *, ptrdiff_t, const real *, ptrdiff_t, real *,    \\
                                ptrdiff_t, real *, ptrdiff_t, ptrdiff_t, int);                                        \\
        static real z[ROWS][5], v[ROWS][2], d[ROWS][5], out[ROWS][5], dz[ROWS][5], dv[ROWS][2];                       \\
        fread(z, sizeof z, 1, file), fread(v, sizeof v, 1, file), fread(d, sizeof d, 1, file);                        \\
        if (((join)find("join", dtype))(z[0], 5, v[0], 2, out[0], 5, ROWS, 2)) return 4;                              \\
        if (((backprop)find("join_backprop", dtype))(d[0], 5, z[0], 5, v[0], 2, dz[0], 5, dv[0], 2, ROWS, 2))         \\
            return 5;                                                                                                 \\
        print(out, sizeof out), print(dz, sizeof dz), print(dv, sizeof dv);                                           \\
    }
int main(int argc, char **argv)
{
    FILE *file = fopen(argv[1], "rb");
    if (!file) return 1;
    about = describe();
    CHECK(double, "float64")
    CHECK(float, "float32")
    return 0;
}
"""


def spec_for(name: str) -> BuildSpec:
    chosen = CROSS[name]
    return BuildSpec(PROBLEM, ("join", "join_backprop"), march=chosen.levels[0], platform=chosen, portable=True)


@pytest.fixture
def numbers(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file of arguments, and the results that this machine's kernels have for them."""
    rng, kernel, contents, expected = np.random.default_rng(3), lg.load(2, 3), b"", []
    for dtype in (np.float64, np.float32):
        z, v, d = (rng.normal(size=(ROWS, width)).astype(dtype) for width in (5, 2, 5))
        contents += b"".join(array.tobytes() for array in (z, v, d))
        expected += [one.tobytes().hex() for one in (kernel.join(z, v), *kernel.join_backprop(d, z, v))]
    path = tmp_path / "numbers"
    path.write_bytes(contents)
    return path, expected


@needs_zig
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-aarch64-static"), reason="needs the Debian package qemu-user-static")
def test_kernels_for_arm_have_the_same_bits(numbers: tuple[Path, list[str]], tmp_path: Path) -> None:
    """The objects of the library in a program that needs no library: QEMU has no C library for that machine."""
    arguments, expected = numbers
    spec = spec_for("linux-aarch64")
    spec = replace(spec, platform=replace(spec.platform, zig="aarch64-linux-musl"))
    tools = C.tools(spec)
    units = emit(C, spec)[1].units
    for unit in units:
        (tmp_path / unit.name).write_text(unit.text)
    (tmp_path / "driver.c").write_text(DRIVER)
    described = toolchain.describe(tools, spec.march, portable=True, platform=spec.platform)
    assert not any("vector-width" in flag.text for flag in described.compile_flags)
    described = replace(described, link_flags=tuple(Flag(text, "") for text in ("driver.c", "-static", "-lm")))
    compile_library(tmp_path, units, "program", described)
    command = ["qemu-aarch64-static", "./program", str(arguments)]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert printed.split() == expected


@pytest.fixture(scope="module")
def for_windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated folder."""
    folder = tmp_path_factory.mktemp("windows")
    found = lg.generate(2, 3, folder, operations=("join", "join_backprop"), platform="win32-amd64", march="x86-64-v3")
    assert found.manifest["library"] == "liblogsig_d2_n3.dll"
    assert {path.name for path in found.path.iterdir()} == {*found.manifest["files"], "manifest.json"}
    return found.path


@needs_zig
@pytest.mark.slow
def test_what_the_library_for_windows_is(for_windows: Path) -> None:
    content = (for_windows / "liblogsig_d2_n3.dll").read_bytes()
    (start,) = struct.unpack_from("<I", content, 0x3C)
    assert struct.unpack_from("<4sH", content, start) == (b"PE\0\0", 0x8664)  # IMAGE_FILE_MACHINE_AMD64
    assert b"\0logsig_describe\0" in content  # the table of exports; other names are stripped
    assert b"_beginthreadex" in content  # the table of imports: calls have threads


@needs_zig
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("wine"), reason="needs the Debian packages wine and wine64")
def test_kernels_for_windows_have_the_same_bits(
    for_windows: Path, numbers: tuple[Path, list[str]], tmp_path: Path
) -> None:
    arguments, expected = numbers
    shutil.copy(for_windows / "liblogsig_d2_n3.dll", tmp_path)
    (tmp_path / "driver.c").write_text(DRIVER)
    compiler = toolchain.find_compiler(CROSS["win32-amd64"])
    subprocess.run([*compiler.command, "driver.c", "-o", "driver.exe"], cwd=tmp_path, check=True)
    environment = {**os.environ, "WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all"}
    command = ["wine", "driver.exe", arguments.name]
    printed = subprocess.run(command, cwd=tmp_path, check=True, env=environment, capture_output=True, text=True).stdout
    assert printed.split() == expected


@needs_zig
@pytest.mark.slow
def test_what_libraries_for_other_machines_are(tmp_path: Path) -> None:
    """A pack for ARM asks for glibc 2.17; the library for macOS needs the system's one and exports its functions."""
    command = ["pack", "--dim", "2", "--degree", "2", "--operations", "join", "--out", str(tmp_path)]
    assert cli.main([*command, "--platform", "linux-aarch64"]) == 0
    (path,) = tmp_path.glob("*-py3-none-manylinux_2_17_aarch64.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / packs.NAMESPACE / "logsig_kernels_d2_n2"
    assert json.loads((folder / packs.INDEX).read_bytes())["machine"] == "linux-aarch64"
    library = folder / "armv8-a" / "d2_n2" / "liblogsig_d2_n2.so"
    assert struct.unpack_from("<H", library.read_bytes(), 18) == (183,)  # EM_AARCH64
    assert all(name.startswith(("libc.", "libm.", "libpthread.", "ld-linux")) for name in elf.needs(library).libraries)

    found = lg.generate(2, 2, tmp_path / "mac", operations=("join",), platform="darwin-arm64")
    content = (found.path / found.manifest["library"]).read_bytes()
    assert found.manifest["library"].endswith(".dylib")
    assert found.manifest["cpu"]["machine"] == "darwin-arm64"
    assert mach_o(content) == (["/usr/lib/libSystem.B.dylib"], True)


def mach_o(content: bytes) -> tuple[list[str], bool]:
    """The libraries that a dynamic library for arm64 needs, and whether it exports ``logsig_describe``.

    From ``mach-o/loader.h``: a header of 32 bytes, then commands, each with its kind and its size.
    """
    magic, processor, _, kind, count, _, _, _ = struct.unpack_from("<8I", content)
    assert (magic, processor, kind) == (0xFEEDFACF, 0x0100000C, 6)  # 64 bits, arm64, MH_DYLIB
    at, needed, exports = 32, [], False
    for _ in range(count):
        command, size = struct.unpack_from("<2I", content, at)
        if command == 0xC:  # LC_LOAD_DYLIB
            start = at + struct.unpack_from("<I", content, at + 8)[0]
            needed.append(content[start : content.index(b"\0", start)].decode())
        if command == 0x2:  # LC_SYMTAB: entries of name, kind, section, description, value
            symbols, entries, strings, _ = struct.unpack_from("<4I", content, at + 8)
            for entry in range(entries):
                name, sort = struct.unpack_from("<IB", content, symbols + 16 * entry)
                text = content[strings + name : content.index(b"\0", strings + name)]
                exports |= text == b"_logsig_describe" and sort == 0xF  # N_SECT | N_EXT
        at += size
    return needed, exports


@pytest.mark.parametrize(
    ("name", "suffix", "march", "left_out", "tag"),
    [
        ("linux-x86_64", ".so", "x86-64-v3", {"-fopenmp"}, "linux_x86_64"),
        ("linux-aarch64", ".so", "armv8-a", {"-fopenmp", "-mprefer-vector-width=512"}, "linux_aarch64"),
        ("darwin-arm64", ".dylib", "apple-m1", {"-fopenmp", "-mprefer-vector-width=512"}, "macosx_11_0_arm64"),
        ("win32-amd64", ".dll", "x86-64-v3", {"-fopenmp", "-fPIC"}, "win_amd64"),
    ],
)
def test_what_the_target_decides(
    name: str, suffix: str, march: str, left_out: set[str], tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this machine is."""
    monkeypatch.setattr(cpu, "machine", lambda: "linux-riscv64")
    one = platforms.named(name)
    assert (one.suffix, one.march("native"), one.wheel_tag) == (suffix, march, tag)
    assert one.march("cortex-a72") == "cortex-a72"
    given = {flag.text for flag in toolchain.wanted_flags(march, platform=one)}
    every = {"-O2", "-fPIC", "-ffp-contract=off", f"-march={march}", "-fopenmp", "-mprefer-vector-width=512"}
    assert every - given == left_out
    if not name.startswith("linux"):
        assert platform_tag([], one) == tag


def test_options_that_make_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="platform: expected one of linux-x86_64, linux-aarch64, "):
        lg.generate(2, 2, tmp_path, platform="solaris")
    with pytest.raises(TypeError, match="platform: expected a string, got int 3"):
        lg.generate(2, 2, tmp_path, platform=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="platform: the target cuda can be compiled for this machine only"):
        lg.generate(2, 2, tmp_path, targets=("cuda",), platform="win32-amd64")
    with pytest.raises(SystemExit):
        cli.main(["--dim", "2", "--degree", "2", "--platform", "solaris"])
    assert "--platform: invalid choice: 'solaris'" in capsys.readouterr().err


def test_without_zig_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(toolchain.ziglang, "find_spec", lambda name: None)
    with pytest.raises(CompilerNotFoundError, match=r"win32-amd64 .*pip install 'logsig-codegen\[compiler\]'"):
        lg.generate(2, 2, tmp_path, platform="win32-amd64")


@pytest.mark.parametrize("named", ["on the path", "$CC"])
def test_which_zig_compiles(named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "zig"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(toolchain.ziglang, "find_spec", lambda name: None)
    if named == "$CC":
        monkeypatch.setenv("CC", f"{program} cc -g")
    else:
        monkeypatch.setenv("CC", "gcc" if shutil.which("gcc") else "cc")  # no compiler of that machine: passed over
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    words = ("-g",) if named == "$CC" else ()
    found = toolchain.find_compiler(CROSS["linux-aarch64"])
    assert found.command == (str(program), "cc", *words, "-target", "aarch64-linux-gnu.2.17")
    assert found.identity() != toolchain.find_compiler(CROSS["win32-amd64"]).identity()


def test_a_folder_for_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lg.load(2, 2).report.path
    folder = tmp_path / "d2_n2"
    shutil.copytree(found, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["cpu"]["machine"] = "win32-amd64"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=f"built for win32-amd64, this machine is {cpu.machine()}; generate it"):
        C.check(artifact.read_artifact(folder), Problem(2, 2))


# -- other systems, simulated -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of a simulated processor are not kept."""
    monkeypatch.setattr(cpu, "features", cpu.features.__wrapped__)


def simulate(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6")


SYSCTL = {
    "arm64": "hw.optional.arm.FEAT_LSE: 1\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_FP16: 1\n"
    "hw.optional.arm.FEAT_BF16: 0\nmachdep.cpu.brand_string: Apple M1\n",
    "x86_64": "hw.optional.avx2_0: 1\nmachdep.cpu.features: FPU SSE3 SSSE3 FMA SSE4.1 SSE4.2 MOVBE POPCNT AVX1.0 F16C\n"
    "machdep.cpu.leaf7_features: BMI1 AVX2 BMI2\nmachdep.cpu.extfeatures: SYSCALL LZCNT\n",
}
LEVEL_3 = ("abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3")


@pytest.mark.parametrize(
    ("machine", "runs", "lacks"),
    [("arm64", ("atomics", "asimddp", "asimdhp"), ("bf16",)), ("x86_64", LEVEL_3, ("avx512f",))],
)
def test_features_on_macos(
    machine: str, runs: tuple[str, ...], lacks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, "darwin", machine)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=SYSCTL[machine]))
    assert cpu.machine() == f"darwin-{machine}"
    assert cpu.missing_features(runs + lacks) == lacks
    assert platforms.host().suffix == ".dylib"

    def broken(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", broken)
    assert cpu.features() is None
    assert cpu.missing_features(lacks) == ()


@pytest.mark.parametrize(
    ("numbers_present", "lacks"),
    [
        ((13, 36, 37, 38, 39, 40), ("avx512f",)),
        ((13, 36, 37, 38), ("avx", "avx2", "avx512f")),
        ((*range(36, 42), 13), ()),
    ],
)
def test_features_on_windows(
    numbers_present: tuple[int, ...], lacks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of ``winnt.h``: 13 is SSE3, 36 to 41 are SSSE3, SSE4.1, SSE4.2, AVX, AVX2 and AVX512F."""
    import ctypes

    kernel32 = SimpleNamespace(IsProcessorFeaturePresent=lambda number: int(number in numbers_present))
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    simulate(monkeypatch, "win32", "AMD64")
    assert cpu.machine() == "win32-amd64"
    assert platforms.host().suffix == ".dll"
    assert cpu.missing_features((*LEVEL_3, "avx512f", "avx512bw")) == lacks
    assert "Intel64 Family 6" in cpu.identity()


def test_locks_and_folders_where_there_is_no_posix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache entry is built, found again, used and removed with what Windows has: other locks, no owners, no shell."""
    import fcntl

    def locking(descriptor: int, mode: int, count: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError from None  # what Windows says

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    monkeypatch.setitem(sys.modules, "fcntl", None)  # importing it fails
    for name in ("geteuid", "killpg", "sched_getaffinity", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "statvfs"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "supports_follow_symlinks", set())
    monkeypatch.setattr(processes, "_SHELL", str(tmp_path / "no shell"))
    for module in (locks, marks):
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setenv(cache.places.VARIABLE, str(tmp_path / "cache"))
    lock = locks.try_lock(tmp_path / "lock", create=True)
    assert lock is not None
    assert locks.try_lock(tmp_path / "lock", create=True) is None
    lock.release()
    lg.clear_cache()
    kernel = lg.load(2, 1)
    np.testing.assert_array_equal(kernel.join(np.ones((1, 2)), np.ones((1, 2))), [[2.0, 2.0]])
    assert Path(str(kernel.report.path)).is_relative_to(tmp_path / "cache")
    lg.clear_cache()
    assert lg.load(2, 1).report.path == kernel.report.path
    lg.clear_cache(use_disk=True)
    assert not Path(str(kernel.report.path)).exists()


def test_folders_are_replaced_where_there_is_no_exchange(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ctypes

    def refuses(name: object) -> Mapping[str, object]:
        raise TypeError("bad argument type for built-in operation")  # what Windows says to CDLL(None)

    monkeypatch.setattr(ctypes, "CDLL", refuses)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    put_in_place(tmp_path / "new", tmp_path / "old")
    assert os.listdir(tmp_path / "old") == ["new"]
