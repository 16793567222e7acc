"""Spilling: values are moved to scratch memory where they would not all fit the registers.

A compiler that runs out of registers spills to memory of its choice. On a GPU that is local memory of the thread, which
is slow when many threads use it. The slots of a schedule can be in shared memory instead.

Before: ``t = a*b; …; z = t*c``. After: ``t = a*b; s0 = t; …; z = s0*c``.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator
from dataclasses import replace

from logsig_codegen.ir.schedule import Compute, Event, Forget, Read, Reload, Save, Schedule, defined, used

NO_LIMIT = 1 << 30


def spill(schedule: Schedule, registers: int, most_slots: int = NO_LIMIT) -> Schedule:
    """Reduce the number of live local variables to ``registers``, as far as ``most_slots`` slots allow.

    The value whose next use is farthest away is spilled first (Belady's rule). A spilled value that is used is loaded
    into a register if another variable's next use is farther away than its own; otherwise it is read from its slot. An
    unfinished sum is loaded for each of its pieces. Copies of inputs are not spilled.

    Parameters
    ----------
    schedule : Schedule
        Of one part, without slots.
    """
    assert not schedule.slots
    walk = _Spill(schedule, registers, most_slots)
    return replace(schedule, parts=(tuple(walk.run()),), slots=walk.slots)


class _Spill:
    def __init__(self, schedule: Schedule, registers: int, most_slots: int) -> None:
        (self.part,) = schedule.parts
        self.first = schedule.program.first
        self.registers = registers
        self.most_slots = most_slots
        self.ahead = self._uses()
        """The remaining uses of each value or copy of an input, last use first."""
        self.sums: set[int] = set()  # the variables that are in registers
        self.copies: set[int] = set()
        self.changed: set[int] = set()  # sums that have changed since they were saved
        self.slot: dict[int, int] = {}
        self.free: list[int] = []
        self.slots = 0

    def _uses(self) -> dict[int, list[int]]:
        uses: dict[int, list[int]] = {}
        for index in range(len(self.part) - 1, -1, -1):
            for value in {*used(self.part[index]), *defined(self.part[index])}:
                uses.setdefault(value, []).append(index)
        return uses

    def run(self) -> Iterator[Event]:
        for event in self.part:
            operands = dict.fromkeys(used(event))
            targets = defined(event)
            needed = {*operands, *targets}
            for value in (*operands, *targets):
                if value in self.slot and value not in self.sums:
                    yield from self.bring_back(value, needed, at_once=value in targets)
            if any(value not in self.sums for value in targets):
                yield from self.make_room(needed)
            yield event
            for value in needed:
                self.ahead[value].pop()
            if isinstance(event, Compute):
                self.sums.add(event.value)
                self.changed.add(event.value)
            elif isinstance(event, Read):
                self.copies.add(event.value)
            for value in needed:
                self.end(value)

    def end(self, value: int) -> None:
        """Free the register and the slot of a value that is not used any more."""
        if not self.ahead[value]:
            self.sums.discard(value)
            self.copies.discard(value)
            if value in self.slot:
                heapq.heappush(self.free, self.slot.pop(value))

    def next_use(self, value: int) -> int:
        return self.ahead[value][-1]

    def bring_back(self, value: int, needed: Container[int], *, at_once: bool) -> Iterator[Event]:
        """Load a value that is about to be used, if another's next use is later than its own, or if ``at_once``."""
        again = self.ahead[value][-2:-1]
        if at_once or (again and (not self.full or any(self.next_use(x) > again[0] for x in self.evictable(needed)))):
            yield from self.make_room(needed)
            self.sums.add(value)
            yield Reload(value, slot=self.slot[value])

    @property
    def full(self) -> bool:
        return len(self.sums) + len(self.copies) >= self.registers

    def evictable(self, needed: Container[int]) -> list[int]:
        room = bool(self.free) or self.slots < self.most_slots
        return [value for value in self.sums if value not in needed and (room or value in self.slot)]

    def make_room(self, needed: Container[int]) -> Iterator[Event]:
        """Spill values until a register is free for a new variable."""
        while self.full and (rest := self.evictable(needed)):
            value = max(rest, key=lambda value: (self.next_use(value), value))
            self.sums.remove(value)
            if value not in self.slot:
                self.slot[value] = self.new_slot()
            if value in self.changed:
                self.changed.remove(value)
                yield Save(value, self.slot[value])
            yield Forget(value)

    def new_slot(self) -> int:
        if self.free:
            return heapq.heappop(self.free)
        self.slots += 1
        return self.slots - 1


def accesses(schedule: Schedule) -> int:
    """How often a schedule writes to slots and reads from them."""
    count = 0
    waiting: set[int] = set()
    for event in (event for part in schedule.parts for event in part):
        match event:
            case Save() | Reload():
                count += 1
                waiting.discard(event.value)
            case Forget(value):
                waiting.add(value)
            case _:
                count += sum(value in waiting for value in used(event))
    return count
