"""Views of path scans whose state is partitioned among the warps of a block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import (
    DeviceFunction,
    StepView,
    arguments,
    device_function,
    operand_names,
    step_view,
)
from logsig_codegen.emit.cuda.file import FileView, file_view, in_groups, occupancy_macros
from logsig_codegen.emit.cuda.path_scan import TITLES
from logsig_codegen.gpu.cooperative import CooperativePlan
from logsig_codegen.gpu.partition import Part, lyndon_places
from logsig_codegen.gpu.shared_memory import row_stride

STATEMENTS_PER_LINE = 4
COLUMNS_PER_LINE = 16


@dataclass(frozen=True)
class PartView:
    """What one warp does; ``copies``: statements between its registers and the rows, line by line."""

    index: int
    step: StepView
    copies: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RangeView:
    """The epilogue of one warp: its columns, line by line, and the arguments of its device function."""

    index: int
    columns: tuple[tuple[int, ...], ...]
    arguments: str


@dataclass(frozen=True)
class EpilogueView:
    """Forward, after the scan; ``low``: arguments for the degrees below the last, empty where they do not change."""

    low: str
    ranges: tuple[RangeView, ...]


@dataclass(frozen=True)
class PrologueView:
    """Backward, before the scan: widths and strides of rows, arguments, and the size of the derivative's array."""

    state_stride: int
    prefix: int
    prefix_stride: int
    arguments: str
    d_state_array: int


@dataclass(frozen=True)
class CooperativeView:
    """One file; ``size`` and ``stride`` are those of a row of the log-signature or its derivative."""

    file: FileView
    dimension: int
    chunk: int
    chunk_stride: int
    parts: tuple[PartView, ...]
    size: int
    stride: int
    state_array: int
    epilogue: EpilogueView | None
    prologue: PrologueView | None


def cooperative_view(plan: CooperativePlan) -> CooperativeView:
    """The view of the file of a plan."""
    problem, operation = plan.problem, plan.kernel.operation
    copies = _copies_to_registers if plan.backward else _copies_to_rows
    return CooperativeView(
        file=file_view(problem, operation, _described(plan), _functions(plan), lambda _: _macros(plan), plan.dtype),
        dimension=problem.dimension,
        chunk=plan.chunk,
        chunk_stride=plan.chunk_stride,
        parts=tuple(
            PartView(
                index,
                step_view("back" if plan.backward else "step", step, f"_{index}"),
                in_groups(tuple(copies(plan, part)), STATEMENTS_PER_LINE),
            )
            for index, (part, step) in enumerate(zip(plan.parts, plan.steps, strict=True))
        ),
        size=problem.size,
        stride=row_stride(problem.size),
        state_array=max(1, plan.most_columns("state")),
        epilogue=None if plan.backward else _epilogue(plan),
        prologue=_prologue(plan) if plan.backward else None,
    )


def _macros(plan: CooperativePlan) -> tuple[str, ...]:
    rows = (f"{tile.name.upper()}_ROW {tile.offset}" for tile in plan.tiles)
    return (*occupancy_macros(plan.occupancy(plan.dtype)), *rows)


def _functions(plan: CooperativePlan) -> Iterator[DeviceFunction]:
    phase = "step_backprop" if plan.backward else "step"
    for index, order in enumerate(plan.steps):
        yield device_function(f"{phase}_{index}", f"{TITLES[phase]} Part {index}.", order)
    if plan.backward:
        yield device_function("start", TITLES["start"], plan.prologue)
        return
    if plan.epilogue.low is not None:
        yield device_function("finish_low", f"{TITLES['finish']} The degrees below the last.", plan.epilogue.low)
    for index, part in enumerate(plan.epilogue.ranges):
        title = f"{TITLES['finish']} {len(part.columns)} coordinates of the last degree."
        yield device_function(f"finish_{index}", title, part.schedule)


def _described(plan: CooperativePlan) -> Iterator[str]:
    state, parts, name = plan.kernel.state_size, len(plan.parts), plan.kernel.plan
    yield f"The state of a path has {state} numbers; {parts} warps carry it. Plan: {name}. Operations:"
    for index, (part, order) in enumerate(zip(plan.parts, plan.steps, strict=True)):
        yield f"    step, part {index}: {order.program.operations.total}, on {len(part.words)} words."


def _copies_to_rows(plan: CooperativePlan, part: Part) -> Iterator[str]:
    """After the scan: what the logarithm reads of the words that belong to a part."""
    place = {column: k for k, column in enumerate(lyndon_places(plan.problem))}
    for k, column in enumerate(part.words):
        if column in part.own and column in place:
            yield f"row[{place[column]}] = w[{k}];"


def _copies_to_registers(plan: CooperativePlan, part: Part) -> Iterator[str]:
    """Before the scan: the derivative of the words that belong to a part, and the state on all of its words."""
    place = {column: k for k, column in enumerate(lyndon_places(plan.problem))}
    for k, column in enumerate(part.words):
        yield f"dw[{k}] = {f'g[{place[column]}]' if column in part.own and column in place else '0'};"
    for k, column in enumerate(plan.operand_columns(part, "state")):
        yield f"w[{k}] = row[{column}];"


def _epilogue(plan: CooperativePlan) -> EpilogueView:
    low = plan.epilogue.low
    places = {"w": "mine", "l": "row", "z": "mine"}
    return EpilogueView(
        low="" if low is None else ", ".join("row" for _ in operand_names(low.program)),
        ranges=tuple(
            RangeView(index, in_groups(part.columns, COLUMNS_PER_LINE), arguments(part.schedule, places))
            for index, part in enumerate(plan.epilogue.ranges)
        ),
    )


def _prologue(plan: CooperativePlan) -> PrologueView:
    _, log_sig, state = plan.tiles
    return PrologueView(
        state_stride=state.stride,
        prefix=log_sig.columns,
        prefix_stride=log_sig.stride,
        arguments=arguments(plan.prologue, {"g": "g", "dw": "g", "l": "l", "w": "row"}),
        d_state_array=plan.most_columns("d_state"),
    )
