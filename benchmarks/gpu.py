"""On a GPU: are the kernels right, and how near do they come to the speed of its memory and arithmetic?

``python benchmarks/gpu.py`` compiles the kernels with NVRTC, compares every one of them with the interpreter in float64
on fresh random numbers, measures what the card can do (a large copy; a chain of multiply-adds), and then the kernels:
joins and streams as a fraction of the copy's bandwidth, whole paths as a fraction of the multiply-add rate. Times are
taken with device events around replays of a CUDA graph, over several sets of operands in turn, so that no cache can
hold them.

A worker process does the work, case by case, and writes each result down when it has it; one that crashes is replaced
by another for the problems that are left. The last lines are a short table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from harness import PROBLEMS

ROOT = Path(__file__).resolve().parent.parent
STREAMS = ("stream", "stream_backprop")
OPERATIONS = ("join", "join_backprop", "combine", "combine_backprop", "log_sig", "log_sig_backprop", *STREAMS)
TIMED = ("join", "join_backprop", "log_sig", "log_sig_backprop", *STREAMS)
GROUPS = ("join", "combine", "log_sig", "log_sig_backprop", *STREAMS)
BATCHES = (10_000, 100_000, 1_000_000, 10_000_000)
MOST_STREAMS = 100_000
"""Streams of more paths would show nothing new."""
STEPS = 63
"""Steps of the paths that are timed."""
STATES = ("log_derivative", "signature")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
"""On the distance between result and reference over the size of the reference."""
CRASHED = 3

Array = np.ndarray[Any, np.dtype[Any]]


# ---- reference ----------------------------------------------------------------------------------------------------


@dataclass
class Reference:
    """A problem's programs, interpreted on arrays of float64, one entry per sample."""

    dimension: int
    degree: int
    parts: Any = field(default_factory=dict)
    lowered: dict[str, Any] = field(default_factory=dict)

    def program(self, name: str) -> Any:
        """The program of an operation or of a phase."""
        from logsig_codegen.compiler import compile_problem
        from logsig_codegen.ir.lower import lower
        from logsig_codegen.problem import Problem

        if not self.parts:
            problem = Problem(self.dimension, self.degree)
            compiled = compile_problem(problem, groups=("join", "combine", "log_sig", "log_sig_backprop"))
            self.parts = compiled.parts
        part = self.parts[name]
        if part.program is not None:
            return part.program
        if name not in self.lowered:
            self.lowered[name] = lower(part.lie, Problem(self.dimension, self.degree))
        return self.lowered[name]

    def run(self, name: str, *rows: Array) -> list[Array]:
        """The outputs for inputs of shape (batch, columns)."""
        from logsig_codegen.ir.interpret import interpret

        program = self.program(name)
        batch = rows[0].shape[0]
        inputs = {o.name: [row[:, k] for k in range(o.length)] for o, row in zip(program.inputs, rows, strict=True)}
        outputs = interpret(program, inputs, number=float, zero=np.zeros(batch))
        return [np.stack([np.broadcast_to(x, (batch,)) for x in outputs[r.name]], 1) for r in program.outputs]

    def log_sig(self, path: Array) -> Array:
        """Log-signatures of paths (batch, length, dimension)."""
        steps = np.diff(path, axis=1)
        state = np.zeros((len(path), self.program("log_sig.step").inputs[0].length))
        for t in range(steps.shape[1]):
            (state,) = self.run("log_sig.step", state, steps[:, t])
        return self.run("log_sig.finish", state)[0]

    def log_sig_backprop(self, d_out: Array, path: Array) -> Array:
        """Gradients with respect to the points."""
        steps = np.diff(path, axis=1)
        d_state, state = self.run("log_sig_backprop.start", d_out, self.log_sig(path))
        d_path = np.zeros_like(path)
        for t in reversed(range(steps.shape[1])):
            d_state, state, d_step = self.run("log_sig_backprop.step_backprop", d_state, state, steps[:, t])
            d_path[:, t + 1] += d_step
            d_path[:, t] -= d_step
        return d_path

    def stream(self, path: Array, initial: Array) -> Array:
        """Log-signatures of ``initial`` (batch, size) and the first points of every path, one row per step."""
        rows = [initial]
        for step in np.diff(path, axis=1).transpose(1, 0, 2):
            rows += self.run("join", rows[-1], step)
        return np.stack(rows[1:], 1)

    def stream_backprop(self, d_out: Array, path: Array, initial: Array) -> tuple[Array, Array]:
        """Gradients with respect to the points and to ``initial``."""
        steps, rows = np.diff(path, axis=1), self.stream(path, initial)
        d_state, d_path = np.zeros_like(initial), np.zeros_like(path)
        for t in reversed(range(steps.shape[1])):
            before = rows[:, t - 1] if t else initial
            d_state, d_step = self.run("join_backprop", d_state + d_out[:, t], before, steps[:, t])
            d_path[:, t + 1] += d_step
            d_path[:, t] -= d_step
        return d_path, d_state


