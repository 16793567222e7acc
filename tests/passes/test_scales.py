"""Scale folding: brackets with plain operands, the same vectors as before, and no operation too many."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import evaluate_lie, lie_programs, points_of

from logsig_codegen.cost import estimate
from logsig_codegen.ir.lie import Bracket, LieProgram, Port, Scaled, Statement, Vector
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.plans.log_derivative import log_derivative_join
from logsig_codegen.plans.right_normed import right_normed_join
from logsig_codegen.plans.special import special_join
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.proof import prove_join_plan

INPUTS = (Port("log_sig", ("l1", "l2", "l3")), Port("displacement", ("v",)), Port("more", ("y1", "y")))


def program_of(*statements: Statement) -> LieProgram:
    return LieProgram("example", 3, INPUTS, statements, (Port("out", ("l1", "l2", statements[-1].target.name)),))


def has_plain_brackets(program: LieProgram) -> bool:
    terms = [term for statement in program.statements for term in statement.terms if not isinstance(term, Scaled)]
    return all(term.coefficient in (1, -1) for term in terms)


def test_example_of_the_documentation() -> None:
    before = program_of(
        Statement(Vector("t", 2), (Scaled(2, "l2"), Scaled(4, "y"))),
        Statement(Vector("z", 3), (Scaled(1, "l3"), Bracket(Fraction(1, 3), "v", "t"))),
    )
    after = fold_scales(before, Problem(3, 3))
    first, copy, last = after.statements
    assert first == Statement(Vector("t", 2), (Scaled(1, "l2"), Scaled(2, "y")))
    assert copy.terms == (Scaled(Fraction(2, 3), "v"),)
    assert last.terms == (Scaled(1, "l3"), Bracket(1, copy.target.name, "t"))


def test_copies_are_shared_also_with_copies_that_are_there() -> None:
    half = Fraction(1, 2)
    before = program_of(
        Statement(Vector("h", 1), (Scaled(half, "v"),)),
        Statement(Vector("a", 3), (Scaled(1, "l3"), Bracket(half, "v", "l2"))),
        Statement(Vector("b", 3), (Scaled(1, "a"), Bracket(-half, "v", "y"))),
        Statement(Vector("z", 3), (Scaled(1, "b"), Bracket(Fraction(1, 3), "h", "y"), Bracket(2, "h", "l2"))),
    )
    after = fold_scales(before, Problem(4, 3))
    texts = [statement.text() for statement in after.statements]
    copies = [statement for statement in after.statements if len(statement.terms) == 1]
    assert len(copies) == 2
    assert copies[1].terms == (Scaled(Fraction(1, 6), "v"),)
    assert texts[1:3] == ["a = l3 + [h, l2]", "b = a - [h, y]"]
    assert texts[-1] == f"z = b + [{copies[1].target.name}, y] + [v, l2]"


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_meaning_is_kept_and_brackets_are_plain(data: st.DataObject) -> None:
    program, problem = data.draw(lie_programs())
    folded = fold_scales(program, problem)
    assert has_plain_brackets(folded)
    point = data.draw(points_of(program, problem))
    assert evaluate_lie(folded, problem, point) == evaluate_lie(program, problem, point)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_folding_can_be_repeated(data: st.DataObject) -> None:
    program, problem = data.draw(lie_programs())
    twice = fold_scales(fold_scales(program, problem), problem)
    assert has_plain_brackets(twice)
    point = data.draw(points_of(program, problem))
    assert evaluate_lie(twice, problem, point) == evaluate_lie(program, problem, point)


@pytest.mark.parametrize("plan", [special_join, log_derivative_join, right_normed_join])
@pytest.mark.parametrize("degree", range(1, 7))
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_folded_plans_are_still_joins(plan: Any, degree: int, dimension: int) -> None:
    """Which scales move depends on the dimension; what is computed does not."""
    problem = Problem(dimension, degree)
    folded = fold_scales(plan(degree), problem)
    prove_join_plan(folded)
    assert has_plain_brackets(folded)
    assert estimate(fold_scales(folded, problem), problem) <= estimate(folded, problem)


@pytest.mark.parametrize("plan", [special_join, log_derivative_join, right_normed_join])
@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), (3, 4), (2, 5)])
def test_folding_a_gradient(plan: Any, degree: int, dimension: int) -> None:
    """The adjoint of a plan as it is written, folded, and folded again; its actions on forms become plain too."""
    problem = Problem(dimension, degree)
    gradient = adjoint(plan(degree))
    numbers = [Fraction(k * k % 17 - 8, k % 5 + 1) for k in range(problem.size)]
    point = {"d_out": numbers[::-1], "log_sig": numbers, "displacement": numbers[3 : 3 + dimension]}
    expected = evaluate_lie(gradient, problem, point)
    folded = fold_scales(gradient, problem)
    assert has_plain_brackets(folded)
    assert evaluate_lie(folded, problem, point) == expected
    assert evaluate_lie(fold_scales(folded, problem), problem, point) == expected
