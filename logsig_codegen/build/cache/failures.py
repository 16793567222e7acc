"""What failed builds leave for whoever wants to know why: command, messages and sources of the last few."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from logsig_codegen.build.cache import marks, places
from logsig_codegen.build.processes import Finished
from logsig_codegen.errors import CacheError, CompilerError

FOLDER = ".failed"
KEPT = 8
"""How many builds are kept."""
SOURCES = "sources"


def check(done: Finished, what: str, folder: Path, *, output: str, source: str = "") -> None:
    """Make sure that a compiler, ``what``, has done its work in a folder: it has written ``output``.

    Raises
    ------
    CompilerError
        With the command, what it printed, and the place of a kept copy of ``source``, or of all files of the folder.
    """
    failure = done.failure(what)
    if not failure:
        with contextlib.suppress(OSError):
            if os.path.getsize(folder / output) > 0:
                return
        failure = f"{what} reported success (status 0), but has not written {output}."
    kept = keep(folder, done.command, f"{failure}\n{done.stdout}{done.stderr}")
    if kept and source:
        kept = os.path.join(kept, source)
    raise CompilerError(
        f"{failure}\ncommand: {shlex.join(done.command)}\nsource: {kept or 'not kept, for nothing can be written'}\n"
        f"{done.stderr.strip()}",
        command=done.command,
        stderr=done.stderr,
        source=kept,
    )


def keep(folder: Path, command: Sequence[str], messages: str) -> str:
    """Keep the files of a folder, the command that failed there, and what it printed; the path of the kept files.

    Empty where nothing can be written.
    """
    try:
        parent = _folder(places.writable_root())
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{time.monotonic_ns()}"
        staging = marks.stage(parent, name)
        try:
            sources = staging.folder / SOURCES
            sources.mkdir()
            for file in sorted(folder.iterdir()):
                if file.is_file() and file.name != marks.MARK:
                    shutil.copyfile(file, sources / file.name)
            (staging.folder / "command.txt").write_text(shlex.join(command) + "\n", encoding="utf-8")
            (staging.folder / "messages.txt").write_text(messages, encoding="utf-8")
            marks.publish(staging, parent / name)
        finally:
            staging.close()
    except (OSError, CacheError):
        return ""
    for old in kept(parent.parent)[:-KEPT]:
        marks.remove(old)
    return str(parent / name / SOURCES)


def kept(root: Path) -> list[Path]:
    """The failed builds that are kept, the oldest first."""
    parent = root / FOLDER
    with contextlib.suppress(OSError):
        names = [name for name in sorted(os.listdir(parent)) if not name.startswith(".")]
        return [parent / name for name in names if marks.bears_mark(parent) and marks.bears_mark(parent / name)]
    return []


def forget(root: Path, *, before: float | None = None) -> None:
    """Remove what is kept, or what was kept before a time in seconds since the epoch."""
    for folder in kept(root):
        with contextlib.suppress(OSError):
            if before is None or os.lstat(folder / marks.MARK).st_mtime < before:
                marks.remove(folder)
    marks.sweep(root / FOLDER)


def _folder(root: Path) -> Path:
    if not marks.bears_mark(root / FOLDER):
        marks.mark_root(root, FOLDER)
    return root / FOLDER