@lru_cache(maxsize=2)
def reference_of(dimension: int, degree: int) -> Reference:
    """The programs of a problem; the last ones are kept."""
    return Reference(dimension, degree)


# ---- the worker ---------------------------------------------------------------------------------------------------


class Worker:
    """Checks and times the problems it is given, and writes a line per case."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        self.torch = torch
        self.options = options
        self.device = torch.device("cuda")
        self.started = time.perf_counter()
        torch.manual_seed(int(time.time()))

    def write(self, **record: Any) -> None:
        """Append a record and show it."""
        with open(self.options.records, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        shown = {name: f"{x:.4g}" if isinstance(x, float) else x for name, x in record.items() if x is not None}
        print(" ".join(f"{name}={value}" for name, value in shown.items()), flush=True)

    def attempt(self, record: dict[str, Any], work: Callable[[], Mapping[str, Any]]) -> None:
        """Run one case. What it raises is its result; a device that is beyond use ends the process."""
        try:
            found = dict(work())
            self.torch.cuda.synchronize()
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {str(error).strip()[:300]}"}
        self.write(**record, **found)
        try:
            self.torch.cuda.synchronize()
        except Exception as error:
            print(f"the device is beyond use: {error}", flush=True)
            sys.exit(CRASHED)

    def left(self) -> float:
        """Seconds left."""
        spent: float = time.perf_counter() - self.started
        return float(self.options.seconds) - spent

    def normal(self, *shape: int, dtype: str) -> Any:
        """Random numbers on the device."""
        return self.torch.randn(shape, device=self.device, dtype=getattr(self.torch, dtype))

    def poisoned(self, *shape: int, dtype: str) -> Any:
        """NaN on the device."""
        return self.torch.full(shape, float("nan"), device=self.device, dtype=getattr(self.torch, dtype))

    def run(self, problems: Sequence[tuple[int, int]]) -> None:
        """All cases."""
        for dimension, degree in problems:
            self.attempt({"kind": "begin", "d": dimension, "N": degree}, dict)
            for dtype in self.options.dtypes:
                if self.options.checks:
                    self.check(dimension, degree, dtype)
                self.time(dimension, degree, dtype)
                self.peer(dimension, degree, dtype)
            self.torch.cuda.empty_cache()
            self.attempt({"kind": "end", "d": dimension, "N": degree}, dict)

    # -- correctness --------------------------------------------------------------------------------------------

    def check(self, d: int, n: int, dtype: str) -> None:
        """Every operation against the interpreter."""
        from logsig_codegen.runtime.loader import obtain

        kernel, reference = obtain(d, n, self.options.artifacts), reference_of(d, n)
        for operation in OPERATIONS:
            record = {"kind": "check", "d": d, "N": n, "dtype": dtype, "operation": operation}
            if self.left() < 0:
                self.write(**record, error="out of time")
            elif operation.startswith("log_sig"):
                self.attempt(record, lambda o=operation: self.check_paths(kernel, reference, o, dtype))  # type: ignore[misc]
            elif operation in STREAMS:
                self.attempt(record, lambda o=operation: self.check_streams(kernel, reference, o, dtype))  # type: ignore[misc]
            else:
                self.attempt(record, lambda o=operation: self.check_rows(kernel, reference, o, dtype))  # type: ignore[misc]

    def check_rows(self, kernel: Any, reference: Reference, operation: str, dtype: str) -> dict[str, Any]:
        """An operation on rows: whole tiles and a rest; aligned and not; with gaps between rows."""
        worst = 0.0
        for batch, offset, gap in ((1000, 0, 0), (1, 0, 0), (333, 1, 0), (100, 0, 3)):
            inputs, outputs = self.rows(kernel, operation, batch, dtype, offset=offset, gap=gap)
            start(kernel, operation, batch, inputs, outputs)
            expected = reference.run(operation, *(x.double().cpu().numpy() for x in inputs))
            worst = max(worst, *(distance(x, y) for x, y in zip(outputs, expected, strict=True)))
        return {"error_norm": worst, "passed": worst < TOLERANCE[dtype]}

    def check_paths(self, kernel: Any, reference: Reference, operation: str, dtype: str) -> dict[str, Any]:
        """Whole paths, carried in either state."""
        small = kernel.size < 1000
        worst = 0.0
        for batch, length in ((257, 20), (3, 70)) if small else ((70, 8), (3, 20)):
            path = 0.3 * self.normal(batch, length, kernel.dimension, dtype=dtype)
            exact = path.double().cpu().numpy()
            if operation == "log_sig":
                found = [kernel.log_sig(path, state=state) for state in STATES]
                expected = reference.log_sig(exact)
            else:
                d_out = self.normal(batch, kernel.size, dtype=dtype)
                found = [kernel.log_sig_backprop(d_out, path, state=state) for state in STATES]
                expected = reference.log_sig_backprop(d_out.double().cpu().numpy(), exact)
            worst = max(worst, *(distance(out, expected) for out in found))
        # Backward, steps are undone: errors grow a little along the path.
        return {"error_norm": worst, "passed": worst < 10 * TOLERANCE[dtype]}

    def check_streams(self, kernel: Any, reference: Reference, operation: str, dtype: str) -> dict[str, Any]:
        """All expanding log-signatures; ``kernel``: whether in one launch, or, where that is too large, by joins."""
        from logsig_codegen.runtime.cuda import calls

        worst, there = 0.0, False
        for batch, length in ((257, 20), (3, 70)) if kernel.size < 1000 else ((70, 8), (3, 20)):
            path = 0.3 * self.normal(batch, length, kernel.dimension, dtype=dtype)
            initial = self.normal(batch, kernel.size, dtype=dtype)
            there = calls.available(kernel, operation, path)
            exact, before = path.double().cpu().numpy(), initial.double().cpu().numpy()
            if operation == "stream":
                found = [kernel.log_sig(path, stream=True, initial=initial)]
                expected: tuple[Array, ...] = (reference.stream(exact, before),)
            else:
                d_out = self.normal(batch, length - 1, kernel.size, dtype=dtype)
                found = kernel.log_sig_backprop(d_out, path, stream=True, initial=initial)
                expected = reference.stream_backprop(d_out.double().cpu().numpy(), exact, before)
            worst = max(worst, *(distance(x, y) for x, y in zip(found, expected, strict=True)))
        return {"error_norm": worst, "passed": worst < 10 * TOLERANCE[dtype], "kernel": there}

    def rows(
        self, kernel: Any, operation: str, batch: int, dtype: str, *, offset: int = 0, gap: int = 0
    ) -> tuple[list[Any], list[Any]]:
        """Operands of an operation on rows: random inputs, poisoned outputs."""
        from logsig_codegen.operations import BY_LETTER
        from logsig_codegen.operations import OPERATIONS as DESCRIBED

        described = DESCRIBED[operation]
        made: list[list[Any]] = []
        for names, make in ((described.inputs, self.normal), (described.outputs, self.poisoned)):
            made.append([])
            for name in names:
                width = kernel.dimension if name in BY_LETTER else kernel.size
                flat = make(batch * (width + gap) + offset, dtype=dtype)[offset:]
                made[-1].append(flat.reshape(batch, width + gap)[:, :width])
        return made[0], made[1]

    # -- speed --------------------------------------------------------------------------------------------------

    def time(self, d: int, n: int, dtype: str) -> None:
        """Every timed operation at every batch that fits the memory."""
        from logsig_codegen.runtime.loader import obtain

        kernel = obtain(d, n, self.options.artifacts)
        for operation in self.options.operations:
            for batch in self.options.batches:
                record = {"kind": "time", "d": d, "N": n, "dtype": dtype, "operation": operation, "batch": batch}
                if self.left() < 0:
                    self.write(**record, error="out of time")
                    continue
                paths = self.time_streams if operation in STREAMS else self.time_paths
                work = self.time_rows if operation.startswith("join") else paths
                self.attempt(record, lambda w=work, o=operation, b=batch: w(kernel, o, b, dtype))  # type: ignore[misc]

    def room(self) -> float:
        """Bytes that operands may take."""
        free, _ = self.torch.cuda.mem_get_info()
        return 0.45 * float(free)

    def time_rows(self, kernel: Any, operation: str, batch: int, dtype: str) -> dict[str, Any]:
        """An operation on rows: seconds, and bytes that have to move."""
        description = kernel.cuda.launcher(operation, dtype, self.torch.cuda.current_device()).kernel
        size = 4 if dtype == "float32" else 8
        moved = batch * sum(
            sectors(columns, self.width(kernel, name), size) for name, columns in description["columns"].items()
        )
        footprint = batch * size * sum(self.width(kernel, name) for name in description["columns"])
        if footprint > self.room():
            return {"skipped": "does not fit the memory"}
        sets = [self.rows(kernel, operation, batch, dtype) for _ in range(set_count(footprint, self.room()))]
        calls = [partial(start, kernel, operation, batch, *operands) for operands in sets]
        seconds = self.seconds(calls, moved / 1e12)
        return {**seconds, "bytes": moved, "sets": len(sets), "form": description["form"]}

    def width(self, kernel: Any, operand: str) -> int:
        """Row length of an operand."""
        from logsig_codegen.operations import BY_LETTER

        return int(kernel.dimension if operand in BY_LETTER else kernel.size)

    def time_paths(self, kernel: Any, operation: str, batch: int, dtype: str) -> dict[str, Any]:
        """Whole paths: seconds, and operations that have to be done."""
        size = 4 if dtype == "float32" else 8
        backward = operation == "log_sig_backprop"
        footprint = batch * size * ((STEPS + 1) * kernel.dimension * (2 if backward else 1) + 2 * kernel.size)
        if footprint > self.room():
            return {"skipped": "does not fit the memory"}
        if batch > 1_000_000:
            return {"skipped": "a million paths fill the card"}
        from logsig_codegen.operations import default_state

        state, device = default_state(kernel.problem), self.torch.cuda.current_device()
        launcher = kernel.cuda.along_paths(state, dtype, device, backward=backward)
        chosen = launcher.kernel["operation"]
        counts = operations(kernel.dimension, kernel.degree, chosen)
        if backward:
            work = STEPS * counts[f"{chosen}.step_backprop"] + counts[f"{chosen}.start"]
        else:
            work = STEPS * counts[f"{chosen}.step"] + counts[f"{chosen}.finish"]
        calls = []
        for _ in range(min(3, set_count(footprint, self.room()))):
            path = 0.3 * self.normal(batch, STEPS + 1, kernel.dimension, dtype=dtype)
            log_sig, d_out = self.normal(batch, kernel.size, dtype=dtype), self.normal(batch, kernel.size, dtype=dtype)
            d_path = self.torch.empty_like(path)
            given = (path.data_ptr(), (STEPS + 1) * kernel.dimension, STEPS + 1, 0, 0)
            arguments: tuple[int, ...] = (*given, log_sig.data_ptr(), kernel.size)
            if backward:
                forms = (d_out.data_ptr(), kernel.size, log_sig.data_ptr(), kernel.size)
                arguments = (*forms, *given, d_path.data_ptr(), (STEPS + 1) * kernel.dimension, 0)
            alive = (path, log_sig, d_out, d_path)
            calls.append(
                lambda a=arguments, _alive=alive: launcher(batch, a, self.torch.cuda.current_stream().cuda_stream)
            )
        found = self.seconds(calls, work * batch / 1e13)
        return {**found, "work": work * batch, "sets": len(calls), "form": launcher.kernel["form"], "kernel": chosen}

    def time_streams(self, kernel: Any, operation: str, batch: int, dtype: str) -> dict[str, Any]:
        """Streams: seconds, and bytes that have to move; points count once, and of rows the columns that are read."""
        if batch > MOST_STREAMS:
            return {"skipped": "so many streams as fit fill the card"}
        size, width, d = 4 if dtype == "float32" else 8, int(kernel.size), int(kernel.dimension)
        backward = operation == "stream_backprop"
        footprint = batch * size * ((STEPS + 1) * d + STEPS * width) * (2 if backward else 1)
        if footprint > self.room():
            return {"skipped": "does not fit the memory"}
        here = self.torch.cuda.current_device()
        if not all(kernel.cuda.has(name, dtype, here) for name in STREAMS):
            return {"skipped": "too large for a kernel"}
        launcher = kernel.cuda.launcher(operation, dtype, here)
        moved = float((STEPS + 1) * d * size + STEPS * width * size)
        if backward:
            columns = kernel.cuda.launcher("join_backprop", dtype, here).kernel["columns"]["log_sig"]
            moved += (STEPS + 1) * d * size + STEPS * sectors(columns, width, size)
        calls = []
        for _ in range(min(3, set_count(footprint, self.room()))):
            path = 0.3 * self.normal(batch, STEPS + 1, d, dtype=dtype)
            rows = self.torch.zeros(batch, STEPS, width, device=self.device, dtype=path.dtype)
            given = (path.data_ptr(), (STEPS + 1) * d, STEPS + 1, 0, 0, 0, 0)
            arguments: tuple[int, ...] = (*given, rows.data_ptr(), STEPS * width)
            launcher_of_rows = kernel.cuda.launcher("stream", dtype, here)
            launcher_of_rows(batch, arguments, self.torch.cuda.current_stream().cuda_stream)
            alive = [path, rows]
            if backward:
                d_out, d_path = self.torch.ones_like(rows), self.torch.empty_like(path)
                alive += [d_out, d_path]
                forms = (d_out.data_ptr(), STEPS * width, rows.data_ptr(), STEPS * width)
                arguments = (*forms, *given, d_path.data_ptr(), (STEPS + 1) * d, 0, 0)
            calls.append(
                lambda a=arguments, _alive=alive: launcher(batch, a, self.torch.cuda.current_stream().cuda_stream)
            )
        found = self.seconds(calls, moved * batch / 1e12)
        return {**found, "bytes": moved * batch, "sets": len(calls), "form": launcher.kernel["form"]}

    def peer(self, d: int, n: int, dtype: str) -> None:
        """The same joins by pySigLib, where it is there, at the smallest batch: whole calls by the wall clock."""
        try:
            import pysiglib
        except ImportError:
            return
        batch = min(self.options.batches)
        record = {"kind": "peer", "d": d, "N": n, "dtype": dtype, "batch": batch}

        def run(operation: str) -> dict[str, Any]:
            from logsig_codegen.runtime.loader import obtain

            kernel = obtain(d, n, self.options.artifacts)
            pysiglib.prepare_log_sig(d, n, 3)
            inputs = [x.clone() for x in self.rows(kernel, operation, batch, dtype)[0]]
            function = getattr(pysiglib, f"log_sig_{operation}")
            samples = []
            for _ in range(4):
                self.torch.cuda.synchronize()
                began = time.perf_counter()
                function(*inputs, d, n)
                self.torch.cuda.synchronize()
                samples.append(time.perf_counter() - began)
            return {"seconds": min(samples[1:])}

        for operation in ("join", "join_backprop"):
            if self.left() > 0:
                self.attempt({**record, "operation": operation}, partial(run, operation))

    def seconds(self, calls: Sequence[Callable[[], None]], guess: float) -> dict[str, Any]:
        """Seconds of a call: the median over replays of a graph that has all calls in it, once or more."""
        torch = self.torch
        for call in calls:
            call()
        torch.cuda.synchronize()
        each = max(1, min(50, int(1e-3 / max(guess, 1e-7)) // len(calls)))
        captured = True
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(each):
                    for call in calls:
                        call()
            replay: Callable[[], None] = graph.replay
        except Exception as error:
            print(f"  no graph: {error}", flush=True)
            captured = False

            def replay() -> None:
                for _ in range(each):
                    for call in calls:
                        call()

        replay()
        torch.cuda.synchronize()
        samples: list[float] = []
        end = time.perf_counter() + self.options.case_seconds
        while len(samples) < 5 or (time.perf_counter() < end and len(samples) < 40):
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            replay()
            last.record()
            torch.cuda.synchronize()
            samples.append(first.elapsed_time(last) * 1e-3 / (each * len(calls)))
        quartiles = statistics.quantiles(samples, n=4)
        spread = (quartiles[2] - quartiles[0]) / 2 / quartiles[1]
        return {"seconds": statistics.median(samples), "spread": spread, "graph": captured}

    # -- what the card can do -----------------------------------------------------------------------------------

    def ceilings(self) -> None:
        """Bandwidth of large copies, the best of several ways, and multiply-adds per second."""
        torch = self.torch

        def copy() -> dict[str, Any]:
            best: dict[str, Any] = {"rate": 0.0}
            for size in (2**28, 2**30, 2**32):
                count = int(min(size, self.room() / 4)) // 4
                sets = [(self.normal(count, dtype="float32"), torch.empty(count, device=self.device)) for _ in range(2)]
                ways: dict[str, Callable[[Any], Any]] = {
                    "memcpy": lambda s: s[1].copy_(s[0]),
                    "kernel": lambda s: torch.neg(s[0], out=s[1]),
                }
                for way, run in ways.items():
                    found = self.seconds([lambda s=s, r=run: r(s) for s in sets], 8 * count / 3e12)  # type: ignore[misc]
                    rate = 8 * count / found["seconds"]
                    if rate > best["rate"]:
                        best = {**found, "rate": rate, "way": way, "bytes": 4 * count}
                del sets
                torch.cuda.empty_cache()
            return best

        self.attempt({"kind": "ceiling", "what": "copy"}, copy)
        for dtype in self.options.dtypes:
            self.attempt({"kind": "ceiling", "what": "multiply-add", "dtype": dtype}, lambda t=dtype: self.chain(t))  # type: ignore[misc]

    def chain(self, dtype: str) -> dict[str, Any]:
        """Multiply-adds per second: eight chains in every thread of a full card."""
        from types import SimpleNamespace

        from logsig_codegen.build.nvidia import compile_kernel, find_nvrtc
        from logsig_codegen.emit.unit import SourceUnit
        from logsig_codegen.runtime.cuda.driver import Launcher, device

        ordinal = self.torch.cuda.current_device()
        on = device(ordinal)
        kernel: Any = SimpleNamespace(source="chain.cu", symbol="chain", definition=f"REAL={REALS[dtype]}")
        image = compile_kernel(find_nvrtc(), [SourceUnit("chain.cu", CHAIN, "cuda")], kernel, on.arch)
        launcher = Launcher(
            on, image, {"symbol": "chain", "form": "thread", "samples": 32, "shape": {"warp_bytes": 16, "warps": 8}}
        )
        threads = on.multiprocessors * 2048 * 4
        out = self.torch.empty(threads, device=self.device, dtype=getattr(self.torch, dtype))

        def call() -> None:
            launcher(threads, (out.data_ptr(),), self.torch.cuda.current_stream().cuda_stream)

        work = threads * 8 * ROUNDS
        found = self.seconds([call], work / 1e13)
        return {**found, "rate": work / found["seconds"]}


ROUNDS = 2048
REALS = {"float32": "float", "float64": "double"}
CHAIN = f"""
extern "C" __global__ void chain(REAL *out, long long threads)
{{
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    const REAL x = (REAL)1 - (REAL)i / (REAL)threads * (REAL)1e-6, y = (REAL)i * (REAL)1e-9;
    REAL a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    for (int n = 0; n < {ROUNDS} / 16; n++) {{
#pragma unroll
        for (int k = 0; k < 16; k++) {{
            a = fma(a, x, y); b = fma(b, x, y); c = fma(c, x, y); d = fma(d, x, y);
            e = fma(e, x, y); f = fma(f, x, y); g = fma(g, x, y); h = fma(h, x, y);
        }}
    }}
    if (i < threads) out[i] = a + b + c + d + e + f + g + h;
}}
"""


def start(kernel: Any, operation: str, batch: int, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Start a kernel on rows, into outputs that are there already."""
    from logsig_codegen.runtime.cuda import calls

    calls.start(kernel, operation, (batch,), inputs, outputs)


