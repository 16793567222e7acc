"""Views of path scans, one thread per path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import StepView, arguments, device_function, step_view
from logsig_codegen.emit.cuda.file import FileView, file_view, occupancy_macros
from logsig_codegen.gpu.path_scan import PathScanPlan
from logsig_codegen.gpu.shared_memory import row_stride

TITLES = {
    "step": "Takes the state of a path over a displacement.",
    "steps": "Takes the state of a path over two displacements.",
    "step_backprop": "Takes state and derivative back over a displacement.",
    "start": "State and derivative at the end of a path.",
    "finish": "From the state to the log-signature.",
}


@dataclass(frozen=True)
class ForwardScan:
    """Widths and strides of rows; the arguments of the epilogue, and whether it overwrites the state."""

    state: int
    state_stride: int
    size: int
    stride: int
    in_place: bool
    epilogue: str


@dataclass(frozen=True)
class Copy:
    """A row that is copied to an array in registers."""

    array: str
    row: str
    width: int


@dataclass(frozen=True)
class StateRow:
    """A state in shared memory; ``offset``: the macro of its offset, without its ending."""

    array: str
    offset: str
    stride: int


@dataclass(frozen=True)
class BackwardScan:
    """Widths and strides of rows and arrays; ``prologue``: arguments of its call."""

    size: int
    stride: int
    prefix: int
    prefix_stride: int
    d_state: int
    state_array: int
    copies: tuple[Copy, ...]
    prologue_in_registers: str
    rows: tuple[StateRow, ...]
    prologue: str


@dataclass(frozen=True)
class PathScanView:
    """One file."""

    file: FileView
    dimension: int
    backward: bool
    steps: tuple[StepView, ...]
    scan: ForwardScan | BackwardScan


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
    return PathScanView(
        file=file_view(
            plan.problem, plan.kernel.operation, _described(plan), functions, lambda dtype: _macros(plan, dtype)
        ),
        dimension=plan.problem.dimension,
        backward=plan.backward,
        steps=tuple(steps),
        scan=_backward(plan) if plan.backward else _forward(plan),
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
    yield f"The state of a path has {plan.kernel.state_size} numbers. Plan: {plan.kernel.plan}. Operations:"
    for phase in plan.kernel.phases:
        if phase.operation != "steps":
            count = phase.operations
            yield (
                f"    {phase.operation}: {count.total} ({count.multiply_adds} multiply-adds, "
                f"{count.additions} additions, {count.scalings} scalings)."
            )


def _forward(plan: PathScanPlan) -> ForwardScan:
    state, size, in_place = plan.kernel.state_size, plan.problem.size, plan.in_place(0)
    return ForwardScan(
        state=state,
        state_stride=row_stride(state),
        size=size,
        stride=row_stride(size),
        in_place=in_place,
        epilogue=arguments(plan.end, {"w": "w", "z": "w" if in_place else "z"}),
    )


def _backward(plan: PathScanPlan) -> BackwardScan:
    size, prefix = plan.problem.size, plan.end.prefixes[1]
    results = (("dw", "g", plan.kernel.d_state_size), ("w", "l", plan.kernel.state_size))
    copies = tuple(Copy(*result) for k, result in enumerate(results) if plan.in_place(k))
    offsets = tuple(
        shared if plan.in_place(k) else own
        for k, (own, shared) in enumerate((("D_STATE", "D_OUT"), ("STATE", "LOG_SIG")))
    )
    places = {"g": "g", "l": "l", "dw": "dw", "w": "w"}
    return BackwardScan(
        size=size,
        stride=row_stride(size),
        prefix=prefix,
        prefix_stride=row_stride(prefix),
        d_state=plan.kernel.d_state_size,
        state_array=max(plan.kernel.state_size, 1),
        copies=copies,
        prologue_in_registers=arguments(plan.end, {**places, **{copy.row: copy.array for copy in copies}}),
        rows=tuple(
            StateRow(array, offset, row_stride(width))
            for (array, _, width), offset in zip(results, offsets, strict=True)
        ),
        prologue=arguments(plan.end, places),
    )
