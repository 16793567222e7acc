"""The host's side of kernels for GPUs: a C library that depends on no problem, compiled once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from logsig_codegen.build import cache, cpu, policy
from logsig_codegen.build.artifact import describe_file
from logsig_codegen.build.cache import failures
from logsig_codegen.build.processes import run
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.shipped import verbatim

HEADERS = ("logsig_launcher.h", "logsig_gpu_paths.h")
SOURCE = "logsig_launcher.c"
FOLDERS = {"logsig_path_call.h": "c/include"}
"""Where those headers stand that others use as well."""
FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-shared")
LIBRARIES = ("-ldl", "-lpthread")
_ABOUT = "about.json"


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
        If it has to be compiled and there is no C compiler, or that is forbidden; the message says how to do without.
    CompilerError
        With what the compiler printed.
    CacheError
        If neither the cache nor a temporary folder can be written.
    """
    return obtain_library(
        library_name(), folders, compile_launcher, "cuda", "Kernels for GPUs are started by a small C library."
    )


def obtain_library(
    name: str, folders: Iterable[Path], make: Callable[[Path], None], target: str | None, purpose: str
) -> Path:
    """A library without a problem: from one of ``folders``, else from the cache, else made by ``make(target)``.

    ``target``: the target whose folders have it, if there is one. ``purpose``: a sentence that the error begins with
    where it cannot be compiled. Raises as :func:`obtain_launcher`.
    """
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    found = kept_library(name)
    if found is not None:
        return found
    advice = ""
    if target is not None:
        advice = f"A folder that logsig-gen --target {target} has written has it; name one in $LOGSIG_CODEGEN_PATH."
    forbidden = policy.refusal(f"{purpose} It is not in the cache", lambda: advice)
    if forbidden is not None:
        raise forbidden
    try:
        find_compiler()
    except CompilerNotFoundError as error:
        raise CompilerNotFoundError(f"{purpose} {error}") from error

    def build(folder: Path) -> None:
        meanwhile = kept_library(name)  # another process may have made it while this one waited for the lock
        if meanwhile is None:
            make(folder / name)
        else:
            shutil.copyfile(meanwhile, folder / name)
        (folder / _ABOUT).write_text(json.dumps(describe_file(folder / name)), encoding="utf-8")

    return cache.keep(Path(name).stem, build) / name


def kept_library(name: str) -> Path | None:
    """A library without a problem that is in the cache, whole."""
    entry = Path(name).stem
    for root in cache.roots():
        if cache.trusted_entry(root / entry) and _is_whole(root / entry / name):
            cache.touch(root / entry)
            return root / entry / name
    return None


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
    compiler = find_compiler()
    command = (*compiler.command, *FLAGS, *(f"-D{one}" for one in definitions), SOURCE, "-o", target.name)
    with tempfile.TemporaryDirectory(prefix=".launcher-", dir=target.parent) as work:
        folder = Path(work)
        for name, text in sources().items():
            (folder / name).write_text(text, encoding="utf-8")
        done = run((*command, *LIBRARIES), folder, environment=compiler.environment)
        failures.check(done, "The C compiler", folder, output=target.name)
        os.replace(folder / target.name, target)


def _is_whole(library: Path) -> bool:
    """Whether a library in the cache is what was written there."""
    try:
        return bool(json.loads(library.with_name(_ABOUT).read_text(encoding="utf-8")) == describe_file(library))
    except (OSError, ValueError):
        return False
