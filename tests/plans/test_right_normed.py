"""The right-normed plan: proved for degrees up to seven, lean, and the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import pytest

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import add_scaled, commutator, embed, join_oracle, lie_coordinates
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import Bracket, Port, Scaled, evaluate
from logsig_codegen.plans.right_normed import right_normed_join
from logsig_codegen.symbolic.proof import check_join_plan_randomly, prove_join_plan

DEGREES = range(1, 8)


class Words:
    """The Lie algebra of words in the letters of a path."""

    def zero(self):
        return {}

    def add_scaled(self, total, coefficient, element):
        return add_scaled(total, coefficient, element)

    def bracket(self, left, right):
        return commutator(left, right)


@pytest.mark.parametrize("degree", DEGREES)
def test_proved(degree):
    prove_join_plan(right_normed_join(degree))
    check_join_plan_randomly(right_normed_join(degree))


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_no_statement_is_superfluous(degree):
    program = right_normed_join(degree)
    for index, statement in enumerate(program.statements):
        for position in range(len(statement.terms)):
            terms = statement.terms[:position] + statement.terms[position + 1 :]
            statements = list(program.statements)
            statements[index] = replace(statement, terms=terms)
            with pytest.raises(PlanProofError, match="degree"):
                prove_join_plan(replace(program, statements=tuple(statements)))


@pytest.mark.parametrize(("dimension", "degree"), [(2, 5), (3, 4), (1, 3)])
def test_equals_the_oracle_in_coordinates(dimension, degree):
    basis = lyndon_basis(dimension, degree)
    log_sig = [Fraction(3 * k % 7 - 3, k + 1) for k in range(len(basis.words))]
    displacement = [Fraction(2 - k, 3) for k in range(dimension)]
    element, letters = embed(basis, log_sig), embed(basis, displacement)
    inputs = {f"l{k}": element[k] for k in range(1, degree + 1)}
    program = right_normed_join(degree)
    values = evaluate(program, Words(), {**inputs, "v": letters[1]})
    result = [{}, *(values[name] for name in program.outputs[0].vectors)]
    assert lie_coordinates(basis, result) == join_oracle(dimension, degree, log_sig, displacement)


@pytest.mark.parametrize("degree", DEGREES)
def test_shape(degree):
    program = right_normed_join(degree)
    assert program.degree == degree
    assert program.inputs == (
        Port("log_sig", tuple(f"l{k}" for k in range(1, degree + 1))),
        Port("displacement", ("v",)),
    )
    assert program.outputs == (Port("out", tuple(f"z{k}" for k in range(1, degree + 1))),)
    symbols = {"v", *(f"l{k}" for k in range(1, degree + 1))}
    for statement in program.statements:
        brackets = [term for term in statement.terms if isinstance(term, Bracket)]
        # Each vector is [l,P] + [v,Q]: one bracket per left operand, and never of a vector with itself.
        assert len({term.left for term in brackets}) == len(brackets)
        assert {term.left for term in brackets} <= symbols
        assert all(term.left != term.right for term in brackets)
        assert all(term.coefficient for term in statement.terms)
        assert statement.terms[0].coefficient == 1


@pytest.mark.parametrize("degree", DEGREES)
def test_every_vector_is_used_and_none_is_computed_twice(degree):
    program = right_normed_join(degree)
    used = {name for statement in program.statements for term in statement.terms for name in term.operands}
    used.update(program.outputs[0].vectors)
    assert [statement.target.name for statement in program.statements if statement.target.name not in used] == []
    assert len({statement.terms for statement in program.statements}) == len(program.statements)


def test_degree_three_as_text():
    lines = []
    for statement in right_normed_join(3).statements:
        terms = [
            f"{term.coefficient} {term.vector}"
            if isinstance(term, Scaled)
            else f"{term.coefficient} [{term.left},{term.right}]"
            for term in statement.terms
        ]
        lines.append(f"{statement.target.name} = {' + '.join(terms)}")
    assert lines == [
        "z1 = 1 l1 + 1 v",
        "z2 = 1 l2 + -1/2 [v,l1]",
        "p2_2 = 1 [v,l1]",
        "s2_3 = 1 l2 + -1/6 p2_2",
        "z3 = 1 l3 + -1/12 [l1,p2_2] + -1/2 [v,s2_3]",
    ]


def test_does_not_depend_on_hash_seeds():
    code = "from logsig_codegen.plans.right_normed import right_normed_join as r; print(r(6))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
