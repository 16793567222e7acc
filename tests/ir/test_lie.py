"""Lie programs as data: their text, their vectors, and running them in a concrete Lie algebra."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import evaluate_lie, lie_programs, points_of

from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.algebra.surd import SQRT5, Coefficient
from logsig_codegen.algebra.tensor import add_scaled, commutator, embed, lie_coordinates
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Port, Scaled, Statement, Vector, evaluate

Words = dict[Word, Any]

PROGRAM = LieProgram(
    name="example",
    degree=2,
    inputs=(Port("log_sig", ("l1", "l2")), Port("form", ("f1", "f2"))),
    statements=(
        Statement(Vector("x", 2), (Scaled(-1, "l2"), Bracket(Fraction(2, 3), "l1", "l1"))),
        Statement(Vector("g", 1, dual=True), (Scaled(SQRT5, "f1"), Coadjoint(-SQRT5, "l1", "f2"))),
        Statement(Vector("x2", 2), (Scaled(1, "x"), Scaled(Fraction(-1, 2), "l2"))),
    ),
    outputs=(Port("out", ("l1", "x2")),),
    dual_inputs=("form",),
)


class TensorLie:
    """Homogeneous elements as words, commutators as brackets."""

    def zero(self) -> Words:
        return {}

    def add_scaled(self, total: Words, coefficient: Coefficient, element: Words) -> Words:
        return add_scaled(total, coefficient, element)

    def bracket(self, left: Words, right: Words) -> Words:
        return commutator(left, right)


def test_text() -> None:
    assert PROGRAM.text() == (
        "x = - l2 + 2/3*[l1, l1]\ng = (0 + 1*sqrt(5))*f1 - (0 + 1*sqrt(5))*ad*(l1, f2)\nx2 = x - 1/2*l2\n"
    )
    assert PROGRAM.statements[2].text() == "x2 = x - 1/2*l2"


def test_vectors_in_order_of_definition() -> None:
    assert dict(PROGRAM.vectors) == {
        "l1": Vector("l1", 1),
        "l2": Vector("l2", 2),
        "f1": Vector("f1", 1, dual=True),
        "f2": Vector("f2", 2, dual=True),
        "x": Vector("x", 2),
        "g": Vector("g", 1, dual=True),
        "x2": Vector("x2", 2),
    }
    assert list(PROGRAM.vectors) == ["l1", "l2", "f1", "f2", "x", "g", "x2"]


def test_operands() -> None:
    assert Scaled(1, "a").operands == ("a",)
    assert Bracket(1, "a", "b").operands == ("a", "b")
    assert Coadjoint(1, "a", "f").operands == ("a", "f")


def test_coadjoint_terms_need_coordinates() -> None:
    inputs: Mapping[str, Words] = {name: {} for name in ("l1", "l2", "f1", "f2")}
    with pytest.raises(TypeError, match="example: g has a coadjoint term"):
        evaluate(PROGRAM, TensorLie(), inputs)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_evaluation_on_words_agrees_with_coordinates(data: st.DataObject) -> None:
    program, problem = data.draw(lie_programs(forms=False))
    point = data.draw(points_of(program, problem))
    basis = lyndon_basis(problem.dimension, problem.degree)
    log_sig, displacement = embed(basis, point["log_sig"]), embed(basis, point["displacement"])
    inputs = {f"l{k}": log_sig[k] for k in range(1, problem.degree + 1)}
    values = evaluate(program, TensorLie(), {**inputs, "v": displacement[1]})
    assert set(values) == set(program.vectors)
    tensor: list[Words] = [{}]
    tensor.extend(values[name] for name in program.outputs[0].vectors)
    assert {"out": lie_coordinates(basis, tensor)} == evaluate_lie(program, problem, point)
