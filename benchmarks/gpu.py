"""On a GPU: are results right, and how near do calls come to the speed of the card's memory and arithmetic?

    python benchmarks/gpu.py                                                     # everything, about ten minutes
    python benchmarks/gpu.py --problem 5,3 --operation join --seconds 60
    python benchmarks/gpu.py --results benchmarks/results/gpu_h100.csv --document docs/benchmarks.md
    python benchmarks/gpu.py --saved benchmarks/results/gpu_h100.csv             # measures nothing, prints the tables

Kernels are compiled first, on all processors. Every operation is then compared with the C kernels in float64, and
timed with device events around replays of a CUDA graph that goes through several sets of operands, some 400 MB in all,
so that no cache holds them. Limits are the bandwidth of a large copy and the rate of a chain of multiply-adds on the
same card. A gradient along paths is a whole call, forward pass included; so are its work and its bytes.

Results are saved after every problem. An error of the device ends the run: the device is beyond use in that process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import gpu_device
import harness
import logsig_codegen as lg
from logsig_codegen.operations import STATES, default_state, group_of, path_operation

BATCHES = (10_000, 100_000, 1_000_000, 10_000_000)
LENGTH = 64
"""Points of the paths that are timed."""
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
"""On the distance between result and reference over the size of the reference."""


@dataclass(frozen=True)
class Call:
    """What is called: a method of the kernel, the names of its operands, its options."""

    method: str
    operands: tuple[str, ...]
    options: Mapping[str, Any]
    most: int | None = None
    """Larger batches would show nothing new."""
    timed: bool = True

    def bind(self, kernel: Any, *tensors: Any, **options: Any) -> Callable[[], Any]:
        """The call on these operands."""
        return partial(getattr(kernel, self.method), *tensors, **{**self.options, **options})


CALLS = {
    "join": Call("join", ("log_sig", "displacement"), {}),
    "join_backprop": Call("join_backprop", ("d_out", "log_sig", "displacement"), {}),
    "combine": Call("combine", ("log_sig", "other"), {}, timed=False),
    "combine_backprop": Call("combine_backprop", ("d_out", "log_sig", "other"), {}, timed=False),
    "log_sig": Call("log_sig", ("path",), {}, most=1_000_000),
    "log_sig_backprop": Call("log_sig_backprop", ("d_out", "path"), {}, most=1_000_000),
    "stream": Call("log_sig", ("path",), {"stream": True}, most=100_000),
    "stream_backprop": Call("log_sig_backprop", ("d_rows", "path"), {"stream": True}, most=100_000),
}
TIMED = tuple(name for name, call in CALLS.items() if call.timed)


@dataclass(frozen=True)
class Measurement:
    """One operation on one batch: seconds per call, percent of the card's limits, or a note that says why not."""

    dimension: int
    degree: int
    dtype: str
    operation: str
    batch: int
    seconds: float | None = None
    spread: float | None = None
    percent_of_copy: float | None = None
    percent_of_multiply_adds: float | None = None
    form: str | None = None
    note: str | None = None


# ---- operands and references --------------------------------------------------------------------------------------


def width(operand: str, kernel: Any) -> int:
    """Numbers in a row of an operand or result of a join."""
    return int(kernel.dimension if operand in ("displacement", "d_displacement") else kernel.size)


def operands(kernel: Any, operation: str, batch: int, length: int, dtype: str, device: str = "cuda") -> list[Any]:
    """Random operands of an operation; the steps of a path are small."""

    def one(name: str) -> Any:
        along = {"path": (length, kernel.dimension), "d_rows": (length - 1, kernel.size)}
        shape = (batch, *along.get(name, (width(name, kernel),)))
        found = torch.randn(shape, device=device, dtype=getattr(torch, dtype))
        return found.mul_(0.3) if name == "path" else found

    return [one(name) for name in CALLS[operation].operands]


def worst_distance(kernel: Any, operation: str, dtype: str, device: str = "cuda") -> float:
    """The largest distance from the C kernels in float64, relative to their result; infinite if a number is missing."""
    call, worst = CALLS[operation], 0.0
    states = STATES if call.method.startswith("log_sig") and not call.options else [None]
    for batch, length in ((257, 20), (1, 2), (3, 70)) if kernel.size < 1000 else ((70, 8), (3, 20)):
        tensors = operands(kernel, operation, batch, length, dtype, device)
        exact = [one.double().cpu().numpy() for one in tensors]
        for options in ({"state": state} if state else {} for state in states):
            returned = (call.bind(kernel, *given, **options)() for given in (tensors, exact))
            for found, truth in zip(*(x if isinstance(x, tuple) else (x,) for x in returned), strict=True):
                array = found.double().cpu().numpy()
                good = array.shape == truth.shape and bool(np.isfinite(array).all())
                worst = max(worst, float(np.linalg.norm(array - truth) / np.linalg.norm(truth)) if good else np.inf)
    return worst


