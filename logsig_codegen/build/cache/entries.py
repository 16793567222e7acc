"""Entries: looked up by the key of a request, built once, published by one rename.

An entry is a folder, built aside, so that a reader sees all of it or nothing. A lock per key lets one of several
processes build while the others wait, and keeps an entry from being cleared before it is loaded. Where there is no
lock, every process builds aside for itself, and nobody removes what another may be building.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from logsig_codegen.build.artifact import Artifact, read_artifact
from logsig_codegen.build.cache import locks, marks, places, retention
from logsig_codegen.build.processes import time_limit
from logsig_codegen.errors import ArtifactError, CacheError
from logsig_codegen.problem import Problem

Used = TypeVar("Used")
_TRIES = 20  # to publish an entry that processes without locks publish and clear at the same time


@dataclass(frozen=True)
class Request:
    """What is wanted, with everything that decides what it will be.

    Attributes
    ----------
    problem : Problem
        Dimension and degree.
    ingredients : dict
        JSON-able; equal ingredients mean equal libraries.
    check : callable
        Raises ``ArtifactError`` for a folder that does not serve a problem.
    """

    problem: Problem
    ingredients: dict[str, Any]
    check: Callable[[Artifact, Problem], None]

    @property
    def takes_any_compiler(self) -> bool:
        """Whether there is no compiler: an entry that any compiler made will do, because none better can be had."""
        return self.ingredients.get("compiler", "") is None

    @property
    def key(self) -> str:
        """SHA-256 of the ingredients, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.ingredients, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the cache entry."""
        return f"{self.problem.name}-{self.key[:32]}"

    def matches(self, artifact: Artifact) -> bool:
        """Whether an entry says that it answers this request."""
        found = artifact.manifest.get("request")
        if self.takes_any_compiler:
            return isinstance(found, dict) and {**found, "compiler": None} == self.ingredients
        return artifact.key == self.key and found == self.ingredients


def lookup(request: Request) -> Artifact | None:
    """The valid entry that answers a request, or ``None``.

    Without a compiler an entry that any compiler made will do: an image may be warmed up first and have its compiler
    removed later.
    """
    for root in places.roots():
        candidates = [root / request.folder]
        if request.takes_any_compiler:
            candidates = sorted(root.glob(f"{request.problem.name}-*"))
        for folder in candidates:
            with contextlib.suppress(ArtifactError):
                if not trusted_entry(folder):
                    continue
                artifact = read_artifact(folder)
                if request.matches(artifact):
                    request.check(artifact, request.problem)
                    retention.touch(folder)
                    return artifact
    return None


def itself(artifact: Artifact) -> Any:
    """What is made of an entry where nothing else is wanted."""
    return artifact


def obtain(request: Request, build: Callable[[Path], object], use: Callable[[Artifact], Used] = itself) -> Used:
    """What ``use`` makes of the entry that answers a request, calling ``build(folder)`` if there is none yet.

    ``build`` fills a folder and writes its manifest last. One process builds, others that want the same wait. ``use``
    is called before the entry can be cleared; where it finds the entry damaged, that is built again, once.

    Raises
    ------
    CacheError
        If neither the cache nor a temporary folder can be written, or what was built cannot be used.
    """
    limit = retention.size_limit()  # a variable that makes no sense is an error before anything is built
    with _keyed(request.folder) as root:
        found = lookup(request)
        if found is not None:
            try:
                return use(found)
            except ArtifactError:
                marks.remove(found.path)
        marks.sweep(root)
        used = _built_and_used(root, request, build, use)
    retention.shrink(root, limit, keep=request.folder)
    return used


def keep(name: str, build: Callable[[Path], object]) -> Path:
    """The marked folder ``name`` in the cache, replaced by what ``build(folder)`` fills now.

    Raises
    ------
    CacheError
        If it cannot be written.
    """
    with _keyed(name) as root:
        return _publish(root, name, build, lambda: False)


def is_kept(name: str) -> bool:
    """Whether there is something of this name in the cache, whole or not."""
    return any(os.path.lexists(root / name) for root in places.roots())


def is_being_kept(name: str) -> bool:
    """Whether another process is at work on it by :func:`keep`."""
    for root in places.roots():
        with contextlib.suppress(OSError):
            lock = locks.try_lock(root / f"{retention.LOCK}{name}", create=False)
            if lock is None:
                return True
            lock.release()
    return False


def trusted_entry(folder: Path) -> bool:
    """Whether a folder is an entry of the cache, all of it plain files that nobody else could have written."""
    if not marks.bears_mark(folder):
        return False
    try:
        reason = places.distrust(os.lstat(folder))
        for file in () if reason else os.scandir(folder):
            status = file.stat(follow_symlinks=False)
            plain = stat.S_ISREG(status.st_mode)
            reason = reason or (places.distrust(status) if plain else f"holds {file.name}, which is no plain file")
    except OSError:
        return False
    if reason:
        places.warn_once(folder, f"The cache entry {folder} {reason}; it is not used.")
    return not reason


@contextlib.contextmanager
def _keyed(name: str) -> Iterator[Path]:
    """The folder that an entry is to be written into, with the lock of the entry, if there are locks."""
    root = places.writable_root()
    if marks.is_foreign(root / name):
        root = places.private_root(root, f"{root} holds a {name} that is not the cache's")
    lock = locks.wait_for(root / f"{retention.LOCK}{name}", name.split("-")[0], time_limit())
    try:
        yield root
    finally:
        if lock is not None:
            lock.release()


def _built_and_used(
    root: Path, request: Request, build: Callable[[Path], object], use: Callable[[Artifact], Used]
) -> Used:
    def validated() -> Artifact:
        artifact = read_artifact(root / request.folder)
        request.check(artifact, request.problem)
        return artifact

    def is_valid() -> bool:
        with contextlib.suppress(ArtifactError):
            return trusted_entry(root / request.folder) and request.matches(validated())
        return False

    for tries_left in reversed(range(_TRIES)):
        folder = _publish(root, request.folder, build, is_valid)
        published = _identity(folder)
        try:
            return use(validated())
        except ArtifactError as error:
            # Somebody who had no lock may have cleared the cache, and somebody else published meanwhile.
            if not tries_left or (published is not None and _identity(folder) == published):
                raise CacheError(f"What was just built cannot be used: {error}") from error
    raise AssertionError("unreachable")


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from a later one of its name; ``None`` if there is none."""
    with contextlib.suppress(OSError):
        status = os.lstat(folder)
        return status.st_ino, status.st_mtime_ns
    return None


def _publish(root: Path, name: str, build: Callable[[Path], object], is_valid: Callable[[], bool]) -> Path:
    """Build an entry aside and put it in its place."""
    entry = root / name
    try:
        staging = marks.stage(root, name)
        try:
            build(staging.folder)
            _put_in_place(staging, entry, is_valid)
        finally:
            staging.close()
    except OSError as error:
        raise CacheError(f"Writing the cache folder {root} failed: {error}") from error
    return entry


def _put_in_place(staging: marks.Staging, entry: Path, is_valid: Callable[[], bool]) -> None:
    """Publish an entry, where processes without a lock may publish and clear it at the same time.

    A valid one of theirs is as good as ours; only one that is not valid is taken away.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            marks.publish(staging, entry)
            return
        except OSError:
            if is_valid():
                return
            if not tries_left:
                raise
            marks.remove(entry)
