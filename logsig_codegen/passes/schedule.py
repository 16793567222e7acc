"""Scheduling: ordered pieces of sums are cut into parts, and values that cross a cut get memory.

A part becomes one C function. The time of compilers grows faster than the length of a function, so that parts have at
most a few hundred operations. Within a part, values are local variables. A value that a later part uses is saved in a
scratch slot (slots are reused), or read back from the output that it was stored in. An output may overwrite an input in
place; an input scalar that is used after that is copied to a local variable first.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container, Sequence

from logsig_codegen.ir.program import NONE, Program, count_terms
from logsig_codegen.ir.schedule import Compute, Event, Fetch, Flush, Forget, Read, Reload, Save, Schedule, Store
from logsig_codegen.passes.order import Order, order
from logsig_codegen.stages import stage

PART_OPERATIONS = 400
"""Operations per part, about."""
GROUP_COLUMNS, TILE_COLUMNS = 32, 8
"""Rows move between memory and lanes in groups of so many columns; the second: where they move in tiles."""
ACCUMULATORS = 128
"""The largest number of accumulators. There are more than registers: an accumulator in memory costs less than the
temporaries that would have to be kept without it."""


NEAR = 8
"""A scalar of a passing operand stays in a local variable if its next use is at most so many computations away."""


@stage("schedule")
def schedule(
    program: Program,
    *,
    in_place: Sequence[int],
    descending: bool,
    accumulators: int = ACCUMULATORS,
    groups: Sequence[Sequence[int]] = (),
    passing: int = NONE,
    whole: bool = False,
    held: int | None = None,
    in_tiles: bool = False,
) -> Schedule:
    """Order ``program`` and cut it into parts.

    Parameters
    ----------
    in_place : sequence of int
        For each output, the input operand it overwrites (same number of columns), or -1.
    descending : bool
        For adjoints: compute everything that does not depend on the first operand (the recomputed part) first, so that
        accumulators can use it, then the columns of the first output from the last one, of highest degree, to the
        first.
    accumulators : int
        The largest number of accumulators, sums that are computed in several pieces (:mod:`.order`).
    groups : sequences of int
        If any: the values to compute, in order, instead of the order that ``descending`` gives. No group is cut.
    passing : int
        An input operand whose scalars are read from memory again at later uses instead of staying in registers; no
        output overwrites it.
    whole : bool
        Make a single part, without scratch memory.
    held : int or None
        Input columns below ``held`` that are read several times are kept in local variables, the others are read from
        memory each time; ``None``: all of them are kept.
    in_tiles : bool
        Make a single part whose operands are variables (:class:`.Schedule`); no output overwrites an input then.
    """
    ends: Container[int]
    if groups:
        ordered, ends = Order(program, accumulators), set[int]()
        steps: list[Compute] = []
        for group in groups:
            steps = ordered.run(group)
            ends.add(len(steps))
    else:
        demands = [list(result.values) for result in program.outputs]
        if descending:
            demands[0].reverse()
            demands.insert(0, _independent_of_first_operand(program))
        steps = order(program, [value for values in demands for value in values], accumulators)
        ends = range(len(steps))
    if in_tiles:
        in_place = (NONE,) * len(program.outputs)
    parts = _cut(steps, () if whole or in_tiles else ends)
    return _Layout(program, parts, tuple(in_place), passing, held, in_tiles).run()


def _independent_of_first_operand(program: Program) -> list[int]:
    length = program.inputs[0].length
    depends = [value < length for value in range(program.first)]
    for terms in program.instructions:
        depends.append(any(operand != NONE and depends[operand] for _, *operands in terms for operand in operands))
    return [value for value in range(program.first, len(depends)) if not depends[value]]


def _cut(steps: Sequence[Compute], ends: Container[int]) -> list[list[Compute]]:
    """Cut into parts of about equal size, at positions that ``ends`` allows."""
    total = sum(count_terms(step.terms).total for step in steps)
    limit = total / max(1, round(total / PART_OPERATIONS))
    parts: list[list[Compute]] = [[]]
    size = 0
    for position, step in enumerate(steps):
        if size >= limit and position in ends:
            parts.append([])
            size = 0
        parts[-1].append(step)
        size += count_terms(step.terms).total
    return parts


class _Layout:
    """Goes through the parts once and adds the events that load and store data."""

    def __init__(
        self,
        program: Program,
        parts: list[list[Compute]],
        in_place: tuple[int, ...],
        passing: int,
        held: int | None = None,
        in_tiles: bool = False,
    ) -> None:
        self.program = program
        self.in_tiles, self.group = in_tiles, TILE_COLUMNS if in_tiles else GROUP_COLUMNS
        self.held = max((operand.length for operand in program.inputs), default=0) if held is None else held
        self.parts = parts
        self.in_place = in_place
        self.first = program.first
        self.home = [(o, k) for o, operand in enumerate(program.inputs) for k in range(operand.length)]
        self.places: dict[int, list[tuple[int, int]]] = {}
        for r, result in enumerate(program.outputs):
            for k, value in enumerate(result.values):
                self.places.setdefault(value, []).append((r, k))
        self.final = [[False] * len(result.values) for result in program.outputs]
        self.flushed = [0] * len(program.outputs)
        self.fetched = [0] * len(program.inputs)
        self.prefixes = self.find_prefixes()
        self.last_use = self.find_last_uses()
        self.overwritten: set[int] = set()
        self.slots: dict[int, int] = {}
        self.free: list[int] = []
        self.n_slots = 0
        self.stored: dict[int, tuple[int, int]] = {}
        self.events: list[Event] = []
        self.local: set[int] = set()
        self.uses: Counter[int] = Counter()
        self.dirty: dict[int, None] = {}
        self.passing = passing
        self.ahead: dict[int, list[int]] = {}  # the uses of scalars of the passing operand in a part, last use first
        self.position = 0

    def find_prefixes(self) -> list[int]:
        prefixes = [0] * len(self.program.inputs)
        read = {operand for part in self.parts for step in part for _, *operands in step.terms for operand in operands}
        read.update(self.places)
        for value in read:
            if NONE < value < self.first:
                o, k = self.home[value]
                prefixes[o] = max(prefixes[o], k + 1)
        for o in self.in_place:
            if o >= 0:
                prefixes[o] = self.program.inputs[o].length
        return prefixes

    def find_last_uses(self) -> dict[int, int]:
        """The last part that uses each value."""
        last: dict[int, int] = {}
        for p, part in enumerate(self.parts):
            for step in part:
                last[step.value] = p
                for _, left, right in step.terms:
                    last[left] = last[right] = p
        return last

    def run(self) -> Schedule:
        parts: list[tuple[Event, ...]] = []
        for p, part in enumerate(self.parts):
            self.events, self.local = [], set()
            self.uses = Counter(operand for step in part for _, *operands in step.terms for operand in operands)
            self.find_uses_ahead(part)
            if p == 0:
                self.store_inputs()
            for self.position, step in enumerate(part):
                self.compute(step, p)
            self.save(p)
            if p == len(self.parts) - 1:
                self.finish()
            parts.append(tuple(self.events))
        prefixes = tuple(self.prefixes)
        return Schedule(self.program, tuple(parts), self.n_slots, self.in_place, prefixes, self.in_tiles)

    # -- inputs -------------------------------------------------------------------------------------------------

    def fetch(self, operand: int, upto: int) -> None:
        if upto > self.fetched[operand]:
            grouped = -(-upto // self.group) * self.group
            self.fetched[operand] = min(grouped, self.prefixes[operand])
            self.events.append(Fetch(operand, self.fetched[operand]))

    def store_inputs(self) -> None:
        """Store outputs that are copies of inputs, or zero; a copy that overwrites its own input needs nothing."""
        copies = []
        for value, places in sorted(self.places.items()):
            for r, k in places if value < self.first else ():
                if value != NONE and (self.in_place[r], k) == self.home[value]:
                    self.final[r][k] = True
                else:
                    copies.append((value, r, k))
                    self.uses[value] += 1
        for value, r, k in copies:
            self.need(value)
            self.uses[value] -= 1
            self.store(value, r, k, 0)

    def need(self, value: int) -> None:
        """Add the events that make an operand of the next computation available."""
        if value == NONE or value in self.local:
            return
        if value < self.first and value not in self.overwritten:
            o, k = self.home[value]
            self.fetch(o, k + 1)
            if self.is_wanted_again(value, o, k):
                self.events.append(Read(value, kept=o == self.passing))
                self.local.add(value)
        elif value in self.slots:
            self.events.append(Reload(value, slot=self.slots[value]))
            self.local.add(value)
        else:
            r, k = self.stored[value]
            self.events.append(Reload(value, result=r, column=k))
            self.local.add(value)

    # -- a passing operand --------------------------------------------------------------------------------------

    def find_uses_ahead(self, part: Sequence[Compute]) -> None:
        self.ahead = {}
        for position in range(len(part) - 1, -1, -1):
            for _, *operands in part[position].terms:
                for value in operands:
                    if NONE < value < self.first and self.home[value][0] == self.passing:
                        self.ahead.setdefault(value, []).append(position)

    def is_wanted_again(self, value: int, operand: int, column: int) -> bool:
        """Whether an input scalar that is about to be used should be kept in a local variable."""
        if operand != self.passing:
            return self.uses[value] > 1 and column < self.held
        later = self.ahead.get(value, ())
        return len(later) > 1 and later[-2] - self.position <= NEAR

    def forget(self, step: Compute) -> None:
        """End local copies of scalars of the passing operand whose next use is far away."""
        for _, *operands in step.terms:
            for value in operands:
                if self.ahead.get(value):
                    self.ahead[value].pop()
                    if value in self.local and not (
                        self.ahead[value] and self.ahead[value][-1] - self.position <= NEAR
                    ):
                        self.local.discard(value)
                        self.events.append(Forget(value))

    # -- computation --------------------------------------------------------------------------------------------

    def compute(self, step: Compute, p: int) -> None:
        for _, left, right in step.terms:
            self.need(left)
            self.need(right)
        if not step.first:
            self.need(step.value)
        self.events.append(step)
        self.forget(step)
        self.uses.subtract(operand for _, *operands in step.terms for operand in operands)
        self.local.add(step.value)
        self.dirty[step.value] = None
        if step.last:
            for r, k in self.places.get(step.value, ()):
                self.store(step.value, r, k, p)

    def store(self, value: int, r: int, k: int, p: int) -> None:
        o = self.in_place[r]
        if o >= 0:
            overwritten = self.program.offsets[o] + k
            self.fetch(o, k + 1)
            self.rescue(overwritten, p)
            self.overwritten.add(overwritten)
        self.events.append(Store(value, r, k))
        if value >= self.first:
            self.stored.setdefault(value, (r, k))
            if value in self.slots:
                heapq.heappush(self.free, self.slots.pop(value))
        self.final[r][k] = True
        self.flush(r)

    def rescue(self, value: int, p: int) -> None:
        """Copy an input scalar that is about to be overwritten, if it is used later."""
        if self.uses[value] <= 0 and self.last_use.get(value, -1) <= p:
            return
        if value not in self.local:
            self.events.append(Read(value))
            self.local.add(value)
        self.dirty[value] = None

    def flush(self, r: int) -> None:
        final = self.final[r]
        upto = self.flushed[r]
        while upto < len(final) and final[upto]:
            upto += 1
        if upto == len(final) or upto - self.flushed[r] >= self.group:
            if self.in_place[r] >= 0:
                self.fetch(self.in_place[r], upto)
            if upto > self.flushed[r]:
                self.events.append(Flush(r, upto))
                self.flushed[r] = upto

    # -- the end of a part --------------------------------------------------------------------------------------

    def save(self, p: int) -> None:
        """Save the values that later parts use, and release the slots that nothing uses any more."""
        for value in [value for value in self.slots if self.last_use.get(value, -1) <= p]:
            heapq.heappush(self.free, self.slots.pop(value))
        for value in self.dirty:
            if self.last_use.get(value, -1) > p and value not in self.stored:
                if value not in self.slots:
                    self.slots[value] = self.slot()
                self.events.append(Save(value, self.slots[value]))
        self.dirty = {}

    def slot(self) -> int:
        if self.free:
            return heapq.heappop(self.free)
        self.n_slots += 1
        return self.n_slots - 1

    def finish(self) -> None:
        """The last columns."""
        for r in range(len(self.program.outputs)):
            if self.flushed[r] < len(self.final[r]):
                self.flush(r)
