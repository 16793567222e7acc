"""Windows as people feed them to models: published configurations, against pySigLib on windows that were copied out.

    python benchmarks/jobs.py                        # every job, both number types: about five minutes
    python benchmarks/jobs.py --job rolling

For each job the log-signatures of all windows and their gradient: ``kernel.log_sig(path, windows=…)`` and
``log_sig_backprop``, one thread, results compared first. pySigLib gets the windows as an array of their own, made
before, and is asked for its faster method of 1 and 2; its gradient is that of the signature, the log and the map to
brackets. Batches are as large as pySigLib's copies allow; of a single path with more windows than that it gets a part,
and its time is scaled up. ``copies`` is our time over that of copying the points and the results, which no program can
do without.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pysiglib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import harness
import logsig_codegen as lg
from harness import Call, geometric_mean, paired_ratio

TOLERANCE = {"float64": 1e-10, "float32": 2e-3}
DTYPES = tuple(TOLERANCE)
MOST_NUMBERS = 1 << 22
"""Of pySigLib's copies of windows."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Job:
    """A configuration: name, problem, points of a path, windows of so many points so many apart, paths."""

    job: str
    dimension: int
    degree: int
    points: int
    window: int
    stride: int
    batch: int

    @property
    def title(self) -> str:
        """A line of the table."""
        return f"{self.job}: ({self.dimension},{self.degree}), {self.points:,} points, {self.window}/{self.stride}"


JOBS = (
    Job("log-NCDE EigenWorms", 7, 2, 17_984, 12, 12, 32),
    Job("log-NCDE Heartbeat", 62, 2, 405, 2, 2, 32),
    Job("log-NCDE MotorImagery", 64, 2, 3_000, 16, 16, 32),
    Job("log-NCDE SCP1", 6, 2, 896, 16, 16, 32),
    Job("log-NCDE SCP2", 7, 2, 1_152, 4, 4, 32),
    Job("neural RDE BIDMC32", 3, 3, 4_000, 128, 128, 512),
    Job("neural RDE EigenWorms", 7, 3, 17_984, 64, 64, 1_024),
    Job("tokens MotorImagery", 64, 2, 3_000, 51, 50, 32),
    Job("tokens Heartbeat", 61, 2, 405, 143, 26, 32),
    Job("rolling", 5, 3, 20_000, 100, 1, 1),
    Job("rolling", 3, 4, 20_000, 50, 1, 1),
    Job("rolling", 2, 4, 20_000, 250, 1, 1),
)


@dataclass(frozen=True)
class Row:
    """Microseconds for all windows of a batch, and how many times longer pySigLib takes."""

    job: Job
    dtype: str
    paths: int
    forward: float
    backward: float
    copy: float
    ratio: float
    ratio_back: float
    spread: float


