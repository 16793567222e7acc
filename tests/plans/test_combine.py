"""The plans for the product of two log-signatures: proved, exact in coordinates, and as lean as they claim to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import evaluate_lie, mutations, rationals

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import TensorAlgebra, embed, join_oracle, lie_coordinates
from logsig_codegen.cost import estimate
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import Bracket, LieProgram, Port
from logsig_codegen.passes.dead import drop_dead_statements
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.plans.combine import (
    SPECIAL_COMBINES,
    log_derivative_combine,
    right_normed_combine,
    special_combine,
)
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.proof import check_combine_plan_randomly, prove_combine_plan

Numbers = Sequence[Any]


def written_out(degree: int) -> LieProgram:
    program = special_combine(degree)
    assert program is not None
    return program


PLANS: dict[str, tuple[Callable[[int], LieProgram], range]] = {
    "special": (written_out, range(1, 6)),
    "right-normed": (right_normed_combine, range(1, 9)),
    "log-derivative": (log_derivative_combine, range(1, 9)),
}
CASES = [(name, degree) for name, (_, degrees) in PLANS.items() for degree in degrees]
PROBLEMS = [Problem(2, 5), Problem(3, 4), Problem(4, 3), Problem(2, 2), Problem(3, 1), Problem(1, 3)]


def plan(name: str, degree: int) -> LieProgram:
    return PLANS[name][0](degree)


def combine(name: str, problem: Problem, first: Numbers, second: Numbers) -> list[Any]:
    inputs = {"log_sig1": first, "log_sig2": second}
    return evaluate_lie(plan(name, problem.degree), problem, inputs)["out"]


def oracle(problem: Problem, first: Numbers, second: Numbers) -> list[Any]:
    """``log(exp(l) exp(k))`` by definition, in the tensor algebra."""
    basis, algebra = lyndon_basis(problem.dimension, problem.degree), TensorAlgebra(problem.degree)
    left, right = (algebra.exp(embed(basis, numbers)) for numbers in (first, second))
    return lie_coordinates(basis, algebra.log(algebra.product(left, right)))


def elements(problem: Problem) -> st.SearchStrategy[list[Fraction]]:
    return st.lists(rationals, min_size=problem.size, max_size=problem.size)


def folded_cost(program: LieProgram, problem: Problem) -> int:
    return estimate(drop_dead_statements(fold_scales(program, problem)), problem)


@pytest.mark.parametrize(("name", "degree"), CASES)
def test_proved(name: str, degree: int) -> None:
    program = plan(name, degree)
    assert (program.name, program.degree) == (f"{name}-{degree}", degree)
    prove_combine_plan(program)
    check_combine_plan_randomly(program)


@pytest.mark.parametrize("degree", [9, 10, 12])
def test_checked_at_a_random_point(degree: int) -> None:
    check_combine_plan_randomly(log_derivative_combine(degree), seed=degree)
    if degree <= 10:
        check_combine_plan_randomly(right_normed_combine(degree), seed=degree)


@pytest.mark.parametrize(("name", "degree"), [case for case in CASES if case[1] <= 5])
def test_every_change_is_rejected(name: str, degree: int) -> None:
    changed = list(mutations(plan(name, degree)))
    assert len(changed) >= 2 * degree
    for wrong in changed:
        with pytest.raises(PlanProofError, match=rf"{name}-{degree}: degree \d: the coefficient of"):
            prove_combine_plan(wrong)


def test_changes_of_a_high_degree_are_found_at_a_random_point() -> None:
    changed = list(mutations(log_derivative_combine(12)))
    for wrong in changed[:: len(changed) // 8]:
        with pytest.raises(PlanProofError, match="log-derivative-12: degree"):
            check_combine_plan_randomly(wrong)


@pytest.mark.parametrize(("name", "degree"), CASES)
def test_ports(name: str, degree: int) -> None:
    program = plan(name, degree)
    letters = {"log_sig1": "l", "log_sig2": "k", "out": "z"}
    ports = [Port(operand, tuple(f"{x}{n}" for n in range(1, degree + 1))) for operand, x in letters.items()]
    assert [*program.inputs, *program.outputs] == ports
    assert program.dual_inputs == ()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_equals_the_oracle_in_coordinates(name: str, problem: Problem, data: st.DataObject) -> None:
    first, second = data.draw(elements(problem)), data.draw(elements(problem))
    assert combine(name, problem, first, second) == oracle(problem, first, second)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_with_a_second_operand_of_degree_one_it_is_the_join(name: str, problem: Problem, data: st.DataObject) -> None:
    first, second = data.draw(elements(problem)), data.draw(elements(problem))
    step = second[: problem.dimension]
    found = combine(name, problem, first, [*step, *[0] * (problem.size - problem.dimension)])
    assert found == join_oracle(problem.dimension, problem.degree, first, step)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_group_laws(name: str, problem: Problem, data: st.DataObject) -> None:
    x, y, z = (data.draw(elements(problem)) for _ in range(3))
    zero = [0] * problem.size

    def times(first: Numbers, second: Numbers) -> list[Any]:
        return combine(name, problem, first, second)

    def inverse(numbers: Numbers) -> list[Any]:
        return [-number for number in numbers]

    assert times(x, inverse(x)) == zero
    assert times(x, zero) == x == times(zero, x)
    assert times(inverse(y), inverse(x)) == inverse(times(x, y))
    assert times(times(x, y), z) == times(x, times(y, z))


@pytest.mark.parametrize(("name", "degree"), CASES)
def test_brackets_of_the_top_degree(name: str, degree: int) -> None:
    """Two brackets with a letter combination at the top, which is as few as possible; one of two degree-two sums."""
    program = plan(name, degree)
    counts: Counter[tuple[int, ...]] = Counter()
    for term in program.statements[-1].terms:
        if isinstance(term, Bracket):
            counts[tuple(sorted(program.vectors[x].degree for x in term.operands))] += 1
    assert counts[1, degree - 1] == {1: 0, 2: 1}.get(degree, 2)
    assert counts[2, 2] <= 1
    if degree >= 5:
        assert counts[2, degree - 2] == (2 if name == "special" else 3)


@pytest.mark.parametrize(("name", "degree"), CASES)
def test_nothing_is_computed_in_vain(name: str, degree: int) -> None:
    program = plan(name, degree)
    used = {name for statement in program.statements for term in statement.terms for name in term.operands}
    used.update(program.outputs[0].vectors)
    assert [s.target.name for s in program.statements if s.target.name not in used] == []
    assert len({s.terms for s in program.statements}) == len(program.statements)


@pytest.mark.parametrize(
    "problem", [Problem(2, 4), Problem(3, 3), Problem(3, 5), Problem(5, 4), Problem(4, 5), Problem(10, 4)], ids=str
)
def test_what_is_written_out_is_the_cheapest(problem: Problem) -> None:
    special = folded_cost(written_out(problem.degree), problem)
    assert special <= folded_cost(right_normed_combine(problem.degree), problem)
    assert special <= folded_cost(log_derivative_combine(problem.degree), problem)


def test_degree_two_needs_one_bracket() -> None:
    # 190 pairs of letters, two products each; two additions of vectors; one scaling of a letter combination.
    assert folded_cost(written_out(2), Problem(20, 2)) == 2 * 190 + 210 + 20


def test_there_is_a_written_out_one_up_to_degree_five() -> None:
    assert sorted(SPECIAL_COMBINES) == [1, 2, 3, 4, 5]
    assert special_combine(6) is None
    assert special_combine(0) is None
