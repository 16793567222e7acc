"""Compiled JAX programs against pySigLib 4.0, signax and roughpy-jax, those of them that are installed.

    python benchmarks/jax_programs.py --document docs/benchmarks.md    # everything, some ten minutes
    python benchmarks/jax_programs.py --problem 5,3 --results jax_5_3.csv

Joins in ``lax.scan``, log-signatures of paths and of windows, and their gradients. signax and roughpy-jax have no join
of log-signatures; a path is a scan of roughpy-jax's products with tensor exponentials; pySigLib and signax get windows
that are copied out of the path inside of the compiled program. Each package gives the coordinates that it is fastest
in (pySigLib: any of its methods 1 to 3). Results are compared before anything is timed, in double precision and in
expanded coordinates; then programs take turns, in float32, on one processor: XLA's threads too.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pysiglib.jax_api

import harness
from harness import Call
from jobs import JOBS
from logsig_codegen import jax_api

PROBLEMS = ((2, 4), (3, 3), (5, 3), (7, 2), (5, 4), (10, 3), (64, 2))
JOINS, ROWS, BATCH, LENGTH = 1000, 32, 32, 128
WINDOWS = tuple(
    replace(job, points=min(job.points, 2_000), batch=min(job.batch, BATCH))
    for job in JOBS
    if (job.job, job.dimension) in (("log-NCDE SCP1", 6), ("neural RDE BIDMC32", 3), ("rolling", 5))
)
OURS = "logsig-codegen"
SLOWEST_CALL = 2.0
"""Seconds: a package whose calls take longer is left out of a line."""


@dataclass(frozen=True)
class Package:
    """What a package is asked for.

    ``log_sig`` takes paths ``(batch, length, dimension)`` and a degree, ``windows`` also the size and the stride;
    ``join`` extends rows by displacements of a dimension, of a degree; ``expanded`` takes rows, dimension and degree to
    coefficients of all words but the empty one. ``name`` may say in brackets which of several ways it is.
    """

    name: str
    log_sig: Callable[..., Any]
    expanded: Callable[..., Any]
    windows: Callable[..., Any] | None = None
    join: Callable[..., Any] | None = None
    differentiable: float = math.inf
    """Coordinates up to which gradients are asked for."""


def copied(log_sig: Callable[..., Any]) -> Callable[..., Any]:
    """Log-signatures of windows by a function of paths."""

    def windows(paths: Any, degree: int, size: int, stride: int) -> Any:
        firsts = np.arange(0, paths.shape[1] - size + 1, stride)
        copies = paths[:, firsts[:, None] + np.arange(size)]
        rows = log_sig(copies.reshape(-1, size, paths.shape[-1]), degree)
        return rows.reshape(len(paths), len(firsts), -1)

    return windows


def from_method(method: int) -> Callable[..., Any]:
    """Expanded coordinates from those of a method."""
    return lambda rows, dimension, degree: jax_api.log_sig_change_method(rows, dimension, degree, method, 0)


def packages() -> Iterator[Package]:
    """Ours first, then those that are installed."""

    def windows(paths: Any, degree: int, size: int, stride: int) -> Any:
        return jax_api.log_sig(paths, degree, method=2, windows=(size, stride))

    ours = partial(jax_api.log_sig, method=2)
    yield Package(OURS, ours, from_method(2), windows, jax_api.log_sig_join)
    for method in (1, 2, 3):
        log_sig = partial(pysiglib.jax_api.log_sig, method=method, scalar_term=False)
        join = pysiglib.jax_api.log_sig_join if method == 3 else None
        yield Package(f"pySigLib ({method})", log_sig, from_method(min(method, 2)), copied(log_sig), join)
    for name, ways in (("signax", [signaxs]), ("roughpy-jax", [partial(roughpys, fused=one) for one in (True, False)])):
        if find_spec(name.replace("-", "_")) is None:
            print(f"{name} is not installed")
            continue
        for make in ways:
            yield make(importlib.import_module(name.replace("-", "_")))


def signaxs(signax: Any) -> Package:
    """signax gives coordinates on Lyndon words."""
    return Package("signax", signax.logsignature, from_method(1), copied(signax.logsignature))


def roughpys(roughpy: Any, fused: bool) -> Package:
    """roughpy-jax multiplies by exponentials, fused or one after the other; coordinates on its Hall basis.

    The gradient of its fused product is not the one that finite differences give (version 1.2.0); that of the other one
    takes minutes to compile where there are many coordinates.
    """

    def log_sig(paths: Any, degree: int) -> Any:
        dimension = paths.shape[-1]
        tensors = roughpy.TensorBasis(dimension, degree)
        start = roughpy.FreeTensor.identity(tensors, dtype=paths.dtype, batch_dims=paths.shape[:1])

        def extend(state: Any, step: Any) -> tuple[Any, None]:
            exponent = roughpy.lie_to_tensor(roughpy.Lie(step, roughpy.LieBasis(dimension, 1))).change_depth(degree)
            if fused:
                return roughpy.ft_fmexp(state, exponent, out_basis=tensors), None
            return roughpy.ft_mul(state, roughpy.ft_exp(exponent, out_basis=tensors)), None

        steps = jnp.diff(paths, axis=1).swapaxes(0, 1)
        return roughpy.to_log_signature(jax.lax.scan(extend, start, steps)[0], roughpy.LieBasis(dimension, degree)).data

    def expanded(rows: Any, dimension: int, degree: int) -> Any:
        tensor = roughpy.lie_to_tensor(roughpy.Lie(rows, roughpy.LieBasis(dimension, degree)))
        return tensor.data[..., 1:]

    name = f"roughpy-jax ({'fused' if fused else 'product'})"
    return Package(name, log_sig, expanded, differentiable=0 if fused else 100)


@dataclass(frozen=True)
class Task:
    """A job for a problem: the shape of its argument, and a package's function of it, ``None`` if it has none."""

    job: str
    dimension: int
    degree: int
    shape: tuple[int, ...]
    run: Callable[[Package], Callable[..., Any] | None]

    @property
    def size(self) -> int:
        """Coordinates of a log-signature."""
        return jax_api.log_sig_length(self.dimension, self.degree)

    def argument(self, dtype: Any) -> Any:
        """Brownian paths, or steps, of size about one."""
        steps = np.random.default_rng(0).normal(size=self.shape)
        if self.job == "joins":
            return jnp.asarray(steps / np.sqrt(JOINS), dtype)
        return jnp.asarray(np.cumsum(steps, axis=1) / np.sqrt(min(self.shape[1], LENGTH)), dtype)


