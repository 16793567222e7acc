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
    """One file; ``join`` and ``combine``: arguments of the products, ``row``: distance of rows in shared memory."""

    file: FileView
    plan: SlidingPlan
    join: str
    combine: str
    row: int


def sliding_view(plan: SlidingPlan) -> SlidingView:
    """The view of the file of a plan."""
    products = {"join": plan.join, "join_left": plan.join_left, "combine": plan.combine}
    functions = (device_function(name, f"{OPERATIONS[name].summary}", order) for name, order in products.items())
    return SlidingView(
        file=file_view(
            plan.problem, plan.kernel.operation, _described(plan), functions, lambda dtype: _macros(plan, dtype)
        ),
        plan=plan,
        join=arguments(plan.join, {"l": "w", "v": "v", "z": "w"}),
        combine=arguments(plan.combine, {"l": "s", "k": "p", "z": "s"}),
        row=plan.row,
    )


def _macros(plan: SlidingPlan, dtype: str) -> tuple[str, ...]:
    stride = row_stride(plan.chunk * plan.problem.dimension)
    return (*occupancy_macros(plan.occupancy(dtype)), f"STEPS_OF_A_CHUNK {plan.chunk}", f"CHUNK_STRIDE {stride}")


def _described(plan: SlidingPlan) -> Iterator[str]:
    yield f"Plan: {plan.kernel.plan}. A thread takes a unit of consecutive windows. Operations:"
    for phase in plan.kernel.phases:
        yield f"    {phase.operation}: {phase.operations.total}."
