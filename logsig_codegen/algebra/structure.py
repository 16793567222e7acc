"""Structure constants of the Lyndon bracket basis: ``[P_i, P_j] = sum_k c_ij^k P_k`` with integer ``c_ij^k``.

Brackets are zero if the degrees of their operands add up to more than the truncation degree. Constants are computed
when a program needs them, by *type* ``(p, q)`` with ``p <= q``, the degrees of the two operands.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from logsig_codegen.algebra.lyndon import LyndonBasis, lyndon_basis

Slot: TypeAlias = "tuple[int, int, tuple[tuple[int, int], ...]]"
Combination: TypeAlias = "tuple[tuple[int, int], ...]"


class StructureConstants:
    """Sparse, memoised structure constants of one :class:`~logsig_codegen.algebra.lyndon.LyndonBasis`."""

    def __init__(self, basis: LyndonBasis) -> None:
        self.basis = basis
        self._coordinate = {word: index for index, word in enumerate(basis.words)}
        order = sorted(range(len(basis.words)), key=basis.words.__getitem__)
        self._rank = [0] * len(order)
        for rank, index in enumerate(order):
            self._rank[index] = rank
        self._memo: dict[tuple[int, int], Combination] = {}
        self._types: dict[tuple[int, int], tuple[Slot, ...]] = {}

    def bracket(self, i: int, j: int) -> Combination:
        """``[P_i, P_j]`` as pairs ``(k, c_ij^k)`` ordered by ``k``; coordinates count over all degrees."""
        if i == j:
            return ()
        if self._rank[i] > self._rank[j]:
            return tuple((k, -c) for k, c in self._ordered(j, i))
        return self._ordered(i, j)

    def _ordered(self, i: int, j: int) -> Combination:
        """The bracket of ``P_i`` and ``P_j`` where the word of ``i`` is the smaller one.

        It is a basis element if ``i`` is a letter or its right factor is not smaller than ``j``; otherwise Jacobi's
        identity on ``P_i = [P_a, P_b]`` leads to brackets that are.
        """
        known = self._memo.get((i, j))
        if known is not None:
            return known
        basis = self.basis
        a, b = basis.factors[i]
        if a < 0 or self._rank[b] >= self._rank[j]:
            result: Combination = ((self._coordinate[basis.words[i] + basis.words[j]], 1),)
        else:
            total: dict[int, int] = {}
            for k, c in self.bracket(b, j):
                _accumulate(total, c, self.bracket(a, k))
            for k, c in self.bracket(a, j):
                _accumulate(total, c, self.bracket(k, b))
            result = tuple(sorted((k, c) for k, c in total.items() if c))
        self._memo[i, j] = result
        return result

    def slots(self, p: int, q: int) -> tuple[Slot, ...]:
        """All non-zero brackets of type ``(p, q)``, ``p <= q``.

        Returns triples ``(i, j, ((k, c), …))`` with ``i``, ``j`` and ``k`` counted within their own degrees; for
        ``p == q`` only ``i < j``.
        """
        known = self._types.get((p, q))
        if known is None:
            known = self._types[p, q] = tuple(self._slots(p, q))
        return known

    def _slots(self, p: int, q: int) -> Iterable[Slot]:
        left, right = self.basis.coordinates(p), self.basis.coordinates(q)
        base = self.basis.offsets[p + q - 1]
        for i in left:
            for j in right if p < q else range(i + 1, right.stop):
                entries = self.bracket(i, j)
                if entries:
                    yield i - left.start, j - right.start, tuple((k - base, c) for k, c in entries)


def _accumulate(total: dict[int, int], factor: int, entries: Combination) -> None:
    for k, c in entries:
        total[k] = total.get(k, 0) + factor * c


@lru_cache(maxsize=16)
def structure_constants(dimension: int, degree: int) -> StructureConstants:
    """The structure constants for ``dimension`` letters up to ``degree``; shared and memoised."""
    return StructureConstants(lyndon_basis(dimension, degree))
