"""What the cache keeps, for how long, and what it deletes: the least recently used first."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from logsig_codegen.build.artifact import MANIFEST, Artifact, read_artifact
from logsig_codegen.build.cache import failures, locks, marks, places
from logsig_codegen.errors import ArtifactError, CacheError

SIZE = "LOGSIG_CODEGEN_CACHE_SIZE"
DEFAULT_SIZE = "2G"
UNLIMITED = "none"
LOCK = ".lock-"
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?\s*\Z", re.IGNORECASE)
_TOUCH_SECONDS = 3600.0


@dataclass(frozen=True)
class Entry:
    """A folder that the cache keeps.

    Attributes
    ----------
    path : Path
    size : int
        Bytes of its files.
    used : float
        Time of its last use, to within an hour, in seconds since the epoch.
    artifact : Artifact, optional
        ``None`` where its manifest is damaged or of another version, and for what is no compiled problem.
    """

    path: Path
    size: int
    used: float
    artifact: Artifact | None


def bytes_of(text: str) -> int:
    """``"500M"`` as a number of bytes; K, M, G, T are powers of 1024.

    Raises
    ------
    ValueError
        If it is no size.
    """
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"expected a size such as 500M or 2G, got {text!r}")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def size_limit() -> int | None:
    """How many bytes the cache may hold: ``$LOGSIG_CODEGEN_CACHE_SIZE``, by default 2 GiB; ``None``: any number.

    Raises
    ------
    ValueError
        If the variable is no size.
    """
    text = os.environ.get(SIZE, "").strip() or DEFAULT_SIZE
    if text.lower() == UNLIMITED:
        return None
    try:
        return bytes_of(text)
    except ValueError as error:
        raise ValueError(f"${SIZE}: {error}; {UNLIMITED} for no limit") from None


def contents() -> tuple[Entry, ...]:
    """Everything that the cache keeps, in the order of the names."""
    return tuple(entry for root in places.roots() for entry in _contents(root))


def entries() -> tuple[str, ...]:
    """Names of the compiled problems in the cache's folder, sorted."""
    return tuple(sorted(entry.path.name for entry in contents() if (entry.path / MANIFEST).is_file()))


def clear() -> None:
    """Remove everything that bears the cache's mark, but for what is being built or loaded right now.

    Raises
    ------
    CacheError
        If an entry of this user cannot be removed.
    """
    for root in places.roots():
        for entry in _contents(root):
            _remove(entry.path, ordered=True)
        failures.forget(root)
        _tidy(root)


def clean(*, older_than: float | None = None, max_size: int | None = None) -> tuple[Entry, ...]:
    """Remove entries last used ``older_than`` seconds ago, then the least recently used ones above ``max_size`` bytes.

    Returns
    -------
    tuple of Entry
        What was removed.
    """
    removed: list[Entry] = []
    for root in places.roots():
        if older_than is not None:
            oldest = time.time() - older_than
            old = [entry for entry in _contents(root) if entry.used < oldest]
            removed += [entry for entry in old if _remove(entry.path, ordered=True)]
            failures.forget(root, before=oldest)
        removed += shrink(root, max_size, ordered=True)
        _tidy(root)
    return tuple(removed)


def shrink(root: Path, limit: int | None, *, keep: str = "", ordered: bool = False) -> list[Entry]:
    """Remove the least recently used entries above a limit in bytes, but not the one named ``keep``."""
    if limit is None:
        return []
    known = _contents(root)
    total, removed = sum(entry.size for entry in known), []
    for entry in sorted(known, key=lambda entry: entry.used):
        if total <= limit:
            break
        if entry.path.name != keep and _remove(entry.path, ordered=ordered):
            removed.append(entry)
            total -= entry.size
    return removed


def touch(folder: Path) -> None:
    """Note that an entry is used now, where that can be written; at most once an hour."""
    with contextlib.suppress(OSError):
        mark = folder / marks.MARK
        if abs(time.time() - os.lstat(mark).st_mtime) > _TOUCH_SECONDS:
            os.utime(mark, follow_symlinks=os.utime not in os.supports_follow_symlinks)  # Windows cannot ask for it


def _contents(root: Path) -> list[Entry]:
    try:
        names = sorted(name for name in os.listdir(root) if not name.startswith("."))
    except OSError:
        return []
    return [_entry(root / name) for name in names if marks.bears_mark(root / name)]


def _entry(folder: Path) -> Entry:
    size = used = 0.0
    with contextlib.suppress(OSError):  # it may be on its way out
        size = sum(file.stat(follow_symlinks=False).st_size for file in os.scandir(folder))
        used = os.lstat(folder / marks.MARK).st_mtime
    artifact = None
    with contextlib.suppress(ArtifactError):
        artifact = read_artifact(folder)
    return Entry(folder, int(size), used, artifact)


def _remove(folder: Path, *, ordered: bool) -> bool:
    """Remove an entry, unless somebody else owns it, or builds or loads it now; whether it was removed.

    By somebody's order that is done without a lock, too, and not being able to do it is a ``CacheError``.
    """
    if not marks.is_own(folder):
        return False
    file, lock = folder.parent / f"{LOCK}{folder.name}", None
    try:
        lock = locks.try_lock(file, create=True)
        if lock is None:
            return False
    except OSError:
        if not ordered:
            return False
    try:
        removed = marks.remove(folder)
    finally:
        if lock is not None:
            _drop(file, lock)
    if ordered and not removed and marks.is_own(folder):
        raise CacheError(f"{folder} is to be removed from the cache, but cannot be")
    return removed


def _tidy(root: Path) -> None:
    """Remove what killed processes left, and lock files of entries that are gone."""
    marks.sweep(root)
    with contextlib.suppress(OSError):
        for name in os.listdir(root):
            file = root / name
            if name.startswith(LOCK) and not (root / name.removeprefix(LOCK)).exists():
                with contextlib.suppress(OSError):
                    lock = locks.try_lock(file, create=False)
                    if lock is not None:
                        _drop(file, lock)


def _drop(file: Path, lock: locks.Lock) -> None:
    """Remove a lock file before it is released: whoever waits for it notices."""
    with contextlib.suppress(OSError):
        if lock.is_signed():
            os.unlink(file)
    lock.release()
