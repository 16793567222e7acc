"""The Hall basis that iisignature (``prepare(d, m, "H")``) and RoughPy print, and its maps to the Lyndon brackets.

The elements are numbered from the letters upwards. The elements of degree ``n`` are the brackets ``[H_i, H_j]`` with

* ``deg H_i + deg H_j = n``, ``deg H_i <= deg H_j`` and ``i < j``;
* ``H_j`` is a letter, or its own left factor is not later than ``H_i``: for ``H_j = [H_a, H_b]``, ``a <= i``;

and they are numbered by the degree of ``H_i``, then by ``i``, then by ``j``. Since elements of lower degree come first,
that is the order of ``(i, j)``. It is a Hall set in the sense of Bourbaki (Lie Groups and Lie Algebras, II.2.10) with
the numbering as its order. Both are bases of the free Lie ring over the integers, so the maps have integer entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, Union

from logsig_codegen.algebra.basis_maps import SparseMap, check_entries, combination
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.structure import structure_constants

Nested: TypeAlias = Union[int, "tuple[Nested, Nested]"]
"""A letter, or the pair of the factors of a bracket."""


@dataclass(frozen=True)
class HallBasis:
    """The Hall basis of the free Lie algebra truncated at a degree.

    Attributes
    ----------
    dimension, degree : int
        Number of letters and truncation degree.
    factors : tuple of pairs
        For each element of degree at least two, the coordinates of its two factors; ``(-1, -1)`` for a letter.
    offsets : tuple of int
        ``offsets[k-1]:offsets[k]`` is the range of coordinates of degree ``k``.
    """

    dimension: int
    degree: int
    factors: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...]

    def coordinates(self, degree: int) -> range:
        """Coordinates of the basis elements of one degree."""
        return range(self.offsets[degree - 1], self.offsets[degree])

    def nested(self, coordinate: int) -> Nested:
        """The basis element as nested pairs of letters, counted from 0."""
        left, right = self.factors[coordinate]
        return coordinate if left < 0 else (self.nested(left), self.nested(right))

    def bracket(self, coordinate: int) -> str:
        """The basis element as text, with letters counted from 0 (the other libraries count from 1)."""
        left, right = self.factors[coordinate]
        return str(coordinate) if left < 0 else f"[{self.bracket(left)},{self.bracket(right)}]"

    def word(self, coordinate: int) -> tuple[int, ...]:
        """The letters of the basis element, in the order in which its bracket has them."""
        left, right = self.factors[coordinate]
        return (coordinate,) if left < 0 else (*self.word(left), *self.word(right))


@lru_cache(maxsize=32)
def hall_basis(dimension: int, degree: int) -> HallBasis:
    """Build (or fetch) the basis for ``dimension`` letters up to ``degree``."""
    factors = [(-1, -1)] * dimension
    offsets = [0, dimension]
    for total in range(2, degree + 1):
        for lower in range(1, total // 2 + 1):
            for i in range(offsets[lower - 1], offsets[lower]):
                candidates = range(max(offsets[total - lower - 1], i + 1), offsets[total - lower])
                factors += [(i, j) for j in candidates if factors[j][0] <= i]
        offsets.append(len(factors))
    return HallBasis(dimension, degree, tuple(factors), tuple(offsets))


@lru_cache(maxsize=32)
def hall_to_brackets(dimension: int, degree: int) -> SparseMap:
    """From Hall coordinates to Lyndon bracket coordinates."""
    check_entries(lyndon_basis(dimension, degree))
    constants = structure_constants(dimension, degree)
    return _expressed(hall_basis(dimension, degree).factors, lambda i, j: dict(constants.bracket(i, j)))


@lru_cache(maxsize=32)
def brackets_to_hall(dimension: int, degree: int) -> SparseMap:
    """From Lyndon bracket coordinates to Hall coordinates; the inverse of :func:`hall_to_brackets`."""
    check_entries(lyndon_basis(dimension, degree))
    return _expressed(lyndon_basis(dimension, degree).factors, _HallBrackets(hall_basis(dimension, degree)).bracket)


class _HallBrackets:
    """Brackets of Hall elements in Hall coordinates, memoised."""

    def __init__(self, basis: HallBasis) -> None:
        self._factors = basis.factors
        self._coordinate = {pair: index for index, pair in enumerate(basis.factors) if pair[0] >= 0}
        self._memo: dict[tuple[int, int], dict[int, int]] = {}

    def bracket(self, i: int, j: int) -> Mapping[int, int]:
        """``[H_i, H_j]`` as coefficients by coordinate."""
        if i == j:
            return {}
        if i > j:
            return {k: -c for k, c in self._ordered(j, i).items()}
        return self._ordered(i, j)

    def _ordered(self, i: int, j: int) -> dict[int, int]:
        """The bracket for ``i < j``: an element, or Jacobi's identity on ``H_j = [H_a, H_b]`` with ``i < a < b``.

        ``[i, [a, b]] = [[i, a], b] + [a, [i, b]]``.
        """
        known = self._memo.get((i, j))
        if known is None:
            coordinate = self._coordinate.get((i, j))
            if coordinate is not None:
                known = {coordinate: 1}
            else:
                a, b = self._factors[j]
                parts = (
                    combination(self.bracket(i, a), lambda k: self.bracket(k, b)),
                    combination(self.bracket(i, b), lambda k: self.bracket(a, k)),
                )
                known = combination({0: 1, 1: 1}, parts.__getitem__)
            self._memo[i, j] = known
        return known


def _expressed(factors: Sequence[tuple[int, int]], bracket: Callable[[int, int], Mapping[int, int]]) -> SparseMap:
    """Coordinates of nested brackets, given by their ``factors``, in the basis whose elements ``bracket`` brackets."""

    def nested_bracket(left: int, right: int) -> dict[int, int]:
        return combination(columns[left], lambda i: combination(columns[right], lambda j: bracket(i, j)))

    columns: list[dict[int, int]] = []
    for index, (left, right) in enumerate(factors):
        columns.append({index: 1} if left < 0 else nested_bracket(left, right))
    return SparseMap.from_rows(len(factors), columns).transpose()
