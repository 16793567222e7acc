"""The programs of whole paths, run on fractions, against logarithms of products in the tensor algebra."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import Dual, slope

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import TensorAlgebra, embed, lie_coordinates
from logsig_codegen.compiler import (
    PathKernel,
    gradient_kernel,
    log_derivative_kernel,
    signature_kernel,
    stream_kernel,
)
from logsig_codegen.gpu.path_scan import without_slots
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import Program
from logsig_codegen.plans import prefix_signature, slots
from logsig_codegen.problem import Problem

PROBLEMS = [Problem(*p) for p in ((1, 1), (1, 4), (2, 1), (2, 2), (2, 3), (2, 5), (3, 2), (3, 3), (3, 4), (4, 3))]
KERNELS = [log_derivative_kernel, signature_kernel]
drawn = st.fractions(-9, 9, max_denominator=7)


def rationals(seed: int, *shape: int) -> Any:
    source = random.Random(seed)
    if len(shape) == 1:
        return [Fraction(source.randint(-9, 9), source.randint(1, 5)) for _ in range(shape[0])]
    return [rationals(seed * 100 + k, *shape[1:]) for k in range(shape[0])]


def log_of_product(problem: Problem, segments: Sequence[Sequence[Any]], number: Any = lambda c: c) -> list[Any]:
    """Bracket coordinates of ``log(exp(v_1) exp(v_2) …)``."""
    algebra = TensorAlgebra(problem.degree, number)
    basis = lyndon_basis(problem.dimension, problem.degree)
    total = algebra.exp(embed(basis, segments[0]))
    for segment in segments[1:]:
        total = algebra.product(total, algebra.exp(embed(basis, segment)))
    return lie_coordinates(basis, algebra.log(total))


MORE = [
    *((1, 2), (1, 7), (2, 4), (2, 6), (2, 7), (2, 8), (3, 1), (3, 5), (4, 1), (4, 2), (4, 4), (5, 2), (5, 3), (6, 3)),
    *((7, 2), (8, 2), (9, 2), (11, 2), (17, 2), (8, 3), (25, 1)),
]


@cache
def made(make: Any, dimension: int, degree: int, *backward: bool) -> PathKernel:
    kernel: PathKernel = make(Problem(dimension, degree), *backward)
    return kernel


@st.composite
def arguments(draw: st.DrawFn, problem: Problem) -> tuple[list[list[Fraction]], list[list[Fraction]], list[Fraction]]:
    """The segments of a path of 0 to 4 points, a change of them, and a form on the result."""
    count = draw(st.integers(0, 3 if problem.size < 100 else 2))
    numbers = st.lists(drawn, min_size=problem.dimension, max_size=problem.dimension)
    segments, change = (draw(st.lists(numbers, min_size=count, max_size=count)) for _ in range(2))
    few = draw(st.dictionaries(st.integers(0, problem.size - 1), drawn, max_size=12))
    return segments, change, [few.get(index, Fraction(0)) for index in range(problem.size)]


@pytest.mark.parametrize("make", KERNELS)
@pytest.mark.parametrize(
    "problem",
    [*PROBLEMS, *(pytest.param(Problem(*p), marks=pytest.mark.slow) for p in MORE)],
    ids=lambda p: p.name,
)
@given(st.data())
@settings(deadline=None, max_examples=8)
def test_drawn_paths_and_their_gradients(problem: Problem, make: Any, data: st.DataObject) -> None:
    """The result exactly; gradients in one direction, against dual numbers in the tensor algebra."""
    segments, change, d_out = data.draw(arguments(problem))
    moved = [[Dual(x, y) for x, y in zip(*pair, strict=True)] for pair in zip(segments, change, strict=True)]
    exact = log_of_product(problem, moved, Dual) if segments else [0] * problem.size
    log_sig = [x.value if isinstance(x, Dual) else x for x in exact]
    assert forward(made(make, problem.dimension, problem.degree), segments)[1] == log_sig
    expected = sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))
    derivatives = gradient(made(gradient_kernel, problem.dimension, problem.degree), segments, d_out, log_sig)
    pairs = zip(derivatives, change, strict=True)
    assert sum(g * y for pair in pairs for g, y in zip(*pair, strict=True)) == expected


@pytest.mark.parametrize(("dimension", "degree"), [(2, 6), (3, 4), (5, 2)])
@given(st.data())
@settings(deadline=None, max_examples=15)
def test_gradients_of_streams(dimension: int, degree: int, data: st.DataObject) -> None:
    """One step back along a stream, in one direction of state and displacement."""
    problem = Problem(dimension, degree)
    sizes = (problem.size, problem.size, problem.size, dimension, dimension)
    d_out, state, d_state, segment, d_segment = (data.draw(st.lists(drawn, min_size=n, max_size=n)) for n in sizes)
    inputs = {"d_state": d_out, "state": state, "displacement": segment}
    results = interpret(program(made(stream_kernel, dimension, degree, True), "step_backprop"), inputs)
    moved = ([Dual(x, y) for x, y in zip(*pair, strict=True)] for pair in ((state, d_state), (segment, d_segment)))
    exact = log_of_product(problem, list(moved), Dual)
    found = sum(g * y for g, y in zip(results["d_previous_state"], d_state, strict=True))
    found += sum(g * y for g, y in zip(results["d_displacement"], d_segment, strict=True))
    assert found == sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))


def program(kernel: PathKernel, phase: str) -> Program:
    found = kernel.phase(phase)
    assert found is not None
    assert found.program is not None
    found.program.verify()
    return found.program


def forward(kernel: PathKernel, segments: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The state at the end, and the result."""
    state: list[Any] = [Fraction(0)] * kernel.state_size
    for segment in segments:
        state = interpret(program(kernel, "step"), {"state": state, "displacement": segment})["next_state"]
    return state, interpret(program(kernel, "finish"), {"state": state})["out"]


