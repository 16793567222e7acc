"""Views of windows that overlap, one thread per unit of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import arguments, device_function
from logsig_codegen.emit.cuda.file import FileView, file_view, occupancy_macros
from logsig_codegen.gpu.shared_memory import row_stride
from logsig_codegen.gpu.sliding import SlidingBackPlan, SlidingPlan
from logsig_codegen.operations import OPERATIONS


@dataclass(frozen=True)
class SlidingView:
    """One file; ``join``, ``prepend`` and ``combine``: calls, ``row``: distance of rows in shared memory."""

    file: FileView
    plan: SlidingPlan
    join: str
    prepend: str
    combine: str
    row: int


def sliding_view(plan: SlidingPlan) -> SlidingView:
    """The view of the file of a plan."""
    join, prepend, combine = _calls(plan, {"l": "w", "v": "v", "k": "v", "z": "w"})
    return SlidingView(_file(plan), plan, join, prepend, combine, plan.row)


@dataclass(frozen=True)
class SlidingBackView:
    """One file; ``join`` ... ``combine_back``: calls, ``row``, ``state_row``: distances of rows in shared memory."""

    file: FileView
    plan: SlidingBackPlan
    join: str
    prepend: str
    join_back: str
    prepend_back: str
    combine_back: str
    row: int
    state_row: int


def sliding_back_view(plan: SlidingBackPlan) -> SlidingBackView:
    """The view of the file of a plan."""
    places = {"l": "w", "v": "v", "k": "k", "z": "w", "g": "g", "dl": "g", "dv": "v", "dk": "dk"}
    join, prepend, join_back, prepend_back, combine_back = _calls(plan, places)
    rows = plan.row, plan.state_row
    return SlidingBackView(_file(plan), plan, join, prepend, join_back, prepend_back, combine_back, *rows)


def _file(plan: SlidingPlan | SlidingBackPlan) -> FileView:
    functions = (device_function(name, OPERATIONS[name].summary, order) for name, order in plan.products.items())
    return file_view(
        plan.problem, plan.kernel.operation, _described(plan), functions, lambda dtype: _macros(plan, dtype)
    )


def _calls(plan: SlidingPlan | SlidingBackPlan, places: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}({arguments(order, places)})" for name, order in plan.products.items())


def _macros(plan: SlidingPlan | SlidingBackPlan, dtype: str) -> tuple[str, ...]:
    stride = row_stride(plan.chunk * plan.problem.dimension)
    return (*occupancy_macros(plan.occupancy(dtype)), f"STEPS_OF_A_CHUNK {plan.chunk}", f"CHUNK_STRIDE {stride}")


def _described(plan: SlidingPlan | SlidingBackPlan) -> Iterator[str]:
    yield f"Plan: {plan.kernel.plan}. A thread takes a unit of consecutive windows. Operations:"
    for phase in plan.kernel.phases:
        yield f"    {phase.operation}: {phase.operations.total}."
