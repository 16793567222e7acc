"""Zig's C compiler, a clang with headers and libraries of its own: a Python package, where there is no other one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "ziglang"
_CACHE = "ZIG_GLOBAL_CACHE_DIR"
_MARCH = "-march="
_PROCESSORS = {"armv8-a": "generic"}
"""Names of processors that Zig spells in another way than by underscores."""


def program() -> str | None:
    """The compiler of the package, if that is installed; nothing is imported."""
    found = find_spec(PACKAGE)
    for place in (found and found.submodule_search_locations) or ():
        path = os.path.join(place, "zig.exe" if sys.platform == "win32" else "zig")
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    return None


def is_zig(command: Sequence[str]) -> bool:
    """Whether a compiler's command is Zig's: ``zig cc``, or ``python -m ziglang cc``."""
    return PACKAGE in command or Path(command[0]).stem == "zig"


def spelled(flag: str) -> str:
    """A flag as Zig spells it: ``-march=x86_64_v3`` for ``-march=x86-64-v3``."""
    if not flag.startswith(_MARCH):
        return flag
    march = flag.removeprefix(_MARCH)
    return _MARCH + _PROCESSORS.get(march, march.replace("-", "_"))


def environment() -> Mapping[str, str] | None:
    """The environment that Zig runs in, ``None`` for this process's own: with a folder for what it compiles of libc."""
    if _CACHE in os.environ:
        return None
    return {**os.environ, _CACHE: _cache()}


@lru_cache(maxsize=1)
def _cache() -> str:
    """Zig's usual folder or, where that cannot be written, one that this process removes when it ends."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~"), ".cache"), "zig")
    try:
        usual.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=usual):
            return str(usual)
    except OSError:
        folder = tempfile.TemporaryDirectory(prefix="logsig_codegen-zig-")
        _kept.append(folder)
        return folder.name


_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
