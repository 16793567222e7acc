"""Plans for path scans: a thread goes along a path, its state in registers or in a row of shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from logsig_codegen.compiler import PathKernel
from logsig_codegen.gpu.hardware import BYTES, WARP
from logsig_codegen.gpu.occupancy import Occupancy, independent_warps
from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.gpu.shared_memory import PATHS_BYTES, Tile, chunk_points, lay_out, tile_numbers
from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.repeat import repeat
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.plans import slots
from logsig_codegen.problem import Problem

UNROLLED = 256
"""Small steps are unrolled up to so many operations."""
STATE_REGISTERS = 208
"""Registers for the state, its derivative and the temporaries of a step, at most."""


@dataclass(frozen=True)
class PathScanPlan:
    """An operation along paths, one thread per path.

    Attributes
    ----------
    kernel : PathKernel
    step : Schedule
        Forward or backward over one displacement.
    end : Schedule
        Forward: the epilogue, from the state to the result. Backward: the prologue, from the operands to the form at
        the end of a path, the derivative of its state.
    pair : Schedule or None
        Two steps at once, where the state may be in shared memory.
    """

    form: ClassVar[str] = "thread"
    dtype: ClassVar[str] = ""
    kernel: PathKernel
    step: Schedule
    end: Schedule
    pair: Schedule | None

    @property
    def problem(self) -> Problem:
        return self.step.program.problem

    @property
    def backward(self) -> bool:
        return OPERATIONS[self.kernel.operation].backward

    @property
    def columns(self) -> dict[str, int]:
        """Empty: how much of a path is read depends on its length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Samples of a warp."""
        return WARP

    def chunk(self, dtype: str) -> int:
        """Points of a chunk: an even number, where two steps are taken at once."""
        points = chunk_points(self.problem.dimension, dtype)
        return points + points % 2 if self.pair is not None else points

    def unrolled(self, dtype: str) -> int:
        """Steps of a chunk that are unrolled: a divisor of all of them, with a few hundred operations."""
        chunk = self.chunk(dtype)
        most = UNROLLED // max(1, self.step.program.operations.total)
        return max(n for n in range(1, chunk + 1) if chunk % n == 0 and n <= max(1, most))

    def state_in_registers(self, dtype: str) -> bool:
        """Whether the state of a path stays in the registers of its thread."""
        return state_in_registers(self.kernel, self.step, dtype)

    def steps_in_pairs(self, dtype: str) -> bool:
        """Whether two steps are taken at once: a state in shared memory is read and written half as often then."""
        if self.pair is None or self.state_in_registers(dtype):
            return False
        return (live_values(self.pair) + 2 * self.problem.dimension) * BYTES[dtype] // 4 <= STATE_REGISTERS

    @property
    def in_place(self) -> bool:
        """Whether the result of ``end`` replaces its operand."""
        return self.end.in_place[0] >= 0

    @property
    def prefix(self) -> int:
        """Backward: leading columns of the log-signature that the prologue reads."""
        return self.end.prefixes[1]

    def tiles(self, dtype: str) -> tuple[Tile, ...]:
        """Rows in shared memory, besides chunks of points."""
        return lay_out(self._rows(dtype))

    def _rows(self, dtype: str) -> Iterator[tuple[str, int]]:
        local, size = self.state_in_registers(dtype), self.problem.size
        if not self.backward:
            if not local:
                yield "state", self.kernel.state_size
            if local or not self.in_place:
                yield "out", size
            return
        yield "d_out", size
        yield "log_sig", self.prefix

    def occupancy(self, dtype: str) -> Occupancy:
        """For one number type; rows and chunks share memory where the state is in registers."""
        chunks = 2 * tile_numbers(self.chunk(dtype) * self.problem.dimension)
        rows = self.tiles(dtype)[-1].end
        kernel = self.kernel
        if self.state_in_registers(dtype):
            live = kernel.state_size + kernel.d_state_size + _live(kernel, self.step)
            return independent_warps(live, max(chunks, rows), dtype, PATHS_BYTES)
        step = self.pair if self.pair is not None and self.steps_in_pairs(dtype) else self.step
        live = max(_live(kernel, step), live_values(self.end))
        return independent_warps(live, chunks + rows, dtype, PATHS_BYTES)


def path_scan_plan(kernel: PathKernel) -> PathScanPlan:
    """The plan of a straight-line kernel, for both number types."""
    if OPERATIONS[kernel.operation].backward:
        kernel = without_slots(kernel)
        step = thread_schedule(trim_inputs(phase_program(kernel, "step_backprop")), (0, -1), descending=True)
        prologue = thread_schedule(trim_inputs(phase_program(kernel, "start")), (0,), descending=True)
        assert prologue.in_place == (0,)  # the form replaces the derivative of the result
        return PathScanPlan(kernel, step, prologue, None)
    program = phase_program(kernel, "step")
    step = thread_schedule(trim_inputs(program), (0,), descending=True)
    epilogue = thread_schedule(trim_inputs(phase_program(kernel, "finish")), (0,), descending=False)
    pair = None
    if any(not state_in_registers(kernel, step, dtype) for dtype in BYTES):
        pair = thread_schedule(repeat(program, 2), (0,), descending=True)
    return PathScanPlan(kernel, step, epilogue, pair)


def without_slots(kernel: PathKernel) -> PathKernel:
    """A gradient whose step is one program on the form itself, with the same sums in the same order."""
    if not kernel.slots:
        return kernel
    step, start = kernel.phases
    assert step.program is not None
    assert start.program is not None
    programs = (slots.step_of_form(start.program, step.program), slots.start_of_form(start.program))
    phases = tuple(
        replace(phase, program=program, schedule=None, operations=program.operations)
        for phase, program in zip(kernel.phases, programs, strict=True)
    )
    return replace(kernel, phases=phases, d_state_size=start.program.problem.size, slots=0)


def phase_program(kernel: PathKernel, phase: str) -> Program:
    """The straight-line program of a phase."""
    found = kernel.phase(phase)
    assert found is not None
    assert found.program is not None
    return found.program


def state_in_registers(kernel: PathKernel, step: Schedule, dtype: str) -> bool:
    """Whether the state of a path, its derivative and a step fit in the registers of a thread."""
    numbers = kernel.state_size + kernel.d_state_size + _live(kernel, step)
    return numbers * BYTES[dtype] // 4 <= STATE_REGISTERS


def _live(kernel: PathKernel, step: Schedule) -> int:
    """Numbers alive in a step, with points, displacements and their derivatives."""
    return live_values(step) + numbers_of_points(kernel, step.program.problem)


def numbers_of_points(kernel: PathKernel, problem: Problem) -> int:
    """Numbers of a thread for a point and a displacement, and, backward, for their derivatives."""
    return problem.dimension * (4 if OPERATIONS[kernel.operation].backward else 2)
