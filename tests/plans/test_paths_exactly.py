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
from logsig_codegen.compiler import PathKernel, log_derivative_kernel, signature_kernel, stream_kernel
from logsig_codegen.gpu.undone_steps import log_derivative_backward, signature_backward
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import Program
from logsig_codegen.plans import path_step, prefix_signature, slots
from logsig_codegen.problem import Problem

PROBLEMS = [Problem(*p) for p in ((1, 1), (1, 4), (2, 1), (2, 2), (2, 3), (2, 5), (3, 2), (3, 3), (3, 4), (4, 3))]
KERNELS = [log_derivative_kernel, signature_kernel]
UNDOING = {log_derivative_kernel: log_derivative_backward, signature_kernel: signature_backward}
"""Forward kernels, and their gradients on a GPU, which undo steps."""
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
    """The result exactly; gradients in one direction, against dual numbers in the tensor algebra; states undone."""
    segments, change, d_out = data.draw(arguments(problem))
    moved = [[Dual(x, y) for x, y in zip(*pair, strict=True)] for pair in zip(segments, change, strict=True)]
    exact = log_of_product(problem, moved, Dual) if segments else [0] * problem.size
    log_sig = [x.value if isinstance(x, Dual) else x for x in exact]
    states = [
        forward(made(make, problem.dimension, problem.degree, False), segments[:t]) for t in range(len(segments) + 1)
    ]
    assert states[-1][1] == log_sig
    expected = sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))
    derivatives = gradient(made(make, problem.dimension, problem.degree, True), segments, d_out, log_sig)
    assert expected == sum(
        g * y for one, c in zip(derivatives, change, strict=True) for g, y in zip(one, c, strict=True)
    )
    kernel = made(UNDOING[make], problem.dimension, problem.degree)
    point = interpret(program(kernel, "start"), {"d_out": d_out, "log_sig": log_sig})
    total: Any = 0
    for t in range(len(segments) - 1, -1, -1):
        assert point["state"] == states[t + 1][0][: kernel.state_size]
        inputs = {"d_state": point["d_state"], "state": point["state"], "displacement": segments[t]}
        results = interpret(program(kernel, "step_backprop"), inputs)
        total += sum(g * y for g, y in zip(results["d_displacement"], change[t], strict=True))
        point = {"d_state": results["d_previous_state"], "state": results["previous_state"]}
    assert not any(point["state"])
    assert total == expected


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
    kernel, segments, d_out = (
        log_derivative_kernel(problem, True),
        rationals(9, 2, problem.dimension),
        rationals(8, problem.size),
    )
    assert kernel.slots == problem.dimension * problem.sizes[-2] or problem.degree == 2
    found = gradient(kernel, segments, d_out, log_of_product(problem, segments))
    for t, letter in ((0, 0), (1, problem.dimension - 1)):
        varied = [[Dual(x) for x in segment] for segment in segments]
        varied[t][letter] = Dual(segments[t][letter], Fraction(1))
        exact = log_of_product(problem, varied, Dual)
        assert found[t][letter] == sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))


@pytest.mark.parametrize("make", KERNELS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_forward(problem: Problem, make: Any) -> None:
    segments = rationals(1, 4, problem.dimension)
    state, found = forward(make(problem, False), segments)
    assert found == log_of_product(problem, segments)
    assert forward(make(problem, False), segments[:1])[1][: problem.dimension] == segments[0]
    assert forward(make(problem, False), [[Fraction(0)] * problem.dimension])[0] == [0] * len(state)


@pytest.mark.parametrize("make", KERNELS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_backward(problem: Problem, make: Any) -> None:
    """Every derivative of ``<d_out, log(...)>``, exactly; and every undone state is the one that was there."""
    kernel = UNDOING[make](problem)
    segments, d_out = rationals(2, 3, problem.dimension), rationals(3, problem.size)
    log_sig = log_of_product(problem, segments)
    derivatives = gradient(make(problem, True), segments, d_out, log_sig)
    point = interpret(program(kernel, "start"), {"d_out": d_out, "log_sig": log_sig})
    d_state, state = point["d_state"], point["state"]
    assert state == forward(make(problem, False), segments)[0][: kernel.state_size]
    for t in (2, 1, 0):
        inputs = {"d_state": d_state, "state": state, "displacement": segments[t]}
        results = interpret(program(kernel, "step_backprop"), inputs)
        d_state, state = results["d_previous_state"], results["previous_state"]
        assert state == (forward(make(problem, False), segments[:t])[0] if t else [0] * len(state))[: len(state)]
        for letter, found in enumerate(results["d_displacement"]):
            varied = [[Dual(x) for x in segment] for segment in segments]
            varied[t][letter] = Dual(segments[t][letter], Fraction(1))
            exact = log_of_product(problem, varied, Dual)
            assert found == sum(c * slope(x) for c, x in zip(d_out, exact, strict=True))
            assert found == derivatives[t][letter]


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
    kernel = make(problem, False)
    assert kernel.steps_at_once == 4
    segments = rationals(5, 4, problem.dimension)
    together = [x for segment in segments for x in segment]
    state = interpret(program(kernel, "steps"), {"state": [Fraction(0)] * kernel.state_size, "displacement": together})
    assert state["next_state"] == forward(kernel, segments)[0]


def test_undoing_a_step_of_any_degree() -> None:
    from lie_programs import evaluate_lie

    for problem in (Problem(2, 7), Problem(3, 3)):
        before = rationals(6, problem.size)
        segment = rationals(7, problem.dimension)
        inputs = {"state": before, "displacement": segment}
        after = evaluate_lie(path_step.step(problem.degree), problem, inputs)["next_state"]
        inputs = {"state": after, "displacement": segment}
        assert evaluate_lie(path_step.undo(problem.degree), problem, inputs)["previous_state"] == before


def test_logarithm_and_exponential_are_inverse() -> None:
    for problem in (Problem(2, 7), Problem(3, 4), Problem(4, 3)):
        log_sig = rationals(8, problem.size)
        state = interpret(prefix_signature.log_sig_to_signature(problem), {"log_sig": log_sig})["state"]
        assert interpret(prefix_signature.signature_to_log_sig(problem), {"state": state})["out"] == log_sig


def test_prefixes() -> None:
    assert prefix_signature.prefix_words(Problem(2, 3)) == ((0,), (1,), (0, 0), (0, 1), (0, 0, 1), (0, 1, 1))
    assert prefix_signature.short_prefixes(Problem(2, 3)) == 4


@pytest.mark.parametrize(
    ("problem", "signature", "log_derivative"),
    [(Problem(2, 8), 289, 275), (Problem(5, 3), 86, 105), (Problem(5, 4), 319, 483), (Problem(20, 2), 229, 400)],
)
def test_operation_counts(problem: Problem, signature: int, log_derivative: int) -> None:
    """Operations per step; a backward step takes no more than 2.1 times as many, one that undoes it first 3.5 times."""
    for make, most in ((signature_kernel, signature), (log_derivative_kernel, log_derivative)):
        step, back, undoing = make(problem, False), make(problem, True), UNDOING[make](problem)
        assert operations(step, "step") <= most
        assert operations(back, "step_backprop") <= 2.1 * operations(step, "step")
        assert operations(undoing, "step_backprop") <= 3.5 * operations(step, "step")


def operations(kernel: PathKernel, phase: str) -> int:
    found = kernel.phase(phase)
    assert found is not None
    return found.operations.total
