"""Register pressure: how many local variables of a schedule are alive at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from logsig_codegen.ir.program import NONE
from logsig_codegen.ir.schedule import Compute, Event, Forget, Read, Reload, Save, Schedule, Store


@dataclass
class Life:
    """A local variable of a part, by the indices of its events.

    Attributes
    ----------
    value : int
    born, known, dies : int
        When it begins, when its value is final, and when it is touched for the last time.
    reads : list of int
        Computations that read it, once for each time they do, and stores of it.
    """

    value: int
    born: int
    known: int
    dies: int
    reads: list[int] = field(default_factory=list)


def lives(part: Sequence[Event]) -> list[Life]:
    """The local variables of one part, in the order in which they begin.

    A value read from memory where it is used, without a ``Read``, is none.
    """
    found: list[Life] = []
    now: dict[int, Life] = {}
    for index, event in enumerate(part):
        for value in _begun(event):
            if value not in now:
                now[value] = Life(value, index, index, index)
                found.append(now[value])
            now[value].known = now[value].dies = index
        for value in _read(event):
            if value in now:
                now[value].dies = index
                now[value].reads.append(index)
        if isinstance(event, Forget):
            now.pop(event.value, None)
    return found


def _begun(event: Event) -> Iterator[int]:
    if isinstance(event, Compute | Read | Reload):
        yield event.value


def _read(event: Event) -> Iterator[int]:
    if isinstance(event, Compute):
        yield from (operand for _, *operands in event.terms for operand in operands if operand != NONE)
    elif isinstance(event, Save | Store):
        yield event.value


def pressure(part: Sequence[Event], alive: Sequence[Life]) -> list[int]:
    """How many of some local variables of a part are alive at each of its events."""
    change = [0] * (len(part) + 1)
    for life in alive:
        change[life.born] += 1
        change[life.dies + 1] -= 1
    return list(accumulate(change[:-1]))


def live_values(schedule: Schedule) -> int:
    """The largest number of local variables alive at one time, over all parts.

    ``Read(a); t = a*b; Store(t)`` has two.
    """
    return max((most for part in schedule.parts for most in pressure(part, lives(part))), default=0)