def calls(job: Job, dtype: str) -> tuple[dict[str, Call], int]:
    """Everything to time, by name, and the number of paths."""
    d, n, windows = job.dimension, job.degree, (job.window, job.stride)
    number = (job.points - job.window) // job.stride + 1
    batch = max(1, min(job.batch, MOST_NUMBERS // (number * job.window * d)))
    source = np.random.default_rng(0)
    path = source.normal(size=(batch, job.points, d)).cumsum(axis=1) / np.sqrt(job.window)
    path = path.astype(dtype)
    views = sliding_window_view(path, job.window, axis=1)[:, :: job.stride].swapaxes(-1, -2)
    most = max(1, MOST_NUMBERS // (job.window * d))  # of one path, more windows than that are too many for copies
    copies = views.reshape(-1, job.window, d)[:most].copy()  # pySigLib copies views once more
    kernel = lg.load(d, n)
    for method in (1, 2):
        pysiglib.prepare_log_sig(d, n, method)
    out: Array = kernel.log_sig(path, windows=windows)
    d_out = source.normal(size=out.shape).astype(dtype)
    d_path, moved = np.empty_like(path), np.empty(path.size + out.size, dtype)
    target = np.empty_like(moved)
    d_rows = np.ascontiguousarray(d_out.reshape(-1, kernel.size)[: len(copies)])

    def peer_gradient() -> Array:
        sig = pysiglib.sig(copies, n, n_jobs=1)
        d_sig = pysiglib.sig_to_log_sig_backprop(sig, d_rows, d, n, method=2, n_jobs=1)
        result: Array = pysiglib.sig_backprop(copies, sig, d_sig, n, n_jobs=1)
        return result

    found: dict[str, Call] = {
        "forward": lambda: kernel.log_sig(path, windows=windows, out=out),
        "backward": lambda: kernel.log_sig_backprop(d_out, path, windows=windows, out=d_path),
        "copy": lambda: np.copyto(target, moved),
        "peer-1": lambda: pysiglib.log_sig(copies, n, method=1, n_jobs=1),
        "peer-2": lambda: pysiglib.log_sig(copies, n, method=2, n_jobs=1),
        "peer-back": peer_gradient,
    }
    agree(job, dtype, out.reshape(-1, kernel.size)[: len(copies)], found["peer-2"]())
    if len(copies) == number * batch:
        agree(job, dtype, found["backward"](), scattered(job, path, peer_gradient()))
    return found, batch


def scattered(job: Job, path: Array, gradients: Array) -> Array:
    """Gradients by copied windows, added up where they were copied from."""
    total = np.zeros(path.shape, np.float64)
    per_path = gradients.reshape(len(path), -1, job.window, job.dimension)
    for k in range(per_path.shape[1]):
        total[:, k * job.stride : k * job.stride + job.window] += per_path[:, k]
    return total


def agree(job: Job, dtype: str, found: Any, expected: Any) -> None:
    """Raise ``ArithmeticError`` if two results differ: their times would mean nothing."""
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= TOLERANCE[dtype]:
        raise ArithmeticError(f"{job.title}, {dtype}: results differ by {error:.1e}")


def measure(jobs: Sequence[Job], seconds: float) -> Iterator[Row]:
    """Time every job in both number types."""
    for job in jobs:
        for dtype in DTYPES:
            competitors, batch = calls(job, dtype)
            times = harness.interleave(competitors, seconds=seconds)
            number = (job.points - job.window) // job.stride + 1
            share = number * batch / min(number * batch, max(1, MOST_NUMBERS // (job.window * job.dimension)))
            peer = min(("peer-1", "peer-2"), key=lambda name: times[name].median)
            yield Row(
                job,
                dtype,
                batch,
                times["forward"].median / 1e3,
                times["backward"].median / 1e3,
                times["copy"].median / 1e3,
                share * paired_ratio(times[peer], times["forward"]),
                share * paired_ratio(times["peer-back"], times["backward"]),
                times["forward"].spread,
            )


def report(rows: Sequence[Row]) -> str:
    """A line for each job, float64 and float32 beside one another, and the geometric means."""
    by_job: dict[Job, dict[str, Row]] = {}
    for row in rows:
        by_job.setdefault(row.job, {})[row.dtype] = row

    def both(found: dict[str, Row], number: Callable[[Row], float], digits: int) -> str:
        return " / ".join(f"{number(found[dtype]):.{digits}f}" for dtype in DTYPES)

    cells = [
        (
            job.title,
            both(found, lambda row: row.forward / 1e3, 2),
            both(found, lambda row: row.forward / row.copy, 1),
            both(found, lambda row: row.ratio, 1),
            both(found, lambda row: row.ratio_back, 1),
            both(found, lambda row: row.backward / row.forward, 1),
        )
        for job, found in by_job.items()
    ]
    ratios = [row.ratio for row in rows], [row.ratio_back for row in rows]
    means = " and ".join(f"{geometric_mean(one):.0f} times (least {min(one):.1f})" for one in ratios)
    names = ("windows (points/stride)", "ms", "copies", "times faster", "gradient", "gradient / forward")
    return f"{harness.table(names, cells)}\n\nGeometric means, forward and gradient: {means} faster than pySigLib 4.0."


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", default="", help="only jobs whose name contains this")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to measure a job and number type")
    harness.add_outputs(parser, "jobs")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        rows = list(measure([job for job in JOBS if options.job.lower() in job.job.lower()], options.seconds))
        about = f"{harness.machine_text()} Windows of one batch, cpu time, one thread; float64 / float32."
        harness.save(options.results, about, rows)
    text = f"{about}\n\n{report(rows)}"
    print(text)
    if options.document:
        harness.put_into(options.document, "jobs", text)


if __name__ == "__main__":
    main()
