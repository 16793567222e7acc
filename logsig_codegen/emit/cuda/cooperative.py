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
from logsig_codegen.plans.slots import layout, slot_terms

STATEMENTS_PER_LINE = 4
COLUMNS_PER_LINE = 16
PROLOGUE_PLACES = {"g": "g", "dw": "g", "l": "l"}
"""Where the prologue finds its operands: the form replaces the derivative of the result."""


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
class CooperativeView:
    """One file; ``stride``: of a row of the log-signature; ``prologue``: arguments of its call."""

    file: FileView
    plan: CooperativePlan
    parts: tuple[PartView, ...]
    stride: int
    epilogue: EpilogueView | None
    prologue: str


def cooperative_view(plan: CooperativePlan) -> CooperativeView:
    """The view of the file of a plan."""
    problem, operation = plan.problem, plan.kernel.operation
    copies = _copies_to_registers if plan.backward else _copies_to_rows
    return CooperativeView(
        file=file_view(problem, operation, _described(plan), _functions(plan), lambda _: _macros(plan), plan.dtype),
        plan=plan,
        parts=tuple(
            PartView(
                index,
                step_view("back" if plan.backward else "step", step, f"_{index}"),
                in_groups(tuple(copies(plan, part)), STATEMENTS_PER_LINE),
            )
            for index, (part, step) in enumerate(zip(plan.parts, plan.steps, strict=True))
        ),
        stride=row_stride(problem.size),
        epilogue=None if plan.backward else _epilogue(plan),
        prologue=arguments(plan.prologue, PROLOGUE_PLACES) if plan.backward else "",
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
    size, parts, name = plan.kernel.state_size or plan.kernel.d_state_size, len(plan.parts), plan.kernel.plan
    yield f"The state of a path has {size} numbers; {parts} warps carry it. Plan: {name}. Operations:"
    what = "numbers" if plan.backward else "words"
    for index, (part, order) in enumerate(zip(plan.parts, plan.steps, strict=True)):
        yield f"    step, part {index}: {order.program.operations.total}, on {len(part.words)} {what}."


def _copies_to_rows(plan: CooperativePlan, part: Part) -> Iterator[str]:
    """After the scan: what the logarithm reads of the words that belong to a part."""
    place = {column: k for k, column in enumerate(lyndon_places(plan.problem))}
    for k, column in enumerate(part.words):
        if column in part.own and column in place:
            yield f"row[{place[column]}] = w[{k}];"


def _copies_to_registers(plan: CooperativePlan, part: Part) -> Iterator[str]:
    """Before the scan: the form where it belongs to a part, and its slots, made of the last degree."""
    lower, count, middle = layout(plan.problem)
    slots = slot_terms(plan.problem)
    for k, column in enumerate(part.words):
        if column not in part.own:
            terms = []
        elif lower <= column < lower + count:
            terms = [(lower + middle + at, c) for at, c in slots[column - lower]]
        else:
            terms = [(column if column < lower else column - count, 1)]
        yield f"dw[{k}] = {' + '.join(f'g[{at}]' if c == 1 else f'{c} * g[{at}]' for at, c in terms) or '0'};"


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
