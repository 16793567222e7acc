"""Stages of the compiler: each is named, timed and logged (``logging``, level DEBUG, logger ``logsig_codegen``)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from logsig_codegen.text_table import table

LOGGER = logging.getLogger("logsig_codegen")
LOGGER.addHandler(logging.NullHandler())


@dataclass
class Timing:
    """How often a stage ran, and for how many seconds, without the stages inside it."""

    runs: int = 0
    seconds: float = 0.0


@dataclass
class _Open:
    """A stage that runs, and the seconds of the stages inside it."""

    inner: float = 0.0


@dataclass
class Timings:
    """Durations by stage, in the order in which stages first ended.

    Stages of other threads are not among them: what is compiled in a pool is one stage of the thread that waits.
    """

    stages: dict[str, Timing] = field(default_factory=dict)

    def table(self) -> str:
        """A line for each stage, the longest first, and one for all."""
        ordered = sorted(self.stages.items(), key=lambda item: -item[1].seconds)
        rows = [(name, str(timing.runs), f"{timing.seconds:.3f}") for name, timing in ordered]
        total = sum(timing.seconds for timing in self.stages.values())
        return table(("stage", "runs", "seconds"), [*rows, ("all", "", f"{total:.3f}")], texts=frozenset((0,)))

    def add(self, name: str, seconds: float) -> None:
        """Count one run of a stage."""
        timing = self.stages.setdefault(name, Timing())
        timing.runs += 1
        timing.seconds += seconds


_collected: ContextVar[Timings | None] = ContextVar("collected", default=None)
_open: ContextVar[_Open | None] = ContextVar("open", default=None)


@contextmanager
def stage(name: str, of: str = "") -> Iterator[None]:
    """Time what happens inside, or, as a decorator, every call of a function; ``of`` tells what it works on."""
    outer, here = _open.get(), _Open()
    token, begin = _open.set(here), time.perf_counter()
    try:
        yield
    finally:
        elapsed = time.perf_counter() - begin
        _open.reset(token)
        if outer is not None:
            outer.inner += elapsed
        LOGGER.debug("%s%s: %.6f s", name, f" ({of})" if of else "", elapsed)
        collected = _collected.get()
        if collected is not None:
            collected.add(name, elapsed - here.inner)


@contextmanager
def collect_timings() -> Iterator[Timings]:
    """Collect the durations of all stages that this thread runs inside."""
    timings = Timings()
    token = _collected.set(timings)
    try:
        yield timings
    finally:
        _collected.reset(token)
