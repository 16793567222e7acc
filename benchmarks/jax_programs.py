"""Compiled JAX programs: joins in ``lax.scan``, log-signatures of paths and their gradients, against pySigLib 4.0's.

    python benchmarks/jax_programs.py                   # the problems of the table
    python benchmarks/jax_programs.py --problem 5,3 --results jax_5_3.csv

Results are compared before anything is timed, in double precision; programs take turns and are waited for. float32 and
one thread, as both packages have it by default.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pysiglib.jax_api

import harness
from harness import Call
from logsig_codegen import jax_api

PROBLEMS = ((2, 4), (3, 3), (5, 3), (7, 2), (5, 4), (10, 3))
JOINS, ROWS, BATCH, LENGTH = 1000, 32, 32, 128
PACKAGES: dict[str, Any] = {"logsig-codegen": jax_api, "pySigLib": pysiglib.jax_api}


@dataclass(frozen=True)
class Row:
    """What one program takes."""

    job: str
    dimension: int
    degree: int
    package: str
    microseconds: float
    ratio: float | None


def programs(package: Any, dimension: int, degree: int) -> dict[str, Callable[..., Any]]:
    """The jobs, compiled: functions of steps ``(JOINS, ROWS, dimension)`` and paths ``(BATCH, LENGTH, dimension)``."""
    size = jax_api.log_sig_length(dimension, degree)

    def joins(steps: Any, _: Any) -> Any:
        def extend(state: Any, step: Any) -> tuple[Any, None]:
            return package.log_sig_join(state, step, dimension, degree), None

        return jax.lax.scan(extend, jnp.zeros((ROWS, size), steps.dtype), steps)[0]

    def log_sig(_: Any, paths: Any) -> Any:
        return package.log_sig(paths, degree, method=2)

    def gradient(_: Any, paths: Any) -> Any:
        return jax.grad(lambda x: package.log_sig(x, degree, method=2).sum())(paths)

    return {"1,000 joins": jax.jit(joins), "log_sig": jax.jit(log_sig), "gradient": jax.jit(gradient)}


def arguments(dimension: int, dtype: Any) -> tuple[Any, Any]:
    source = np.random.default_rng(0)
    steps = source.normal(size=(JOINS, ROWS, dimension)) / np.sqrt(JOINS)
    paths = np.cumsum(source.normal(size=(BATCH, LENGTH, dimension)) / np.sqrt(LENGTH), axis=1)
    return jnp.asarray(steps, dtype), jnp.asarray(paths, dtype)


def compare(dimension: int, degree: int) -> None:
    """Raise ``AssertionError`` unless the packages agree."""
    with jax.enable_x64(True):
        given = arguments(dimension, jnp.float64)
        results = [
            {job: run(*given) for job, run in programs(one, dimension, degree).items()} for one in PACKAGES.values()
        ]
        for job, ours in results[0].items():
            np.testing.assert_allclose(ours, results[1][job], rtol=1e-8, atol=1e-9, err_msg=job)


def measure(dimension: int, degree: int, seconds: float) -> list[Row]:
    """Times of all jobs of a problem."""
    pysiglib.prepare_log_sig(dimension, degree, 3)
    compare(dimension, degree)
    given = arguments(dimension, jnp.float32)
    made = {name: programs(package, dimension, degree) for name, package in PACKAGES.items()}
    rows = []
    for job in made["pySigLib"]:
        calls: dict[str, Call] = {
            name: (lambda run=some[job]: jax.block_until_ready(run(*given)))  # type: ignore[misc]
            for name, some in made.items()
        }
        times = harness.interleave(calls, seconds=seconds, clock="wall")
        ours = times["logsig-codegen"]
        for name, timing in times.items():
            ratio = None if timing is ours else harness.paired_ratio(timing, ours)
            rows.append(Row(job, dimension, degree, name, timing.median / 1e3, ratio))
    return rows


def shown(rows: list[Row]) -> str:
    """A table of the times in microseconds, and how many times longer pySigLib takes."""
    cells = []
    for ours, theirs in zip(rows[::2], rows[1::2], strict=True):
        times = (f"{ours.microseconds:,.0f}", f"{theirs.microseconds:,.0f}", f"{theirs.ratio:.1f}")
        cells.append((f"{ours.job} ({ours.dimension},{ours.degree})", *times))
    return harness.table(("job", "µs", "pySigLib 4.0, µs", "times"), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", type=harness.problem, action="append", help="dimension,degree; several times")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each job")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "jax_programs.csv")
    options = parser.parse_args()
    rows = [
        row for dimension, degree in options.problem or PROBLEMS for row in measure(dimension, degree, options.seconds)
    ]
    harness.save(options.results, f"{harness.machine_text()} jax {jax.__version__}, float32, one thread a call.", rows)
    print(shown(rows))
    for job in dict.fromkeys(row.job for row in rows):
        ratios = [row.ratio for row in rows if row.job == job and row.ratio is not None]
        print(f"{job}: {harness.geometric_mean(ratios):.1f} times (geometric mean)")


if __name__ == "__main__":
    main()
