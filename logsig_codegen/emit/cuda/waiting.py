"""Threads with more values than registers: how many of them wait in shared memory.

What a compiler spills lies in memory of its thread. The threads of a GPU have more of that than its caches hold, and so
the spilled bytes move at the speed of the memory, as if they were part of the rows. Shared memory is nearly as near as
registers, but what one warp has of it, another has not, and fewer warps hide less of each other's waiting. The times of
both are estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from logsig_codegen.emit.cuda.shape import BYTES, MOST_SHARED_BYTES, RESERVED_BYTES, SHARED_BYTES, WARP, Shape
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.pressure import pressure
from logsig_codegen.passes.spill import accesses, spill

KEPT = 168
"""Registers for values where others wait in slots: nvcc spills nothing then, for any architecture."""
KEPT_BY_COMPILER = 216
"""Registers for values where the compiler chooses: with so many, it spills as much as the pass would, or more."""
BYTES_PER_CYCLE = 13
"""Of a multiprocessor, from and to the memory."""
ISSUED = 0.17
"""Instructions of a warp per cycle, as measured: it waits for shared memory, and for its own results."""
INSTRUCTIONS_PER_OPERATION = 1.3
"""With what it reads from rows in shared memory."""
WARPS = (1, 2, 3, 4, 5, 6, 8)
"""Of a multiprocessor: for so many of them, shared memory is shared out."""
LIMITS = (64 * 1024, 99 * 1024, SHARED_BYTES)
"""Of the shared memory of a block: compute capability 7.5; 8.6, 8.9, and 12.0; 8.0. Slots make no kernel exceed one."""
WORTH = 0.8
"""Slots have to bring the time down to this part of it: they cost a file for each number type."""


class ThreadForm(Protocol):
    """A kernel whose threads evaluate one schedule, on a tile of 32 samples at a time."""

    @property
    def schedule(self) -> Schedule: ...

    @property
    def beside(self) -> int:
        """Numbers a thread keeps that are not the schedule's."""

    @property
    def moved(self) -> int:
        """Numbers of a sample that are read and written."""

    def shape(self, dtype: str) -> Shape: ...


AForm = TypeVar("AForm", bound=ThreadForm)


def best_form(make: Callable[..., AForm], dtype: str) -> AForm:
    """The form that takes the least time, as estimated.

    ``make()`` is the one for both number types; ``make(order, dtype)`` is that of a schedule with slots.
    """
    plain = make()
    shape, words = plain.shape(dtype), BYTES[dtype] // 4
    if not shape.spills or shape.warp_bytes > LIMITS[-1]:
        return plain
    times = _Times(plain, dtype)
    numbers = sorted({_slots(shape.warp_bytes, warps, dtype) for warps in WARPS} - {0})
    orders = (spill(plain.schedule, KEPT // words - plain.beside, slots) for slots in numbers)
    best = min((make(order, dtype) for order in orders), key=times.cycles, default=plain)
    return best if times.cycles(best) <= WORTH * times.cycles(plain) else plain


def _slots(warp_bytes: int, warps: int, dtype: str) -> int:
    """How many slots each warp may have beside its rows if a multiprocessor is to have so many warps."""
    limit = next(limit for limit in LIMITS if warp_bytes <= limit)
    room = min(limit, (MOST_SHARED_BYTES + RESERVED_BYTES) // warps - RESERVED_BYTES) - warp_bytes
    numbers = room // (WARP * BYTES[dtype])
    return max(0, numbers - 1 + numbers % 2)  # an odd distance between those of two threads


class _Times:
    """Estimates for the ways to write one kernel."""

    def __init__(self, plain: ThreadForm, dtype: str) -> None:
        self.dtype = dtype
        self.operations = plain.schedule.program.operations.total
        self.kept = KEPT_BY_COMPILER * 4 // BYTES[dtype] - plain.beside
        self.accesses = accesses(spill(plain.schedule, self.kept))
        self.excess = max(1, self._excess(plain.schedule))

    def _excess(self, order: Schedule) -> int:
        """Values beyond those that the compiler keeps in registers, added up along the program."""
        (part,) = order.parts
        return sum(max(0, alive - self.kept) for alive in pressure(part))

    def spilled(self, form: ThreadForm) -> float:
        """Numbers that the compiler moves to the thread's memory, and back."""
        return self.accesses * self._excess(form.schedule) / self.excess

    def cycles(self, form: ThreadForm) -> float:
        """Estimated for one tile, on a multiprocessor of compute capability 9.0 with all the warps it takes.

        Either the memory is busy throughout, or the warps compute, and hide all of the moving but that of one of them.
        """
        warps = form.shape(self.dtype).resident
        spilled = self.spilled(form)
        instructions = INSTRUCTIONS_PER_OPERATION * self.operations + accesses(form.schedule) + spilled
        moving = WARP * BYTES[self.dtype] * (form.moved + spilled) / BYTES_PER_CYCLE
        return max(moving, instructions / (ISSUED * warps) + moving / warps)
