"""Structure constants sorted by the coordinate they add to: each is summed by one thread or warp; no atomics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.problem import Problem

Entry = tuple[int, int, int]
"""Indices of the two factors, and the constant."""
MOST_INDEX = 65_535
"""An entry has 16 bits for an index."""


@dataclass(frozen=True)
class Gather:
    """The sums of one kind.

    Attributes
    ----------
    kind : str
        ``"bracket"``: coordinate of ``[x, y]`` from ``x`` of degree ``p`` and ``y`` of degree ``q >= p``;
        ``"coadjoint"``: coordinate of ``ad*_x f`` of degree ``q`` from ``x`` of degree ``p`` and ``f`` of degree
        ``p + q``.
    p, q : int
    sums : tuple
        For each coordinate its entries.
    """

    kind: str
    p: int
    q: int
    sums: tuple[tuple[Entry, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.p}_{self.q}"

    @property
    def entries(self) -> int:
        """How many there are in all."""
        return sum(map(len, self.sums))


@lru_cache(maxsize=64)
def gather(problem: Problem, kind: str, p: int, q: int) -> Gather:
    """The sums of a kind; see :class:`Gather`."""
    target = problem.sizes[(p + q if kind == "bracket" else q) - 1]
    sums: list[list[Entry]] = [[] for _ in range(target)]
    for i, j, k, c in _constants(problem, p, q):
        if kind == "bracket":
            sums[k].append((i, j, c))
        else:
            sums[j].append((i, k, c))
    return Gather(kind, p, q, tuple(map(tuple, sums)))


def _constants(problem: Problem, p: int, q: int) -> Iterator[tuple[int, int, int, int]]:
    """``(i, j, k, c)`` with ``[P_i, P_j] = … + c P_k`` for all i of degree p and j of degree q."""
    slots = structure_constants(problem.dimension, problem.degree).slots(min(p, q), max(p, q))
    for i, j, constants in slots:
        for k, c in constants:
            if p <= q:
                yield i, j, k, c
            if p >= q:
                yield j, i, k, -c
