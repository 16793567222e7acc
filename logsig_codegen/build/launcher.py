"""The host's side of kernels for GPUs: a C library that depends on no problem, compiled once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from logsig_codegen.build import cache, cpu
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerError, CompilerNotFoundError
from logsig_codegen.shipped import verbatim

HEADERS = ("logsig_launcher.h", "logsig_gpu_paths.h")
SOURCE = "logsig_launcher.c"
FOLDERS = {"logsig_path_call.h": "c/include"}
"""Where those headers stand that others use as well."""
FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-shared")
LIBRARIES = ("-ldl", "-lpthread")


def sources() -> dict[str, str]:
    """File name to text; nothing of it is generated."""
    files = (*FOLDERS, *HEADERS, SOURCE)
    return {name: verbatim(f"{FOLDERS.get(name, 'cuda/host')}/{name}") for name in files}


@lru_cache(maxsize=1)
def library_name() -> str:
    """File name of the library; it tells versions of the sources and kinds of machines apart."""
    digest = hashlib.sha256("\0".join((cpu.machine(), *sources().values())).encode()).hexdigest()
    return f"logsig_launcher-{digest[:16]}.so"


def obtain_launcher(folders: Iterable[Path] = ()) -> Path:
    """The library: from one of ``folders``, else from the cache, else compiled.

    Raises
    ------
    CompilerNotFoundError
        If it has to be compiled and there is no C compiler; the message says how to do without.
    CompilerError
        With what the compiler printed.
    CacheError
        If neither the cache nor a temporary folder can be written.
    """
    name = library_name()
    for place in (*folders, *(root / _entry() for root in cache.roots())):
        if (place / name).is_file():
            return place / name
    try:
        find_compiler()
    except CompilerNotFoundError as error:
        raise CompilerNotFoundError(f"Kernels for GPUs are started by a small C library. {error}") from error
    target = cache.writable_root() / _entry() / name
    target.parent.mkdir(exist_ok=True)
    compile_launcher(target)
    return target


def copy_launcher(folder: Path) -> tuple[str, ...]:
    """Put the library into ``folder`` if it can be had; the names of the files that were written."""
    try:
        library = obtain_launcher()
    except CompilerNotFoundError:
        return ()
    shutil.copyfile(library, folder / library.name)
    return (library.name,)


def compile_launcher(target: Path, definitions: Iterable[str] = ()) -> None:
    """Compile the library; ``target`` appears when it is complete.

    Raises
    ------
    CompilerNotFoundError, CompilerError
    """
    command = (*find_compiler().command, *FLAGS, *(f"-D{one}" for one in definitions), SOURCE, "-o", target.name)
    with tempfile.TemporaryDirectory(prefix=".launcher-", dir=target.parent) as folder:
        for name, text in sources().items():
            Path(folder, name).write_text(text, encoding="utf-8")
        command = (*command, *LIBRARIES)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            shown = f"command: {shlex.join(command)}\n{done.stderr.strip()}"
            raise CompilerError(
                f"The C compiler failed with status {done.returncode}.\n{shown}", command=command, stderr=done.stderr
            )
        os.replace(Path(folder, target.name), target)


def _entry() -> str:
    """Name of the folder in the cache."""
    return Path(library_name()).stem
