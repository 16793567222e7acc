"""Register pressure: how many local variables of a schedule are live at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from logsig_codegen.ir.schedule import Event, Forget, Schedule, defined, used


def pressure(part: Sequence[Event]) -> list[int]:
    """How many local variables are live at each event of one part.

    A value that is read from memory at its use, without a ``Read``, is not a local variable.
    """
    change = [0] * (len(part) + 1)
    touched: dict[int, int] = {}  # the last event that defines or uses each
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
    """The largest number of local variables that are live at one time, over all parts.

    ``Read(a); t = a*b; Store(t)`` has two.
    """
    return max((most for part in schedule.parts for most in pressure(part)), default=0)
