"""Errors and times of both states of a path, over lengths from 10 to 100,000 points, beside pySigLib.

    python benchmarks/path_accuracy.py                               # about ten minutes
    python benchmarks/path_accuracy.py --problem 2,6 --length 1000
    python benchmarks/path_accuracy.py --document docs/benchmarks.md

The truth is computed in extended precision (``np.longdouble``) by the interpreter of programs: it steps along the path
in logarithmic-derivative coordinates, and takes a form back. On short paths it is compared with exact fractions in the
tensor algebra and with the same done by the programs of the signature. Points are numbers of single precision, so that
both formats compute the same paths.

An error of a log-signature is the largest in a degree, relative to the largest coordinate of that degree, over all
paths; one of a gradient is relative to the largest number of the gradient.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib

import harness
import logsig_codegen as lg
from harness import Call, interleave
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.algebra.tensor import TensorAlgebra, embed, lie_coordinates
from logsig_codegen.compiler import optimise
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.lower import lower
from logsig_codegen.ir.program import Program
from logsig_codegen.operations import STATES, default_state
from logsig_codegen.plans import path_gradient, path_step, prefix_signature
from logsig_codegen.problem import Problem

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = ("float32", "float64")
PROBLEMS = ((2, 6), (3, 4), (5, 3), (5, 4))
LENGTHS = (10, 100, 1_000, 10_000, 100_000)
KINDS = ("Brownian", "nearly straight")
PATHS = 8
LARGE = 100
"""Problems with more coordinates are left out beyond 10,000 points, where the truth takes many minutes."""
STEPS_TIMED = 100_000
EXTENDED = np.longdouble


@dataclass(frozen=True)
class Row:
    """One quantity, by the state of the path: an error, or nanoseconds per step and path."""

    dimension: int
    degree: int
    points: int
    quantity: str
    """``log_sig`` and ``gradient`` are errors, ``log_sig time`` and ``gradient time`` are times."""
    paths: str
    dtype: str
    log_derivative: float
    signature: float
    pysiglib: float | None


# -- paths ------------------------------------------------------------------------------------------------------------


def make_paths(dimension: int, length: int) -> Array:
    """``PATHS`` paths of each kind in single precision: Brownian ones, then time in the last channel and some noise."""
    source = np.random.default_rng([dimension, length])
    noise = source.normal(size=(2, PATHS, length, dimension)).cumsum(axis=2) / np.sqrt(length)
    noise[1] *= 0.05
    noise[1, ..., -1] = np.linspace(0, 1, length)
    paths: Array = noise.reshape(2 * PATHS, length, dimension).astype(np.float32)
    return paths


# -- the truth --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def extended(coefficient: Coefficient) -> Any:
    """An exact rational coefficient in extended precision."""
    assert isinstance(coefficient, (int, Fraction))
    return EXTENDED(coefficient.numerator) / EXTENDED(coefficient.denominator)


class Truth:
    """Log-signatures and gradients of all paths at once, in extended precision, by the programs of one state."""

    def __init__(self, problem: Problem, step: Program, finish: Program) -> None:
        self.step, self.finish = optimise(step), optimise(finish)
        self.start, self.step_back = (
            optimise(lower(plan(problem.degree), problem)) for plan in (path_gradient.start, path_gradient.step_back)
        )

    @staticmethod
    def by_log_derivative(problem: Problem) -> Truth:
        """In logarithmic-derivative coordinates."""
        plans = path_step.step, path_step.to_log_sig
        return Truth(problem, *(lower(plan(problem.degree), problem) for plan in plans))

    @staticmethod
    def by_signature(problem: Problem) -> Truth:
        """As the signature on prefixes of Lyndon words."""
        makers = prefix_signature.signature_step, prefix_signature.signature_to_log_sig
        return Truth(problem, *(make(problem) for make in makers))

    @staticmethod
    def _run(program: Program, **inputs: Any) -> dict[str, list[Any]]:
        return interpret(program, inputs, number=extended, zero=EXTENDED(0))

    def forward(self, steps: Array) -> Array:
        """The log-signatures, ``(paths, size)``."""
        state: list[Any] = [np.zeros(len(steps), EXTENDED)] * self.step.inputs[0].length
        for t in range(steps.shape[1]):
            state = self._run(self.step, state=state, displacement=list(steps[:, t].T))["next_state"]
        return np.stack(self._run(self.finish, state=state)["out"], axis=-1)

    def gradient(self, d_out: Array, log_sig: Array, steps: Array) -> Array:
        """Derivatives with respect to the points, ``(paths, points, dimension)``."""
        count = steps.shape[1]
        form = self._run(self.start, d_out=list(d_out.T), log_sig=list(log_sig.T))["d_state"]
        d_path = np.zeros((len(steps), count + 1, steps.shape[2]), EXTENDED)
        for t in range(count - 1, -1, -1):
            results = self._run(self.step_back, d_state=form, displacement=list(steps[:, t].T))
            form = results["d_previous_state"]
            d_step = np.stack(results["d_displacement"], axis=-1)
            d_path[:, t + 1] += d_step
            d_path[:, t] -= d_step
        return d_path


def exact(problem: Problem, points: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    """The log-signature of a path in fractions, by definition."""
    algebra, basis = TensorAlgebra(problem.degree), lyndon_basis(problem.dimension, problem.degree)
    total = algebra.exp(embed(basis, [Fraction(0)]))
    for before, after in pairwise(points):
        step = [y - x for x, y in zip(before, after, strict=True)]
        total = algebra.product(total, algebra.exp(embed(basis, step)))
    return lie_coordinates(basis, algebra.log(total))


def exact_slope(problem: Problem, points: Sequence[Sequence[Fraction]], letter: int) -> Fraction:
    """The derivative of the sum of all coordinates with respect to a letter of the point in the middle.

    They are polynomials in it, of the degree of the problem at most: central differences are exact.
    """
    most, middle, slope = -(-problem.degree // 2), len(points) // 2, Fraction(0)
    for k in range(1, most + 1):
        weight = Fraction((-1) ** (k + 1) * factorial(most) ** 2, k * factorial(most - k) * factorial(most + k))
        for sign in (1, -1):
            moved = [list(point) for point in points]
            moved[middle][letter] += sign * k
            slope += sign * weight * sum(exact(problem, moved))
    return slope


def check(problem: Problem) -> None:
    """Raise ``ArithmeticError`` unless the truth is right on short paths."""
    path = make_paths(problem.dimension, 10)
    steps = np.diff(path.astype(EXTENDED), axis=1)
    d_out = np.ones((len(path), problem.size), EXTENDED)
    truth = Truth.by_log_derivative(problem)
    log_sig = truth.forward(steps)
    some = [[[Fraction(x) for x in point] for point in one] for one in path[::PATHS].astype(float).tolist()]
    fractions = np.array([[extended(x) for x in exact(problem, one)] for one in some])
    found = truth.gradient(d_out, log_sig, steps)[::PATHS]
    letters = range(problem.dimension)
    slopes = np.array([[extended(exact_slope(problem, one, letter)) for letter in letters] for one in some])
    worst = max(
        error(log_sig[::PATHS], fractions, problem.sizes),
        error(log_sig, Truth.by_signature(problem).forward(steps), problem.sizes),
        float((np.abs(found[:, path.shape[1] // 2] - slopes).max(axis=1) / np.abs(found).max(axis=(1, 2))).max()),
    )
    if not worst < 1e-15:
        raise ArithmeticError(f"{problem}: the extended precision is wrong by {worst:.1e}")


def error(found: Array, truth: Array, sizes: Sequence[int] | None = None) -> float:
    """The largest error over all paths, relative to the largest number of the path (``sizes``: of each degree)."""
    ends = [] if sizes is None else list(np.cumsum(sizes)[:-1])
    worst = 0.0
    for one, other in zip(np.split(found, ends, axis=-1), np.split(truth, ends, axis=-1), strict=True):
        if other.size:
            axes = tuple(range(1, other.ndim))
            worst = max(worst, float((np.abs(one - other).max(axis=axes) / np.abs(other).max(axis=axes)).max()))
    return worst


# -- what is measured -------------------------------------------------------------------------------------------------


def peer_gradient(d_out: Array, path: Array, degree: int) -> Array:
    """pySigLib's gradient, as its autograd computes it."""
    sig = pysiglib.sig(path, degree)
    d_sig = pysiglib.sig_to_log_sig_backprop(sig, d_out, path.shape[-1], degree, method=2)
    result: Array = pysiglib.sig_backprop(path, sig, d_sig, degree)
    return result


