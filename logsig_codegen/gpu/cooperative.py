"""Plans for path scans whose state does not fit in a thread: the warps of a block carry it, each a part of it.

A word of the signature changes by terms on its prefixes. A set of words that is closed under prefixes can be carried by
itself: a warp has it in registers, for 32 paths, and never reads what other warps carry. Words that two warps need are
carried by both. They are few: each warp takes a range of the words in alphabetical order.

Backward, a form is carried (:mod:`logsig_codegen.plans.path_gradient`), and the step is linear in it. Each warp begins
with some numbers of the last degree but one and their slots, and one warp with the degrees below as well, which are few
and zero in the others: what they become is a sum over the warps, as are the derivatives with respect to the points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from logsig_codegen.compiler import PathKernel
from logsig_codegen.gpu.epilogue import Epilogue, partition_epilogue
from logsig_codegen.gpu.hardware import (
    BYTES,
    MOST_SHARED_BYTES,
    REGISTERS_PER_THREAD,
    SCHEDULERS,
    SHARED_BYTES,
    WARP,
)
from logsig_codegen.gpu.occupancy import Occupancy, cooperative_warps
from logsig_codegen.gpu.partition import Part, lyndon_places, partition, partition_form
from logsig_codegen.gpu.path_scan import numbers_of_points, phase_program
from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.gpu.shared_memory import PATHS_BYTES, Tile, chunk_points, lay_out, odd_stride
from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.restrict import restrict
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.plans import prefix_signature, slots
from logsig_codegen.problem import Problem

WARPS = (2, 4, 8, 12, 16)
"""Candidate numbers of warps: schedulers share them evenly."""
BUSY, MOST_BUSY = 0.22, 0.5
"""The share of its cycles in which a scheduler issues an instruction of a step, for each warp it has, and at most, as
measured on an H100: barriers and instruction fetches take the rest."""
STEP_OVERHEAD = 12
"""Instructions of a step besides its operations and two for each number of a point."""


@dataclass(frozen=True)
class CooperativePlan:
    """An operation along paths, for one number type: each warp of a block carries a part of a signature or a form.

    Attributes
    ----------
    kernel : PathKernel
    dtype : str
    parts : tuple of Part
        The words of each warp, or the numbers of the form.
    steps : tuple of Schedule
        The step of each warp.
    """

    form: ClassVar[str] = "block"
    kernel: PathKernel
    dtype: str
    parts: tuple[Part, ...]
    steps: tuple[Schedule, ...]

    @property
    def problem(self) -> Problem:
        return self.steps[0].program.problem

    @property
    def backward(self) -> bool:
        return OPERATIONS[self.kernel.operation].backward

    @property
    def columns(self) -> dict[str, int]:
        """Empty: how much of a path is read depends on its length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Samples of a block."""
        return WARP

    @property
    def chunk(self) -> int:
        """Points of a chunk."""
        return chunk_points(self.problem.dimension, self.dtype)

    @property
    def chunk_stride(self) -> int:
        """Numbers in shared memory from the chunk of one path to that of the next."""
        return odd_stride(self.chunk * self.problem.dimension)

    @cached_property
    def prologue(self) -> Schedule:
        """Backward: from the log-signature and its derivative to the form at the end, which replaces that."""
        return thread_schedule(self._prologue, (0,), descending=True)

    @cached_property
    def _prologue(self) -> Program:
        return trim_inputs(slots.start_of_form(phase_program(self.kernel, "start")))

    @cached_property
    def epilogue(self) -> Epilogue:
        """Forward: from the state to the logarithm."""
        program = restrict(phase_program(self.kernel, "finish"), {"state": lyndon_places(self.problem)})
        return partition_epilogue(self.problem, program, len(self.parts))

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Rows in shared memory, before and after the scan; chunks are in the same place during the scan."""
        if not self.backward:
            return lay_out((("state", self.problem.size),))
        return lay_out((("d_out", self.problem.size), ("log_sig", self._prologue.inputs[1].length)))

    def occupancy(self, dtype: str) -> Occupancy:
        """For the number type of the plan."""
        assert dtype == self.dtype
        return self._occupancy(live_values(self.prologue) if self.backward else self.epilogue.live)

    def _occupancy(self, live_at_end: int = 0) -> Occupancy:
        chunks = (2 + (len(self.parts) if self.backward else 0)) * WARP * self.chunk_stride
        numbers, warps = max(chunks, self.tiles[-1].end), len(self.parts)
        live = max(_carried(step) + live_values(step) for step in self.steps)
        live += numbers_of_points(self.kernel, self.problem)
        return cooperative_warps(live, live_at_end, numbers, self.dtype, warps=warps, other_bytes=PATHS_BYTES)

    @property
    def fits(self) -> bool:
        """Whether registers and shared memory suffice for the scan; prologue and epilogue may spill."""
        found = self._occupancy()
        return not found.spills and found.registers <= REGISTERS_PER_THREAD and found.warp_bytes <= SHARED_BYTES

    @property
    def cost(self) -> float:
        """Issue slots of a step of 32 paths, estimated: more where few resident warps hide each other's latencies."""
        found, d = self._occupancy(), self.problem.dimension
        longest = max(step.program.operations.total for step in self.steps)
        instructions = longest * BYTES[self.dtype] // 4 + 2 * d * (2 if self.backward else 1) + STEP_OVERHEAD
        blocks = min(found.blocks, MOST_SHARED_BYTES // found.warp_bytes)
        busy = min(MOST_BUSY, BUSY * blocks * len(self.parts) / SCHEDULERS)
        return len(self.parts) * instructions / busy

    @property
    def most_words(self) -> int:
        """How many words, or numbers, a part has at most."""
        return max(len(part.words) for part in self.parts)


def best_cooperative_plan(kernel: PathKernel, problem: Problem, dtype: str) -> CooperativePlan | None:
    """The plan with the number of warps that costs least; ``None`` if none fits, or what is carried has no parts."""
    if not kernel.slots and kernel.plan != prefix_signature.PLAN:
        return None
    warps = [count for count in WARPS if not kernel.slots or count <= slots.layout(problem).middle]
    candidates = (cooperative_plan(kernel, problem, dtype, count) for count in warps)
    return min((plan for plan in candidates if plan.fits), key=lambda plan: plan.cost, default=None)


def cooperative_plan(kernel: PathKernel, problem: Problem, dtype: str, warps: int) -> CooperativePlan:
    """The plan with so many warps in a block."""
    if OPERATIONS[kernel.operation].backward:
        parts, step = partition_form(problem, warps), slots.step_with(phase_program(kernel, "step_backprop"))
        return CooperativePlan(kernel, dtype, parts, tuple(_step_back(step, part) for part in parts))
    parts, step = partition(problem, warps), phase_program(kernel, "step")
    return CooperativePlan(kernel, dtype, parts, tuple(_step(step, part) for part in parts))


def _carried(step: Schedule) -> int:
    """Numbers that a step takes from one displacement to the next."""
    return sum(len(result.values) for result in step.program.outputs if "state" in result.name)


def _step(step: Program, part: Part) -> Schedule:
    """One step on the words of a part."""
    program = restrict(step, {"state": part.words, "next_state": part.words})
    return thread_schedule(trim_inputs(program), (0,), descending=True)


def _step_back(step: Program, part: Part) -> Schedule:
    """One step back on the numbers of a part."""
    program = restrict(step, {"d_state": part.words, "d_previous_state": part.words})
    return thread_schedule(trim_inputs(program), (0, -1), descending=True)
