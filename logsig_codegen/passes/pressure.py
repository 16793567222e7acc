"""Register pressure: how many local variables of a schedule are alive at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from logsig_codegen.ir.schedule import Event, Forget, Schedule, defined, used


def pressure(part: Sequence[Event]) -> list[int]:
    """How many local variables are alive at each event of one part.

    A value read from memory where it is used, without a ``Read``, is none.
    """
    change = [0] * (len(part) + 1)
    touched: dict[int, int] = {}  # where each was touched last
    for index, event in enumerate(part):
        for value in defined(event):
            change[index] += value not in touched
            touched[value] = index
        touched.update((value, index) for value in used(event) if value in touched)
        if isinstance(event, Forget) and event.value in touched:
            change[touched.pop(event.value) + 1] -= 1
    for index in touched.values():
        change[index + 1] -= 1
    return list(accumulate(change[:-1]))


def live_values(schedule: Schedule) -> int:
    """The largest number of local variables alive at one time, over all parts.

    ``Read(a); t = a*b; Store(t)`` has two.
    """
    return max((most for part in schedule.parts for most in pressure(part)), default=0)
