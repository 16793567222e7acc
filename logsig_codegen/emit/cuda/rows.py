"""Kernels for operations on rows: a warp takes tiles of 32 rows through shared memory, a thread computes a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.compiler import Kernel
from logsig_codegen.emit.cuda.device import (
    DeviceFunction,
    device_function,
    device_schedule,
    parameter_names,
    slot_stride,
)
from logsig_codegen.emit.cuda.shape import WARP, Shape, macros, row_stride, shape, tile_numbers
from logsig_codegen.emit.statements import SHORT_NAMES
from logsig_codegen.emit.view import coordinate_names, file_suffix, introduction, symbol
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import ADJOINT, OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.problem import Problem


@dataclass(frozen=True)
class RowsView:
    """One file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    functions: tuple[DeviceFunction, ...]
    shape32: tuple[str, ...]
    shape64: tuple[str, ...]
    parameters: tuple[str, ...]
    rows: tuple[str, ...]
    loads: tuple[str, ...]
    stores: tuple[str, ...]
    call: str


class RowsKernel:
    """An operation on rows, one thread per row: schedule, room in shared memory, and text.

    ``order``: a schedule with slots, which the threads have in shared memory, for one number type.
    """

    form = "thread"
    template = "cuda/rows.cu.j2"
    headers: tuple[str, ...] = ("logsig_tiles.cuh",)
    beside = 0

    def __init__(self, problem: Problem, kernel: Kernel, order: Schedule | None = None, dtype: str = "") -> None:
        assert kernel.program is not None
        self.problem = problem
        self.kernel = kernel
        self.operation = OPERATIONS[kernel.operation]
        self.dtype = dtype
        self.suffix = file_suffix(dtype)
        in_place, last_first = self.operation.in_place_on_gpu, self.operation.made_by == ADJOINT
        self.schedule = order or device_schedule(kernel.program, in_place, descending=last_first)
        self.live = live_values(self.schedule)
        self.homes: dict[str, int] = {}
        self.numbers = 0
        self._lay_out()

    def _lay_out(self) -> None:
        program = self.schedule.program
        for operand, prefix in zip(program.inputs, self.schedule.prefixes, strict=True):
            if prefix:
                self._append(operand.name, prefix)
        for result, source in zip(program.outputs, self.schedule.in_place, strict=True):
            if source >= 0:
                self.homes[result.name] = self.homes[program.inputs[source].name]
            else:
                self._append(result.name, len(result.values))
        if self.schedule.slots:
            self._append("slots", slot_stride(self.schedule))

    def _append(self, name: str, width: int) -> None:
        self.homes[name] = self.numbers
        self.numbers += tile_numbers(width)

    @property
    def columns(self) -> dict[str, int]:
        """Leading columns of each operand that are read or written."""
        program = self.schedule.program
        read = zip(program.inputs, self.schedule.prefixes, strict=True)
        written = {result.name: len(result.values) for result in program.outputs}
        return {**{operand.name: prefix for operand, prefix in read}, **written}

    @property
    def moved(self) -> int:
        """Numbers of a sample that are read and written."""
        return sum(self.columns.values())

    def samples(self, dtype: str) -> int:
        """Samples of a warp."""
        return WARP

    def shape(self, dtype: str) -> Shape:
        """What it takes for one number type."""
        operands = len(self.operation.operands) + (self.schedule.slots > 0)
        return shape(self.live, self.numbers, dtype, operands=operands)

    def defines(self, dtype: str) -> tuple[str, ...]:
        """The macros of one number type."""
        return self.shape(dtype).defines

    def view(self) -> RowsView:
        """The view of its file."""
        name = self.operation.name
        brackets = coordinate_names(lyndon_basis(self.problem.dimension, self.problem.degree))
        comments = {"out": brackets, "d_log_sig": brackets}
        function = device_function(f"{name}_sample", f"{self.operation.summary} One row.", self.schedule, comments)
        return RowsView(
            symbol=symbol(self.problem, name),
            title=f"{self.operation.title}: dimension {self.problem.dimension}, degree {self.problem.degree}.",
            introduction=tuple(introduction(self.problem, name, tuple(self._described()), device=True)),
            functions=(function,),
            shape32=macros("float32", self.dtype, self.defines),
            shape64=macros("float64", self.dtype, self.defines),
            parameters=row_parameters(name),
            rows=tuple(self._rows()),
            loads=tuple(self._loads()),
            stores=tuple(self._stores()),
            call=f"{name}_sample({', '.join(parameter_names(self.schedule))});",
        )

    def _described(self) -> Iterator[str]:
        count = self.kernel.operations
        yield f"Plan: {self.kernel.plan}. Operations per row: {count.total} ({count.multiply_adds} multiply-adds,"
        yield f"{count.additions} additions, {count.scalings} scalings). A thread computes a row, and keeps up to"
        yield f"{self.live} numbers in registers."
        if self.schedule.slots:
            yield f"Others wait in shared memory, up to {self.schedule.slots}."

    def _rows(self) -> Iterator[str]:
        program = self.schedule.program
        for operand, prefix in zip(program.inputs, self.schedule.prefixes, strict=True):
            home = f"at + {self.homes[operand.name]} + warp.lane * {row_stride(prefix)}" if prefix else "at"
            yield f"logsig_row {SHORT_NAMES[operand.name]} = {home};"
        for result in program.outputs:
            stride = row_stride(len(result.values))
            yield f"logsig_row {SHORT_NAMES[result.name]} = at + {self.homes[result.name]} + warp.lane * {stride};"
        if self.schedule.slots:
            yield f"logsig_row s = at + {self.homes['slots']} + warp.lane * {slot_stride(self.schedule)};"

    def _loads(self) -> Iterator[str]:
        program = self.schedule.program
        for operand, prefix in zip(program.inputs, self.schedule.prefixes, strict=True):
            name = operand.name
            if prefix:
                where = f"at + {self.homes[name]}, {name} + first * {name}_stride, {name}_stride, rows"
                yield f"logsig_load<{prefix}, {row_stride(prefix)}>(warp, {where});"

    def _stores(self) -> Iterator[str]:
        for result in self.schedule.program.outputs:
            name, width = result.name, len(result.values)
            where = f"{name} + first * {name}_stride, {name}_stride, at + {self.homes[name]}, rows"
            yield f"logsig_store<{width}, {row_stride(width)}>(warp, {where});"


def row_parameters(operation: str) -> tuple[str, ...]:
    """Parameter declarations of a kernel on rows."""
    described = OPERATIONS[operation]
    rows = [
        f"{'const ' if operand in described.inputs else ''}logsig_real *{operand}, long long {operand}_stride"
        for operand in described.operands
    ]
    return (*rows, "long long batch")
