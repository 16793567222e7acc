"""Libraries that depend on no problem: each is compiled once, when it is first needed, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from logsig_codegen.build import cache, cpu, policy
from logsig_codegen.build.artifact import describe_file
from logsig_codegen.build.cache import failures
from logsig_codegen.build.processes import run
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import CompilerNotFoundError

FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-shared")
_ABOUT = "about.json"


def file_name(stem: str, *parts: str) -> str:
    """File name of a library; it tells kinds of machines, and what else decides the result, apart."""
    digest = hashlib.sha256("\0".join((cpu.machine(), *parts)).encode()).hexdigest()
    return f"{stem}-{digest[:16]}.so"


def obtain_library(
    name: str, folders: Iterable[Path], make: Callable[[Path], None], target: str | None, purpose: str
) -> Path:
    """A library without a problem: from one of ``folders``, else from the cache, else made by ``make(target)``.

    ``target``: the target whose folders have it, if there is one. ``purpose``: a sentence that the error begins with
    where it cannot be compiled.

    Raises
    ------
    CompilerNotFoundError
        If it has to be compiled and there is no C compiler, or that is forbidden; the message says how to do without.
    CompilerError
        With what the compiler printed.
    CacheError
        If neither the cache nor a temporary folder can be written.
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


def compile_library(
    target: Path, sources: Mapping[str, str], source: str, flags: Iterable[str], libraries: Iterable[str] = ()
) -> None:
    """Compile ``source``, one of ``sources``, which are file names and texts; ``target`` appears when it is complete.

    Raises
    ------
    CompilerNotFoundError, CompilerError
    """
    compiler = find_compiler()
    command = (*compiler.command, *flags, source, "-o", target.name, *libraries)
    with tempfile.TemporaryDirectory(prefix=".library-", dir=target.parent) as work:
        folder = Path(work)
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        done = run(command, folder, environment=compiler.environment)
        failures.check(done, "The C compiler", folder, output=target.name)
        os.replace(folder / target.name, target)


def _is_whole(library: Path) -> bool:
    """Whether a library in the cache is what was written there."""
    try:
        return bool(json.loads(library.with_name(_ABOUT).read_text(encoding="utf-8")) == describe_file(library))
    except (OSError, ValueError):
        return False
