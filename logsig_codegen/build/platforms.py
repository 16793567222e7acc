"""Machines that libraries are compiled for: what depends on the operating system and the kind of processor.

A platform is named as Python names the machine it is (:func:`logsig_codegen.build.cpu.machine`), which is what
manifests and packs say as well. The one this process runs on has its own compiler; for those of :data:`CROSS` Zig's
compiles, wherever it runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from logsig_codegen.build import cpu
from logsig_codegen.errors import shown

NATIVE = "native"
"""The ``march`` of this machine's processor."""
_X86 = ("x86-64-v3", "x86-64-v4")
_LEVELS = {"x86_64": _X86, "amd64": _X86, "aarch64": ("armv8-a",), "arm64": ("armv8-a",)}
_SUFFIXES = {"darwin": ".dylib", "win32": ".dll"}
_INSTALLS = {
    "darwin": "Install one with: xcode-select --install",
    "win32": "Install clang or MinGW-w64 gcc and put it on PATH",
}


@dataclass(frozen=True)
class Platform:
    """A kind of machine.

    Attributes
    ----------
    name : str
        Operating system and instruction set, such as ``"linux-aarch64"``.
    zig : str
        What Zig calls it, with the oldest version of the system; empty for this machine, whose compiler needs no name.
    tag : str
        Its tag in names of wheels; empty for this machine, whose Python knows it.
    """

    name: str
    zig: str = ""
    tag: str = ""

    @property
    def system(self) -> str:
        """``sys.platform`` there."""
        return self.name.rpartition("-")[0]

    @property
    def processor(self) -> str:
        """The instruction set, as ``platform.machine()`` names it there, in small letters."""
        return self.name.rpartition("-")[2]

    @property
    def suffix(self) -> str:
        """How names of shared libraries end."""
        return _SUFFIXES.get(self.system, ".so")

    @property
    def levels(self) -> tuple[str, ...]:
        """The kinds of processors that packs are for unless others are named, the one that demands least first."""
        if self.name == "darwin-arm64":
            return ("apple-m1",)
        return _LEVELS.get(self.processor, ())

    @property
    def is_x86(self) -> bool:
        """Whether its processors are of the x86 family."""
        return self.processor in ("x86_64", "amd64", "i686", "x86")

    @property
    def wheel_tag(self) -> str:
        """Its tag in names of wheels, such as ``"win_amd64"``."""
        if self.tag:
            return self.tag
        import sysconfig

        return re.sub(r"[-.]", "_", sysconfig.get_platform())

    @property
    def lacks(self) -> frozenset[str]:
        """Flags of Unix that its compiler has no use for: code is position independent anyway, threads the system's."""
        return frozenset(("-fPIC", "-pthread")) if self.system == "win32" else frozenset()

    @property
    def install(self) -> str:
        """How to get a compiler there: a sentence or part of one."""
        return _INSTALLS.get(
            self.system,
            "Install one (Debian, Ubuntu: apt install gcc; Fedora: dnf install gcc; conda: conda install gcc)",
        )

    def march(self, named: str) -> str:
        """The processor to compile for; ``"native"`` is, on other machines, the level that demands least."""
        return self.levels[0] if named == NATIVE and self.zig else named


# The systems are the oldest that numpy has wheels for, or older.
CROSS = {
    one.name: one
    for one in (
        Platform("linux-x86_64", "x86_64-linux-gnu.2.17", "linux_x86_64"),
        Platform("linux-aarch64", "aarch64-linux-gnu.2.17", "linux_aarch64"),
        Platform("darwin-arm64", "aarch64-macos.11.0", "macosx_11_0_arm64"),
        Platform("win32-amd64", "x86_64-windows-gnu", "win_amd64"),
    )
}
"""The platforms that can be named."""


def host() -> Platform:
    """The machine this process runs on, with its own compiler."""
    return Platform(cpu.machine())


def named(name: str | None) -> Platform:
    """The platform of a name, for which Zig compiles; ``None``: :func:`host`.

    Raises
    ------
    TypeError, ValueError
        If there is none of that name.
    """
    if name is None:
        return host()
    if not isinstance(name, str):
        raise TypeError(f"platform: expected a string, got {type(name).__name__} {shown(name)}")
    if name not in CROSS:
        raise ValueError(f"platform: expected one of {', '.join(CROSS)}, got {shown(name)}")
    return CROSS[name]
