"""Views of windows that overlap, one thread per unit of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import arguments, device_function
from logsig_codegen.emit.cuda.file import FileView, file_view, occupancy_macros
from logsig_codegen.gpu.shared_memory import row_stride
from logsig_codegen.gpu.sliding import SlidingPlan
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
    functions = (device_function(name, OPERATIONS[name].summary, order) for name, order in plan.products.items())
    places = {"l": "w", "v": "v", "k": "v", "z": "w"}
    join, prepend, combine = (f"{name}({arguments(order, places)})" for name, order in plan.products.items())
    return SlidingView(
        file=file_view(
            plan.problem, plan.kernel.operation, _described(plan), functions, lambda dtype: _macros(plan, dtype)
        ),
        plan=plan,
        join=join,
        prepend=prepend,
        combine=combine,
        row=plan.row,
    )


def _macros(plan: SlidingPlan, dtype: str) -> tuple[str, ...]:
    stride = row_stride(plan.chunk * plan.problem.dimension)
    return (*occupancy_macros(plan.occupancy(dtype)), f"STEPS_OF_A_CHUNK {plan.chunk}", f"CHUNK_STRIDE {stride}")


def _described(plan: SlidingPlan) -> Iterator[str]:
    yield f"Plan: {plan.kernel.plan}. A thread takes a unit of consecutive windows. Operations:"
    for phase in plan.kernel.phases:
        yield f"    {phase.operation}: {phase.operations.total}."
