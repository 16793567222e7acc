"""Plans for windows that overlap: a thread takes a unit of them, by joins on either side and a product per window.

The gradient has the same units, and each product's adjoint in its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from logsig_codegen.compiler import Kernel, PathKernel, rows_kernel
from logsig_codegen.gpu.hardware import WARP
from logsig_codegen.gpu.occupancy import Occupancy, independent_warps
from logsig_codegen.gpu.path_scan import numbers_of_points, phase_program
from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.gpu.shared_memory import PATHS_BYTES, odd_stride, tile_numbers
from logsig_codegen.gpu.stream import POINT_COLUMNS
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import JOINS, OPERATIONS, SLIDING
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.problem import Problem

OPERANDS = 8
"""Operands of the kernel: points, rows of results and of middles, suffixes, and the segments of starts and ends.

Of the gradient: points, rows of derivatives of windows, of prefixes, of middles and middles, and those of segments.
"""


@dataclass(frozen=True)
class UnitPlan(ABC):
    """Windows that overlap, or their gradient, one thread per unit of consecutive windows."""

    form: ClassVar[str] = "thread"
    dtype: ClassVar[str] = ""
    kernel: PathKernel

    @property
    @abstractmethod
    def schedules(self) -> tuple[Schedule, ...]:
        """In the order of the kernel's phases; the last one: a product of two log-signatures, or its adjoint."""

    @property
    def products(self) -> dict[str, Schedule]:
        """The programs by their operations."""
        return dict(zip((phase.operation for phase in self.kernel.phases), self.schedules, strict=True))

    @property
    def problem(self) -> Problem:
        return self.schedules[-1].program.problem

    @property
    def columns(self) -> dict[str, int]:
        """Empty: how much of a path is read depends on its length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Units of a warp."""
        return WARP

    @property
    def chunk(self) -> int:
        """Points of each segment that are loaded together."""
        return max(1, POINT_COLUMNS // self.problem.dimension)

    @property
    def row(self) -> int:
        """Numbers in shared memory from a row of the problem's size of one unit to that of the next."""
        return odd_stride(self.problem.size)


@dataclass(frozen=True)
class SlidingPlan(UnitPlan):
    """Windows that overlap, one thread per unit of consecutive windows.

    Attributes
    ----------
    kernel : PathKernel
    join, prepend, combine : Schedule
        Of the three products, the second of a step before what is there; each writes its result over its first operand.
    """

    join: Schedule
    prepend: Schedule
    combine: Schedule

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The three products."""
        return self.join, self.prepend, self.combine

    def occupancy(self, dtype: str) -> Occupancy:
        """For one number type."""
        live = max(map(live_values, self.schedules))
        numbers = 2 * tile_numbers(self.chunk * self.problem.dimension) + 2 * WARP * self.row
        held = numbers_of_points(self.kernel, self.problem)
        return independent_warps(live + held, numbers, dtype, 2 * PATHS_BYTES, OPERANDS)


def sliding_plan(kernel: PathKernel) -> SlidingPlan:
    """The plan of straight-line products, for both number types."""
    products = (
        thread_schedule(phase_program(kernel, phase.operation), (0,), descending=False) for phase in kernel.phases
    )
    plan = SlidingPlan(kernel, *products)
    assert all(one.in_place == (0,) for one in plan.schedules)
    return plan


@dataclass(frozen=True)
class SlidingBackPlan(UnitPlan):
    """The gradient of windows that overlap, one thread per unit of consecutive windows.

    Attributes
    ----------
    kernel : PathKernel
    join, prepend : Schedule
        Of steps, in the coordinates that derivatives of products depend on.
    join_back, prepend_back, combine_back : Schedule
        Of the derivatives of the three products. Each writes that of the first operand over that of the result; the
        joins write that of a displacement over it.
    """

    join: Schedule
    prepend: Schedule
    join_back: Schedule
    prepend_back: Schedule
    combine_back: Schedule

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The products and the adjoints."""
        return self.join, self.prepend, self.join_back, self.prepend_back, self.combine_back

    @property
    def state_row(self) -> int:
        """The same for suffixes and prefixes."""
        return odd_stride(self.kernel.state_size)

    def occupancy(self, dtype: str) -> Occupancy:
        """For one number type."""
        live = max(map(live_values, self.schedules))
        numbers = 4 * tile_numbers(self.chunk * self.problem.dimension) + 2 * WARP * (self.row + self.state_row)
        held = numbers_of_points(self.kernel, self.problem)
        return independent_warps(live + held, numbers, dtype, 2 * PATHS_BYTES, OPERANDS)


def without_last_degree(problem: Problem) -> PathKernel:
    """The gradient as GPUs compute it: adjoints of the three products, and joins of what these read.

    CPUs keep prefixes and suffixes; here steps are undone. No derivative of a product depends on coordinates of the
    last degree, so that states have one degree less.
    """
    below = Problem(problem.dimension, max(1, problem.degree - 1))
    adjoints = (OPERATIONS[one.gradient] for one in (*JOINS, OPERATIONS["combine"]))
    phases = (*(rows_kernel(below, one) for one in JOINS), *(rows_kernel(problem, one) for one in adjoints))
    return PathKernel("windows_backprop", phases, below.size, d_state_size=problem.size)


def sliding_back_plan(kernel: PathKernel) -> SlidingBackPlan:
    """The plan of straight-line adjoints, for both number types."""
    schedules = []
    for phase in kernel.phases:
        operation, program = OPERATIONS[phase.operation], phase_program(kernel, phase.operation)
        order = thread_schedule(program, operation.in_place_on_gpu, descending=operation.backward)
        assert order.in_place == operation.in_place_on_gpu
        assert not operation.backward or max(order.prefixes[1:]) <= kernel.state_size
        schedules.append(order)
    return SlidingBackPlan(kernel, *schedules)


def is_sliding(kernel: Kernel | PathKernel) -> bool:
    """Whether a kernel is that of windows that overlap."""
    return OPERATIONS[kernel.operation].kind == SLIDING
