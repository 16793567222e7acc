"""The handlers of JAX: a C library that depends on no problem, compiled for the installed jaxlib and cached."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from logsig_codegen.build import cache, cpu
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerError, CompilerNotFoundError
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.shipped import verbatim

FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-shared", "-ffp-contract=off")
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
    parts = (cpu.machine(), ffi_version(include), *FLAGS, repr(OPERATIONS), *written, header)
    return f"logsig_jax-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so"


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
    include = include_dir()
    name = library_name(include)
    entry = Path(name).stem
    for place in (*folders, *(root / entry for root in cache.roots())):
        if (place / name).is_file():
            return place / name
    from logsig_codegen.emit.jax import jax_sources

    target = cache.writable_root() / entry / name
    target.parent.mkdir(exist_ok=True)
    compile_handlers(jax_sources(), target, include)
    return target


def compile_handlers(sources: Mapping[str, str], target: Path, include: Path) -> None:
    """Compile the first of ``sources``; ``target`` appears when it is complete.

    Raises
    ------
    CompilerNotFoundError, CompilerError
    """
    with tempfile.TemporaryDirectory(prefix=".jax-", dir=target.parent) as folder:
        for name, text in sources.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        headers = ("-I", ".", "-isystem", str(include))
        command = (*find_compiler().command, *FLAGS, *headers, next(iter(sources)), "-o", target.name)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            shown = f"command: {shlex.join(command)}\n{done.stderr.strip()}"
            raise CompilerError(
                f"The C compiler failed with status {done.returncode}.\n{shown}", command=command, stderr=done.stderr
            )
        os.replace(Path(folder, target.name), target)
