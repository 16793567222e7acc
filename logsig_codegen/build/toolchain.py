"""The system's C compiler: which one is used, which flags it accepts, and which it is given.

Only :func:`describe` runs the compiler. :func:`find_compiler` looks at the file system alone, so that a cache hit
knows which compiler would be used without starting it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from logsig_codegen.build import cpu, platforms, ziglang
from logsig_codegen.build.platforms import Platform
from logsig_codegen.build.processes import Finished, run, time_limit
from logsig_codegen.errors import CompilerError, CompilerNotFoundError, shown

CANDIDATES = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Flag:
    """One compiler flag, why it is given, and whether a compiler that rejects it is used without it."""

    text: str
    reason: str
    optional: bool = False


# None of these lets the compiler change a value: no -ffast-math, no -Ofast, nothing that they contain but errno.
FLAGS = (
    Flag("-O2", "the emitted code is already scheduled and unrolled; higher levels cost time and gain nothing"),
    Flag("-std=gnu11", "C11 with vector extensions"),
    Flag("-fPIC", "the code goes into a shared library"),
    Flag("-ffp-contract=off", "a product and a sum are rounded the same way in every loop and on every compiler"),
    Flag("-fno-math-errno", "nothing reads errno; changes no result"),
)
VECTORISERS = (
    Flag(
        "-fno-tree-vectorize", "the code is vectors already; looking for more takes a sixth of the compile time", True
    ),
    Flag("-fno-tree-slp-vectorize", "as above, for straight-line code", True),
)
OPENMP = Flag("-fopenmp", "threads that share a batch wait for the next one; without it each call starts its own", True)
WIDE = Flag("-mprefer-vector-width=512", "whole vectors where the processor has AVX-512", optional=True)
PTHREAD = Flag("-pthread", "each call starts threads of its own")
STRIP = Flag("-s", "the names of local symbols are left out")
LINK_FLAGS = (Flag("-shared", "the result is a shared library"), Flag("-lm", "the C mathematics library"))

_MARCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*\Z")
_RELATIVE = re.compile(r"((?:-[A-Za-z][\w-]*=?|@)?)(\.{1,2}(?:/.*)?)\Z", re.DOTALL)
_END = 1 << 20
_PROBE_SECONDS = 120.0
_PROBE = """
#ifdef _OPENMP
#include <omp.h>
int probe(void) { return omp_get_max_threads(); }
#else
int probe(void) { return 1; }
#endif
"""


@dataclass(frozen=True)
class Compiler:
    """A compiler command that exists.

    Attributes
    ----------
    command : tuple of str
        Program, with the arguments ``$CC`` may carry.
    path : str
        The program's file, symbolic links resolved.
    origin : str
        ``"$CC"``, the name that was looked up on ``$PATH``, or ``"ziglang"``, the Python package.
    """

    command: tuple[str, ...]
    path: str
    origin: str

    @property
    def environment(self) -> Mapping[str, str] | None:
        """The environment it runs in; ``None``: that of this process."""
        return ziglang.environment() if ziglang.is_zig(self.command) else None

    def identity(self) -> list[object]:
        """Identifies the compiler without running it: the command, and path, size and content of its programs."""
        found: list[object] = list(self.command)
        for word in self.command:
            program = None if word.startswith("-") else shutil.which(word)
            if program is not None:
                file = os.path.realpath(program)
                status = os.stat(file)
                found.append([file, status.st_size, _digest(file, status.st_size, status.st_mtime_ns)])
        return found


@lru_cache(maxsize=8)
def _digest(file: str, size: int, time: int) -> str:
    """SHA-256 of a program, of a large one of its ends; what has not been touched is read once in a process."""
    try:
        with open(file, "rb") as program:
            found = hashlib.sha256(program.read(_END))
            if size > _END:
                program.seek(max(_END, size - _END))
                found.update(program.read(_END))
            return found.hexdigest()
    except PermissionError:  # it can be executed, but not read
        return str(time)


@dataclass(frozen=True)
class Toolchain:
    """A compiler that has been run: its version, the flags that it accepts, and what the compiled code needs.

    Attributes
    ----------
    compile_flags, link_flags : tuple of Flag
        The flags in use.
    rejected : tuple of Flag
        Optional flags that this compiler rejected.
    openmp : bool
        Whether threads are those of the compiler's OpenMP library; otherwise each call starts threads of its own.
    features : tuple of str
        Processor features the code may use (names of ``/proc/cpuinfo``).
    """

    compiler: Compiler
    version: str
    march: str
    compile_flags: tuple[Flag, ...]
    link_flags: tuple[Flag, ...]
    rejected: tuple[Flag, ...]
    openmp: bool
    features: tuple[str, ...]


def check_march(march: str) -> str:
    """Return ``march`` if it can be the value of ``-march=``.

    Raises
    ------
    TypeError, ValueError
        If it is not a string, or not one word of letters, digits, ``. _ + -``.
    """
    if not isinstance(march, str):
        raise TypeError(f"march: expected a string, got {type(march).__name__} {shown(march)}")
    if not _MARCH.match(march):
        raise ValueError(f"march: expected the name of a processor such as 'native' or 'x86-64-v3', got {shown(march)}")
    return march


def find_compiler(platform: Platform | None = None) -> Compiler:
    """Find the C compiler: ``$CC`` (which may carry arguments) if set, else ``cc``, ``gcc``, ``clang`` on ``$PATH``.

    Where there is none of them it is that of the Python package ``ziglang``, if that is installed. For a platform that
    was named it is Zig's: ``$CC`` if that is one, the package's, or ``zig`` on ``$PATH``.

    Raises
    ------
    CompilerNotFoundError
        With what to install, or how to do without a compiler.
    """
    if platform is not None and platform.zig:
        return _cross_compiler(platform)
    chosen = os.environ.get("CC", "").strip()
    if chosen:
        command = absolute_command("$CC", chosen)
        return Compiler(command, os.path.realpath(command[0]), "$CC")
    for name in CANDIDATES:
        program = shutil.which(name)
        if program is not None:
            program = os.path.abspath(program)
            return Compiler((program,), os.path.realpath(program), name)
    zig = ziglang.program()
    if zig is not None:
        return Compiler((zig, "cc"), os.path.realpath(zig), ziglang.PACKAGE)
    raise CompilerNotFoundError(
        f"No C compiler: $CC is not set, and $PATH has none of {', '.join(CANDIDATES)}. {_advice()}"
    )


def _cross_compiler(platform: Platform) -> Compiler:
    chosen = os.environ.get("CC", "").strip()
    command: tuple[str, ...] = absolute_command("$CC", chosen) if chosen else ()
    origin = "$CC"
    if not command or not ziglang.is_zig(command):
        package = ziglang.program()
        program, origin = (package, ziglang.PACKAGE) if package else (shutil.which("zig"), "zig")
        if program is None:
            raise CompilerNotFoundError(
                f"Kernels for {platform.name} are compiled by Zig, which is not installed: "
                "pip install 'logsig-codegen[compiler]', or put zig on PATH"
            )
        command = (os.path.abspath(program), "cc")
    return Compiler((*command, "-target", platform.zig), os.path.realpath(command[0]), origin)


def absolute_command(variable: str, text: str) -> tuple[str, ...]:
    """The words of a command, its program and paths such as ``./tools`` made absolute: it is run in other folders.

    Raises
    ------
    CompilerNotFoundError
        If it cannot be split into words, or its program is no executable file.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CompilerNotFoundError(f"{variable} is {text!r}, which is no command: {error}. {_advice()}") from error
    program = shutil.which(words[0]) if words else None
    if program is None:
        name = repr(words[0]) if words else "it"
        raise CompilerNotFoundError(f"{variable} is {text!r}, but {name} is not an executable file. {_advice()}")
    return (os.path.abspath(program), *map(_anchored, words[1:]))


