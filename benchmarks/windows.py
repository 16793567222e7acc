"""Windows that overlap: forward and gradient for two sizes, against pySigLib on windows that were copied out before.

python benchmarks/windows.py              # dimension 5, degree 3, 20,000 points, windows a step apart, one thread
python benchmarks/windows.py --problem 2,4 --windows 50,250 --step 2
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib
from numpy.lib.stride_tricks import sliding_window_view

import harness
import logsig_codegen as lg
from harness import Call, CallTime

POINTS = 20_000


def calls(dimension: int, degree: int, window: int, step: int) -> dict[str, Call]:
    """Forward and gradient, and pySigLib's two methods where the copies of the windows take less than a gigabyte."""
    path = np.random.default_rng(0).normal(size=(POINTS, dimension)).cumsum(axis=0) / np.sqrt(window)
    kernel = lg.load(dimension, degree)
    out: Any = kernel.log_sig(path, windows=(window, step))
    d_out, d_path = np.ones_like(out), np.empty_like(path)
    found: dict[str, Call] = {
        f"{window} points": lambda: kernel.log_sig(path, windows=(window, step), out=out),
        f"{window} points, gradient": lambda: kernel.log_sig_backprop(d_out, path, windows=(window, step), out=d_path),
    }
    if len(out) * window * dimension < 1 << 27:
        copies = np.ascontiguousarray(sliding_window_view(path, window, axis=0)[::step].swapaxes(-1, -2))
        for method in (1, 2):
            pysiglib.prepare_log_sig(dimension, degree, method)
            found[f"{window} points, pySigLib, method {method}"] = (
                lambda method=method: pysiglib.log_sig(copies, degree, method=method, n_jobs=1)  # type: ignore[misc]
            )
    return found


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="5,3", help="dimension,degree")
    parser.add_argument("--windows", default="100,1000", help="sizes of the windows, in points")
    parser.add_argument("--step", type=int, default=1, help="points from one window to the next")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "windows.csv", help="where to save the times")
    options = parser.parse_args()
    dimension, degree = map(int, options.problem.split(","))
    competitors: dict[str, Call] = {}
    for window in map(int, options.windows.split(",")):
        competitors |= calls(dimension, degree, window, options.step)
    times = harness.interleave(competitors, seconds=20.0)
    rows = [(name, f"{t.median / 1e6:.3f}", f"±{100 * t.spread:.0f}%") for name, t in times.items()]
    about = (
        f"{harness.machine_text()} One path of {POINTS} points, ({dimension},{degree}), float64, windows "
        f"{options.step} points apart, one thread."
    )
    print(about, harness.table(("windows of", "milliseconds", "spread"), rows), sep="\n\n")
    harness.save(options.results, about, [CallTime.of(name, timing) for name, timing in times.items()])


if __name__ == "__main__":
    main()
