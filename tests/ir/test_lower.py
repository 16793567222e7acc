"""Lowering keeps the meaning, and shares slots as its documentation says."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import evaluate_lie, lie_programs, points_of
from scalar_programs import meaning

from logsig_codegen.compiler import optimise
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Port, Scaled, Statement, Vector
from logsig_codegen.ir.lower import lower
from logsig_codegen.ir.program import NONE, Operand
from logsig_codegen.problem import Problem


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_random_programs_keep_their_meaning(data: st.DataObject) -> None:
    """In coordinates that come from commutators of words; and the scalar passes after it change nothing either."""
    program, problem = data.draw(lie_programs())
    point = data.draw(points_of(program, problem))
    expected = evaluate_lie(program, problem, point)
    lowered = lower(program, problem)
    assert meaning(lowered, point) == expected
    optimised = optimise(lowered)
    optimised.verify()
    assert meaning(optimised, point) == expected


def two_vectors(statements: tuple[Statement, ...], degree: int, result: str) -> LieProgram:
    """A program on two log-signatures ``x`` and ``y`` with one result of the highest degree."""
    names = [tuple(f"{letter}{k}" for k in range(1, degree + 1)) for letter in "xy"]
    outputs = tuple(f"x{k}" for k in range(1, degree))
    return LieProgram(
        "two", degree, (Port("x", names[0]), Port("y", names[1])), statements, (Port("out", (*outputs, result)),)
    )


def test_operands_and_results_follow_the_ports() -> None:
    program = lower(two_vectors((), 3, "y3"), Problem(2, 3))
    assert program.inputs == (Operand("x", 5), Operand("y", 5))
    assert program.instructions == ()
    assert [(result.name, result.values) for result in program.outputs] == [("out", (0, 1, 2, 8, 9))]


def test_plain_copies_and_signs_need_no_instruction_unless_they_are_results() -> None:
    minus = Statement(Vector("m", 2), (Scaled(-1, "x2"),))
    copy = Statement(Vector("c", 2), (Scaled(1, "m"),))
    total = Statement(Vector("t", 2), (Scaled(1, "y2"), Scaled(1, "c")))
    program = lower(two_vectors((minus, copy, total), 2, "t"), Problem(2, 2))
    assert program.instructions == (((1, 5, NONE), (-1, 2, NONE)),)
    program = lower(two_vectors((minus, copy), 2, "c"), Problem(2, 2))
    assert program.instructions == (((-1, 2, NONE),),)
    assert program.outputs[0].values == (0, 1, 6)


def test_brackets_of_one_type_share_a_slot_where_that_is_cheaper() -> None:
    """One bracket is written out; three at a slot with several entries go through a temporary."""
    problem = Problem(3, 3)
    for count, shared in ((1, False), (3, True)):
        terms = tuple(Bracket(1, left, right) for left, right in (("x1", "x2"), ("y1", "y2"), ("x1", "y2"))[:count])
        program = lower(two_vectors((Statement(Vector("z", 3), (Scaled(1, "x3"), *terms)),), 3, "z"), problem)
        # Ten entries at nine slots: one slot has two.
        assert program.operations.multiply_adds == (3 * 9 if shared else count * 10)
        assert program.operations.additions == (2 if shared else 0)
        assert len(program.instructions) == 8 + shared


def test_a_form_that_is_read_twice_has_its_slots_formed_once() -> None:
    statements = (
        Statement(Vector("g1", 1, dual=True), (Coadjoint(1, "x2", "f3"),)),
        Statement(Vector("g2", 2, dual=True), (Coadjoint(1, "x1", "f3"),)),
    )
    program = LieProgram(
        "forms",
        3,
        (Port("x", ("x1", "x2", "x3")), Port("f", ("f1", "f2", "f3"))),
        statements,
        (Port("out", ("g1", "g2")),),
        dual_inputs=("f",),
    )
    lowered = lower(program, Problem(3, 3))
    # Nine slots, one of them with two entries: one addition forms it, then each action costs a product per slot.
    assert lowered.operations.additions == 1
    assert lowered.operations.multiply_adds == 2 * 9
    assert lowered.operations.total == 19


def test_what_vanishes_is_left_out() -> None:
    """For one letter all brackets are zero, and so is what is made of them."""
    statements = (
        Statement(Vector("b", 2), (Bracket(Fraction(1, 2), "x1", "y1"),)),
        Statement(Vector("z", 3), (Bracket(1, "x1", "b"),)),
    )
    program = lower(two_vectors(statements, 3, "z"), Problem(1, 3))
    assert program.inputs == (Operand("x", 1), Operand("y", 1))
    assert program.instructions == ()
    assert program.outputs[0].values == (0,)


def test_a_sum_that_cancels_stays_zero() -> None:
    statements = (Statement(Vector("b", 2), (Bracket(1, "x1", "y1"), Bracket(-1, "x1", "y1"))),)
    program = optimise(lower(two_vectors(statements, 2, "b"), Problem(2, 2)))
    point = {"x": [Fraction(2), Fraction(3), Fraction(5)], "y": [Fraction(7), Fraction(11), Fraction(13)]}
    assert meaning(program, point) == {"out": [2, 3, 0]}


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_actions_of_equal_degrees_read_each_slot_from_both_sides(degree: int) -> None:
    """``ad*_x f`` for ``x`` and the result of the same degree, at one random point."""
    names = tuple(f"{k}" for k in range(1, 2 * degree + 1))
    program = LieProgram(
        "equal",
        2 * degree,
        (Port("x", tuple(f"x{k}" for k in names)), Port("f", tuple(f"f{k}" for k in names))),
        (Statement(Vector("g", degree, dual=True), (Coadjoint(-3, f"x{degree}", f"f{2 * degree}"),)),),
        (Port("out", (*(f"f{k}" for k in range(1, degree)), "g")),),
        dual_inputs=("f",),
    )
    problem = Problem(3 if degree < 3 else 2, 2 * degree)
    point = {"x": [Fraction(k * k - 5, k + 2) for k in range(problem.size)]}
    point["f"] = [Fraction(7 - k, k + 1) for k in range(problem.size)]
    assert meaning(lower(program, problem), point) == evaluate_lie(program, problem, point)
