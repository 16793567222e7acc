"""Conversions between signatures and log-signatures against pySigLib, interleaved in one process.

    python benchmarks/conversions.py                               # about three minutes
    python benchmarks/conversions.py --document docs/benchmarks.md

Ours are numpy code, pySigLib's is C++. Microseconds per call, coordinates on Lyndon words (method 1), one thread;
results have to agree before they are timed. A ratio is their time over ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib

import harness
import logsig_codegen as lg
from harness import interleave, paired_ratio

PROBLEMS = ((2, 4), (2, 8), (3, 3), (3, 5), (5, 3), (5, 4), (5, 5), (10, 3), (20, 2))
BATCHES = (1, 64)
OPERATIONS = ("logarithm", "its gradient", "exponential", "its gradient ")
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Row:
    """One problem and batch: microseconds by library, and ratios, in the order of ``OPERATIONS``."""

    problem: tuple[int, int]
    batch: int
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    ratios: tuple[float, ...]


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


def measure(problem: tuple[int, int], batch: int, seconds: float) -> Row:
    """Check and time one problem."""
    for method in (1, 2):
        pysiglib.prepare_log_sig(*problem, method)
    path = np.random.default_rng(0).normal(size=(batch, 20, problem[0])).cumsum(axis=1) / 5
    sig = pysiglib.sig(path, problem[1])
    log_sig = pysiglib.sig_to_log_sig(sig, *problem, method=1)
    ours, theirs, ratios = [], [], []
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
        ours.append(times[lg.__name__].median / 1000)
        theirs.append(times[pysiglib.__name__].median / 1000)
        ratios.append(paired_ratio(times[pysiglib.__name__], times[lg.__name__]))
    return Row(problem, batch, tuple(ours), tuple(theirs), tuple(ratios))


def report(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    header = ["(d,N)", "rows"]
    for operation in OPERATIONS:
        header += [operation.strip(), "pySigLib", "ratio"]
    lines = []
    for row in rows:
        line = [f"({row.problem[0]},{row.problem[1]})", str(row.batch)]
        for one, other, ratio in zip(row.ours, row.theirs, row.ratios, strict=True):
            line += [f"{one:,.0f}", f"{other:,.0f}", f"{ratio:.1f}"]
        lines.append(line)
    return harness.table(header, lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="per operation, about")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/conversions.json"))
    parser.add_argument("--document", type=Path, help="put the table between the marks of this page as well")
    options = parser.parse_args()
    rows = [measure(problem, batch, options.seconds) for problem in PROBLEMS for batch in BATCHES]
    text = report(rows)
    print(text)
    harness.save(options.json, {"machine": harness.machine(), "rows": [asdict(row) for row in rows]})
    if options.document:
        harness.put_into(options.document, "conversions", f"{harness.machine_text(harness.machine())}\n\n{text}")


if __name__ == "__main__":
    main()