def errors(problem: Problem, path: Array) -> Iterator[Row]:
    """Errors of log-signatures and of gradients, by kind of path and by format."""
    kernel, truth = lg.load(problem.dimension, problem.degree), Truth.by_log_derivative(problem)
    d_out = np.random.default_rng(1).normal(size=(len(path), problem.size)).astype(np.float32)
    steps = np.diff(path.astype(EXTENDED), axis=1)
    log_sig = truth.forward(steps)
    gradient = truth.gradient(d_out.astype(EXTENDED), log_sig, steps)
    where = (problem.dimension, problem.degree, path.shape[1])
    for dtype in DTYPES:
        given, form, degree = path.astype(dtype), d_out.astype(dtype), problem.degree
        log_sigs = [kernel.log_sig(given, state=state) for state in STATES]
        gradients = [kernel.log_sig_backprop(form, given, state=state) for state in STATES]
        log_sigs.append(pysiglib.log_sig(given, degree, method=2))
        gradients.append(peer_gradient(form, given, degree))
        for kind, rows in zip(KINDS, (slice(0, PATHS), slice(PATHS, None)), strict=True):
            first, second, peer = (error(found[rows], log_sig[rows], problem.sizes) for found in log_sigs)
            yield Row(*where, "log_sig", kind, dtype, first, second, peer)
            first, second, peer = (error(found[rows], gradient[rows]) for found in gradients)
            yield Row(*where, "gradient", kind, dtype, first, second, peer)