def _anchored(word: str) -> str:
    """A word of a command, a path such as ``./tools`` in it made absolute."""
    match = _RELATIVE.match(word)
    return word if match is None else match[1] + os.path.abspath(match[2])


def _advice() -> str:
    return (
        f"{platforms.host().install}, or by pip install 'logsig-codegen[compiler]', or name one in $CC; or install a "
        "pack of kernels, made by logsig-gen pack; or run logsig-gen on a machine of the same kind that has a "
        "compiler, copy the folder it writes here, and name it in $LOGSIG_CODEGEN_PATH or load(..., artifacts=...)."
    )


def describe(compiler: Compiler, march: str, *, portable: bool = False, platform: Platform | None = None) -> Toolchain:
    """Run the compiler to learn its version, which optional flags it takes, and the processor features of ``march``.

    Parameters
    ----------
    portable : bool
        For libraries that are to need nothing but those of C: no OpenMP.
    platform : Platform, optional
        What the compiler compiles for; default: this machine.

    Raises
    ------
    CompilerError
        If it cannot compile an empty function, or does not know ``march``.
    """
    return _describe(compiler, str(compiler.identity()), check_march(march), portable, platform or platforms.host())


@lru_cache(maxsize=8)
def _describe(compiler: Compiler, identity: str, march: str, portable: bool, platform: Platform) -> Toolchain:
    del identity  # part of the cache's key only: an upgraded compiler is run again
    wanted, zig = wanted_flags(march, portable=portable, platform=platform), ziglang.is_zig(compiler.command)
    if zig:
        wanted = tuple(replace(flag, text=ziglang.spelled(flag.text)) for flag in wanted)
    with tempfile.TemporaryDirectory(prefix="logsig_codegen-") as folder:
        Path(folder, "probe.c").write_text(_PROBE, encoding="utf-8")
        # Linking for another machine waits for Zig to compile that machine's C library: minutes, once.
        link = ("-c",) if platform.zig else _texts(LINK_FLAGS)
        works = _probe(compiler, wanted, folder, link) is None
        accepted = wanted if works else _accepted(compiler, wanted, folder, link)
        macros = _run(compiler, (*_texts(accepted), "-dM", "-E", "probe.c"), folder).stdout
        version = _version(compiler, folder)
    openmp = OPENMP in accepted
    link_flags = (*LINK_FLAGS, OPENMP if openmp else PTHREAD, *((STRIP,) if portable or zig else ()))
    return Toolchain(
        compiler=compiler,
        version=version,
        march=march,
        compile_flags=accepted,
        link_flags=tuple(flag for flag in link_flags if flag.text not in platform.lacks),
        rejected=tuple(flag for flag in wanted if flag not in accepted),
        openmp=openmp,
        features=cpu.required_features(macros),
    )


