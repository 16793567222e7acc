"""The cost model: what a Lie program costs for a problem, without lowering it.

Counts follow :class:`~logsig_codegen.ir.program.OperationCount` and the slot sharing of the lowering, so the estimate is the
operation count of the lowered program before common subexpressions are merged, at the price of one pass over the slots.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.problem import Problem


@lru_cache(maxsize=256)
def slot_histogram(dimension: int, degree: int, p: int, q: int) -> tuple[tuple[int, int], ...]:
    """Pairs (number of structure constants, number of slots that have so many) for the brackets of type ``(p, q)``."""
    slots = structure_constants(dimension, degree).slots(p, q)
    return tuple(sorted(Counter(len(entries) for _, _, entries in slots).items()))


def structure_constant_terms(problem: Problem) -> int:
    """A cheap estimate of how many structure constants a program for ``problem`` refers to.

    The number of pairs of basis elements is exact (Witt's formula); how many constants a pair has grows slowly with the
    degree and is estimated from measured cases, on the high side.
    """
    sizes, total = problem.sizes, 0.0
    for p in range(1, problem.degree + 1):
        for q in range(p, problem.degree - p + 1):
            pairs = sizes[p - 1] * (sizes[q - 1] if p < q else max(0, sizes[p - 1] - 1) / 2)
            total += pairs * (1.0 + 0.45 * max(0, p + q - 3))
    return int(total)


def estimate(program: LieProgram, problem: Problem) -> int:
    """Operations of ``program`` per sample."""
    readers: Counter[tuple[str, int, int]] = Counter()
    degrees = {name: vector.degree for name, vector in program.vectors.items()}
    for statement in program.statements:
        for term in statement.terms:
            if isinstance(term, Coadjoint):
                readers[_slots_read(term, degrees)] += 1
    shared = sum(_forming_cost(problem, p, q) for (_, p, q), count in readers.items() if count * (1 + (p == q)) > 1)
    return shared + sum(_statement_cost(statement, problem, degrees, readers) for statement in program.statements)


def _slots_read(term: Coadjoint, degrees: dict[str, int]) -> tuple[str, int, int]:
    p = degrees[term.actor]
    q = degrees[term.form] - p
    return term.form, min(p, q), max(p, q)


def _forming_cost(problem: Problem, p: int, q: int) -> int:
    """Additions that form the shared ``g_ij`` of one form."""
    return sum((e - 1) * count for e, count in slot_histogram(problem.dimension, problem.degree, p, q))


def _statement_cost(
    statement: Statement, problem: Problem, degrees: dict[str, int], readers: Counter[tuple[str, int, int]]
) -> int:
    size = problem.sizes[statement.target.degree - 1]
    linear = [term for term in statement.terms if isinstance(term, Scaled)]
    plain = any(term.coefficient in (1, -1) for term in linear)
    cost = size * (len(linear) - plain)
    groups: Counter[tuple[int, int]] = Counter()
    for term in statement.terms:
        if isinstance(term, Bracket):
            p, q = sorted((degrees[term.left], degrees[term.right]))
            groups[p, q] += 1 + (p == q)
        elif isinstance(term, Coadjoint):
            _, p, q = key = _slots_read(term, degrees)
            histogram = slot_histogram(problem.dimension, problem.degree, p, q)
            if readers[key] * (1 + (p == q)) > 1:
                cost += sum(count * (1 + (p == q)) for _, count in histogram)
            else:
                cost += sum(e * count for e, count in histogram)
    for (p, q), r in groups.items():
        histogram = slot_histogram(problem.dimension, problem.degree, p, q)
        cost += sum(count * min(r * e, r + e) for e, count in histogram)
    return cost