# ---- work and bytes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What one row or path takes: bytes that memory has to move, multiply-adds, bytes of operands and results."""

    moved: float
    work: float
    footprint: float
    form: str


def cost(kernel: Any, operation: str, dtype: str) -> Cost:
    """Counted from the kernels that are called; of the rows of a join, only the columns that are read."""
    size, here = np.dtype(dtype).itemsize, torch.cuda.current_device()
    points, row, steps = LENGTH * kernel.dimension * size, kernel.size * size, LENGTH - 1
    if operation in ("log_sig", "log_sig_backprop"):
        backward = operation == "log_sig_backprop"
        kernels = [
            kernel.cuda.along_paths(default_state(kernel.problem), dtype, here, backward=one).kernel
            for one in ((False, True) if backward else (False,))
        ]
        work = sum(work_along(kernel.problem, one["operation"], steps) for one in kernels)
        once = 3 * (points + row) if backward else points + row
        return Cost(once, work, once, kernels[-1]["form"])
    described = kernel.cuda.launcher(operation, dtype, here).kernel
    columns = kernel.cuda.launcher("join_backprop", dtype, here).kernel["columns"]
    if operation == "stream":
        return Cost(points + steps * row, 0.0, points + steps * row, described["form"])
    if operation == "stream_backprop":
        read = sectors(columns["log_sig"], kernel.size, size)
        return Cost(3 * points + steps * (2 * row + read), 0.0, 2 * points + 3 * steps * row, described["form"])
    columns = described["columns"]
    moved = sum(sectors(count, width(name, kernel), size) for name, count in columns.items())
    return Cost(moved, 0.0, size * sum(width(name, kernel) for name in columns), described["form"])


def work_along(problem: lg.Problem, operation: str, steps: int) -> float:
    """Operations of a path: of the phase that is run at every step, and of the one that is run once."""
    from logsig_codegen.compiler import compile_problem

    parts = compile_problem(problem, groups=(group_of(operation),)).parts
    turns = {"step": steps, "step_backprop": steps, "start": 1, "finish": 1}
    phases = {name: part.operations.total for name, part in parts.items()}
    return sum(total * turns.get(name.removeprefix(f"{operation}."), 0) for name, total in phases.items())