def distance(found: Any, expected: Array) -> float:
    """Distance over size of the reference; infinite if a number is missing."""
    array = found.double().cpu().numpy()
    if array.shape != expected.shape or not np.isfinite(array).all():
        return float("inf")
    return float(np.linalg.norm(array - expected) / np.linalg.norm(expected))


def sectors(columns: int, width: int, size: int) -> float:
    """Bytes of a row that memory has to move for its first ``columns`` numbers: whole sectors of 32 bytes."""
    if columns in (0, width):
        return float(columns * size)
    rows = 256
    touched = {
        byte // 32
        for row in range(rows)
        for byte in range(row * width * size // 32 * 32, (row * width + columns) * size, 32)
    }
    return 32 * len(touched) / rows


def set_count(footprint: float, room: float) -> int:
    """Sets of operands to go through in turn: some 400 MB, several times what any cache holds."""
    return int(max(1, min(-(-4e8 // max(footprint, 1)), 64, room // max(footprint, 1))))


def path_groups(dimension: int, degree: int) -> tuple[str, ...]:
    """The groups along paths that there are kernels for, in either state."""
    from logsig_codegen.operations import path_operation
    from logsig_codegen.problem import Problem
    from logsig_codegen.runtime.cuda.programs import SIGNATURE_SIZE

    states = STATES if Problem(dimension, degree).size <= SIGNATURE_SIZE else STATES[:1]
    return tuple(path_operation(state, backward=backward) for state in states for backward in (False, True))


def operations(dimension: int, degree: int, operation: str) -> dict[str, int]:
    """Operations of every phase of an operation along paths."""
    from logsig_codegen.compiler import compile_problem
    from logsig_codegen.operations import group_of
    from logsig_codegen.problem import Problem

    compiled = compile_problem(Problem(dimension, degree), groups=(group_of(operation),))
    return {name: part.operations.total for name, part in compiled.parts.items()}


# ---- the orchestrator ---------------------------------------------------------------------------------------------


def build(task: tuple[int, int, str, str, str]) -> str:
    """Compile one group of one problem into the cache; runs in a process of its own."""
    dimension, degree, group, dtype, arch = task
    from logsig_codegen.problem import Problem
    from logsig_codegen.runtime.cuda.programs import CudaPrograms

    began = time.perf_counter()
    try:
        CudaPrograms(Problem(dimension, degree)).prepare(group, dtype, arch)
    except Exception as error:
        return f"({dimension},{degree}) {group} {dtype}: {type(error).__name__}: {str(error)[:300]}"
    spent = time.perf_counter() - began
    return f"({dimension},{degree}) {group} {dtype}: {spent:.1f} s" if spent > 5 else ""


def build_all(options: argparse.Namespace, arch: str) -> None:
    """Fill the cache, on all processors."""
    tasks = [
        (d, n, group, dtype, arch)
        for d, n in options.problems[::-1]
        for group in dict.fromkeys((*GROUPS, *path_groups(d, n)))
        for dtype in options.dtypes
    ]
    tasks.sort(key=lambda task: -(task[0] ** task[1]))
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for message in pool.map(build, tasks):
            if message:
                print(f"  built {message}", flush=True)


def describe() -> dict[str, Any]:
    """Card, driver and versions; runs in a process of its own."""
    code = (
        "import json, torch, platform\n"
        "p = torch.cuda.get_device_properties(0)\n"
        "print(json.dumps({'card': p.name, 'capability': f'{p.major}.{p.minor}', 'multiprocessors': "
        "p.multi_processor_count, 'torch': torch.__version__, 'python': platform.python_version(), "
        "'memory': p.total_memory}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"no GPU that torch can use: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found["driver"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        found["driver"] = "unknown"
    found["date"] = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    try:
        import pysiglib

        found["pysiglib"] = getattr(pysiglib, "__version__", "present")
    except ImportError:
        found["pysiglib"] = "absent"
    return found


def work(options: argparse.Namespace) -> None:
    """Run workers until every problem is through or the time is up."""
    end = time.perf_counter() + options.seconds
    done: set[tuple[int, int]] = set()
    attempts = 0
    while attempts < 6 and time.perf_counter() < end and len(done) < len(options.problems):
        rest = [problem for problem in options.problems if problem not in done]
        arguments = [sys.executable, __file__, "--worker", "--records", str(options.records)]
        arguments += ["--problems", ";".join(f"{d},{n}" for d, n in rest), "--dtypes", ",".join(options.dtypes)]
        arguments += ["--batches", ",".join(map(str, options.batches)), "--case-seconds", str(options.case_seconds)]
        arguments += ["--operations", ",".join(options.operations), "--checks" if options.checks else "--no-checks"]
        arguments += ["--seconds", str(end - time.perf_counter())]
        arguments += ["--artifacts", str(options.artifacts[0])] if options.artifacts else []
        arguments += ["--ceilings"] if not attempts else []
        attempts += 1
        try:
            status = subprocess.run(arguments, timeout=max(5, end - time.perf_counter() + 15), check=False).returncode
        except subprocess.TimeoutExpired:
            print("a worker did not come back", flush=True)
            break
        records = read(options.records)
        done.update((r["d"], r["N"]) for r in records if r["kind"] == "end")
        begun = [(r["d"], r["N"]) for r in records if r["kind"] == "begin"]
        if status != 0 and begun:
            done.add(begun[-1])  # it brought the worker down


def read(path: Path) -> list[dict[str, Any]]:
    """The records so far."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def report(machine: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """The short table."""
    copy = next((r["rate"] for r in records if r["kind"] == "ceiling" and r["what"] == "copy" and "rate" in r), None)
    rates = {r["dtype"]: r["rate"] for r in records if r["kind"] == "ceiling" and "dtype" in r and "rate" in r}
    checks = [r for r in records if r["kind"] == "check"]
    failed = [r for r in checks if not r.get("passed")]
    lines = [
        f"{machine['card']}, driver {machine['driver']}, torch {machine['torch']}, {machine['date']}. "
        f"pysiglib: {machine['pysiglib']}.",
        f"Copy {0 if copy is None else copy / 1e12:.2f} TB/s; multiply-adds "
        + ", ".join(f"{name} {rate / 1e12:.1f} T/s" for name, rate in rates.items())
        + f". Checks: {len(checks) - len(failed)} of {len(checks)} passed.",
    ]
    lines += [f"  FAILED {short(r)}" for r in failed[:20]]
    lines += [f"  ERROR {short(r)}" for r in records if r["kind"] == "time" and "error" in r][:20]
    times = {
        (r["d"], r["N"], r["dtype"], r["operation"], r["batch"]): r
        for r in records
        if r["kind"] == "time" and "seconds" in r
    }
    for r in records:
        if r["kind"] == "peer":
            ours = times.get((r["d"], r["N"], r["dtype"], r["operation"], r["batch"]))
            if "error" in r:
                lines.append(f"  pySigLib {short(r)}")
            elif ours is not None:
                head = f"({r['d']},{r['N']}) {r['dtype']} {r['operation']}"
                lines.append(f"  pySigLib {head}: {r['seconds'] / ours['seconds']:.0f} times as long")
    for dtype in dict.fromkeys(key[2] for key in times):
        batches = sorted({key[4] for key in times})
        lines.append(f"{dtype}, percent; batch {', '.join(f'{b:.0e}' for b in batches)}; of copy | of multiply-adds")
        timed = [operation for operation in TIMED if any(key[3] == operation for key in times)]
        lines.append("| (d,N) | " + " | ".join(timed) + " |")
        lines.append("|---" * (len(timed) + 1) + "|")
        for d, n in dict.fromkeys(key[:2] for key in times):
            cells = []
            for operation in timed:
                ceiling = rates.get(dtype) if operation.startswith("log_sig") else copy
                found = [times.get((d, n, dtype, operation, batch)) for batch in batches]
                cells.append(" ".join(percent(r, ceiling) for r in found))
            lines.append(f"| ({d},{n}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def percent(record: Mapping[str, Any] | None, ceiling: float | None) -> str:
    """What fraction of a ceiling a measurement reached."""
    if record is None or not ceiling:
        return "-"
    amount = record.get("bytes", record.get("work", 0))
    return f"{100 * amount / record['seconds'] / ceiling:.0f}"


def short(record: Mapping[str, Any]) -> str:
    """One line about what went wrong."""
    head = f"({record['d']},{record['N']}) {record['dtype']} {record['operation']}"
    return f"{head}: {record.get('error', '')[:160]} {record.get('error_norm', '')}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options."""

    def pairs(text: str) -> list[tuple[int, int]]:
        return [(int(d), int(n)) for d, n in (pair.split(",") for pair in text.split(";") if pair)]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=pairs, default=list(PROBLEMS), metavar="D,N;D,N", help="default: all twelve")
    parser.add_argument("--dtypes", type=lambda t: t.split(","), default=["float32", "float64"], metavar="TYPES")
    parser.add_argument("--batches", type=lambda t: [int(float(x)) for x in t.split(",")], default=list(BATCHES))
    parser.add_argument(
        "--operations", type=lambda t: [x for x in t.split(",") if x], default=list(TIMED), help="what is timed"
    )
    parser.add_argument("--checks", action=argparse.BooleanOptionalAction, default=True, help="compare results")
    parser.add_argument("--seconds", type=float, default=400, help="stop after about so long, compiling not counted")
    parser.add_argument("--case-seconds", type=float, default=0.05, help="time per measurement (default: 0.05)")
    parser.add_argument("--artifacts", type=lambda t: (t,), help="folder written by logsig-gen --target cuda")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json", help="all numbers")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ceilings", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--records", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, time, report; the exit status is 1 if a check failed."""
    options = parse(arguments)
    if options.worker:
        worker = Worker(options)
        if options.ceilings:
            worker.ceilings()
        worker.run(options.problems)
        return 0
    began = time.perf_counter()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    machine = describe()
    print(json.dumps(machine), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.records = options.json.with_suffix(".jsonl")
    options.records.unlink(missing_ok=True)
    if not options.artifacts:
        build_all(options, "sm_" + machine["capability"].replace(".", ""))
        print(f"compiled in {time.perf_counter() - began:.0f} s", flush=True)
    work(options)
    records = read(options.records)
    options.json.write_text(json.dumps({"machine": machine, "records": records}, indent=1) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - began:.0f} s in all\n{report(machine, records)}", flush=True)
    bad = [r for r in records if r["kind"] == "check" and not r.get("passed")]
    return 1 if bad or not records else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
