"""Locks between processes: files that the system unlocks when their holder dies, however it dies.

A lock is ``flock`` on a regular file of our own, never on what a symbolic link leads to, nor on a file with other
content than ours. Where it cannot be had, because of the file system or of what stands in its place, that is an
``OSError``, and no answer to the question whether somebody else works there.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path

from logsig_codegen.stages import LOGGER

SIGNATURE = b"logsig_codegen "
"""How every file begins that the cache locks or is marked by."""
# Unix has the first three, Windows the last one, without which it would write \r\n for \n.
_FLAGS = os.O_RDWR | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_FIRST_WORD, _FURTHER_WORDS = 5.0, 60.0  # seconds after which a waiter says what it waits for
_guard = threading.Lock()
_held: dict[str, int] = {}  # path to descriptor; some network file systems lock between processes only


class Lock:
    """A lock that is held, until :meth:`release`."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, text: bytes) -> None:
        """Replace the content of the file, which has to begin with :data:`SIGNATURE`."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text)

    def is_signed(self) -> bool:
        """Whether the file has content of ours."""
        return _head(self._descriptor) == SIGNATURE

    def release(self) -> None:
        """Let others have it; once more does nothing, nor does it in a forked child."""
        with _guard:
            if _held.get(self.path) == self._descriptor:
                del _held[self.path]
                os.close(self._descriptor)


def take(path: str, descriptor: int) -> Lock | None:
    """Lock an open file, which the lock closes in the end; ``None`` if somebody else holds it.

    Raises
    ------
    OSError
        If there are no locks here.
    """
    with _guard:
        if path in _held or not _flock(descriptor):
            return None
        _held[path] = descriptor
        return Lock(path, descriptor)


def try_lock(path: Path, *, create: bool) -> Lock | None:
    """The lock on a file; ``None`` if somebody else holds it.

    Raises
    ------
    OSError
        If it cannot be had at all.
    """
    while True:
        descriptor = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o644)
        lock = None
        try:
            _check_ours(path, descriptor)
            lock = take(str(path), descriptor)
        finally:
            if lock is None:
                os.close(descriptor)
        if lock is None or _is_at(path, descriptor):
            return lock
        lock.release()  # whoever held it before removed the file, and others lock a new one


def wait_for(path: Path, wanted: str, limit: float | None) -> Lock | None:
    """The lock on a file, waiting up to ``limit`` seconds; ``None`` if it cannot be had, which is logged.

    Whoever waits says so, and for whom, after a moment.
    """
    started, told = time.monotonic(), _FIRST_WORD
    while True:
        try:
            lock = try_lock(path, create=True)
        except OSError as error:
            LOGGER.info("%s: no lock (%s); builds aside", path, error)
            return None
        if lock is not None:
            with contextlib.suppress(OSError):  # a full disk
                lock.write(SIGNATURE + f"lock of process {os.getpid()} on {socket.gethostname()}\n".encode())
            return lock
        waited = time.monotonic() - started
        if limit is not None and waited > limit:
            say(f"{wanted}: {_holder(path)} has not built it within {waited:.0f} s; it is built here as well")
            return None
        if waited > told:
            say(f"waiting for {wanted}, which {_holder(path)} is building, for {waited:.0f} s so far")
            told += _FURTHER_WORDS
        time.sleep(min(0.01 + waited / 20, 0.2))


def say(text: str) -> None:
    """Log a warning; where nobody listens to the log, write it to the error stream."""
    LOGGER.warning("%s", text)
    logger: logging.Logger | None = LOGGER
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return
        logger = logger.parent
    print(f"logsig_codegen: {text}", file=sys.stderr, flush=True)


def _holder(path: Path) -> str:
    try:
        text = path.read_bytes()[:200].removeprefix(SIGNATURE + b"lock of ").decode(errors="replace").strip()
    except OSError:
        text = ""
    return text if text.startswith("process ") else "another process"


def _check_ours(path: Path, descriptor: int) -> None:
    status = os.fstat(descriptor)
    plain = stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
    if not plain or _head(descriptor) not in (b"", SIGNATURE):
        raise OSError(errno.EEXIST, "is no lock of the cache, and is left alone", str(path))
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "belongs to another user", str(path))


def _head(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, len(SIGNATURE))


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _flock(descriptor: int) -> bool:
    """Whether the lock was free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond the content, which others read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN; EACCES from some network file systems
        return False
    return True


def _after_fork() -> None:
    """A child gives up what its parent holds: its copies of descriptors would keep locks of a dead parent alive."""
    global _guard
    _guard = threading.Lock()
    for descriptor in _held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
