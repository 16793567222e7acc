"""How many threads a call may use."""

from __future__ import annotations

import os
from typing import SupportsIndex

from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.runtime.checks import check_integer

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def check_jobs(n_jobs: SupportsIndex) -> int:
    """Return ``n_jobs`` as an ``int``; the operating system is not asked.

    Raises
    ------
    TypeError
        If ``n_jobs`` is a bool or not an integer.
    ValueError
        If it is 0.
    """
    number = check_integer("n_jobs", n_jobs)
    if number == 0:
        raise ValueError("n_jobs: expected 1 or more threads, or a negative number (-1 for all processors), got 0")
    return number


def thread_count(n_jobs: SupportsIndex) -> int:
    """Number of threads for ``n_jobs``.

    1 is serial, ``-1`` all processors this process may use (affinity and control group respected), ``-2`` all but one,
    and so on, at least one. More than the usable processors is cut down to them: results do not depend on it.

    A process made by ``fork`` always gets 1. The OpenMP runtime of gcc keeps its threads in a pool, the pool's threads
    do not exist in a forked child, and a parallel loop there would wait for them forever.

    Raises
    ------
    TypeError, ValueError
        As :func:`check_jobs`.
    """
    number = check_jobs(n_jobs)
    if number == 1 or _forked:
        return 1
    usable = usable_processors()
    return min(number, usable) if number > 0 else max(1, usable + 1 + number)
