"""Compiled JAX programs against pySigLib 4.0, signax and roughpy-jax, those of them that are installed.

    python benchmarks/jax_programs.py --document docs/benchmarks.md    # everything, some ten minutes
    python benchmarks/jax_programs.py --problem 5,3 --results jax_5_3.csv

Joins in ``lax.scan``, log-signatures of paths and of windows, and their gradients. signax and roughpy-jax have no join
of log-signatures; roughpy-jax has whole paths as a scan of its tensor exponentials; windows are copied out of the path,
inside of the compiled program, for all others. Each package gives the coordinates that it is fastest in (pySigLib: any
of its methods 1 to 3). Results are compared before anything is timed, in double precision and in expanded coordinates;
then programs take turns, in float32, on one processor: XLA's threads too.
"""

from __future__ import annotations

import argparse
import importlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pysiglib.jax_api

import harness
from harness import Call
from jobs import JOBS as WINDOWS
from logsig_codegen import jax_api

PROBLEMS = ((2, 4), (3, 3), (5, 3), (7, 2), (5, 4), (10, 3), (64, 2))
JOINS, ROWS, BATCH, LENGTH = 1000, 32, 32, 128
OURS = "logsig-codegen"


@dataclass(frozen=True)
class Package:
    """What a package is asked for.

    ``log_sig`` takes paths ``(batch, length, dimension)`` and a degree, ``windows`` also the size and the stride;
    ``join`` extends rows by displacements of a dimension, of a degree; ``expanded`` takes rows, dimension and degree to
    coefficients of all words but the empty one. ``name`` may say in brackets which of several ways it is.
    """

    name: str
    log_sig: Callable[..., Any]
    windows: Callable[..., Any]
    expanded: Callable[..., Any]
    join: Callable[..., Any] | None = None


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
    yield Package(OURS, ours, windows, from_method(2), jax_api.log_sig_join)
    for method in (1, 2, 3):
        log_sig = partial(pysiglib.jax_api.log_sig, method=method, scalar_term=False)
        join = pysiglib.jax_api.log_sig_join if method == 3 else None
        yield Package(f"pySigLib ({method})", log_sig, copied(log_sig), from_method(min(method, 2)), join)
    for name, make in (("signax", signaxs), ("roughpy-jax", roughpys)):
        try:
            yield make(importlib.import_module(name.replace("-", "_")))
        except ImportError:
            print(f"{name} is not installed")


def signaxs(signax: Any) -> Package:
    """signax gives coordinates on Lyndon words."""
    return Package("signax", signax.logsignature, copied(signax.logsignature), from_method(1))


def roughpys(roughpy: Any) -> Package:
    """roughpy-jax multiplies by exponentials; coordinates on its Hall basis."""

    def log_sig(paths: Any, degree: int) -> Any:
        dimension = paths.shape[-1]
        tensors = roughpy.TensorBasis(dimension, degree)
        start = roughpy.FreeTensor.identity(tensors, dtype=paths.dtype, batch_dims=paths.shape[:1])

        def extend(state: Any, step: Any) -> tuple[Any, None]:
            exponent = roughpy.lie_to_tensor(roughpy.Lie(step, roughpy.LieBasis(dimension, 1)))
            return roughpy.ft_fmexp(state, exponent, out_basis=tensors), None

        steps = jnp.diff(paths, axis=1).swapaxes(0, 1)
        return roughpy.to_log_signature(jax.lax.scan(extend, start, steps)[0], roughpy.LieBasis(dimension, degree)).data

    def expanded(rows: Any, dimension: int, degree: int) -> Any:
        tensor = roughpy.lie_to_tensor(roughpy.Lie(rows, roughpy.LieBasis(dimension, degree)))
        return tensor.data[..., 1:]

    return Package("roughpy-jax", log_sig, copied(log_sig), expanded)


@dataclass(frozen=True)
class Task:
    """A job for a problem: the shape of its argument, and what a package makes of it; ``None`` if it has no such function."""

    job: str
    dimension: int
    degree: int
    shape: tuple[int, ...]
    run: Callable[[Package], Callable[..., Any] | None]

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
    if problems == PROBLEMS:
        for job in WINDOWS:
            if job.degree == 3 and (job.job, job.dimension) in (("neural RDE BIDMC32", 3), ("rolling", 5)):
                part = replace(job, points=min(job.points, 4_000), batch=min(job.batch, BATCH))
            elif job.job == "log-NCDE SCP1":
                part = job
            else:
                continue
            title = f"windows {part.window}/{part.stride}"
            yield Task(
                title, part.dimension, part.degree, (part.batch, part.points, part.dimension),
                partial(_windows, part.degree, part.window, part.stride),
            )  # fmt: skip


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


def _windows(degree: int, size: int, stride: int, package: Package) -> Callable[..., Any]:
    return lambda paths: package.windows(paths, degree, size, stride)


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

    Raises ``AssertionError`` unless they are the ones that are ``expected``; there may be none yet.
    """
    function = task.run(one)
    assert function is not None

    def value(x: Any) -> Any:
        return one.expanded(function(x), task.dimension, task.degree)

    with jax.enable_x64(True):
        given = task.argument(jnp.float64)
        found = {
            "value": np.asarray(jax.jit(value)(given)),
            "gradient": np.asarray(jax.jit(jax.grad(lambda x: jnp.square(value(x)).sum()))(given)),
        }
    for name, other in expected.items():
        scale = np.abs(other).max()
        np.testing.assert_allclose(found[name] / scale, other / scale, atol=1e-9, err_msg=f"{task}: {one.name}, {name}")
    return found


def measure(task: Task, competitors: Sequence[Package], seconds: float, clock: str) -> list[Row]:
    """Times of a task, and of its gradient but for joins, for the packages that can do it."""
    able = [one for one in competitors if task.run(one) is not None]
    expected: dict[str, Any] = {}
    for one in able:
        expected = compare(task, one, expected)
    given = task.argument(jnp.float32)
    rows = []
    for suffix in ("",) if task.job == "joins" else ("", ", gradient"):
        calls: dict[str, Call] = {}
        for one in able:
            function: Any = task.run(one)
            program = jax.jit(jax.grad(lambda x, run=function: run(x).sum()) if suffix else function)
            calls[one.name] = lambda run=program: jax.block_until_ready(run(given))  # type: ignore[misc]
        times = harness.interleave(calls, seconds=seconds, clock=clock)
        for name, timing in times.items():
            ratio = harness.paired_ratio(timing, times[OURS])
            title = f"{task.job}{suffix}"
            rows.append(Row(title, task.dimension, task.degree, name, timing.median / 1e3, timing.spread, ratio))
    return rows


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
    for job in dict.fromkeys(row.job for row in rows):
        problems = dict.fromkeys((row.dimension, row.degree) for row in rows if row.job == job)
        found = [best(rows, job, *problem) for problem in problems]
        others = [{name: row.ratio for name, row in one.items() if name != OURS} for one in found]
        columns = [[one[name] for one in others if name in one] for name in names(rows)]
        columns.append([min(one.values()) for one in others])
        lines.append((TITLES.get(job, f"{job} points"), *map(spanned, columns)))
    return harness.table(("their time over ours", *names(rows), "best of them"), lines)