def times(problem: Problem, length: int, seconds: float) -> Iterator[Row]:
    """Nanoseconds per step and path of both states, forward and gradient, on one thread."""
    kernel = lg.load(problem.dimension, problem.degree)
    batch = min(1024, max(1, STEPS_TIMED // length))
    source = np.random.default_rng(0)
    path = source.normal(size=(batch, length, problem.dimension)).cumsum(axis=1) / np.sqrt(length)
    calls: dict[str, Call] = {}
    for dtype in DTYPES:
        given, form = path.astype(dtype), np.ones((batch, problem.size), dtype)
        for state in STATES:
            calls[f"{dtype} {state} log_sig"] = lambda p=given, s=state: kernel.log_sig(p, state=s)  # type: ignore[misc]
            calls[f"{dtype} {state} gradient"] = lambda p=given, g=form, s=state: kernel.log_sig_backprop(  # type: ignore[misc]
                g, p, state=s
            )
    found = interleave(calls, seconds=seconds)
    for dtype in DTYPES:
        for what in ("log_sig", "gradient"):
            first, second = (found[f"{dtype} {state} {what}"].median / (batch * (length - 1)) for state in STATES)
            yield Row(problem.dimension, problem.degree, length, f"{what} time", KINDS[0], dtype, first, second, None)


# -- tables -----------------------------------------------------------------------------------------------------------

HEADER = ("", "(d,N)", "points", "paths", "log-derivative", "signature", "pySigLib")


def details(rows: Sequence[Row]) -> str:
    """A table per quantity and type. A star marks problems whose default state is the signature."""
    parts = []
    for quantity, dtype in dict.fromkeys((row.quantity, row.dtype) for row in rows):
        lines = []
        for row in rows:
            if (row.quantity, row.dtype) == (quantity, dtype):
                star = " *" if default_state(Problem(row.dimension, row.degree)) == "signature" else ""
                values = (row.log_derivative, row.signature, row.pysiglib)
                shown = ("" if value is None else f"{value:.2g}" for value in values)
                lines.append((f"({row.dimension},{row.degree}){star}", f"{row.points:,}", row.paths, *shown))
        parts += [f"### {quantity}, {dtype}", harness.table(HEADER[1:], lines)]
    return "\n\n".join(parts)


def overview(rows: Sequence[Row]) -> str:
    """What ``docs/benchmarks.md`` shows: the largest errors over all problems and lengths."""
    lines = []
    for dtype in DTYPES:
        for quantity in ("log_sig", "gradient"):
            for kind in KINDS:
                members = [row for row in rows if (row.quantity, row.paths, row.dtype) == (quantity, kind, dtype)]
                columns = [[r.log_derivative for r in members], [r.signature for r in members]]
                columns.append([r.pysiglib for r in members if r.pysiglib is not None])
                lines.append((f"{quantity}, {dtype}", kind, *(f"{max(column):.1e}" for column in columns)))
    return harness.table(("largest error", *HEADER[3:]), lines)


def cases(problems: Sequence[tuple[int, int]], lengths: Sequence[int]) -> Iterator[tuple[Problem, int]]:
    """What to measure."""
    for pair in problems:
        problem = Problem(*pair)
        pysiglib.prepare_log_sig(*pair, 2)
        check(problem)
        for length in lengths:
            if problem.size <= LARGE or length <= 10_000:
                yield problem, length
            else:
                print(f"# left out: {pair} at {length:,} points", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", action="append", help="dimension,degree")
    parser.add_argument("--length", action="append", type=int, help="points")
    parser.add_argument("--seconds", type=float, default=2.0, help="per row of times, about")
    harness.add_outputs(parser, "path_accuracy")
    parser.add_argument("--plot", type=Path, help="draw the errors over the length")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        about, rows = f"{harness.machine_text()} Relative errors; nanoseconds per step and path.", []
        problems = [(int(d), int(n)) for d, n in (text.split(",") for text in options.problem or [])] or PROBLEMS
        for problem, length in cases(problems, options.length or LENGTHS):
            rows += [*errors(problem, make_paths(problem.dimension, length)), *times(problem, length, options.seconds)]
            print(f"# done: {problem.name}, {length:,} points", flush=True)
        harness.save(options.results, about, rows)
    text = overview(rows)
    print(f"\n{about}\n\n{details(rows)}\n\n{text}")
    if options.document:
        harness.put_into(options.document, "path-accuracy", f"{about}\n\n{text}")
    if options.plot:
        from plot import plot_errors

        plot_errors([asdict(row) for row in rows], options.plot)


if __name__ == "__main__":
    main()