def sectors(columns: int, row: int, size: int) -> float:
    """Bytes that memory has to move, per row of ``row`` numbers, for the first ``columns``: sectors of 32 bytes."""
    if columns in (0, row):
        return float(columns * size)
    starts = range(0, 256 * row * size, row * size)
    return len({byte // 32 for at in starts for byte in range(at // 32 * 32, at + columns * size, 32)}) / 8


# ---- measuring ----------------------------------------------------------------------------------------------------


def measure(case: Measurement, kernel: Any, limits: Mapping[str, float], options: argparse.Namespace) -> Measurement:
    """Time one case, or say why not."""
    call = CALLS[case.operation]
    if time.perf_counter() > options.end:
        return replace(case, note="out of time")
    if call.most is not None and case.batch > call.most:
        return replace(case, note="more paths show nothing new")
    each = cost(kernel, case.operation, case.dtype)
    room, footprint = 0.4 * float(torch.cuda.mem_get_info()[0]), case.batch * each.footprint
    if footprint > room:
        return replace(case, note="does not fit the memory")
    sets = int(max(1, min(-(-4e8 // footprint), 64, room // footprint)))
    made = [operands(kernel, case.operation, case.batch, LENGTH, case.dtype) for _ in range(sets)]
    timing = gpu_device.seconds_of([call.bind(kernel, *one) for one in made], options.case_seconds)
    rate = 100 * case.batch / timing.median
    return replace(
        case,
        seconds=timing.median,
        spread=timing.spread,
        percent_of_copy=rate * each.moved / limits["copy"],
        percent_of_multiply_adds=rate * each.work / limits[case.dtype] if each.work else None,
        form=each.form,
    )


def run_problem(
    problem: tuple[int, int], limits: Mapping[str, float], options: argparse.Namespace
) -> tuple[list[Measurement], list[str]]:
    """Check and time one problem: the measurements, and a line for everything that went wrong."""
    kernel = lg.load(*problem, artifacts=options.artifacts)
    rows, wrong = [], []
    for dtype in options.dtypes:
        for operation in CALLS if options.checks else ():
            error = worst_distance(kernel, operation, dtype)
            if not error < TOLERANCE[dtype]:
                wrong.append(f"{problem} {dtype} {operation}: distance from the C kernels {error:.1e}")
        for operation in options.operation or TIMED:
            for batch in options.batches:
                case = Measurement(*problem, dtype, operation, batch)
                try:
                    rows.append(measure(case, kernel, limits, options))
                except Exception as error:
                    rows.append(replace(case, note=f"{type(error).__name__}: {str(error).strip()[:200]}"))
                    wrong.append(str(rows[-1]))
                print(rows[-1], flush=True)
            torch.cuda.empty_cache()
    return rows, wrong


# ---- building, the report, the command line -----------------------------------------------------------------------


def build(task: tuple[int, int, str, str, str]) -> str:
    """Compile one group of a problem for the GPU or, if ``dtype`` is empty, for the CPU; returns what went wrong."""
    dimension, degree, group, dtype, arch = task
    try:
        kernel = lg.load(dimension, degree)
        if dtype:
            kernel.cuda.prepare(group, dtype, arch)
        else:
            kernel.prepare(group)
    except Exception as error:
        return f"({dimension},{degree}) {group} {dtype}: {type(error).__name__}: {str(error)[:200]}"
    return ""


def build_all(options: argparse.Namespace, arch: str) -> None:
    """Fill the cache, largest problems first."""
    along = [path_operation(state, backward=backward) for state in STATES for backward in (False, True)]
    groups = dict.fromkeys(map(group_of, (*CALLS, *along)))
    types = [*options.dtypes, *([""] if options.checks else [])]
    tasks = [(d, n, group, dtype, arch) for d, n in options.problem for group in groups for dtype in types]
    tasks.sort(key=lambda task: -(task[0] ** task[1]))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        for message in filter(None, pool.map(build, tasks)):
            print(f"not built: {message}", flush=True)


def overview(rows: Sequence[Measurement]) -> str:
    """Percent of the nearer limit in float32 / float64, at the largest batch that was measured."""
    largest: dict[tuple[int, int, str, str], Measurement] = {}
    for row in rows:
        key = (row.dimension, row.degree, row.operation, row.dtype)
        if percent(row) and (key not in largest or row.batch > largest[key].batch):
            largest[key] = row
    names = list(dict.fromkeys(row.operation for row in rows))
    lines = []
    for d, n in dict.fromkeys((row.dimension, row.degree) for row in rows):
        found = [[largest.get((d, n, name, dtype)) for dtype in TOLERANCE] for name in names]
        lines.append((f"({d},{n})", *(" / ".join("–" if r is None else percent(r) for r in pair) for pair in found)))
    return harness.table(("(d,N)", *names), lines)


def details(rows: Sequence[Measurement]) -> str:
    """A line per measurement."""
    header = ("(d,N)", "type", "operation", "batch", "seconds", "% of copy", "% of multiply-adds", "form", "note")
    lines = []
    for r in rows:
        values = (r.percent_of_copy, r.percent_of_multiply_adds)
        texts = ("" if r.seconds is None else f"{r.seconds:.3g}", *("" if x is None else f"{x:.0f}" for x in values))
        lines.append(
            (f"({r.dimension},{r.degree})", r.dtype, r.operation, str(r.batch), *texts, r.form or "", r.note or "")
        )
    return harness.table(header, lines)


def percent(row: Measurement) -> str:
    """Percent of the limit that a measurement is nearer to; empty if there is none."""
    found = [one for one in (row.percent_of_copy, row.percent_of_multiply_adds) if one is not None]
    return f"{max(found):.0f}" if found else ""


def main() -> int:
    """Check, time, report; the exit status is 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--problem", action="append", type=harness.problem, help="dimension,degree; default: all twelve"
    )
    parser.add_argument("--dtypes", type=lambda t: t.split(","), default=["float32", "float64"], metavar="TYPES")
    parser.add_argument("--batches", type=lambda t: [int(float(x)) for x in t.split(",")], default=list(BATCHES))
    parser.add_argument("--operation", action="append", choices=TIMED, help="what is timed; default: everything")
    parser.add_argument("--checks", action=argparse.BooleanOptionalAction, default=True, help="compare results")
    parser.add_argument("--seconds", type=float, default=400, help="stop after about so long, compiling not counted")
    parser.add_argument("--case-seconds", type=float, default=0.05, help="time per measurement (default: 0.05)")
    parser.add_argument("--artifacts", help="folder written by logsig-gen --target cuda")
    harness.add_outputs(parser, "gpu")
    options = parser.parse_args()
    rows: list[Measurement] = []
    wrong: list[str] = []
    if options.saved:
        about, rows = harness.restore(options.saved, Measurement)
    else:
        about, arch = gpu_device.describe()
        problems = options.problem = options.problem or list(harness.PROBLEMS)
        if not options.artifacts:
            build_all(options, arch)
        options.end = time.perf_counter() + options.seconds
        limits = gpu_device.limits_of(options.dtypes, options.case_seconds)
        about += " Limits: " + ", ".join(f"{name} {rate / 1e12:.2f} T/s" for name, rate in limits.items()) + "."
        for problem in problems:
            found, failed = run_problem(problem, limits, options)
            rows, wrong = [*rows, *found], [*wrong, *failed]
            harness.save(options.results, about, rows)
    text = f"{about}\n\n{overview(rows)}"
    print("\n\n".join([details(rows), *(f"WRONG: {line}" for line in wrong), text]), flush=True)
    if options.document:
        harness.put_into(options.document, (options.saved or options.results).stem, text)
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
