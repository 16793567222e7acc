"""What is being built, where it takes longer than a second: a line on a terminal or in a notebook, never in a pipe."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from logsig_codegen.build import background

DELAY = 1.0
"""Seconds before anything is shown."""
_EVERY = 0.5
_bar: ContextVar[Any] = ContextVar("bar", default=None)


@contextmanager
def building(what: str) -> Iterator[None]:
    """Show ``what`` and the time it takes, and once :func:`expect` was called how much is done; removed at the end.

    What is built in the background shows nothing, unless somebody waits for it: see :func:`holding`.
    """
    if background.inside() or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield
        return
    from tqdm import tqdm

    with tqdm(desc=f"building {what}", bar_format="{desc} [{elapsed}]", leave=False, delay=DELAY) as bar:
        ended = threading.Event()
        clock = threading.Thread(target=_show, args=(bar, ended), daemon=True)
        token = _bar.set(bar)
        clock.start()
        try:
            yield
        finally:
            _bar.reset(token)
            ended.set()
            clock.join()


@contextmanager
def holding(lock: threading.Lock, what: str) -> Iterator[None]:
    """Hold a lock; while another thread has it, it is building ``what``, which is shown."""
    if not lock.acquire(blocking=False):
        with building(what):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _show(bar: Any, ended: threading.Event) -> None:
    while not ended.wait(min(_EVERY, DELAY)):
        bar.update(0)


def expect(parts: int) -> None:
    """What is being built consists of so many parts."""
    bar = _bar.get()
    if bar is not None:
        bar.total, bar.bar_format = parts, "{desc} {bar} {n_fmt} of {total_fmt} [{elapsed}, about {remaining} left]"
        bar.ncols = 100


def done() -> None:
    """One more part is done."""
    bar = _bar.get()
    if bar is not None:
        bar.update()
