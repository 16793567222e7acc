"""The compiler as a whole: exact, proved, as cheap as promised, and refusing what is too large."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest

from logsig_codegen import compiler
from logsig_codegen.algebra.tensor import join_oracle, join_vjp_oracle
from logsig_codegen.compiler import (
    CompiledProblem,
    candidate_plans,
    choose_plan,
    compile_problem,
    optimise,
)
from logsig_codegen.cost import DEFAULT_MAX_TERMS, check_size, estimate, structure_constant_terms
from logsig_codegen.errors import PlanProofError, ProblemTooLargeError
from logsig_codegen.ir.interpret import interpret, interpret_schedule
from logsig_codegen.ir.lower import lower
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.dead import drop_dead_statements
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.plans.special import special_join
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.program_proof import prove_program

PROBLEMS = [
    *((1, 1), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (2, 7), (2, 9)),
    *((3, 1), (3, 4), (3, 5), (4, 3), (5, 3), (6, 3), (7, 2), (10, 3), (13, 2)),
]


def random_rationals(count: int, source: random.Random) -> list[Fraction]:
    """Some of them zero, some large."""
    return [
        Fraction(source.choice((0, 1, 1, 1, 99)) * source.randint(-9, 9), source.randint(1, 7)) for _ in range(count)
    ]


@dataclass(frozen=True)
class Sample:
    """Arguments of both operations, and their results by definition."""

    inputs: dict[str, list[Fraction]]
    outputs: dict[str, dict[str, list[Any]]]


def sample(problem: Problem, seed: int) -> Sample:
    source = random.Random(f"{problem.name} {seed}")
    d, n, m = problem.dimension, problem.degree, problem.size
    log_sig, displacement, d_out = (random_rationals(count, source) for count in (m, d, m))
    d_log_sig, d_displacement = join_vjp_oracle(d, n, d_out, log_sig, displacement)
    return Sample(
        {"log_sig": log_sig, "displacement": displacement, "d_out": d_out},
        {
            "join": {"out": join_oracle(d, n, log_sig, displacement)},
            "join_backprop": {"d_log_sig": d_log_sig, "d_displacement": d_displacement},
        },
    )


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_exact(dimension: int, degree: int) -> None:
    """Programs and schedules, at random rational points: equal to the tensor algebra to the last digit."""
    problem = Problem(dimension, degree)
    compiled = compile_problem(problem)
    assert [kernel.operation for kernel in compiled.kernels] == ["join", "join_backprop"]
    for seed in range(2):
        point = sample(problem, seed)
        for kernel in compiled.kernels:
            assert kernel.program is not None
            assert kernel.schedule is not None
            kernel.program.verify()
            assert interpret(kernel.program, point.inputs) == point.outputs[kernel.operation]
            assert interpret_schedule(kernel.schedule, point.inputs) == point.outputs[kernel.operation]
            assert kernel.operations == kernel.program.operations


@pytest.mark.parametrize(
    ("dimension", "degree"), [(1, 3), (2, 2), (2, 3), (3, 3), (2, 5), (3, 4), (2, 6), (5, 3), (2, 8)]
)
def test_every_candidate_is_exact(dimension: int, degree: int) -> None:
    """Not only the plan that is chosen; the gradients too."""
    problem = Problem(dimension, degree)
    plans = candidate_plans(problem)
    assert len(plans) >= 2
    assert len({plan.name for plan in plans}) == len(plans)
    point = sample(problem, 0)
    for plan in plans:
        join = drop_dead_statements(fold_scales(plan, problem))
        for operation, lie in (("join", join), ("join_backprop", adjoint(join))):
            program = optimise(lower(lie, problem))
            assert interpret(program, point.inputs) == point.outputs[operation], plan.name


@pytest.mark.parametrize(
    ("dimension", "degree"), [(1, 1), (1, 3), (2, 1), (2, 3), (3, 3), (2, 4), (5, 2), (3, 4), (2, 5)]
)
def test_kernels_are_proved(dimension: int, degree: int) -> None:
    """As polynomials, coordinate by coordinate: for all arguments at once."""
    problem = Problem(dimension, degree)
    for kernel in compile_problem(problem).kernels:
        assert kernel.program is not None
        prove_program(kernel.program, problem)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), (3, 3), (2, 4)])
def test_every_candidate_is_proved(dimension: int, degree: int) -> None:
    problem = Problem(dimension, degree)
    for plan in candidate_plans(problem):
        join = fold_scales(plan, problem)
        for lie in (join, adjoint(join)):
            prove_program(optimise(lower(lie, problem)), problem)


def test_a_wrong_plan_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that evaluates something else stops the compiler before it is lowered."""

    def wrong(degree: int) -> Any:
        plan = special_join(degree)
        assert plan is not None
        statement = plan.statements[-1]
        return replace(plan, statements=(*plan.statements[:-1], replace(statement, terms=statement.terms[:-1])))

    monkeypatch.setattr(compiler, "special_join", wrong)
    with pytest.raises(PlanProofError, match="special-3: degree 3"):
        compile_problem(Problem(2, 3))


