"""What a single call costs: one sample in numpy and torch, importing the package, loading a compiled problem.

    python benchmarks/call.py                 # dimension 5, degree 3
    python benchmarks/call.py --problem 3,4 --results call_3_4.csv

Import and load are timed in fresh processes, because both happen once per process. ``load, cached`` finds the compiled
problem in the cache; ``load, cold`` derives, generates and compiles into an empty cache folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib

import harness
import logsig_codegen as lg
from harness import Call, CallTime

IMPORT = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
LOAD = (
    "import time, logsig_codegen as lg; start = time.perf_counter(); lg.load({d}, {n}); "
    "print(time.perf_counter() - start)"
)


def calls(dimension: int, degree: int) -> dict[str, Call]:
    """One call on one sample, both libraries, with and without an output array of the caller's."""
    generator = np.random.default_rng(0)
    kernel = lg.load(dimension, degree)
    log_sig = 0.3 * generator.standard_normal(kernel.size)
    displacement, d_out = generator.standard_normal(dimension), generator.standard_normal(kernel.size)
    out = np.empty_like(log_sig)
    pysiglib.prepare_log_sig(dimension, degree, 3)
    return {
        "kernel.join": lambda: kernel.join(log_sig, displacement),
        "kernel.join, out=": lambda: kernel.join(log_sig, displacement, out=out),
        "kernel.join_backprop": lambda: kernel.join_backprop(d_out, log_sig, displacement),
        "log_sig_join": lambda: lg.log_sig_join(log_sig, displacement, dimension, degree),
        "pySigLib log_sig_join": lambda: pysiglib.log_sig_join(log_sig, displacement, dimension, degree),
        "pySigLib log_sig_join_backprop": lambda: pysiglib.log_sig_join_backprop(
            d_out, log_sig, displacement, dimension, degree
        ),
    }


def torch_calls(dimension: int, degree: int) -> dict[str, Call]:
    """The same on torch tensors, and one forward and backward through autograd."""
    import torch

    from logsig_codegen import torch_api

    kernel = lg.load(dimension, degree)
    log_sig = 0.3 * torch.randn(kernel.size, dtype=torch.float64)
    displacement = torch.randn(dimension, dtype=torch.float64)
    leaf = log_sig.clone().requires_grad_()

    def forward_backward() -> None:
        leaf.grad = None
        total: Any = torch_api.log_sig_join(leaf, displacement, dimension, degree).sum()
        total.backward()

    return {
        "kernel.join, torch": lambda: kernel.join(log_sig, displacement),
        "torch_api.log_sig_join, forward and backward": forward_backward,
    }


def fresh(code: str, environment: dict[str, str], repeats: int) -> float:
    """Median of the seconds that ``code`` prints, each time in a new process."""
    found = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        found.append(float(done.stdout))
    return statistics.median(found)


def once_per_process(dimension: int, degree: int) -> dict[str, float]:
    """Seconds for importing and loading."""
    load = LOAD.format(d=dimension, n=degree)
    with tempfile.TemporaryDirectory() as folder:
        cache = {"LOGSIG_CODEGEN_CACHE": folder}
        cold = fresh(load, cache, repeats=1)
        return {
            "import numpy (part of the next line)": fresh(IMPORT.format(module="numpy"), {}, repeats=5),
            "import logsig_codegen": fresh(IMPORT.format(module="logsig_codegen"), {}, repeats=5),
            "load, cached": fresh(load, cache, repeats=5),
            "load, cold": cold,
        }


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="5,3", help="dimension,degree")
    parser.add_argument("--document", type=Path, help="put the tables between the marks of this page as well")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "call.csv", help="where to save the times")
    options = parser.parse_args()
    dimension, degree = map(int, options.problem.split(","))
    competitors = {**calls(dimension, degree), **torch_calls(dimension, degree)}
    times = harness.interleave(competitors, seconds=6.0)
    rows = [(name, f"{t.median / 1e3:.2f}", f"±{100 * t.spread:.0f}%") for name, t in times.items()]
    seconds = once_per_process(dimension, degree)
    once = [(name, f"{1e3 * value:.1f}") for name, value in seconds.items()]
    about = f"{harness.machine_text()} One row, ({dimension},{degree}), float64."
    tables = harness.table(("call", "microseconds", "spread"), rows), harness.table(("once", "milliseconds"), once)
    text = "\n\n".join([about, *tables])
    print(text)
    if options.document:
        harness.put_into(options.document, "call", text)
    saved = [CallTime.of(name, timing) for name, timing in times.items()]
    saved += [CallTime(name, 1e6 * value, None, None) for name, value in seconds.items()]
    harness.save(options.results, about, saved)


if __name__ == "__main__":
    main()
