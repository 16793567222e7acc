"""The on-disk cache of compiled problems.

An entry is a folder, built aside and published by one rename, so that a reader sees all of it or nothing. Its name
holds the key of the request it answers: a digest of everything that decides the result. A lock per key lets one of
several processes build while the others wait; the system releases it when its holder dies, however it dies. What a
dead process leaves behind is swept up by the next build of the same key, or after a day.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from logsig_codegen.build.artifact import MANIFEST, Artifact, read_artifact
from logsig_codegen.errors import ArtifactError, CacheError
from logsig_codegen.problem import Problem

VARIABLE = "LOGSIG_CODEGEN_CACHE"
_SOURCE_SUFFIXES = (".py", ".h", ".c", ".cu", ".cuh", ".jinja", ".j2")
_STALE_SECONDS = 24 * 3600
_chosen: Path | None = None  # by set_cache_dir
_temporary: Path | None = None  # this process's own folder, where no other can be written


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


@lru_cache(maxsize=1)
def package_fingerprint() -> str:
    """Digest of :func:`fingerprint_lines`: edited code is never answered from the cache."""
    return hashlib.sha256("\n".join(fingerprint_lines()).encode()).hexdigest()


def fingerprint_lines() -> list[str]:
    """Name, size and time of each of this package's files, templates included, wherever they are installed."""
    root = Path(__file__).parent.parent
    lines = []
    for base in (root, root.parent / "templates"):
        for folder, folders, files in os.walk(base):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                if name.endswith(_SOURCE_SUFFIXES):
                    path = os.path.join(folder, name)
                    status = os.stat(path)
                    lines.append(f"{os.path.relpath(path, base)} {status.st_size} {status.st_mtime_ns}")
    return lines


def set_cache_dir(dir: str | os.PathLike[str]) -> None:
    """Keep the cache in ``dir``, an existing folder, from now on in this process.

    Raises
    ------
    TypeError
        If ``dir`` is not a path.
    ValueError
        If it does not exist or is not a folder.
    """
    global _chosen
    if not isinstance(dir, (str, os.PathLike)):
        raise TypeError(f"dir: expected a path, got {type(dir).__name__} {dir!r}")
    folder = Path(dir)
    if not folder.exists():
        raise ValueError(f"dir: {folder} does not exist")
    if not folder.is_dir():
        raise ValueError(f"dir: {folder} is not a folder")
    _chosen = folder.absolute()


def cache_dir() -> Path:
    """The cache's folder: :func:`set_cache_dir`, else ``$LOGSIG_CODEGEN_CACHE``, else the platform's place for caches.

    It need not exist yet.
    """
    if _chosen is not None:
        return _chosen
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("logsig_codegen", appauthor=False)


def lookup(request: Request) -> Artifact | None:
    """The valid entry that answers a request, or ``None``.

    Without a compiler an entry that any compiler made will do: an image may be warmed up first and have its compiler
    removed later.
    """
    for root in roots():
        candidates = [root / request.folder]
        if request.takes_any_compiler:
            candidates = sorted(root.glob(f"{request.problem.name}-*"))
        for folder in candidates:
            artifact = _valid_entry(folder, request)
            if artifact is not None:
                return artifact
    return None


def obtain(request: Request, build: Callable[[Path], object]) -> Artifact:
    """Return the entry that answers a request, calling ``build(folder)`` if there is none yet.

    ``build`` fills an empty folder and writes its manifest last. One process builds, others that want the same wait.

    Raises
    ------
    CacheError
        If neither the cache nor a temporary folder can be written, or what was built does not validate.
    """
    found = lookup(request)
    if found is not None:
        return found
    root = writable_root()
    with _locked(root / f".lock-{request.folder}"):
        found = lookup(request)
        if found is not None:
            return found
        _sweep(root, request)
        try:
            _publish(root, request, build)
        except OSError as error:
            raise CacheError(f"Writing the cache folder {root} failed: {error}") from error
    try:
        artifact = read_artifact(root / request.folder)
        request.check(artifact, request.problem)
    except ArtifactError as error:
        raise CacheError(f"What was just built cannot be used: {error}") from error
    return artifact


def discard(artifact: Artifact) -> None:
    """Remove an entry that validates but cannot be loaded, so that the next request builds it again."""
    _remove(artifact.path)


def clear() -> None:
    """Remove every entry from the cache's folder; nothing else in it is touched, nor what is being built right now."""
    for root in roots():
        for folder in sorted(root.glob("[!.]*")):
            _remove(folder)


def entries() -> tuple[str, ...]:
    """Names of the entries in the cache's folder, sorted."""
    return tuple(sorted(path.parent.name for root in roots() for path in root.glob(f"[!.]*/{MANIFEST}")))


def roots() -> tuple[Path, ...]:
    """Folders that may hold entries: all below one name of ours, so that a shared folder can be cleared safely."""
    bases = (cache_dir(),) if _temporary is None else (cache_dir(), _temporary)
    return tuple(base / "kernels" for base in bases)


def _valid_entry(folder: Path, request: Request) -> Artifact | None:
    try:
        artifact = read_artifact(folder)
        if not request.matches(artifact):
            return None
        request.check(artifact, request.problem)
    except ArtifactError:
        return None
    return artifact


def _publish(root: Path, request: Request, build: Callable[[Path], object]) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f".staging-{request.folder}-", dir=root))
    try:
        build(staging)
        entry = root / request.folder
        if entry.exists():  # it did not validate, or lookup would have returned it
            _remove(entry)
        try:
            os.rename(staging, entry)
        except OSError:
            # Without a working lock another process may have published first; its entry is as good as ours.
            if lookup(request) is None:
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Take a folder out of sight with one rename, then delete it: no reader ever sees half of it."""
    try:
        with tempfile.TemporaryDirectory(prefix=".removed-", dir=folder.parent, ignore_cleanup_errors=True) as grave:
            os.rename(folder, os.path.join(grave, "entry"))
    except OSError as error:
        if folder.exists():
            raise CacheError(f"{folder} is to be removed from the cache, but cannot be: {error}") from error


def _sweep(root: Path, request: Request) -> None:
    """Delete what killed processes left: for this key all of it (we hold its lock), for others what is a day old."""
    for folder in root.glob(".*"):
        with contextlib.suppress(OSError):
            ours = folder.name.startswith(f".staging-{request.folder}-")
            old = time.time() - folder.stat().st_mtime > _STALE_SECONDS
            if folder.is_dir() and (ours or old):
                shutil.rmtree(folder, ignore_errors=True)


def writable_root() -> Path:
    """The cache's folder if entries can be written there, else, with one warning, a temporary one for this process."""
    global _temporary
    root = cache_dir() / "kernels"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError as error:
        reason = error
    if _temporary is None:
        try:
            _temporary = Path(tempfile.mkdtemp(prefix="logsig_codegen-"))
        except OSError as error:
            raise CacheError(f"Neither {root} nor a temporary folder can be written: {reason}; {error}") from error
        atexit.register(_remove_temporary, _temporary, os.getpid())
        warnings.warn(
            f"The cache folder {root} cannot be written ({reason}); what this process compiles is kept in a temporary "
            f"folder and lost when it ends. Set ${VARIABLE} or call set_cache_dir to name a better place.",
            RuntimeWarning,
            stacklevel=2,
        )
    root = _temporary / "kernels"
    root.mkdir(exist_ok=True)
    return root


def _remove_temporary(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not delete its parent's folder
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; where the file system knows no locks, do without (publishing stays atomic)."""
    from filelock import FileLock

    lock = FileLock(str(path))
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
