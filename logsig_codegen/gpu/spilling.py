"""Spilling to shared memory, for threads with more values than registers.

A compiler spills to local memory, which for all threads of a GPU is larger than the caches: spilled bytes move at the
speed of the memory, like those of the rows. Shared memory is nearly as fast as registers, but it is divided among the
resident warps, and fewer warps hide less of each other's latency. The times of both are estimated.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from logsig_codegen.gpu.hardware import BYTES, MOST_SHARED_BYTES, RESERVED_BYTES, SHARED_BYTES, WARP
from logsig_codegen.gpu.occupancy import Occupancy
from logsig_codegen.gpu.shared_memory import odd_stride
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.pressure import pressure
from logsig_codegen.passes.spill import accesses, spill

KEPT = 168
"""Registers for values where others are spilled to shared memory: nvcc spills nothing then, for any architecture."""
KEPT_BY_COMPILER = 216
"""Registers for values where the compiler spills: with so many, it spills as much as the pass would, or more."""
BYTES_PER_CYCLE = 13
"""Bytes that a multiprocessor moves from and to the memory."""
ISSUED = 0.17
"""Instructions of a warp per cycle, measured, with stalls for shared memory and for its own results."""
INSTRUCTIONS_PER_OPERATION = 1.3
"""With loads of rows from shared memory."""
CANDIDATE_WARPS = (1, 2, 3, 4, 5, 6, 8)
"""Candidate numbers of resident warps; each has a number of spill slots that fits in."""
LIMITS = (64 * 1024, 99 * 1024, SHARED_BYTES)
"""Shared memory of a block for compute capability 7.5; 8.6, 8.9 and 12.0; 8.0. A kernel within one of them stays within
it when slots are added."""
WORTH = 0.8
"""Spilling has to bring the estimated time down to this part of it: it costs a source file for each number type."""


class ThreadPlan(Protocol):
    """A plan whose threads evaluate one schedule, each warp on 32 samples at a time."""

    @property
    def schedule(self) -> Schedule: ...

    @property
    def held(self) -> int:
        """Numbers of a thread that are not part of the schedule."""

    @property
    def moved(self) -> int:
        """Numbers of a sample that are read from and written to memory."""

    def occupancy(self, dtype: str) -> Occupancy: ...

    def spilled(self: APlan, schedule: Schedule, dtype: str) -> APlan:
        """The plan for one number type with a schedule that has spill slots."""


APlan = TypeVar("APlan", bound=ThreadPlan)


def spill_to_shared_memory(plan: APlan, dtype: str) -> APlan:
    """The plan with as many spill slots in shared memory as take the least time, estimated; often ``plan`` itself."""
    occupancy, words = plan.occupancy(dtype), BYTES[dtype] // 4
    if not occupancy.spills or occupancy.warp_bytes > LIMITS[-1]:
        return plan
    cost = _Cost(plan, dtype)
    numbers = sorted({_slots(occupancy.warp_bytes, warps, dtype) for warps in CANDIDATE_WARPS} - {0})
    schedules = (spill(plan.schedule, KEPT // words - plan.held, slots) for slots in numbers)
    best = min((plan.spilled(schedule, dtype) for schedule in schedules), key=cost.cycles, default=plan)
    return best if cost.cycles(best) <= WORTH * cost.cycles(plan) else plan


def _slots(warp_bytes: int, warps: int, dtype: str) -> int:
    """Spill slots of a thread that fit in beside the rows where a multiprocessor has ``warps`` resident warps."""
    limit = next(limit for limit in LIMITS if warp_bytes <= limit)
    free = min(limit, (MOST_SHARED_BYTES + RESERVED_BYTES) // warps - RESERVED_BYTES) - warp_bytes
    numbers = free // (WARP * BYTES[dtype])
    return max(0, numbers if odd_stride(numbers) == numbers else numbers - 1)


class _Cost:
    """Estimated times of variants of one plan that differ in spilling."""

    def __init__(self, plain: ThreadPlan, dtype: str) -> None:
        self.dtype = dtype
        self.operations = plain.schedule.program.operations.total
        self.kept = KEPT_BY_COMPILER * 4 // BYTES[dtype] - plain.held
        self.accesses = accesses(spill(plain.schedule, self.kept))
        self.excess = max(1, self._excess(plain.schedule))

    def _excess(self, schedule: Schedule) -> int:
        """Values beyond those that the compiler keeps in registers, summed over the program."""
        (part,) = schedule.parts
        return sum(max(0, alive - self.kept) for alive in pressure(part))

    def spilled(self, plan: ThreadPlan) -> float:
        """Numbers that the compiler moves to local memory, and back."""
        return self.accesses * self._excess(plan.schedule) / self.excess

    def cycles(self, plan: ThreadPlan) -> float:
        """Cycles of one tile on a multiprocessor of compute capability 9.0 with all warps that can be resident.

        Either the memory is busy throughout, or the warps compute, and hide all transfers but those of one warp.
        """
        warps = plan.occupancy(self.dtype).resident_warps
        spilled = self.spilled(plan)
        instructions = INSTRUCTIONS_PER_OPERATION * self.operations + accesses(plan.schedule) + spilled
        moving = WARP * BYTES[self.dtype] * (plan.moved + spilled) / BYTES_PER_CYCLE
        return max(moving, instructions / (ISSUED * warps) + moving / warps)
