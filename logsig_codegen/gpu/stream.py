"""Plans for streams: a thread takes one join per step of a path, and every row is written, or read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from logsig_codegen.compiler import PathKernel
from logsig_codegen.gpu.hardware import BYTES, WARP
from logsig_codegen.gpu.occupancy import Occupancy, independent_warps
from logsig_codegen.gpu.path_scan import STATE_REGISTERS, numbers_of_points
from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.gpu.shared_memory import PATHS_BYTES, odd_stride, slot_stride, tile_numbers
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.problem import Problem

SPAN_COLUMNS = 32
"""Numbers of each path that a warp moves at a time, about, where rows are short enough for several steps."""
POINT_COLUMNS = 16
"""Numbers of the points of each path in a chunk, about: fewer than in a path scan, so that rows fit in."""
ROW_REGISTERS = 104
"""Registers for the log-signature and the temporaries of a step, at most: writing rows needs many resident warps."""


@dataclass(frozen=True)
class StreamPlan:
    """A stream or its gradient, one thread per path.

    Attributes
    ----------
    kernel : PathKernel
    schedule : Schedule
        Of a step.
    dtype : str
        The number type the plan is for; empty for both.
    """

    form: ClassVar[str] = "thread"
    kernel: PathKernel
    schedule: Schedule
    dtype: str = ""

    @property
    def problem(self) -> Problem:
        return self.schedule.program.problem

    @property
    def backward(self) -> bool:
        return OPERATIONS[self.kernel.operation].backward

    @property
    def prefix(self) -> int:
        """Leading columns of a row that a step reads."""
        return self.schedule.program.inputs[1].length if self.backward else self.problem.size

    @property
    def held(self) -> int:
        """Numbers of a thread that are not the step's: points, displacements, and their derivatives."""
        return numbers_of_points(self.kernel, self.problem)

    @property
    def moved(self) -> int:
        """Numbers of a step that are read from and written to memory."""
        size, d = self.problem.size, self.problem.dimension
        return size + self.prefix + 2 * d if self.backward else size + d

    @property
    def columns(self) -> dict[str, int]:
        """Empty: how much of a path is read depends on its length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Samples of a warp."""
        return WARP

    def row_in_registers(self, dtype: str) -> bool:
        """Whether the log-signature, or its derivative, stays in the registers of its thread."""
        limit = STATE_REGISTERS if self.backward else ROW_REGISTERS
        return not self.schedule.slots and (self.problem.size + self._live) * BYTES[dtype] // 4 <= limit

    def group(self, dtype: str) -> int:
        """Steps whose rows are moved together."""
        return max(1, SPAN_COLUMNS // self.problem.size) if self.row_in_registers(dtype) else 1

    def chunk(self, dtype: str) -> int:
        """Steps whose points are loaded together: whole groups."""
        group = self.group(dtype)
        return group * max(1, POINT_COLUMNS // (group * self.problem.dimension))

    def span(self, dtype: str) -> int:
        """Numbers in shared memory from the rows of one path, of a group of steps, to those of the next."""
        return odd_stride((self.group(dtype) - 1) * self.problem.size + self.prefix)

    def d_span(self, dtype: str) -> int:
        """The same for rows of derivatives."""
        return odd_stride(self.group(dtype) * self.problem.size)

    @property
    def _live(self) -> int:
        return live_values(self.schedule) + self.held

    def occupancy(self, dtype: str) -> Occupancy:
        """For one number type."""
        local = self.row_in_registers(dtype)
        numbers = 2 * tile_numbers(self.chunk(dtype) * self.problem.dimension)
        numbers += WARP * self.span(dtype) * (2 if self.backward else 1)
        if self.backward:
            numbers += WARP * self.d_span(dtype) * (2 if local else 1)
        if self.schedule.slots:
            numbers += WARP * slot_stride(self.schedule)
        return independent_warps(self._live + (self.problem.size if local else 0), numbers, dtype, PATHS_BYTES)

    def spilled(self, schedule: Schedule, dtype: str) -> StreamPlan:
        """The plan for one number type with a schedule that has spill slots."""
        return replace(self, schedule=schedule, dtype=dtype)


def stream_plan(kernel: PathKernel) -> StreamPlan:
    """The plan of a straight-line kernel, for both number types, without spilling."""
    (phase,) = kernel.phases
    assert phase.program is not None
    backward = OPERATIONS[kernel.operation].backward
    in_place = (0, -1) if backward else (0,)
    schedule = thread_schedule(trim_inputs(phase.program), in_place, descending=backward)
    assert schedule.in_place == in_place  # the row a step reads is the row it writes
    return StreamPlan(kernel, schedule)


def is_stream(kernel: PathKernel) -> bool:
    """Whether a kernel writes or reads a row per step, rather than one per path."""
    return OPERATIONS[kernel.operation].streams