# The published counts that the plans are to reach, (dimension, degree): operations of the best join known, and of its
# adjoint, recomputation and reverse sweep.
COUNTS = {
    (2, 3): (14, 7, 21),
    (2, 4): (23, 17, 39),
    (2, 5): (77, 53, 137),
    (2, 6): (210, 157, 371),
    (2, 7): (643, 538, 1036),
    (2, 8): (1385, 1156, 2219),
    (2, 9): (2931, 2450, 4620),
    (2, 10): (6150, 5150, 9494),
    (3, 3): (41, 15, 67),
    (3, 4): (96, 47, 175),
    (3, 5): (467, 219, 806),
    (3, 6): (1653, 826, 2786),
    (4, 4): (284, 102, 509),
    (4, 6): (7779, None, None),
    (5, 2): (30, 5, 50),
    (5, 3): (175, 40, 295),
    (5, 4): (670, 190, 1180),
    (5, 5): (5119, 1505, 8211),
    (8, 3): (696, 100, 1172),
    (10, 3): (1350, 155, 2265),
    (10, 4): (10015, 1405, 16835),
    (20, 2): (420, 20, 800),
    (20, 3): (10700, 610, 17730),
}


LONGEST = (2, 10)


@pytest.mark.parametrize(
    ("dimension", "degree"), [pytest.param(*one, marks=pytest.mark.slow if one == LONGEST else ()) for one in COUNTS]
)
def test_operation_counts(dimension: int, degree: int) -> None:
    best, recompute, reverse = COUNTS[dimension, degree]
    assert best is not None
    join, backprop = compile_problem(Problem(dimension, degree)).kernels
    assert join.form == backprop.form == "unrolled"
    assert join.operations.total <= 1.10 * best
    assert backprop.operations.total <= 2.6 * join.operations.total
    if recompute is not None and reverse is not None:
        assert backprop.operations.total <= 1.10 * (recompute + reverse)


def test_operation_counts_of_a_table_driven_problem() -> None:
    """Loops over tables share no slots; the programs they come from are as cheap as the others."""
    problem = Problem(10, 5)
    join, backprop = compile_problem(problem).kernels
    assert join.form == backprop.form == "tables"
    assert join.operations.total <= 1.10 * 142413
    assert backprop.operations.total <= 2.6 * join.operations.total
    assert estimate(join.lie, problem) <= 1.10 * 142413
    assert estimate(backprop.lie, problem) <= 1.10 * (22185 + 215097)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 3), (2, 6), (2, 7), (3, 6), (5, 4), (10, 4)])
def test_the_cheapest_candidate_is_chosen(dimension: int, degree: int) -> None:
    problem = Problem(dimension, degree)
    chosen = choose_plan(problem)
    for plan in candidate_plans(problem):
        program = lower(drop_dead_statements(fold_scales(plan, problem)), problem)
        assert lower(chosen, problem).operations.total <= 1.02 * program.operations.total


def test_one_letter_needs_the_first_degree_only() -> None:
    """All brackets vanish: the join of degree one, whatever the degree."""
    for degree in (1, 2, 9, 40):
        join, backprop = compile_problem(Problem(1, degree)).kernels
        assert join.operations.total == 1
        assert backprop.operations.total == 0


