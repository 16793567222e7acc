"""What one call on one sample costs in torch, with a gradient wanted: the Python registration and the C++ extension.

    python benchmarks/torch_overhead.py                 # dimension 5, degree 3
    python benchmarks/torch_overhead.py --problem 3,4 --document docs/benchmarks.md

Everything runs in one process and takes turns. The extension is loaded first; the Python registration then stands
beside it under names with an underscore, which is how both can be timed together. ``kernel`` is the time of one row in
a batch of a thousand. For comparison: ``torch.add`` on the same tensor; the same kernel behind a plain
``torch.library.custom_op`` with autograd, and behind an ``autograd.Function``; pySigLib.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib
import pysiglib.torch_api
import torch

import harness
import logsig_codegen as lg
from harness import Call, CallTime

TARGET_EXTENSION = 3.0  # times torch.add, plus the kernel
TARGET_PYTHON = 15.0  # microseconds
SEGMENTS = 100  # of a state that is extended many times


def plain_operator(join: Callable[..., Any], backprop: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel as ``torch.library.custom_op`` wraps it."""

    @torch.library.custom_op("benchmark::join", mutates_args=())
    def operator(log_sig: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(join(log_sig.detach().numpy(), displacement.detach().numpy()))

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, d_out: torch.Tensor) -> Any:
        arrays = (one.detach().numpy() for one in (d_out, *ctx.saved_tensors))
        return tuple(map(torch.from_numpy, backprop(*arrays)))

    operator.register_autograd(backward, setup_context=setup)
    return operator


def function_class(join: Callable[..., Any], backprop: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel as an ``autograd.Function``."""

    class Join(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, log_sig: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(log_sig, displacement)
            return torch.from_numpy(join(log_sig.detach().numpy(), displacement.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, d_out: torch.Tensor) -> Any:
            arrays = (one.detach().numpy() for one in (d_out, *ctx.saved_tensors))
            return tuple(map(torch.from_numpy, backprop(*arrays)))

    apply: Callable[..., Any] = Join.apply
    return apply


def competitors(dimension: int, degree: int) -> dict[str, Call]:
    """The calls, by name. Every one but ``kernel`` makes a node of the graph."""
    from logsig_codegen import torch_api  # after the extension

    kernel = lg.load(dimension, degree)
    generator = np.random.default_rng(0)
    rows = 0.3 * generator.standard_normal((1000, kernel.size)), generator.standard_normal((1000, dimension))
    out = np.empty_like(rows[0])
    log_sig = torch.from_numpy(rows[0][0].copy()).requires_grad_()
    displacement = torch.from_numpy(rows[1][0].copy())
    other = torch.zeros_like(log_sig, requires_grad=False)
    operators = torch.ops.logsig_codegen
    extension, python = operators.join.default, operators._join.default
    numbers = dimension, degree
    plain, function = (make(kernel.join, kernel.join_backprop) for make in (plain_operator, function_class))
    segments = torch.from_numpy(rows[1][:SEGMENTS].copy())
    pysiglib.prepare_log_sig(dimension, degree, 3)

    def loop(start: torch.Tensor, *_: Any) -> torch.Tensor:
        for segment in segments:
            start = torch_api.log_sig_join(start, segment, *numbers)
        return start

    def joins(start: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch_api.log_sig_joins(start, segments, *numbers)

    def forward_backward(call: Callable[..., Any]) -> Call:
        def run() -> None:
            log_sig.grad = None
            call(log_sig, displacement, *numbers).sum().backward()

        return run

    return {
        "kernel, 1000 rows": lambda: kernel.join(*rows, out=out),
        "torch.add": lambda: torch.add(log_sig, other),
        "C++ extension": lambda: extension(log_sig, displacement, *numbers),
        "Python registration": lambda: python(log_sig, displacement, *numbers),
        "lg.log_sig_join, extension": lambda: torch_api.log_sig_join(log_sig, displacement, *numbers),
        "autograd.Function": lambda: function(log_sig, displacement),
        "custom_op with autograd": lambda: plain(log_sig, displacement),
        "pySigLib": lambda: pysiglib.torch_api.log_sig_join(log_sig, displacement, *numbers),
        "torch.mul, forward and backward": forward_backward(lambda one, _, *numbers: torch.mul(one, other)),
        "C++ extension, forward and backward": forward_backward(extension),
        "Python registration, forward and backward": forward_backward(python),
        f"{SEGMENTS} joins, a loop": lambda: loop(log_sig),
        f"{SEGMENTS} joins, lg.log_sig_joins": lambda: joins(log_sig),
        f"{SEGMENTS} joins, a loop, forward and backward": forward_backward(loop),
        f"{SEGMENTS} joins, lg.log_sig_joins, forward and backward": forward_backward(joins),
        "pySigLib, forward and backward": forward_backward(pysiglib.torch_api.log_sig_join),
    }


def main() -> None:
    """Build the extension, run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="5,3", help="dimension,degree")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to measure")
    parser.add_argument("--document", type=Path, help="put the table between the marks of this page as well")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "torch_overhead.csv", help="where to save")
    options = parser.parse_args()
    dimension, degree = map(int, options.problem.split(","))
    with tempfile.TemporaryDirectory() as folder:
        groups = ("join", "join_second")
        path = lg.generate(dimension, degree, folder, targets=("torch",), operations=groups, architectures=()).path
        torch.ops.load_library(str(path / f"liblogsig_{path.name}_torch.so"))
        times = harness.interleave(competitors(dimension, degree), seconds=options.seconds)
    micro = {name: t.median / 1e3 for name, t in times.items()}
    kernel, add = micro.pop("kernel, 1000 rows") / 1000, micro["torch.add"]
    both = " forward and backward"
    twice = micro[f"Python registration,{both}"] / micro[f"torch.mul,{both}"]
    rows = [
        (
            name,
            f"{value:.2f}",
            f"{value / add:.1f}",
            f"±{100 * times[name].spread:.0f}%",
            f"{min(times[name].samples) / 1e3:.2f}",
        )
        for name, value in micro.items()
    ]
    limit = TARGET_EXTENSION * add + kernel
    about = f"{harness.machine_text()} One differentiable join of one row, ({dimension},{degree}), float64."
    text = "\n\n".join(
        [
            about,
            harness.table(("call", "microseconds", "times torch.add", "spread", "least"), rows),
            f"The kernel takes {1e3 * kernel:.0f} ns of a call. Goals: the extension below three times torch.add plus "
            f"the kernel, here {limit:.2f} µs; the Python registration below {TARGET_PYTHON:.0f} µs, and below twice "
            f"torch.mul forward and backward, here {twice:.2f} times.",
        ]
    )
    print(text)
    if options.document:
        harness.put_into(options.document, "torch", text)
    harness.save(options.results, about, [CallTime.of(name, timing) for name, timing in times.items()])


if __name__ == "__main__":
    main()
