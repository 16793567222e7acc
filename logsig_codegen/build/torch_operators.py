"""The operators of torch in C++, for every problem: an extension without kernels, compiled once and kept in the cache.

It is compiled when somebody asks for it, which takes a minute, and found from then on by every process with the same
versions of torch and of this package; where there is none, the operators are registered from Python.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from logsig_codegen.build import cache, cpu
from logsig_codegen.build.extension import compile_cpp
from logsig_codegen.build.launcher import kept_library, obtain_library
from logsig_codegen.build.policy import interprets
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerNotFoundError

WHAT = "the extension of torch for all problems"


def library_name() -> str:
    """File name of the extension, which tells versions of this package and of torch, and kinds of machines, apart.

    Raises
    ------
    CompilerNotFoundError
        If torch is not installed.
    """
    try:
        torch = version("torch")
    except PackageNotFoundError as error:
        raise CompilerNotFoundError(f"{WHAT}: torch is not installed") from error
    parts = (cpu.machine(), torch, cache.package_fingerprint())
    return f"logsig_torch-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so"


def built_operators() -> Path | None:
    """The extension if it has been built; nothing is compiled.

    ``None`` also where kernels may have to be interpreted, there being no C compiler: the extension calls compiled
    functions only.
    """
    try:
        if interprets():
            find_compiler()
        return kept_library(library_name())
    except (CompilerNotFoundError, ValueError):  # a variable without sense is an error where it is used
        return None


def obtain_operators() -> Path:
    """The extension, compiled if it is not there yet.

    Raises
    ------
    CompilerNotFoundError
        If torch, ninja or a C compiler is missing.
    BuildForbiddenError
        If it would have to be compiled, and that is forbidden.
    CompilerError
        With what the compiler printed.
    CacheError
        If neither the cache nor a temporary folder can be written.
    """
    from logsig_codegen.emit.torch import SOURCE, sources_without_problem

    def make(target: Path) -> None:
        folder = target.parent
        texts = sources_without_problem()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        compile_cpp(folder, SOURCE, target.name, WHAT)
        for name in texts:
            (folder / name).unlink()

    return obtain_library(library_name(), (), make, None, "Operators of torch in C++ are compiled for all problems.")
