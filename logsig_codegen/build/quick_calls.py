"""Ordinary calls on numpy arrays in C: an extension of Python for every problem, compiled once and kept in the cache.

It is compiled when somebody asks for it, or in the background for a program that makes many calls, in half a second.
Where there is none (no C compiler, no headers of Python, Windows) the same calls in Python serve.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from logsig_codegen.build import libraries
from logsig_codegen.build.libraries import compile_library, file_name, kept_library, obtain_library
from logsig_codegen.build.policy import builds_extensions
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.shipped import verbatim

MODULE = "logsig_quick"
_SOURCE = f"{MODULE}.c"
_FOLDERS = {"logsig_path_call.h": "c/include", _SOURCE: "python"}
_FLAGS = (*libraries.FLAGS, *(("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()))


def sources() -> dict[str, str]:
    """File name to text; nothing of it is generated."""
    return {name: verbatim(f"{folder}/{name}") for name, folder in _FOLDERS.items()}


def include_dirs() -> tuple[str, str]:
    """The folders with the headers of Python and of numpy.

    Raises
    ------
    CompilerNotFoundError
        If Python is no CPython with a global lock, has no headers, or Windows is the system.
    """
    import numpy

    folder = sysconfig.get_paths()["include"]
    foreign = sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED") or os.name == "nt"
    if foreign or not Path(folder, "Python.h").is_file():
        raise CompilerNotFoundError(
            f"Quick calls need the headers of CPython, and there is no {folder}/Python.h for them"
        )
    return folder, numpy.get_include()


def library_name() -> str:
    """File name of the extension; it tells versions of Python, of numpy and of the sources, and machines, apart."""
    import numpy

    return file_name(MODULE, str(sysconfig.get_config_var("SOABI")), numpy.__version__, *sources().values())


def kept_quick_calls() -> Path | None:
    """The extension if it has been built; nothing is compiled."""
    return kept_library(library_name())


def obtain_quick_calls() -> Path:
    """The extension, compiled if it is not there yet. Raises as :func:`obtain_library` and :func:`include_dirs`."""
    return obtain_library(
        library_name(), (), compile_quick_calls, None, "Ordinary calls are made by a small extension."
    )


def compile_quick_calls(target: Path) -> None:
    """Compile the extension; ``target`` appears when it is complete. Raises as :func:`compile_library`."""
    headers = [word for folder in include_dirs() for word in ("-isystem", folder)]
    compile_library(target, sources(), _SOURCE, (*_FLAGS, "-I.", *headers))


def can_be_built() -> bool:
    """Whether the extension may and can be built without anybody's asking."""
    if not builds_extensions():
        return False
    try:
        include_dirs()
        find_compiler()
    except CompilerNotFoundError:
        return False
    return True
