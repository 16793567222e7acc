"""Views of path scans, one thread per path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import StepView, arguments, device_function, step_view
from logsig_codegen.emit.cuda.file import FileView, file_view, occupancy_macros
from logsig_codegen.gpu.path_scan import PathScanPlan
from logsig_codegen.gpu.shared_memory import row_stride

TITLES = {
    "step": "Takes the state of a path over a displacement.",
    "steps": "Takes the state of a path over two displacements.",
    "step_backprop": "Takes a form, the derivative of the state, back over a displacement.",
    "start": "The form at the end of a path.",
    "finish": "From the state to the log-signature.",
}


@dataclass(frozen=True)
class PathScanView:
    """One file; ``strides``: of rows in shared memory.

    ``arguments``: of prologue or epilogue; ``arguments_in_registers``: of a prologue whose result replaces a copy of
    the row in registers.
    """

    file: FileView
    plan: PathScanPlan
    steps: tuple[StepView, ...]
    strides: Mapping[str, int]
    arguments: str
    arguments_in_registers: str


def path_scan_view(plan: PathScanPlan) -> PathScanView:
    """The view of the file of a plan."""
    names = ("step_backprop", "start") if plan.backward else ("step", "finish")
    functions = [
        device_function(name, TITLES[name], order) for name, order in zip(names, (plan.step, plan.end), strict=True)
    ]
    steps = [step_view("back" if plan.backward else "step", plan.step)]
    if plan.pair is not None:
        functions.append(device_function("steps", TITLES["steps"], plan.pair))
        steps.append(step_view("steps", plan.pair))
    widths = {"out": plan.problem.size, "state": plan.kernel.state_size}
    if plan.backward:
        places, copied = {"g": "g", "dw": "dw", "l": "l"}, {"g": "dw"}
        widths["log_sig"] = plan.prefix
    else:
        places, copied = {"w": "w", "z": "w" if plan.in_place else "z"}, {}
    operation = plan.kernel.operation
    return PathScanView(
        file=file_view(plan.problem, operation, _described(plan), functions, lambda dtype: _macros(plan, dtype)),
        plan=plan,
        steps=tuple(steps),
        strides={name: row_stride(width) for name, width in widths.items()},
        arguments=arguments(plan.end, places),
        arguments_in_registers=arguments(plan.end, {**places, **copied}),
    )


def _macros(plan: PathScanPlan, dtype: str) -> tuple[str, ...]:
    chunk = plan.chunk(dtype)
    return (
        *occupancy_macros(plan.occupancy(dtype)),
        f"REGISTERS {int(plan.state_in_registers(dtype))}",
        f"PAIRS_AT_ONCE {int(plan.steps_in_pairs(dtype))}",
        f"CHUNK_POINTS {chunk}",
        f"CHUNK_STRIDE {row_stride(chunk * plan.problem.dimension)}",
        f"UNROLLED_STEPS {plan.unrolled(dtype)}",
        *(f"{tile.name.upper()}_ROW {tile.offset}" for tile in plan.tiles(dtype)),
    )


def _described(plan: PathScanPlan) -> Iterator[str]:
    size = plan.kernel.state_size or plan.kernel.d_state_size
    yield f"The state of a path has {size} numbers. Plan: {plan.kernel.plan}. Operations:"
    for phase in plan.kernel.phases:
        if phase.operation != "steps":
            count = phase.operations
            yield (
                f"    {phase.operation}: {count.total} ({count.multiply_adds} multiply-adds, "
                f"{count.additions} additions, {count.scalings} scalings)."
            )