def tasks(problems: Sequence[tuple[int, int]]) -> Iterator[Task]:
    """Joins and paths of every problem, and, if all problems are asked for, windows."""
    for d, n in problems:
        yield Task("joins", d, n, (JOINS, ROWS, d), partial(_joins, d, n))
        yield Task("log_sig", d, n, (BATCH, LENGTH, d), partial(_paths, n))
    for job in WINDOWS if problems == PROBLEMS else ():
        run = partial(_windows, job.degree, job.window, job.stride)
        shape = (job.batch, job.points, job.dimension)
        yield Task(f"windows {job.window}/{job.stride}", job.dimension, job.degree, shape, run)


def _joins(dimension: int, degree: int, package: Package) -> Callable[..., Any] | None:
    join = package.join
    if join is None:
        return None

    def joins(steps: Any) -> Any:
        start = jnp.zeros((ROWS, jax_api.log_sig_length(dimension, degree)), steps.dtype)
        return jax.lax.scan(lambda state, step: (join(state, step, dimension, degree), None), start, steps)[0]

    return joins


def _paths(degree: int, package: Package) -> Callable[..., Any]:
    return lambda paths: package.log_sig(paths, degree)


def _windows(degree: int, size: int, stride: int, package: Package) -> Callable[..., Any] | None:
    windows = package.windows
    return None if windows is None else lambda paths: windows(paths, degree, size, stride)


@dataclass(frozen=True)
class Row:
    """What one program takes, and how many times as long as ours that is."""

    job: str
    dimension: int
    degree: int
    package: str
    microseconds: float
    spread: float
    ratio: float


def compare(task: Task, one: Package, expected: dict[str, Any]) -> dict[str, Any]:
    """Results of a package in double precision, expanded, and the gradient of the sum of their squares.

    Raises ``AssertionError`` if others are ``expected``.
    """
    function = task.run(one)
    assert function is not None

    def value(x: Any) -> Any:
        return one.expanded(function(x), task.dimension, task.degree)

    with jax.enable_x64(True):
        given = task.argument(jnp.float64)
        found = {"value": np.asarray(jax.jit(value)(given))}
        if task.size <= one.differentiable:
            found["gradient"] = np.asarray(jax.jit(jax.grad(lambda x: jnp.square(value(x)).sum()))(given))
    for name in found.keys() & expected.keys():
        scale = np.abs(expected[name]).max()
        title = f"{task}: {one.name}, {name}"
        np.testing.assert_allclose(found[name] / scale, expected[name] / scale, atol=1e-9, err_msg=title)
    return expected or found


def measure(task: Task, competitors: Sequence[Package], seconds: float, clock: str) -> list[Row]:
    """Times of a task, and of its gradient but for joins, for the packages that can do it."""
    for method in (1, 2, 3):
        pysiglib.prepare_log_sig(task.dimension, task.degree, method)
    able = [one for one in competitors if task.run(one) is not None]
    expected: dict[str, Any] = {}
    for one in able:
        expected = compare(task, one, expected)
    rows = []
    for gradient in (False,) if task.job == "joins" else (False, True):
        job = f"{task.job}{', gradient' if gradient else ''}"
        calls = {
            one.name: compiled(task, one, gradient) for one in able if not gradient or task.size <= one.differentiable
        }
        for name in [name for name, call in calls.items() if harness.seconds_of(call, clock) > SLOWEST_CALL]:
            print(f"left out, a call takes more than {SLOWEST_CALL} s: {name}, {job}", flush=True)
            del calls[name]
        times = harness.interleave(calls, seconds=seconds, clock=clock)
        for name, timing in times.items():
            ratio = harness.paired_ratio(timing, times[OURS])
            rows.append(Row(job, task.dimension, task.degree, name, timing.median / 1e3, timing.spread, ratio))
    return rows


