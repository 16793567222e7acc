"""The log-signature sweep of the public suite pySigLib-Benchmarks on this machine: 256 paths of 1,000 points, float32.

    python benchmarks/public_suite.py                         # about five minutes
    python benchmarks/public_suite.py --suite ~/pySigLib-Benchmarks   # timed by the suite's own code

Its protocol: Brownian paths, one call that is not timed, the least of ten that are, in wall time; a gradient is the
pullback of a random cotangent, with the forward pass done before. ``suite/`` has the adapter, and how to use it there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import harness

HERE = Path(__file__).resolve().parent / "suite"
SWEEP: dict[str, Any] = {
    "N": 1000, "batch_size": 256, "path_kind": "brownian", "seed": 20260529, "repeats": 10, "warmup_iterations": 1,
    "timing_statistic": "min", "backend": "cpu",
}  # fmt: skip
"""``config/paper_logsignatures_sweep.yaml`` of the suite, with the number of calls that its README names."""
DIMENSIONS, DEGREES = (2, 4, 8, 16), (2, 3)
TITLES = {"logsignature": "log_sig", "logsignature_backprop": "gradient"}
"""By operation of the suite: a column of the table."""
TOLERANCE = 2e-3
"""Relative to the largest number: both libraries compute in float32."""


@dataclass(frozen=True)
class Row:
    """Milliseconds for a batch."""

    operation: str
    d: int
    m: int
    n_jobs: int
    ours: float
    peer: float


def calls(config: dict[str, Any]) -> tuple[Any, Callable[[], Any], Callable[[], Any]]:
    """What times, and the operation by this package and by pySigLib, as the suite's adapter of it does."""
    import pysiglib
    from run_logsig_codegen import LogsigCodegenAdapter

    adapter = LogsigCodegenAdapter(config)
    path, d, m, jobs = adapter.make_path_input(), config["d"], config["m"], config["n_jobs"]
    pysiglib.prepare_log_sig(d, m, 2)
    if config["operation"] == "logsignature":
        return adapter, adapter.run_logsignature(path, d, m), lambda: pysiglib.log_sig(path, m, method=2, n_jobs=jobs)
    signature = pysiglib.sig(path, m, n_jobs=jobs)
    cotangent = adapter.random_cotangent((len(path), pysiglib.log_sig_length(d, m)))

    def peer() -> Any:
        d_sig = pysiglib.sig_to_log_sig_backprop(signature, cotangent, d, m, method=2, n_jobs=jobs)
        return pysiglib.sig_backprop(path, signature, d_sig, m, n_jobs=jobs)

    return adapter, adapter.run_logsignature_backprop(path, d, m), peer


def agree(ours: Any, peer: Any, what: str) -> None:
    """Raise ``ArithmeticError`` if two results differ: their times would mean nothing."""
    found = np.asarray(ours[0] if isinstance(ours, tuple) else ours)
    error = float(np.abs(found - peer).max() / np.abs(peer).max())
    if not error <= TOLERANCE:
        raise ArithmeticError(f"{what}: results differ by {error:.1e}")


def measure(n_jobs: int, dimensions: Sequence[int] = DIMENSIONS, **other: Any) -> Iterator[Row]:
    """The sweep, with so many threads for both; ``other`` replaces members of the configuration."""
    for d in dimensions:
        for m in DEGREES:
            for operation in TITLES:
                config = {**SWEEP, "d": d, "m": m, "operation": operation, "n_jobs": n_jobs, **other}
                adapter, ours, peer = calls(config)
                agree(ours(), peer(), f"{operation} ({d},{m})")
                times = [adapter.manual_timing_loop(one)[0] for one in (ours, peer)]
                yield Row(operation, d, m, n_jobs, *times)


def report(rows: Sequence[Row]) -> str:
    """A line for each problem: both libraries' milliseconds, and how many times longer pySigLib's are."""
    by_case = {(row.operation, row.n_jobs, row.d, row.m): row for row in rows}
    jobs = list(dict.fromkeys(row.n_jobs for row in rows))

    def cell(row: Row) -> str:
        ours, peer = (f"{ms:.3g}" if ms < 100 else f"{ms:,.0f}" for ms in (row.ours, row.peer))
        return f"{ours} / {peer} ({row.peer / row.ours:.0f})"

    threads = {n: "all processors" if n == -1 else f"n_jobs={n}" for n in jobs}
    names = [f"{operation}, {threads[n]}" for n in jobs for operation in TITLES.values()]
    problems = list(dict.fromkeys((row.d, row.m) for row in rows))
    lines = [(f"({d},{m})", *(cell(by_case[one, n, d, m]) for n in jobs for one in TITLES)) for d, m in problems]
    return harness.table(("(d,N)", *names), lines)


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, help="a checkout of the suite, whose base class is to time")
    parser.add_argument("--n-jobs", type=int, action="append", help="threads; several times (default: 1 and -1)")
    parser.add_argument("--dimension", type=int, action="append", help="several times (default: 2, 4, 8, 16)")
    parser.add_argument("--batch", type=int, default=SWEEP["batch_size"])
    parser.add_argument("--points", type=int, default=SWEEP["N"])
    harness.add_outputs(parser, "public_suite")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        sys.path[:0] = [str(options.suite / "src")] if options.suite else []
        sys.path.append(str(HERE))
        sizes = {"batch_size": options.batch, "N": options.points}
        wanted = options.n_jobs or (1, -1)
        rows = [row for n in wanted for row in measure(n, options.dimension or DIMENSIONS, **sizes)]
        what = f"{options.batch} paths of {options.points:,} points, float32; milliseconds of wall time."
        about = f"{harness.machine_text()} {what}"
        harness.save(options.results, about, rows)
    text = f"{about}\n\n{report(rows)}"
    print(text)
    if options.document:
        harness.put_into(options.document, "public-suite", text)


if __name__ == "__main__":
    main()