def test_report() -> None:
    compiled = compile_problem(Problem(5, 3))
    join, backprop = compiled.kernels
    report = compiled.report()
    assert json.loads(json.dumps(report)) == report
    assert (report["dimension"], report["degree"], report["size"]) == (5, 3, 55)
    assert report["plan"] == {"join": "special-3", "join_backprop": "special-3"}
    assert report["form"] == {"join": "unrolled", "join_backprop": "unrolled"}
    assert report["operations"]["join"] == {
        "multiply_adds": join.operations.multiply_adds,
        "additions": join.operations.additions,
        "scalings": join.operations.scalings,
        "total": 175,
    }
    assert report["operations"]["join_backprop"]["total"] == backprop.operations.total
    # One row of every operand: a log-signature and its displacement in, a log-signature out; with gradients likewise.
    assert report["bytes_per_sample"] == {
        "join": {"float64": 8 * 115, "float32": 4 * 115},
        "join_backprop": {"float64": 8 * 175, "float32": 4 * 175},
    }


def table_driven(monkeypatch: pytest.MonkeyPatch, problem: Problem) -> CompiledProblem:
    monkeypatch.setattr(compiler, "UNROLLED_OPERATIONS", -1)
    return compile_problem(problem)


def test_large_programs_become_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(3, 4)
    compiled = table_driven(monkeypatch, problem)
    for kernel in compiled.kernels:
        assert kernel.form == "tables"
        assert kernel.program is None
        assert kernel.schedule is None
        assert kernel.operations.total == kernel.operations.multiply_adds
        assert kernel.operations.total == estimate(kernel.lie, problem, share_slots=False)
    assert compiled.report()["form"] == {"join": "tables", "join_backprop": "tables"}


# -- the limit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "degree"), [(50, 6), (2, 40), (1000, 3), (10**6, 2), (12, 12)])
def test_too_large_a_problem_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, dimension: int, degree: int) -> None:
    def fail(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("work was done before the limit was checked")

    for name in (
        "algebra.structure.structure_constants",
        "algebra.lyndon.lyndon_words",
        "ir.lower.structure_constants",
    ):
        monkeypatch.setattr(f"logsig_codegen.{name}", fail)
    for name in ("choose_plan", "candidate_plans", "estimate", "special_join", "log_derivative_join"):
        monkeypatch.setattr(compiler, name, fail)
    problem = Problem(dimension, degree)
    started = time.perf_counter()
    with pytest.raises(ProblemTooLargeError) as raised:
        compile_problem(problem)
    assert time.perf_counter() - started < 0.5
    message = str(raised.value)
    terms = structure_constant_terms(problem)
    assert terms > DEFAULT_MAX_TERMS
    assert f"(dimension={dimension}, degree={degree})" in message
    assert f"{problem.size:,} coordinates" in message
    assert f"{terms:,} structure constants" in message
    assert f"the limit is {DEFAULT_MAX_TERMS:,}" in message
    assert f"max_terms={terms}" in message
    assert isinstance(raised.value, ValueError)


def test_the_limit_can_be_raised_to_what_the_message_says_and_lowered() -> None:
    problem = Problem(3, 3)
    terms = structure_constant_terms(problem)
    check_size(problem, terms)
    with pytest.raises(ProblemTooLargeError, match=f"max_terms={terms}"):
        check_size(problem, terms - 1)
    with pytest.raises(ProblemTooLargeError):
        compile_problem(problem, max_terms=terms - 1)
    assert compile_problem(problem, max_terms=terms).problem == problem


@pytest.mark.parametrize(("dimension", "degree"), [(10, 4), (20, 3), (2, 12), (5, 5), (10, 5), (40, 3), (4, 8)])
def test_problems_of_ordinary_size_are_within_the_limit(dimension: int, degree: int) -> None:
    check_size(Problem(dimension, degree))


def test_a_problem_of_degree_one_is_refused_by_its_coordinates() -> None:
    with pytest.raises(ProblemTooLargeError, match="4,294,967,296 coordinates"):
        compile_problem(Problem(2**32, 1))
