"""The cost model: what a Lie program costs for a problem, without lowering it.

Counts follow :class:`~logsig_codegen.ir.program.OperationCount` and the slot sharing of the lowering, at the price of
one pass over the slots. An estimate is never below the count of the lowered program and at most two per cent above it:
it does not see that a sum without a plain term may start from a shared slot for free.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.ir.program import OperationCount
from logsig_codegen.problem import Problem

DEFAULT_MAX_TERMS = 10_000_000
"""Structure constants a problem may need before it is refused."""
MOST_WORDS = 1 << 27
"""Words of a row of a conversion, at most: with what is computed beside it, a row takes some ten gigabytes."""


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
    sizes = {k: size for k, size in enumerate(problem.sizes, start=1) if size}
    total = 0.0
    for p in sizes:
        for q in range(p, min(problem.degree - p, max(sizes)) + 1):
            pairs = sizes[p] * (sizes[q] if p < q else (sizes[p] - 1) / 2)
            total += pairs * (1.0 + 0.3 * (p + q - 2))
    return int(total)


def check_size(problem: Problem, max_terms: int = DEFAULT_MAX_TERMS) -> None:
    """Refuse a problem that is too large to build; see :func:`.compiler.compile_problem`."""
    terms = structure_constant_terms(problem) or problem.size  # of degree one there are coordinates only
    if terms > max_terms:
        raise ProblemTooLargeError(
            f"(dimension={problem.dimension}, degree={problem.degree}) has {problem.size:,} coordinates and needs "
            f"about {terms:,} structure constants (roughly {max(1, terms // 100_000):,} s to build); the limit is "
            f"{max_terms:,}",
            terms=terms,
        )


def conversion_count(problem: Problem, backward: bool) -> OperationCount:
    """Operations of Horner's scheme for a power series in the tensor algebra, or for its gradient.

    Raises
    ------
    ProblemTooLargeError
        If a row would have more than ``MOST_WORDS`` numbers.
    """
    powers = [problem.dimension**length for length in range(problem.degree + 1)]
    if sum(powers[1:]) > MOST_WORDS:
        raise ProblemTooLargeError(
            f"(dimension={problem.dimension}, degree={problem.degree}) has {sum(powers[1:]):,} words of a signature; "
            f"conversions are there for up to {MOST_WORDS:,}"
        )
    stages = [sum((n - 1) * powers[n] for n in range(1, longest + 1)) for longest in range(1, problem.degree + 1)]
    scalings = sum(sum(powers[1 : longest + 1]) for longest in range(1, problem.degree + 1))
    if not backward:
        return OperationCount(sum(stages), 0, scalings)
    return OperationCount(sum(stages[:-1]) + 2 * sum(stages) + scalings, 0, scalings - sum(powers[1:]))


def estimate(program: LieProgram, problem: Problem, *, share_slots: bool = True) -> int:
    """Operations of ``program`` per sample.

    With ``share_slots`` as the straight-line lowering does them; without, as loops over tables do, one product per
    structure constant.
    """
    return _Estimate(program, problem, share_slots).total()


class _Estimate:
    def __init__(self, program: LieProgram, problem: Problem, share_slots: bool) -> None:
        self.program = program
        self.problem = problem
        self.share_slots = share_slots
        self.degrees = {name: vector.degree for name, vector in program.vectors.items()}
        self.readers: Counter[tuple[str, int, int]] = Counter()
        for statement in program.statements:
            for term in statement.terms:
                if isinstance(term, Coadjoint):
                    _, p, q = key = self.slots_read(term)
                    self.readers[key] += 1 + (p == q)

    def total(self) -> int:
        forming = sum(self.forming(p, q) for (_, p, q), count in self.readers.items() if self.share_slots and count > 1)
        return forming + sum(self.statement(statement) for statement in self.program.statements)

    def histogram(self, p: int, q: int) -> tuple[tuple[int, int], ...]:
        return slot_histogram(self.problem.dimension, self.problem.degree, p, q)

    def slots_read(self, term: Coadjoint) -> tuple[str, int, int]:
        p = self.degrees[term.actor]
        q = self.degrees[term.form] - p
        return term.form, min(p, q), max(p, q)

    def forming(self, p: int, q: int) -> int:
        """Additions that form the shared ``g_ij`` of one form."""
        return sum((e - 1) * count for e, count in self.histogram(p, q))

    def statement(self, statement: Statement) -> int:
        linear = [term for term in statement.terms if isinstance(term, Scaled)]
        plain = any(term.coefficient in (1, -1) for term in linear)
        cost = self.problem.sizes[statement.target.degree - 1] * (len(linear) - plain)
        groups: Counter[tuple[int, int]] = Counter()
        for term in statement.terms:
            if isinstance(term, Bracket):
                p, q = sorted((self.degrees[term.left], self.degrees[term.right]))
                groups[p, q] += 1 + (p == q)
            elif isinstance(term, Coadjoint):
                cost += self.coadjoint(term)
        return cost + sum(self.brackets(p, q, r) for (p, q), r in groups.items())

    def coadjoint(self, term: Coadjoint) -> int:
        _, p, q = key = self.slots_read(term)
        shared = self.share_slots and self.readers[key] > 1
        return (1 + (p == q)) * sum(count if shared else e * count for e, count in self.histogram(p, q))

    def brackets(self, p: int, q: int, r: int) -> int:
        """Cost of ``r`` brackets of one type summed into one vector."""
        return sum(count * (min(r * e, r + e) if self.share_slots else r * e) for e, count in self.histogram(p, q))