def wanted_flags(march: str, *, portable: bool = False, platform: Platform | None = None) -> tuple[Flag, ...]:
    """The flags that are tried, in order; the compiler may reject optional ones. ``platform``: by default this one."""
    platform = platform or platforms.host()
    threads = () if portable or platform.zig else (OPENMP,)
    wanted = (*FLAGS, *VECTORISERS, march_flag(march, platform), *threads, *((WIDE,) if platform.is_x86 else ()))
    return tuple(flag for flag in wanted if flag.text not in platform.lacks)


def march_flag(march: str, platform: Platform) -> Flag:
    """The flag that chooses the processor to compile for."""
    if march == "native" and not platform.is_x86 and platform.system == "darwin":
        return Flag("-mcpu=native", "use this machine's processor in full")
    reason = "use this machine's processor in full" if march == "native" else "the processor asked for"
    return Flag(f"-march={march}", reason)


def _accepted(compiler: Compiler, wanted: tuple[Flag, ...], folder: str, link: tuple[str, ...]) -> tuple[Flag, ...]:
    """The accepted flags, found by adding one optional flag at a time to the required ones."""
    accepted = tuple(flag for flag in wanted if not flag.optional)
    failure = _probe(compiler, accepted, folder, link)
    if failure is not None:
        command, stderr = failure
        raise CompilerError(
            f"The C compiler {compiler.path} cannot compile an empty function.\n"
            f"command: {shlex.join(command)}\n{stderr}",
            command=command,
            stderr=stderr,
        )
    for flag in wanted:
        if flag.optional and _probe(compiler, (*accepted, flag), folder, link) is None:
            accepted = (*accepted, flag)
    return accepted


def _probe(
    compiler: Compiler, flags: tuple[Flag, ...], folder: str, link: tuple[str, ...]
) -> tuple[tuple[str, ...], str] | None:
    """Compile the probe, and link it with these flags; ``None`` if that works, else the command and what it printed."""
    result = _run(compiler, (*_texts(flags), "probe.c", "-o", "probe.so", *link), folder)
    command = result.command
    if result.status != 0:
        return command, result.failure("It") + result.stderr if result.status is None else result.stderr
    try:
        os.unlink(os.path.join(folder, "probe.so"))
    except OSError:
        return command, "It reported success (status 0), but has written nothing."
    return None


def _run(compiler: Compiler, arguments: tuple[str, ...], folder: str) -> Finished:
    limit = time_limit()
    limit = _PROBE_SECONDS if limit is None else min(limit, _PROBE_SECONDS)
    return run((*compiler.command, *arguments), Path(folder), limit=limit, environment=compiler.environment)


def _version(compiler: Compiler, folder: str) -> str:
    lines = _run(compiler, ("--version",), folder).stdout.splitlines()
    return lines[0].strip() if lines else "unknown"


def _texts(flags: tuple[Flag, ...]) -> tuple[str, ...]:
    return tuple(flag.text for flag in flags)