def gradient(
    kernel: PathKernel, segments: Sequence[Any], d_out: Sequence[Any], log_sig: Sequence[Any]
) -> list[list[Any]]:
    """The derivatives with respect to the segments; slots times displacements are summed as the loop in C does."""
    start, step = program(kernel, "start"), program(kernel, "step_backprop")
    form = interpret(start, {"d_out": d_out, "log_sig": log_sig})["d_state"]
    derivatives = []
    for segment in reversed(segments):
        inputs = {"d_state": form, "displacement": segment}
        kept: list[Any] = []
        if kernel.slots:
            lower, count, _ = slots.layout(start.problem)
            table, before = form[lower : lower + count], form[lower + count :]
            rows = [table[k : k + len(segment)] for k in range(0, count, len(segment))]
            changes = (sum(x * s for x, s in zip(segment, row, strict=True)) for row in rows)
            after = [m - change for m, change in zip(before, changes, strict=True)]
            inputs, kept = {**inputs, "d_state": form[:lower], "before": before, "after": after}, [*table, *after]
        results = interpret(step, inputs)
        form = [*results["d_previous_state"], *kept]
        derivatives.append(results["d_displacement"])
    return derivatives[::-1]


@pytest.mark.parametrize("problem", [Problem(8, 2), Problem(4, 4)], ids=lambda p: p.name)
def test_gradients_with_slots(problem: Problem) -> None:
    """Every derivative, exactly, of problems that are too large for the registers."""
    kernel, segments = gradient_kernel(problem), rationals(9, 2, problem.dimension)
    d_out, log_sig = rationals(8, problem.size), log_of_product(problem, segments)
    assert kernel.slots == problem.dimension * problem.sizes[-2]
    found = gradient(kernel, segments, d_out, log_sig)
    whole = without_slots(kernel)
    assert (whole.slots, whole.d_state_size) == (0, problem.size)
    assert gradient(whole, segments, d_out, log_sig) == found
    assert operations(whole, "step_backprop") <= 1.25 * operations(kernel, "step_backprop")
    for t, letter in ((0, 0), (1, problem.dimension - 1)):
        varied = [[Dual(x) for x in segment] for segment in segments]
        varied[t][letter] = Dual(segments[t][letter], Fraction(1))
        exact = log_of_product(problem, varied, Dual)
        assert found[t][letter] == sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))


@pytest.mark.parametrize("make", KERNELS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_forward(problem: Problem, make: Any) -> None:
    segments = rationals(1, 4, problem.dimension)
    state, found = forward(make(problem), segments)
    assert found == log_of_product(problem, segments)
    assert forward(make(problem), segments[:1])[1][: problem.dimension] == segments[0]
    assert forward(make(problem), [[Fraction(0)] * problem.dimension])[0] == [0] * len(state)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_backward(problem: Problem) -> None:
    """Every derivative of ``<d_out, log(...)>``, exactly."""
    segments, d_out = rationals(2, 3, problem.dimension), rationals(3, problem.size)
    derivatives = gradient(gradient_kernel(problem), segments, d_out, log_of_product(problem, segments))
    for t, row in enumerate(derivatives):
        for letter, found in enumerate(row):
            varied = [[Dual(x) for x in segment] for segment in segments]
            varied[t][letter] = Dual(segments[t][letter], Fraction(1))
            exact = log_of_product(problem, varied, Dual)
            assert found == sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_streams_are_joins(problem: Problem) -> None:
    segments = rationals(4, 3, problem.dimension)
    state: list[Any] = [Fraction(0)] * problem.size
    step = program(stream_kernel(problem, False), "step")
    for t, segment in enumerate(segments):
        state = interpret(step, {"state": state, "displacement": segment})["next_state"]
        assert state == log_of_product(problem, segments[: t + 1])


@pytest.mark.parametrize(
    ("make", "problem"), [(signature_kernel, Problem(5, 3)), (log_derivative_kernel, Problem(5, 3))]
)
def test_steps_at_once(make: Any, problem: Problem) -> None:
    kernel = make(problem)
    assert kernel.steps_at_once == 4
    segments = rationals(5, 4, problem.dimension)
    together = [x for segment in segments for x in segment]
    state = interpret(program(kernel, "steps"), {"state": [Fraction(0)] * kernel.state_size, "displacement": together})
    assert state["next_state"] == forward(kernel, segments)[0]


def test_prefixes() -> None:
    assert prefix_signature.prefix_words(Problem(2, 3)) == ((0,), (1,), (0, 0), (0, 1), (0, 0, 1), (0, 1, 1))


@pytest.mark.parametrize(
    ("problem", "signature", "log_derivative"),
    [(Problem(2, 8), 289, 275), (Problem(5, 3), 86, 105), (Problem(5, 4), 319, 483), (Problem(20, 2), 229, 400)],
)
def test_operation_counts(problem: Problem, signature: int, log_derivative: int) -> None:
    """Operations per step; a backward step takes no more than 2.1 times as many."""
    back = operations(gradient_kernel(problem), "step_backprop")
    for make, most in ((signature_kernel, signature), (log_derivative_kernel, log_derivative)):
        step = operations(make(problem), "step")
        assert step <= most
        assert back <= 2.1 * step


def operations(kernel: PathKernel, phase: str) -> int:
    found = kernel.phase(phase)
    assert found is not None
    return found.operations.total
