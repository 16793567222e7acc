"""Conversions between signatures and log-signatures against pySigLib, interleaved in one process.

    python benchmarks/conversions.py                               # about three minutes
    python benchmarks/conversions.py --document docs/benchmarks.md

Microseconds per call, coordinates on Lyndon words (method 1), one thread;
results have to agree before they are timed. A ratio is their time over ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pysiglib

import harness
import logsig_codegen as lg
from harness import geometric_mean, interleave, paired_ratio

PROBLEMS = ((2, 4), (2, 8), (3, 3), (3, 5), (5, 3), (5, 4), (5, 5), (10, 3), (20, 2))
BATCHES = (1, 64)
OPERATIONS = ("logarithm", "gradient of the logarithm", "exponential", "gradient of the exponential")
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Row:
    """One operation on one batch: microseconds per call, and how many times longer pySigLib's takes."""

    dimension: int
    degree: int
    rows: int
    operation: str
    ours: float
    pysiglib: float
    ratio: float


def results(module: Any, operation: str, sig: Array, log_sig: Array, problem: tuple[int, int]) -> Any:
    """One call."""
    options = {"method": 1}
    if operation == OPERATIONS[0]:
        return module.sig_to_log_sig(sig, *problem, **options)
    if operation == OPERATIONS[1]:
        return module.sig_to_log_sig_backprop(sig, np.ones_like(log_sig), *problem, **options)
    if operation == OPERATIONS[2]:
        return module.logsig_to_sig(log_sig, *problem, **options)
    return module.logsig_to_sig_backprop(log_sig, np.ones_like(sig), *problem, **options)


def measure(problem: tuple[int, int], batch: int, seconds: float) -> Iterator[Row]:
    """Check and time one problem."""
    for method in (1, 2):
        pysiglib.prepare_log_sig(*problem, method)
    path = np.random.default_rng(0).normal(size=(batch, 20, problem[0])).cumsum(axis=1) / 5
    sig = pysiglib.sig(path, problem[1])
    log_sig = pysiglib.sig_to_log_sig(sig, *problem, method=1)
    for operation in OPERATIONS:
        found, expected = (results(module, operation, sig, log_sig, problem) for module in (lg, pysiglib))
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
        if not error < 1e-9:
            raise ArithmeticError(f"{problem}, {operation}: results differ by {error:.1e}")
        calls = {
            module.__name__: lambda m=module, o=operation: results(m, o, sig, log_sig, problem)
            for module in (lg, pysiglib)
        }
        times = interleave(calls, seconds=seconds)
        ours, theirs = times[lg.__name__], times[pysiglib.__name__]
        ratio = paired_ratio(theirs, ours)
        yield Row(*problem, batch, operation, ours.median / 1000, theirs.median / 1000, ratio)


def overview(rows: Sequence[Row]) -> str:
    """Geometric means over the problems, least and most: what ``docs/benchmarks.md`` shows."""
    batches = sorted({row.rows for row in rows})
    lines = []
    for operation in OPERATIONS:
        found = [[row.ratio for row in rows if (row.operation, row.rows) == (operation, batch)] for batch in batches]
        cells = (f"{geometric_mean(one):.1f} ({min(one):.1f}–{max(one):.1f})" for one in found)
        lines.append((operation, *cells))
    return harness.table(("pySigLib's time over ours", *(f"rows: {batch}" for batch in batches)), lines)


def details(rows: Sequence[Row]) -> str:
    """All times, a line per measurement."""
    lines = [
        (
            f"({r.dimension},{r.degree})",
            str(r.rows),
            r.operation,
            f"{r.ours:,.0f}",
            f"{r.pysiglib:,.0f}",
            f"{r.ratio:.1f}",
        )
        for r in rows
    ]
    return harness.table(("(d,N)", "rows", "operation", "ours", "pySigLib", "ratio"), lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="per operation, about")
    harness.add_outputs(parser, "conversions")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        about = f"{harness.machine_text()} Microseconds per call."
        rows = [row for problem in PROBLEMS for batch in BATCHES for row in measure(problem, batch, options.seconds)]
        harness.save(options.results, about, rows)
    text = overview(rows)
    print(f"{about}\n\n{details(rows)}\n\n{text}")
    if options.document:
        harness.put_into(options.document, "conversions", f"{about}\n\n{text}")


if __name__ == "__main__":
    main()