def compiled(task: Task, one: Package, gradient: bool) -> Call:
    """A call of a compiled program; ``gradient``: of the gradient of the sum of all coordinates.

    It waits by the array's own method: ``jax.block_until_ready``, through trees, takes 0.6 microseconds more.
    """
    function: Any = task.run(one)
    given = task.argument(jnp.float32)
    program = jax.jit(jax.grad(lambda x: function(x).sum()) if gradient else function)
    program(given).block_until_ready()
    return lambda: program(given).block_until_ready()


GROUPS: dict[str, Callable[[str], bool]] = {
    "1,000 joins of 32 rows in a scan": lambda job: job == "joins",
    "32 x 128 points": lambda job: job == "log_sig",
    "32 x 128 points, gradient": lambda job: job == "log_sig, gradient",
    "windows": lambda job: job.startswith("windows") and not job.endswith("gradient"),
    "windows, gradient": lambda job: job.startswith("windows") and job.endswith("gradient"),
}
"""The lines of the overview, and which jobs belong to them."""


def cells(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """For each job and problem: our time, and how many times as long the others take, each by its fastest way."""
    for job, d, n in dict.fromkeys((row.job, row.dimension, row.degree) for row in rows):
        found = best(rows, job, d, n)
        ours, ratios = found.pop(OURS), {name: row.ratio for name, row in found.items()}
        yield (
            f"{job}, ({d},{n})",
            f"{ours.microseconds:,.0f} ±{100 * ours.spread:.0f}%",
            *(f"{ratios[name]:.1f}" if name in ratios else "" for name in names(rows)),
        )


def names(rows: Sequence[Row]) -> list[str]:
    """The packages that ours is compared with."""
    return [name for name in dict.fromkeys(row.package.partition(" (")[0] for row in rows) if name != OURS]


def best(rows: Sequence[Row], job: str, dimension: int, degree: int) -> dict[str, Row]:
    """Of each package the fastest way to a result."""
    found: dict[str, Row] = {}
    for row in rows:
        if (row.job, row.dimension, row.degree) == (job, dimension, degree):
            name = row.package.partition(" (")[0]
            found[name] = min(found.get(name, row), row, key=lambda one: one.microseconds)
    return found


def overview(rows: Sequence[Row]) -> str:
    """The table of ``docs/benchmarks.md``: geometric means over the problems, with the least and the greatest ratio."""
    lines = []
    jobs = list(dict.fromkeys((row.job, row.dimension, row.degree) for row in rows))
    for title, belongs in GROUPS.items():
        found = [best(rows, *job) for job in jobs if belongs(job[0])]
        if not found:
            continue
        others = [{name: row.ratio for name, row in one.items() if name != OURS} for one in found]
        columns = [[one[name] for one in others if name in one] for name in names(rows)]
        columns.append([min(one.values()) for one in others])
        lines.append((title, *map(spanned, columns)))
    return harness.table(("their time over ours", *names(rows), "the fastest of them"), lines)


def spanned(ratios: Sequence[float]) -> str:
    """The geometric mean, and between which numbers it lies."""
    if not ratios:
        return ""
    mean = f"{harness.geometric_mean(ratios):.1f}"
    return mean if len(ratios) == 1 else f"{mean} ({min(ratios):.1f}–{max(ratios):.1f})"


def about(clock: str, note: str) -> str:
    """The machine, the packages, and what was measured."""
    found = [name for name in ("jax", "signax", "roughpy-jax") if find_spec(name.replace("-", "_"))]
    others = ", ".join(f"{name} {version(name)}" for name in found)
    return f"{harness.machine_text()} {others}; compiled, float32, {clock} time, one processor{note}."


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--problem", type=harness.problem, action="append", help="dimension,degree: only these, no windows"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="for each program and its rivals")
    parser.add_argument("--clock", choices=tuple(harness.CLOCKS), default="cpu")
    parser.add_argument("--note", default="", help="what else a reader has to know about the machine")
    harness.add_outputs(parser, "jax_programs")
    options = parser.parse_args()
    if options.saved:
        text, rows = harness.restore(options.saved, Row)
    else:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before XLA starts its threads
        text, rows = about(options.clock, options.note and f"; {options.note}"), []
        competitors = list(packages())
        for task in tasks(tuple(options.problem or PROBLEMS)):
            found = measure(task, competitors, options.seconds, options.clock)
            rows += found
            print(harness.table(("job", "µs", *names(found)), cells(found)), flush=True)
            harness.save(options.results, text, rows)
    header = ("job", "µs", *names(rows))
    print(text, harness.table(header, cells(rows)), overview(rows), sep="\n\n")
    if options.document:
        harness.put_into(options.document, "jax", f"{text}\n\n{overview(rows)}")


if __name__ == "__main__":
    main()
