"""Proofs of scalar programs: hand-written programs are accepted, every change to them is rejected."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from logsig_codegen.algebra.surd import SQRT5
from logsig_codegen.errors import PlanProofError, ProblemTooLargeError
from logsig_codegen.ir.program import NONE, Operand, Program, Result
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.program_proof import prove_program

HALF = Fraction(1, 2)
PROBLEM = Problem(2, 2)

# Values 0-2 are l_0, l_1, l_01; 3-4 are v_0, v_1.
JOIN = Program(
    problem=PROBLEM,
    name="join",
    inputs=(Operand("log_sig", 3), Operand("displacement", 2)),
    instructions=(
        ((1, 0, NONE), (1, 3, NONE)),
        ((1, 1, NONE), (1, 4, NONE)),
        ((1, 2, NONE), (HALF, 0, 4), (-HALF, 1, 3)),
    ),
    outputs=(Result("out", (5, 6, 7)),),
)

# Values 0-2 are g_0, g_1, g_01; 3-5 are l_0, l_1, l_01; 6-7 are v_0, v_1.
BACKPROP = Program(
    problem=PROBLEM,
    name="join_backprop",
    inputs=(Operand("d_out", 3), Operand("log_sig", 3), Operand("displacement", 2)),
    instructions=(
        ((HALF, 2, NONE),),
        ((1, 0, NONE), (1, 8, 7)),
        ((1, 1, NONE), (-1, 8, 6)),
        ((1, 0, NONE), (-1, 8, 4)),
        ((1, 1, NONE), (1, 8, 3)),
    ),
    outputs=(Result("d_log_sig", (9, 10, 2)), Result("d_displacement", (11, 12))),
)

# The same join, by way of sqrt(5)/2 times sqrt(5)/5.
IRRATIONAL = replace(
    JOIN,
    instructions=(
        *JOIN.instructions[:2],
        ((SQRT5 / 2, 0, 4), (-SQRT5 / 2, 1, 3)),
        ((1, 2, NONE), (SQRT5 / 5, 7, NONE)),
    ),
    outputs=(Result("out", (5, 6, 8)),),
)


def all_changes(program):
    for index, terms in enumerate(program.instructions):
        for position, (coefficient, left, right) in enumerate(terms):
            changed = (*terms[:position], (coefficient + Fraction(1, 9), left, right), *terms[position + 1 :])
            yield replace(
                program, instructions=(*program.instructions[:index], changed, *program.instructions[index + 1 :])
            )


@pytest.mark.parametrize("program", [JOIN, BACKPROP, IRRATIONAL])
def test_right_program_is_accepted(program):
    program.verify()
    prove_program(program, PROBLEM)


@pytest.mark.parametrize("program", [JOIN, BACKPROP, IRRATIONAL])
def test_every_changed_coefficient_is_rejected(program):
    for wrong in all_changes(program):
        with pytest.raises(PlanProofError, match="the coefficient of"):
            prove_program(wrong, PROBLEM)


def test_message_names_coordinate_monomial_and_coefficients():
    wrong = replace(JOIN, instructions=(*JOIN.instructions[:2], ((1, 2, NONE), (HALF, 0, 4), (-1, 1, 3))))
    with pytest.raises(PlanProofError) as raised:
        prove_program(wrong, PROBLEM)
    assert str(raised.value) == "join: out[2] ([0,1]): the coefficient of l_1*v_0 is -1, expected -1/2"


def test_missing_output_value_counts_as_zero():
    with pytest.raises(PlanProofError, match=r"join: out\[1\] \(1\): the coefficient of l_1 is 0, expected 1"):
        prove_program(replace(JOIN, outputs=(Result("out", (5, NONE, 7)),)), PROBLEM)


def test_swapped_outputs_are_rejected():
    with pytest.raises(PlanProofError, match=r"d_displacement\[0\] \(0\)"):
        prove_program(replace(BACKPROP, outputs=(BACKPROP.outputs[0], Result("d_displacement", (12, 11)))), PROBLEM)


def test_outputs_of_the_wrong_name_or_size_are_rejected():
    for outputs in [(Result("out", (5, 6)),), (Result("result", (5, 6, 7)),), ()]:
        with pytest.raises(PlanProofError, match=r"join: expected outputs {'out': 3}, got"):
            prove_program(replace(JOIN, outputs=outputs), PROBLEM)


def test_inputs_of_the_wrong_name_or_size_are_rejected():
    renamed = replace(JOIN, inputs=(Operand("left", 3), Operand("right", 2)))
    with pytest.raises(PlanProofError, match=r"the inputs \['left', 'right'\] are neither"):
        prove_program(renamed, PROBLEM)
    with pytest.raises(PlanProofError, match="join: log_sig: expected 2 scalars, got 3"):
        prove_program(replace(JOIN, inputs=(Operand("log_sig", 2), Operand("displacement", 3))), PROBLEM)


def test_program_for_another_problem_is_rejected():
    with pytest.raises(PlanProofError, match="join: expected a program for"):
        prove_program(JOIN, Problem(2, 3))


def test_too_large_a_problem():
    problem = Problem(20, 3)
    with pytest.raises(ProblemTooLargeError, match="dimension=20, degree=3"):
        prove_program(replace(JOIN, problem=problem), problem)
