"""The host's side of kernels for GPUs: a C library that depends on no problem, compiled once and kept in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from logsig_codegen.build.libraries import FLAGS, compile_library, file_name, obtain_library
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.shipped import verbatim

HEADERS = ("logsig_launcher.h", "logsig_gpu_paths.h")
SOURCE = "logsig_launcher.c"
FOLDERS = {"logsig_path_call.h": "c/include"}
"""Where those headers stand that others use as well."""
LIBRARIES = ("-ldl", "-lpthread")


def sources() -> dict[str, str]:
    """File name to text; nothing of it is generated."""
    files = (*FOLDERS, *HEADERS, SOURCE)
    return {name: verbatim(f"{FOLDERS.get(name, 'cuda/host')}/{name}") for name in files}


@lru_cache(maxsize=1)
def library_name() -> str:
    """File name of the library; it tells versions of the sources and kinds of machines apart."""
    return file_name("logsig_launcher", *sources().values())


def obtain_launcher(folders: Iterable[Path] = ()) -> Path:
    """The library: from one of ``folders``, else from the cache, else compiled. Raises as :func:`obtain_library`."""
    return obtain_library(
        library_name(), folders, compile_launcher, "cuda", "Kernels for GPUs are started by a small C library."
    )


def copy_launcher(folder: Path) -> tuple[str, ...]:
    """Put the library into ``folder`` if it can be had; the names of the files that were written."""
    try:
        library = obtain_launcher()
    except CompilerNotFoundError:
        return ()
    shutil.copyfile(library, folder / library.name)
    return (library.name,)


def compile_launcher(target: Path, definitions: Iterable[str] = ()) -> None:
    """Compile the library; ``target`` appears when it is complete. Raises as :func:`compile_library`."""
    compile_library(target, sources(), SOURCE, (*FLAGS, *(f"-D{one}" for one in definitions)), LIBRARIES)
