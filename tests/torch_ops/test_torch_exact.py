"""Second derivatives against exact ones.

Trusts the definitions in the truncated tensor algebra over fractions: they are polynomials, so that a derivative in two
directions follows exactly from their values on a grid. The Hessian of a join is also compared with the interpreter's,
run on a program that was never differentiated twice.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch_cases import overload

import logsig_codegen as lg
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import TensorAlgebra, embed, join_oracle, lie_coordinates
from logsig_codegen.compiler import choose_plan, compile_problem
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.lower import lower
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.problem import Problem

PROBLEMS = [(2, 3), (3, 2), (2, 4), (1, 2), (3, 1)]
Vector = Sequence[Fraction]


def rational(count: int, source: random.Random) -> list[Fraction]:
    return [Fraction(source.randint(-8, 8), 8) for _ in range(count)]


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor([float(x) for x in values], dtype=torch.float64)


def slopes(count: int) -> list[tuple[Fraction, Fraction]]:
    """Nodes and weights: the derivative at 0 of a polynomial of degree ``count - 1`` is ``sum of weight * value``."""
    nodes = [Fraction(k) for k in range(count)]
    found = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        scale = Fraction(1)
        for other in others:
            scale *= node - other
        total = Fraction(0)
        for skipped in others:
            term = Fraction(1)
            for other in others:
                if other != skipped:
                    term *= -other
            total += term
        found.append((node, total / scale))
    return found


def moved(point: Vector, step: Fraction, direction: Vector) -> list[Fraction]:
    return [x + step * u for x, u in zip(point, direction, strict=True)]


def derivative(function: Callable[[Vector], Vector], point: Vector, direction: Vector, degree: int) -> list[Fraction]:
    """The exact derivative of a polynomial map in a direction."""
    total: list[Fraction] = []
    for node, weight in slopes(degree + 1):
        values = function(moved(point, node, direction))
        total = [t + weight * v for t, v in zip(total or [Fraction(0)] * len(values), values, strict=True)]
    return total


def second(function: Callable[[Vector], Vector], point: Vector, u: Vector, w: Vector, degree: int) -> list[Fraction]:
    return derivative(lambda x: derivative(function, x, u, degree), point, w, degree)


def combine_oracle(dimension: int, degree: int, left: Vector, right: Vector) -> list[Any]:
    basis, algebra = lyndon_basis(dimension, degree), TensorAlgebra(degree)
    product = algebra.product(algebra.exp(embed(basis, left)), algebra.exp(embed(basis, right)))
    return lie_coordinates(basis, algebra.log(product))


def split(values: Vector, first: int) -> tuple[list[Fraction], list[Fraction]]:
    return list(values[:first]), list(values[first:])


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
@pytest.mark.parametrize("name", ["join", "combine"])
def test_tangent_and_second_gradient_of_products(name: str, dimension: int, degree: int) -> None:
    size, source = Problem(dimension, degree).size, random.Random(f"{name} {dimension} {degree}")
    width = dimension if name == "join" else size
    oracle = join_oracle if name == "join" else combine_oracle

    def function(point: Vector) -> list[Fraction]:
        return oracle(dimension, degree, *split(point, size))

    point, u, w = (rational(size + width, source) for _ in range(3))
    form = rational(size, source)
    left, right = map(tensor, split(point, size))
    t_left, t_right = map(tensor, split(u, size))
    exact = derivative(function, point, u, 2 * degree)
    found = overload(f"{name}_jvp")(left, right, t_left, t_right, dimension, degree)
    torch.testing.assert_close(found, tensor(exact), rtol=1e-12, atol=1e-12)
    d_d_out, *gradients = overload(f"{name}_backprop_backprop")(
        t_left, t_right, tensor(form), left, right, dimension, degree
    )
    torch.testing.assert_close(d_d_out, tensor(exact), rtol=1e-12, atol=1e-12)
    along = sum(float((g * d).sum()) for g, d in zip(gradients, map(tensor, split(w, size)), strict=True))
    mixed = second(function, point, u, w, 2 * degree)
    expected = float(sum(f * x for f, x in zip(form, mixed, strict=True)))
    assert along == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), (3, 2)])
@pytest.mark.parametrize("mode", [torch.func.jacfwd, torch.func.jacrev])
def test_hessian_of_a_join_is_the_interpreters(dimension: int, degree: int, mode: Any) -> None:
    problem, source = Problem(dimension, degree), random.Random(f"hessian {dimension} {degree}")
    size = problem.size
    backprop = lower(adjoint(choose_plan(problem)), problem)
    point, form = rational(size + dimension, source), rational(size, source)

    def gradient(values: Vector) -> list[Fraction]:
        log_sig, displacement = split(values, size)
        found = interpret(backprop, {"d_out": form, "log_sig": log_sig, "displacement": displacement})
        return [*found["d_log_sig"], *found["d_displacement"]]

    units = [[Fraction(int(i == j)) for j in range(len(point))] for i in range(len(point))]
    exact = torch.stack([tensor(derivative(gradient, point, unit, 2 * degree)) for unit in units])

    def function(values: torch.Tensor) -> torch.Tensor:
        return lg.log_sig_join(values[:size], values[size:], dimension, degree) @ tensor(form)

    found = mode(torch.func.jacrev(function))(tensor(point))
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-12)


def test_hessian_of_a_path() -> None:
    dimension, degree, points = 2, 3, 3
    source = random.Random("path")
    form, path = rational(5, source), rational(points * dimension, source)

    def function(values: Vector) -> list[Fraction]:
        rows = [values[k * dimension : (k + 1) * dimension] for k in range(points)]
        state: list[Any] = [Fraction(0)] * 5
        for before, after in itertools.pairwise(rows):
            state = join_oracle(dimension, degree, state, [b - a for a, b in zip(before, after, strict=True)])
        return state

    units = [[Fraction(int(i == j)) for j in range(len(path))] for i in range(len(path))]
    exact = torch.zeros(len(path), len(path), dtype=torch.float64)
    for i, j in itertools.combinations_with_replacement(range(len(path)), 2):
        mixed = second(function, path, units[i], units[j], degree)
        exact[i, j] = exact[j, i] = float(sum(f * x for f, x in zip(form, mixed, strict=True)))

    def of_torch(values: torch.Tensor) -> torch.Tensor:
        return lg.log_sig(values.reshape(points, dimension), degree, method=2) @ tensor(form)

    for outer, inner in itertools.product((torch.func.jacfwd, torch.func.jacrev), repeat=2):
        torch.testing.assert_close(outer(inner(of_torch))(tensor(path)), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_programs_of_second_derivatives(dimension: int, degree: int) -> None:
    """The programs themselves, before they become C: exact, coordinate by coordinate."""
    problem, source = Problem(dimension, degree), random.Random(f"programs {dimension} {degree}")
    size = problem.size
    compiled = compile_problem(problem, groups=("combine_second", "bracket"))
    programs = {kernel.operation: kernel.program for kernel in compiled.kernels}  # type: ignore[union-attr]
    left, right, u, w, form = (rational(size, source) for _ in range(5))

    def function(values: Vector) -> list[Fraction]:
        return combine_oracle(dimension, degree, *split(values, size))

    exact = derivative(function, [*left, *right], [*u, *w], 2 * degree)
    tangent = interpret(
        programs["combine_jvp"], {"log_sig1": left, "log_sig2": right, "t_log_sig1": u, "t_log_sig2": w}
    )
    assert tangent["t_out"] == exact
    inputs = {"d_d_log_sig1": u, "d_d_log_sig2": w, "d_out": form, "log_sig1": left, "log_sig2": right}
    assert interpret(programs["combine_backprop_backprop"], inputs)["d_d_out"] == exact
    bracket = interpret(programs["bracket"], {"left": left, "right": right})["out"]
    basis, algebra = lyndon_basis(dimension, degree), TensorAlgebra(degree)
    one, other = embed(basis, left), embed(basis, right)
    forth, back = algebra.product(one, other), algebra.product(other, one)
    commutator: Any = [
        {word: c for word in {*there, *again} if (c := there.get(word, 0) - again.get(word, 0))}
        for there, again in zip(forth, back, strict=True)
    ]
    assert bracket == lie_coordinates(basis, commutator)
    action = interpret(programs["coadjoint"], {"actor": left, "form": form})["out"]
    assert sum(a * r for a, r in zip(action, right, strict=True)) == sum(
        f * b for f, b in zip(form, bracket, strict=True)
    )
