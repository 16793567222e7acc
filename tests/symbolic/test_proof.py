"""Proofs accept right plans and reject wrong ones; the right ones here are written out by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from logsig_codegen.algebra.surd import SQRT5, Surd
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Port, Scaled, Statement, Vector
from logsig_codegen.plans.combine import log_derivative_combine
from logsig_codegen.plans.log_derivative import log_derivative_join
from logsig_codegen.plans.special import special_join
from logsig_codegen.symbolic import proof
from logsig_codegen.symbolic.matrices import PRIME, Diagonal, MatrixAlgebra, residue
from logsig_codegen.symbolic.proof import (
    COMBINE_PROOF_LIMIT,
    PROOF_LIMIT,
    check_combine_plan_randomly,
    check_join_plan_randomly,
    graded_combine,
    graded_join,
    prove_combine_plan,
    prove_join_plan,
    verify_combine_plan,
    verify_join_plan,
)

CHECKS = [prove_join_plan, check_join_plan_randomly, verify_join_plan]
COMBINE_CHECKS = [prove_combine_plan, check_combine_plan_randomly, verify_combine_plan]


def statement(name, degree, *terms):
    return Statement(Vector(name, degree), terms)


HAND = LieProgram(
    name="by hand",
    degree=3,
    inputs=(Port("log_sig", ("l1", "l2", "l3")), Port("displacement", ("v",))),
    statements=(
        statement("z1", 1, Scaled(1, "l1"), Scaled(1, "v")),
        statement("y", 2, Bracket(1, "l1", "v")),
        statement("z2", 2, Scaled(1, "l2"), Scaled(Fraction(1, 2), "y")),
        statement(
            "z3",
            3,
            Scaled(1, "l3"),
            Bracket(Fraction(-1, 2), "v", "l2"),
            Bracket(Fraction(1, 12), "l1", "y"),
            Bracket(Fraction(-1, 12), "v", "y"),
        ),
    ),
    outputs=(Port("out", ("z1", "z2", "z3")),),
)


HAND_COMBINE = LieProgram(
    name="by hand",
    degree=3,
    inputs=(Port("log_sig1", ("l1", "l2", "l3")), Port("log_sig2", ("k1", "k2", "k3"))),
    statements=(
        statement("z1", 1, Scaled(1, "l1"), Scaled(1, "k1")),
        statement("y", 2, Bracket(1, "l1", "k1")),
        statement("z2", 2, Scaled(1, "l2"), Scaled(1, "k2"), Scaled(Fraction(1, 2), "y")),
        statement(
            "z3",
            3,
            Scaled(1, "l3"),
            Scaled(1, "k3"),
            Bracket(Fraction(1, 2), "l1", "k2"),
            Bracket(Fraction(1, 2), "l2", "k1"),
            Bracket(Fraction(1, 12), "l1", "y"),
            Bracket(Fraction(-1, 12), "k1", "y"),
        ),
    ),
    outputs=(Port("out", ("z1", "z2", "z3")),),
)


def changed(program, index, term, coefficient):
    terms = list(program.statements[index].terms)
    terms[term] = replace(terms[term], coefficient=coefficient)
    statements = list(program.statements)
    statements[index] = replace(statements[index], terms=tuple(terms))
    return replace(program, statements=tuple(statements))


def with_statements(program, *statements):
    return replace(program, statements=statements)


def all_changes(program):
    for index, target in enumerate(program.statements):
        for position, term in enumerate(target.terms):
            yield changed(program, index, position, term.coefficient + Fraction(1, 1000))
            yield changed(program, index, position, -term.coefficient)


@pytest.mark.parametrize("check", CHECKS)
def test_right_plan_is_accepted(check):
    check(HAND)


@pytest.mark.parametrize("check", CHECKS)
def test_every_changed_coefficient_is_rejected(check):
    wrong = list(all_changes(HAND))
    assert len(wrong) == 18
    for program in wrong:
        with pytest.raises(PlanProofError, match="by hand: degree"):
            check(program)


@pytest.mark.parametrize("check", CHECKS)
def test_every_changed_coefficient_of_an_irrational_plan_is_rejected(check):
    program = special_join(5)
    assert any(isinstance(term.coefficient, Surd) for target in program.statements for term in target.terms)
    check(program)
    for wrong in all_changes(program):
        with pytest.raises(PlanProofError, match="degree"):
            check(wrong)


def test_conjugate_of_an_irrational_plan_is_a_plan_too():
    def conjugate(x):
        return Surd(x.rational, -x.root) if isinstance(x, Surd) else x

    program = special_join(5)
    statements = tuple(
        replace(s, terms=tuple(replace(t, coefficient=conjugate(t.coefficient)) for t in s.terms))
        for s in program.statements
    )
    assert statements != program.statements
    prove_join_plan(with_statements(program, *statements))
    check_join_plan_randomly(with_statements(program, *statements))


def test_message_names_degree_word_and_both_coefficients():
    wrong = changed(HAND, 3, 2, Fraction(1, 6))
    with pytest.raises(PlanProofError) as raised:
        prove_join_plan(wrong)
    assert str(raised.value) == (
        "by hand: degree 3: the coefficient of v l1 l1 in z3 is 1/6, but 1/12 in log(exp(l) exp(v))"
    )
    # An error of a low degree comes first, whatever else is wrong.
    with pytest.raises(PlanProofError, match=r"by hand: degree 2: the coefficient of v l1 in z2 is -1/3, but -1/2"):
        prove_join_plan(changed(wrong, 2, 1, Fraction(1, 3)))


@pytest.mark.parametrize("check", CHECKS)
def test_vanishing_output_is_rejected(check):
    wrong = with_statements(HAND, *HAND.statements[:-1], statement("z3", 3, Scaled(1, "l3"), Scaled(-1, "l3")))
    with pytest.raises(PlanProofError, match="by hand: degree 3"):
        check(wrong)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (HAND.statements[:-1], "the output z3 is never defined"),
        ((*HAND.statements, HAND.statements[1]), "y is defined twice"),
        (HAND.statements[::-1], "z3 uses y before it is defined"),
        ((*HAND.statements, statement("d", 2, Coadjoint(1, "l1", "l3"))), "d has a coadjoint term"),
        ((*HAND.statements, statement("t", 2, Bracket(1, "l1", "y"))), "t is declared of degree 2 but"),
        ((*HAND.statements, statement("t", 2, Scaled(1, "y"), Scaled(1, "v"))), "t is declared of|a sum of weights"),
    ],
)
def test_malformed_plan_is_rejected(check, statements, message):
    with pytest.raises(PlanProofError, match=message):
        check(with_statements(HAND, *statements))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "change",
    [
        {"inputs": HAND.inputs[:1]},
        {"inputs": (Port("log_sig", ("l1", "l2")), HAND.inputs[1])},
        {"outputs": (Port("out", ("z1", "z2")),)},
        {"outputs": (Port("result", ("z1", "z2", "z3")),)},
        {"dual_inputs": ("log_sig",)},
    ],
)
def test_wrong_ports_are_rejected(check, change):
    with pytest.raises(PlanProofError, match="by hand: expected"):
        check(replace(HAND, **change))


def test_degrees_beyond_the_limit():
    program = log_derivative_join(PROOF_LIMIT + 2)
    with pytest.raises(ValueError, match="expected a degree of at most 10 for a proof, got 12"):
        prove_join_plan(program)
    verify_join_plan(program)
    for index in (0, len(program.statements) // 2, len(program.statements) - 1):
        with pytest.raises(PlanProofError, match="degree"):
            verify_join_plan(changed(program, index, 0, program.statements[index].terms[0].coefficient * 2))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_check_at_other_points(seed):
    check_join_plan_randomly(HAND, seed=seed)


def test_graded_series_by_hand():
    assert graded_join(2)[2] == {(2,): 1, (1, 0): Fraction(1, 2), (0, 1): Fraction(-1, 2)}
    # Setting l_2 = l_3 = … = 0 leaves the series in two letters.
    two_letters = {word: value for word, value in graded_join(4)[4].items() if max(word) < 2}
    assert two_letters == {
        (1, 1, 0, 0): Fraction(1, 24),
        (1, 0, 1, 0): Fraction(-1, 12),
        (0, 1, 0, 1): Fraction(1, 12),
        (0, 0, 1, 1): Fraction(-1, 24),
    }
    assert proof.word_text((1, 2, 0)) == "l1 l2 v"


@pytest.mark.parametrize("check", COMBINE_CHECKS)
def test_right_product_is_accepted(check):
    check(HAND_COMBINE)
    # Operands are told apart by their names, not by their places.
    check(replace(HAND_COMBINE, inputs=HAND_COMBINE.inputs[::-1]))


@pytest.mark.parametrize("check", COMBINE_CHECKS)
def test_every_changed_coefficient_of_a_product_is_rejected(check):
    wrong = list(all_changes(HAND_COMBINE))
    assert len(wrong) == 24
    for program in wrong:
        with pytest.raises(PlanProofError, match="by hand: degree"):
            check(program)


@pytest.mark.parametrize("check", COMBINE_CHECKS)
def test_the_product_does_not_commute(check):
    first, second = HAND_COMBINE.inputs
    swapped = (replace(first, vectors=second.vectors), replace(second, vectors=first.vectors))
    with pytest.raises(PlanProofError, match="by hand: degree 2"):
        check(replace(HAND_COMBINE, inputs=swapped))


def test_message_about_a_product_names_the_symbols_of_both_operands():
    with pytest.raises(PlanProofError) as raised:
        prove_combine_plan(changed(HAND_COMBINE, 3, 2, Fraction(1, 3)))
    assert str(raised.value) == (
        "by hand: degree 3: the coefficient of k2 l1 in z3 is -1/3, but -1/2 in log(exp(l) exp(k))"
    )


@pytest.mark.parametrize("check", COMBINE_CHECKS)
@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (HAND_COMBINE.statements[:-1], "the output z3 is never defined"),
        (HAND_COMBINE.statements[::-1], "z3 uses y before it is defined"),
        ((*HAND_COMBINE.statements, statement("d", 2, Coadjoint(1, "l1", "l3"))), "d has a coadjoint term"),
        ((*HAND_COMBINE.statements, statement("t", 2, Bracket(1, "k2", "y"))), "t is declared of degree 2 but"),
    ],
)
def test_malformed_product_is_rejected(check, statements, message):
    with pytest.raises(PlanProofError, match=message):
        check(with_statements(HAND_COMBINE, *statements))


@pytest.mark.parametrize("check", COMBINE_CHECKS)
@pytest.mark.parametrize("program", [HAND, replace(HAND_COMBINE, dual_inputs=("log_sig2",))])
def test_wrong_ports_of_a_product_are_rejected(check, program):
    with pytest.raises(PlanProofError, match="by hand: expected"):
        check(program)


@pytest.mark.parametrize("check", CHECKS)
def test_a_product_is_not_a_join(check):
    with pytest.raises(PlanProofError, match="by hand: expected"):
        check(HAND_COMBINE)


def test_products_beyond_the_limit():
    program = log_derivative_combine(COMBINE_PROOF_LIMIT + 1)
    with pytest.raises(ValueError, match="expected a degree of at most 9 for a proof, got 10"):
        prove_combine_plan(program)
    verify_combine_plan(program)
    for index in (0, len(program.statements) // 2, len(program.statements) - 1):
        with pytest.raises(PlanProofError, match="degree"):
            verify_combine_plan(changed(program, index, 0, program.statements[index].terms[0].coefficient * 2))


def test_graded_product_by_hand():
    half = Fraction(1, 2)
    assert graded_combine(2)[2] == {(2,): 1, (-2,): 1, (1, -1): half, (-1, 1): -half}
    for degree in range(1, 6):
        part = graded_combine(degree)[degree]
        # Setting k_2 = k_3 = … = 0 leaves the join; to exchange l and k is to read words backwards.
        joined = {tuple(max(letter, 0) for letter in word): c for word, c in part.items() if min(word) >= -1}
        assert joined == graded_join(degree)[degree]
        mirrored = {tuple(-letter for letter in reversed(word)): c for word, c in part.items()}
        assert mirrored == part
    assert proof.word_text((1, -2, 0)) == "l1 k2 v"


def test_residues():
    assert residue(Fraction(1, 3)) * 3 % PRIME == 1
    assert residue(-1) == PRIME - 1
    assert residue(SQRT5) ** 2 % PRIME == 5
    product = (SQRT5 + Fraction(1, 2)) * (SQRT5 - 3)
    assert residue(product) == residue(SQRT5 + Fraction(1, 2)) * residue(SQRT5 - 3) % PRIME


def dense(diagonal, size):
    matrix = np.zeros((size, size), dtype=object)
    for row, entry in enumerate(diagonal.entries):
        matrix[row, row + diagonal.weight] = entry
    return matrix


def test_diagonals_multiply_like_matrices():
    algebra = MatrixAlgebra(4)
    left, right = Diagonal(1, (2, 3, 5, 7)), Diagonal(2, (11, 13, 17))
    a, b = dense(left, 5), dense(right, 5)
    assert (dense(algebra.product(left, right), 5) == a @ b).all()
    assert (dense(algebra.bracket(left, right), 5) == (a @ b - b @ a) % PRIME).all()
    assert algebra.product(right, Diagonal(3, (1, 1))).entries == ()


def test_join_of_matrices():
    algebra = MatrixAlgebra(2)
    first, second, step = Diagonal(1, (2, 3)), Diagonal(2, (5,)), Diagonal(1, (7, 11))
    half = residue(Fraction(1, 2))
    zero, one, two = algebra.join([first, second], step)
    assert zero.entries == (0, 0, 0)
    assert one.entries == (9, 14)
    assert two.entries == ((5 + half * (2 * 11 - 7 * 3)) % PRIME,)
