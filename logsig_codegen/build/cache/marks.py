"""What the cache owns says so: every folder of it holds a mark, and one that does not is neither changed nor removed.

The mark names its folder, so that a copy under another name is nobody's but its maker's. Its time is that of the
folder's last use.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from logsig_codegen.build.cache import locks

MARK = ".logsig_codegen"
STAGING, REMOVED = ".staging-", ".removed-"
_HIDDEN = re.compile(rf"(?:{re.escape(STAGING)}|{re.escape(REMOVED)})(.+)-[0-9a-f]{{8}}\Z")
_FIRST = locks.SIGNATURE.decode() + "cache, format 1"
_LAST = "A folder of the cache of logsig_codegen, which reads, replaces and removes it. It can be deleted at any time."
_LOCKED = "locked"


@dataclass(frozen=True)
class Staging:
    """A folder in which something is made. It is locked as long as its maker lives, where there are locks."""

    folder: Path
    lock: locks.Lock | None

    def close(self) -> None:
        """Remove what is left of it."""
        if bears_mark(self.folder):
            _delete(self.folder)
        if self.lock is not None:
            self.lock.release()


def bears_mark(folder: Path) -> bool:
    """Whether it is a folder, no symbolic link to one, and holds our mark with its name."""
    return _mark_lines(folder) is not None


def is_own(folder: Path) -> bool:
    """Whether it bears our mark, and is this user's to replace."""
    with contextlib.suppress(FileNotFoundError):
        return bears_mark(folder) and (not hasattr(os, "geteuid") or os.lstat(folder).st_uid == os.geteuid())
    return False


def is_foreign(folder: Path) -> bool:
    """Whether there is something that is not this user's to replace; what comes or goes meanwhile is none."""
    return not is_own(folder) and os.path.lexists(folder) and not is_own(folder)


def make_folder(parent: Path, name: str) -> Path:
    """A new, empty folder for ``name``, of mode 0755 or less as the umask says; its own name is ``name`` and more."""
    while True:
        folder = parent / f"{STAGING}{name}-{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755)
            return folder


def stage(parent: Path, name: str) -> Staging:
    """A new folder that will be ``parent / name``, marked and locked.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    folder = make_folder(parent, name)
    mark, lock = folder / MARK, None
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(mark, flags, 0o644)
        try:
            with contextlib.suppress(OSError):
                # On Windows a folder with an open file in it cannot be renamed.
                lock = locks.take(str(mark), descriptor) if sys.platform != "win32" else None
            os.write(descriptor, "\n".join((_FIRST, name, _LOCKED if lock else "", _LAST, "")).encode())
        finally:
            if lock is None:
                os.close(descriptor)
    except OSError:
        _delete(folder)
        if lock is not None:
            lock.release()
        raise
    return Staging(folder, lock)


def publish(staging: Staging, target: Path) -> None:
    """Put a finished folder in its place by one rename; nothing in it can be written by others.

    Raises
    ------
    OSError
        If there is something already.
    """
    for path in staging.folder.rglob("*"):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & ~0o755:
            path.chmod(stat.S_IMODE(mode) & 0o755)
    os.rename(staging.folder, target)


def remove(folder: Path) -> bool:
    """Take a marked folder of ours out of sight by one rename, then delete it; ``False`` if it is not ours to remove.

    No reader ever sees half of it, and what a killed process leaves behind still bears the mark.
    """
    if not is_own(folder):
        return False
    grave = folder.parent / f"{REMOVED}{folder.name}-{secrets.token_hex(4)}"
    try:
        os.rename(folder, grave)
    except OSError:
        return not os.path.lexists(folder)
    _delete(grave)
    return True


def sweep(parent: Path) -> None:
    """Delete what killed processes left: what was on its way out, and what was made by somebody whose lock is free."""
    for folder in hidden(parent):
        if folder.name.startswith(REMOVED):
            _delete(folder)
        elif _LOCKED in (_mark_lines(folder) or ())[2:3]:  # else its maker had no lock, and may be alive
            with contextlib.suppress(OSError):
                lock = locks.try_lock(folder / MARK, create=False)
                if lock is not None:
                    _delete(folder)
                    lock.release()


def hidden(parent: Path) -> list[Path]:
    """Marked folders that are being made or removed."""
    with contextlib.suppress(OSError):
        folders = [parent / name for name in os.listdir(parent) if _HIDDEN.match(name)]
        return [folder for folder in sorted(folders) if bears_mark(folder)]
    return []


def mark_root(parent: Path, name: str) -> None:
    """Make ``parent / name``, marked, or replace it if it is an empty folder; parents are made with mode 0755 or less.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    for folder in [folder for folder in reversed(parent.parents) if not folder.exists()] + [parent]:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755)
    staging = stage(parent, name)
    try:
        publish(staging, parent / name)
    except OSError:
        if not bears_mark(parent / name):  # else another process was faster
            raise
    finally:
        staging.close()


def _mark_lines(folder: Path) -> list[str] | None:
    """What the mark of a folder says, if it is one of ours."""
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return None
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(folder / MARK, flags), encoding="utf-8", errors="replace") as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            lines = file.read(1024).splitlines() if regular else []
    except OSError:
        return None
    match = _HIDDEN.match(folder.name)
    return lines if lines[:2] == [_FIRST, match[1] if match else folder.name] else None


def _delete(folder: Path) -> None:
    """Delete a marked folder, the mark last; symbolic links are removed, not followed."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != MARK:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
        if os.listdir(folder) == [MARK]:
            os.unlink(folder / MARK)
        os.rmdir(folder)
