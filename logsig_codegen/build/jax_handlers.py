"""The handlers of JAX: a C library that depends on no problem, compiled for the installed jaxlib and cached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from logsig_codegen.build import libraries
from logsig_codegen.build.libraries import compile_library, file_name, obtain_library
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.shipped import verbatim

FLAGS = (*libraries.FLAGS, "-ffp-contract=off")
_HEADER = Path("xla", "ffi", "api", "c_api.h")


def include_dir() -> Path:
    """The folder with the headers of the installed jaxlib; neither JAX nor jaxlib is imported.

    Raises
    ------
    CompilerNotFoundError
        If jaxlib is not installed, or brings no headers.
    """
    found = find_spec("jaxlib")
    for place in found.submodule_search_locations or () if found else ():
        if (Path(place, "include") / _HEADER).is_file():
            return Path(place, "include")
    raise CompilerNotFoundError(
        "The headers of jaxlib are needed for calls from JAX; pip install 'logsig-codegen[jax]'"
    )


def ffi_version(include: Path) -> str:
    """Version of XLA's interface to handlers, such as ``"0.3"``: XLA refuses what was compiled for a later one."""
    text = (include / _HEADER).read_text(encoding="utf-8")
    found = (re.search(rf"^#define XLA_FFI_API_{part} (\d+)", text, re.MULTILINE) for part in ("MAJOR", "MINOR"))
    return ".".join("?" if one is None else one.group(1) for one in found)


def library_name(include: Path) -> str:
    """File name of the library; it tells versions of the sources, of the interface and kinds of machines apart."""
    from logsig_codegen.emit.jax import HEADERS, TEMPLATE

    written = (verbatim(name) for name in (TEMPLATE, *HEADERS))
    header = (include / _HEADER).read_text(encoding="utf-8")
    return file_name("logsig_jax", ffi_version(include), *FLAGS, repr(OPERATIONS), *written, header)


def obtain_handlers(folders: Iterable[Path] = ()) -> Path:
    """The library: from one of ``folders``, else from the cache, else compiled.

    Parameters
    ----------
    folders : paths
        Folders written by ``logsig-gen --target jax``.

    Raises
    ------
    CompilerNotFoundError
        If jaxlib is not installed, or the library has to be compiled and there is no C compiler.
    CompilerError
        With what the compiler printed.
    CacheError
        If neither the cache nor a temporary folder can be written.
    """
    from logsig_codegen.emit.jax import jax_sources

    include = include_dir()

    def make(target: Path) -> None:
        compile_handlers(jax_sources(), target, include)

    return obtain_library(library_name(include), folders, make, "jax", "XLA calls the kernels by a small C library.")


def compile_handlers(sources: Mapping[str, str], target: Path, include: Path) -> None:
    """Compile ``sources``; ``target`` appears when it is complete. Raises as :func:`compile_library`."""
    from logsig_codegen.emit.jax import SOURCE

    compile_library(target, sources, SOURCE, (*FLAGS, "-I", ".", "-isystem", str(include)))
