"""Register pressure: how many local variables of a schedule are alive at once."""

from __future__ import annotations

from logsig_codegen.ir.schedule import Compute, Read, Reload, Save, Schedule, Store


def live_values(schedule: Schedule) -> int:
    """The largest number of local variables alive at one time, over all parts.

    ``Read(a); t = a*b; Store(t)`` has two. A value read from memory where it is used, without a ``Read``, is none.
    """
    most = 0
    for part in schedule.parts:
        born: dict[int, int] = {}
        dies: dict[int, int] = {}
        for index, event in enumerate(part):
            match event:
                case Compute(value, terms, _, _):
                    touched = [value, *(operand for _, *operands in terms for operand in operands)]
                    born.setdefault(value, index)
                case Read(value) | Reload(value, _, _, _):
                    touched = [value]
                    born.setdefault(value, index)
                case Save(value, _) | Store(value, _, _):
                    touched = [value]
                case _:
                    touched = []
            dies.update((value, index) for value in touched if value in born)
        change = [0] * (len(part) + 1)
        for value, index in born.items():
            change[index] += 1
            change[dies[value] + 1] -= 1
        alive = 0
        for step in change:
            alive += step
            most = max(most, alive)
    return most
