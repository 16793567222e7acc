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
    """A row of a thread in shared memory, under its short name; no tile: the operand is not read."""

    short: str
    tile: Tile | None


@dataclass(frozen=True)
class RowsView:
    """One file."""

    file: FileView
    rows: tuple[Row, ...]
    loads: tuple[Tile, ...]
    stores: tuple[Tile, ...]
    function: str
    arguments: str


def rows_view(plan: RowsPlan) -> RowsView:
    """The view of the file of a plan."""
    name, problem, tiles, program = plan.kernel.operation, plan.problem, plan.tiles, plan.schedule.program
    brackets = coordinate_names(lyndon_basis(problem.dimension, problem.degree))
    comments = {"out": brackets, "d_log_sig": brackets}
    title = f"{OPERATIONS[name].summary} One row."
    function = device_function(f"{name}_sample", title, plan.schedule, comments)
    inputs = [operand.name for operand in program.inputs]
    outputs = [result.name for result in program.outputs]
    rows = [Row(SHORT_NAMES[operand], tiles.get(operand)) for operand in (*inputs, *outputs)]
    if "slots" in tiles:
        rows.append(Row("s", tiles["slots"]))
    return RowsView(
        file=file_view(problem, name, _described(plan), (function,), lambda dtype: _macros(plan, dtype), plan.dtype),
        rows=tuple(rows),
        loads=tuple(tiles[operand] for operand in inputs if operand in tiles),
        stores=tuple(tiles[operand] for operand in outputs),
        function=function.name,
        arguments=", ".join(parameter_names(plan.schedule)),
    )


def _macros(plan: RowsPlan, dtype: str) -> tuple[str, ...]:
    return occupancy_macros(plan.occupancy(dtype))


def _described(plan: RowsPlan) -> Iterator[str]:
    count = plan.kernel.operations
    yield f"Plan: {plan.kernel.plan}. Operations per row: {count.total} ({count.multiply_adds} multiply-adds,"
    yield f"{count.additions} additions, {count.scalings} scalings). A thread computes a row, and keeps up to"
    yield f"{plan.live} numbers in registers."
    if plan.schedule.slots:
        yield f"Others wait in shared memory, up to {plan.schedule.slots}."
