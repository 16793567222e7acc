"""What would be used on this machine to compile, load and run, and why: ``logsig-gen doctor``."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from logsig_codegen.build import cache, cpu
from logsig_codegen.build.toolchain import CANDIDATES, Toolchain, describe, find_compiler
from logsig_codegen.errors import CompilerError

PACKAGES = ("logsig-codegen", "numpy", "cffi", "sympy", "jinja2", "torch")
ARTIFACTS_VARIABLE = "LOGSIG_CODEGEN_PATH"


@dataclass(frozen=True)
class Diagnosis:
    """The findings.

    Attributes
    ----------
    packages : mapping
        Versions of this package, of Python, and of what it uses; ``None`` where not installed.
    compilers : mapping
        The names that are tried, in order, and the program each leads to (``None``: none).
    toolchain : Toolchain or None
        The compiler that would be used, asked what it can do.
    problem : str
        Why nothing can be compiled; empty if all is well.
    cache : Path
        Folder of the cache.
    cache_state : str
        Whether it can be written.
    entries : tuple of str
        Compiled problems in the cache.
    """

    packages: dict[str, str | None]
    compilers: dict[str, str | None]
    toolchain: Toolchain | None
    problem: str
    cache: Path
    cache_state: str
    entries: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether problems can be compiled here."""
        return self.toolchain is not None

    def data(self) -> dict[str, Any]:
        """The findings as plain values."""
        chain = self.toolchain
        return {
            "usable": self.usable,
            "problem": self.problem,
            "packages": self.packages,
            "machine": cpu.machine(),
            "processors": cpu.usable_processors(),
            "compilers": self.compilers,
            "compiler": None if chain is None else {"path": chain.compiler.path, "version": chain.version},
            "origin": None if chain is None else chain.compiler.origin,
            "march": None if chain is None else chain.march,
            "flags": [] if chain is None else [flag.text for flag in chain.compile_flags],
            "rejected_flags": [] if chain is None else [flag.text for flag in chain.rejected],
            "openmp": chain is not None and chain.openmp,
            "features": [] if chain is None else list(chain.features),
            "cache": {"path": str(self.cache), "state": self.cache_state, "entries": list(self.entries)},
            "artifacts": os.environ.get(ARTIFACTS_VARIABLE),
        }

    def text(self) -> str:
        """The findings for people."""
        lines = ["packages"]
        lines += [f"  {name:14s} {found or 'not installed'}" for name, found in self.packages.items()]
        lines += ["", f"machine          {cpu.machine()}, {cpu.usable_processors()} processor(s) for this process"]
        lines += ["", "C compilers, in the order in which they are tried"]
        lines += [f"  {name:14s} {path or '-'}" for name, path in self.compilers.items()]
        lines += self._toolchain_lines()
        lines += ["", f"cache            {self.cache}: {self.cache_state}"]
        lines += [f"  entries        {len(self.entries)}"]
        lines += ["", "where load() looks"]
        named = os.environ.get(ARTIFACTS_VARIABLE)
        lines += [f"  1. folders in ${ARTIFACTS_VARIABLE}: {named or 'not set'}", "  2. the cache"]
        lines += ["  3. the compiler above" if self.usable else "  (nothing can be compiled)"]
        lines += ["", "all is well" if self.usable else f"problem: {self.problem}"]
        return "\n".join(lines)

    def _toolchain_lines(self) -> list[str]:
        chain = self.toolchain
        if chain is None:
            return []
        lines = ["", f"used             {chain.compiler.path} (from {chain.compiler.origin})"]
        lines += [f"  version        {chain.version}"]
        lines += [f"  {flag.text:27s} {flag.reason}" for flag in chain.compile_flags]
        lines += [f"  {flag.text:27s} rejected by this compiler: {flag.reason}" for flag in chain.rejected]
        lines += [f"  OpenMP         {'yes' if chain.openmp else 'no: every call is serial'}"]
        missing = cpu.missing_features(chain.features)
        vectors = [name for name in ("neon", "asimd", "avx2", "fma", "avx512f") if name in chain.features]
        lines += [f"  vectors        {', '.join(vectors) or 'plain C'}"]
        if missing:
            lines += [f"  this machine cannot run what is compiled for {chain.march}: it lacks {', '.join(missing)}"]
        return lines


def examine(march: str = "native") -> Diagnosis:
    """Look at the machine; starts the C compiler once, writes nothing.

    Raises
    ------
    TypeError, ValueError
        If ``march`` cannot be the name of a processor.
    """
    toolchain, problem = None, ""
    try:
        toolchain = describe(find_compiler(), march)
    except CompilerError as error:
        problem = str(error)
    folder = cache.cache_dir()
    return Diagnosis(
        packages={"python": platform.python_version(), **{name: _installed(name) for name in PACKAGES}},
        compilers={"$CC": os.environ.get("CC") or None, **{name: shutil.which(name) for name in CANDIDATES}},
        toolchain=toolchain,
        problem=problem,
        cache=folder,
        cache_state=_state(folder),
        entries=cache.entries(),
    )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _state(folder: Path) -> str:
    """Whether ``folder`` can be written, or made."""
    if folder.is_dir():
        return "writable" if os.access(folder, os.W_OK) else "cannot be written; a temporary folder is used instead"
    parent = next(parent for parent in folder.parents if parent.exists())
    if parent.is_dir() and os.access(parent, os.W_OK):
        return "will be made when it is first needed"
    return f"cannot be made in {parent}; a temporary folder is used instead"
