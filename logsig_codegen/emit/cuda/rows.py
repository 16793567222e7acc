"""Views of operations on rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.emit.cuda.device import device_function, parameter_names
from logsig_codegen.emit.cuda.file import FileView, file_view, occupancy_macros
from logsig_codegen.emit.statements import SHORT_NAMES
from logsig_codegen.emit.view import coordinate_names
from logsig_codegen.gpu.rows import RowsPlan
from logsig_codegen.gpu.shared_memory import Tile
from logsig_codegen.operations import OPERATIONS


@dataclass(frozen=True)
class Row:
    """A row of a thread in shared memory: names of its operand, columns, offset of the tile, and stride of its rows.

    An operand that is not read has no columns.
    """

    name: str
    short: str
    columns: int
    offset: int
    stride: int


@dataclass(frozen=True)
class RowsView:
    """One file."""

    file: FileView
    rows: tuple[Row, ...]
    loads: tuple[Row, ...]
    stores: tuple[Row, ...]
    function: str
    arguments: str


def rows_view(plan: RowsPlan) -> RowsView:
    """The view of the file of a plan."""
    name, problem = plan.kernel.operation, plan.problem
    brackets = coordinate_names(lyndon_basis(problem.dimension, problem.degree))
    comments = {"out": brackets, "d_log_sig": brackets}
    title = f"{OPERATIONS[name].summary} One row."
    function = device_function(f"{name}_sample", title, plan.schedule, comments)
    operands = plan.schedule.program.inputs
    inputs = [_row(operand.name, tile) for operand, tile in zip(operands, plan.inputs, strict=True)]
    outputs = [_row(tile.name, tile) for tile in plan.outputs]
    slots = [Row("slots", "s", tile.columns, tile.offset, tile.stride) for tile in (plan.slots,) if tile]
    return RowsView(
        file=file_view(problem, name, _described(plan), (function,), lambda dtype: _macros(plan, dtype), plan.dtype),
        rows=(*inputs, *outputs, *slots),
        loads=tuple(row for row in inputs if row.columns),
        stores=tuple(outputs),
        function=function.name,
        arguments=", ".join(parameter_names(plan.schedule)),
    )


def _row(name: str, tile: Tile | None) -> Row:
    if tile is None:
        return Row(name, SHORT_NAMES[name], 0, 0, 0)
    return Row(name, SHORT_NAMES[name], tile.columns, tile.offset, tile.stride)


def _macros(plan: RowsPlan, dtype: str) -> tuple[str, ...]:
    return occupancy_macros(plan.occupancy(dtype))


def _described(plan: RowsPlan) -> Iterator[str]:
    count = plan.kernel.operations
    yield f"Plan: {plan.kernel.plan}. Operations per row: {count.total} ({count.multiply_adds} multiply-adds,"
    yield f"{count.additions} additions, {count.scalings} scalings). A thread computes a row, and keeps up to"
    yield f"{plan.live} numbers in registers."
    if plan.schedule.slots:
        yield f"Others wait in shared memory, up to {plan.schedule.slots}."
