"""The cost model predicts what lowering produces, and how large a problem is before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.compiler import candidate_plans
from logsig_codegen.cost import estimate, slot_histogram, structure_constant_terms
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram
from logsig_codegen.ir.lower import lower
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.dead import drop_dead_statements
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.problem import Problem

PROBLEMS = [
    (1, 1),
    (1, 3),
    (2, 1),
    (2, 2),
    (2, 3),
    (2, 4),
    (2, 5),
    (2, 6),
    (2, 7),
    (3, 3),
    (3, 5),
    (4, 4),
    (5, 3),
    (9, 2),
]


def folded_plans(problem: Problem) -> list[LieProgram]:
    return [drop_dead_statements(fold_scales(plan, problem)) for plan in candidate_plans(problem)]


def looped_operations(program: LieProgram, problem: Problem) -> int:
    """Products of a program that forms each bracket entry by entry."""
    constants = structure_constants(problem.dimension, problem.degree)
    total = 0
    for statement in program.statements:
        for term in statement.terms:
            if isinstance(term, (Bracket, Coadjoint)):
                p, q = (program.vectors[name].degree for name in term.operands)
                low, high = (p, q) if isinstance(term, Bracket) else (p, q - p)
                entries = sum(len(e) for _, _, e in constants.slots(min(low, high), max(low, high)))
                total += entries * (2 if low == high else 1)
    return total


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_estimate_predicts_the_lowered_program(dimension: int, degree: int) -> None:
    """Before common subexpressions are merged; for every plan and its adjoint.

    A sum that starts from the temporary of a shared slot saves an addition there, which the estimate does not see: it
    is never below the count, and above it by two per cent at most.
    """
    problem = Problem(dimension, degree)
    for plan in folded_plans(problem):
        for program in (plan, adjoint(plan)):
            count = lower(program, problem).operations.total
            assert count <= estimate(program, problem) <= 1.02 * count, program.name


@pytest.mark.parametrize(("dimension", "degree"), [(1, 1), (1, 3), (2, 3), (3, 3), (4, 4), (5, 3), (5, 4), (9, 2)])
def test_estimate_is_exact_where_no_sum_starts_from_a_slot(dimension: int, degree: int) -> None:
    problem = Problem(dimension, degree)
    for plan in folded_plans(problem):
        for program in (plan, adjoint(plan)):
            assert estimate(program, problem) == lower(program, problem).operations.total, program.name


@pytest.mark.parametrize(("dimension", "degree"), [(2, 4), (3, 5), (4, 4), (5, 3)])
def test_estimate_of_loops_counts_every_entry(dimension: int, degree: int) -> None:
    problem = Problem(dimension, degree)
    for plan in folded_plans(problem):
        linear = sum(
            problem.sizes[s.target.degree - 1]
            * (sum(1 for _ in plain) - any(term.coefficient in (1, -1) for term in plain))
            for s in plan.statements
            for plain in [[term for term in s.terms if not isinstance(term, (Bracket, Coadjoint))]]
        )
        assert estimate(plan, problem, share_slots=False) == linear + looped_operations(plan, problem)
        assert estimate(plan, problem, share_slots=False) >= estimate(plan, problem)


@pytest.mark.parametrize(("dimension", "degree", "p", "q"), [(3, 4, 1, 3), (3, 4, 2, 2), (2, 7, 3, 4), (1, 3, 1, 2)])
def test_slot_histogram(dimension: int, degree: int, p: int, q: int) -> None:
    slots = structure_constants(dimension, degree).slots(p, q)
    histogram = dict(slot_histogram(dimension, degree, p, q))
    assert sum(histogram.values()) == len(slots)
    assert sum(e * count for e, count in histogram.items()) == sum(len(entries) for _, _, entries in slots)
    for e, count in histogram.items():
        assert sum(len(entries) == e for _, _, entries in slots) == count


@pytest.mark.parametrize(
    ("dimension", "degree"),
    [(2, 4), (2, 6), (2, 9), (2, 12), (3, 3), (3, 6), (4, 5), (5, 3), (5, 5), (10, 3), (10, 4), (20, 2), (30, 3)],
)
def test_structure_constants_are_estimated_within_a_factor_of_two(dimension: int, degree: int) -> None:
    """Counted over every type of bracket that fits the degree."""
    constants = structure_constants(dimension, degree)
    types = [(p, q) for p in range(1, degree + 1) for q in range(p, degree - p + 1)]
    truth = sum(len(entries) for p, q in types for _, _, entries in constants.slots(p, q))
    assert truth / 2 <= structure_constant_terms(Problem(dimension, degree)) <= 2 * truth


def test_the_estimate_of_size_needs_no_structure_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise AssertionError("not before the limit was checked")

    monkeypatch.setattr("logsig_codegen.algebra.structure.StructureConstants.__init__", fail)
    assert structure_constant_terms(Problem(1000, 6)) > 10**16
    assert structure_constant_terms(Problem(1, 1)) == 0
