"""What will be needed soon is built meanwhile, in a thread that nobody waits for, not even the end of the process.

Tasks run one after the other: each of them starts as many compilers as there are processors. Whoever needs a result
before it is there does the same work in the foreground; the locks of the loader and of the cache let one of both build.
When the process ends, compilers end with it (:mod:`~logsig_codegen.build.processes`), and nothing is published.

A module that one thread imports while another one forks can never be imported by the child: forks wait for imports.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from logsig_codegen.stages import LOGGER

_lock = threading.Lock()
_importing = threading.Lock()
_LONGEST_IMPORT = 10.0  # seconds that a fork waits
_forking = False
_tasks: deque[tuple[str, Callable[[], object], Callable[[], object]]] = deque()
_worker: threading.Thread | None = None


def start(what: str, imports: Callable[[], object], work: Callable[[], object]) -> None:
    """Call ``imports``, which imports what ``work`` needs, and ``work`` soon.

    Errors are only logged, at level DEBUG: whoever needs the result will meet them again.
    """
    global _worker
    with _lock:
        _tasks.append((what, imports, work))
        if _worker is None:
            _worker = threading.Thread(target=_work, name="logsig_codegen", daemon=True)
            try:
                _worker.start()
            except RuntimeError:  # the interpreter is shutting down
                _worker = None


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Call ``work`` in a thread while the block runs, and wait for it; its errors are not raised."""

    def run() -> None:
        with suppress(Exception):
            work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def inside() -> bool:
    """Whether the caller runs in the background: nobody is told anything, and no setting of the process changes."""
    return threading.current_thread() is _worker


def _work() -> None:
    global _worker
    while True:
        with _lock:
            if not _tasks:
                _worker = None
                return
            what, imports, work = _tasks.popleft()
        try:
            with _importing:
                imports()
            work()
        except Exception as error:
            LOGGER.debug("background: %s: %s", what, error)


def _after_fork() -> None:
    """A child has no such thread, and needs what it needs itself."""
    global _lock, _importing, _worker
    _lock, _importing, _worker = threading.Lock(), threading.Lock(), None
    _tasks.clear()


def _before_fork() -> None:
    global _forking
    _forking = _importing.acquire(timeout=_LONGEST_IMPORT)


def _in_parent() -> None:
    if _forking:
        _importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_after_fork)
