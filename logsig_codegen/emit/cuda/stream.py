"""Views of streams, one thread per path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import StepView, device_function, step_view
from logsig_codegen.emit.cuda.file import FileView, file_view, occupancy_macros
from logsig_codegen.gpu.shared_memory import row_stride
from logsig_codegen.gpu.stream import StreamPlan

TITLES = {
    "step": "Takes the log-signature of a path over a displacement.",
    "step_backprop": "Takes the derivative back over a displacement.",
}


@dataclass(frozen=True)
class StreamView:
    """One file; ``prefix``: leading columns of a row that a step reads."""

    file: FileView
    dimension: int
    size: int
    prefix: int
    step: StepView


def stream_view(plan: StreamPlan) -> StreamView:
    """The view of the file of a plan."""
    (phase,) = plan.kernel.phases
    function = device_function(phase.operation, TITLES[phase.operation], plan.schedule)
    return StreamView(
        file=file_view(
            plan.problem,
            plan.kernel.operation,
            _described(plan),
            (function,),
            lambda dtype: _macros(plan, dtype),
            plan.dtype,
        ),
        dimension=plan.problem.dimension,
        size=plan.problem.size,
        prefix=plan.prefix,
        step=step_view("back" if plan.backward else "step", plan.schedule),
    )


def _macros(plan: StreamPlan, dtype: str) -> tuple[str, ...]:
    chunk = plan.chunk(dtype)
    return (
        *occupancy_macros(plan.occupancy(dtype)),
        f"REGISTERS {int(plan.row_in_registers(dtype))}",
        f"STEPS_OF_A_GROUP {plan.group(dtype)}",
        f"STEPS_OF_A_CHUNK {chunk}",
        f"CHUNK_STRIDE {row_stride(chunk * plan.problem.dimension)}",
        f"SPAN_STRIDE {plan.span(dtype)}",
        *((f"D_SPAN_STRIDE {plan.d_span(dtype)}",) if plan.backward else ()),
    )


def _described(plan: StreamPlan) -> Iterator[str]:
    (phase,) = plan.kernel.phases
    count = phase.operations
    yield f"Plan: {phase.plan}. Operations per step: {count.total} ({count.multiply_adds} multiply-adds,"
    yield f"{count.additions} additions, {count.scalings} scalings). A thread goes along a path."
    if plan.schedule.slots:
        yield f"Up to {plan.schedule.slots} numbers wait in shared memory."
