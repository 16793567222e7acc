"""Exact sparse linear maps between coordinates of a log-signature.

Three sets of coordinates: on the Lyndon brackets ``P_w``, on Lyndon *words* (the coefficients a Lie element has on
them as a polynomial in words), and *expanded* (the coefficients on all words of length 1 … N, ordered by length, then
lexicographically). ``P_w`` is ``w`` plus larger words of the same length (Reutenauer, Free Lie Algebras, theorem 5.1),
so brackets to words is unitriangular in every degree, and its inverse has integer entries too.

A word is represented by its position among the words of its length: the number that its letters are in base
``dimension``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial, prod

from logsig_codegen.algebra.lyndon import LyndonBasis, Word, lyndon_basis
from logsig_codegen.errors import ProblemTooLargeError

MOST_ENTRIES = 50_000_000
"""Words of all brackets of a problem, at most, by a bound: dimension 2 and degree 16 take a gigabyte."""


@dataclass(frozen=True, eq=False)
class SparseMap:
    """An integer matrix in compressed rows: ``y[r] = sum of coefficients[e] * x[indices[e]]`` over the row's entries.

    Maps are compared and hashed by identity; the functions of this module return the same map for the same arguments.

    Attributes
    ----------
    rows, columns : int
        Length of the result and of the argument.
    starts : tuple of rows + 1 int
        The entries of row ``r`` are ``starts[r]:starts[r+1]``.
    indices : tuple of int
        The column of each entry, ascending within a row.
    coefficients : tuple of int
        The value of each entry; never zero.
    """

    rows: int
    columns: int
    starts: tuple[int, ...]
    indices: tuple[int, ...]
    coefficients: tuple[int, ...]

    @classmethod
    def from_rows(cls, columns: int, rows: Iterable[Mapping[int, int]]) -> SparseMap:
        """Build a map from one mapping of columns to values per row; zeros are dropped."""
        starts, indices, coefficients = [0], [], []
        for row in rows:
            for index in sorted(row):
                if row[index]:
                    indices.append(index)
                    coefficients.append(row[index])
            starts.append(len(indices))
        return cls(len(starts) - 1, columns, tuple(starts), tuple(indices), tuple(coefficients))

    def row(self, row: int) -> dict[int, int]:
        """The entries of one row by column."""
        entries = slice(self.starts[row], self.starts[row + 1])
        return dict(zip(self.indices[entries], self.coefficients[entries], strict=True))

    def transpose(self) -> SparseMap:
        """The transposed map, which is the map's pullback of gradients."""
        rows: list[dict[int, int]] = [{} for _ in range(self.columns)]
        for row in range(self.rows):
            for entry in range(self.starts[row], self.starts[row + 1]):
                rows[self.indices[entry]][row] = self.coefficients[entry]
        return SparseMap.from_rows(self.rows, rows)

    def compose(self, first: SparseMap) -> SparseMap:
        """The map that applies ``first``, then this one.

        Raises
        ------
        ValueError
            If ``first`` has not as many rows as this map has columns.
        """
        if first.rows != self.columns:
            raise ValueError(f"first: expected {self.columns} rows, got {first.rows}")
        inner = [first.row(row) for row in range(first.rows)]
        return SparseMap.from_rows(
            first.columns, (combination(self.row(row), inner.__getitem__) for row in range(self.rows))
        )

    def block(self, rows: range, columns: range) -> SparseMap:
        """The part between two ranges of consecutive coordinates, such as those of one degree."""
        parts = (self.row(row) for row in rows)
        return SparseMap.from_rows(
            len(columns),
            ({index - columns.start: value for index, value in part.items() if index in columns} for part in parts),
        )


def expanded_size(dimension: int, degree: int) -> int:
    """Number of words of length 1 … ``degree``."""
    return sum(int(dimension**length) for length in range(1, degree + 1))


def word_place(word: Word, dimension: int) -> int:
    """Place of a word among all words of its length in lexicographic order."""
    place = 0
    for letter in word:
        place = place * dimension + letter
    return place


@lru_cache(maxsize=32)
def brackets_to_words(dimension: int, degree: int) -> SparseMap:
    """From bracket coordinates to the coefficients on the Lyndon words (method 2 to method 1); unitriangular."""
    basis = lyndon_basis(dimension, degree)
    size = len(basis.words)
    lyndon = {(len(word), word_place(word, dimension)): index for index, word in enumerate(basis.words)}
    columns = (
        {lyndon[len(word), place]: value for place, value in words.items() if (len(word), place) in lyndon}
        for word, words in zip(basis.words, _bracket_polynomials(basis), strict=True)
    )
    return SparseMap.from_rows(size, columns).transpose()


@lru_cache(maxsize=32)
def words_to_brackets(dimension: int, degree: int) -> SparseMap:
    """The inverse of :func:`brackets_to_words`, by forward substitution."""
    forward = brackets_to_words(dimension, degree)
    rows: list[dict[int, int]] = []
    for row in range(forward.rows):
        others = {column: -value for column, value in forward.row(row).items() if column != row}
        rows.append({row: 1, **combination(others, rows.__getitem__)})
    return SparseMap.from_rows(forward.columns, rows)


@lru_cache(maxsize=32)
def brackets_to_expanded(dimension: int, degree: int) -> SparseMap:
    """From bracket coordinates to the coefficients on all words of length 1 … N (method 2 to method 0).

    There is no row for the empty word; the coefficient of a Lie element on it is zero.
    """
    basis = lyndon_basis(dimension, degree)
    firsts = [expanded_size(dimension, length) for length in range(degree)]
    columns = (
        {firsts[len(word) - 1] + place: value for place, value in words.items()}
        for word, words in zip(basis.words, _bracket_polynomials(basis), strict=True)
    )
    return SparseMap.from_rows(expanded_size(dimension, degree), columns).transpose()


@lru_cache(maxsize=32)
def expanded_to_words(dimension: int, degree: int) -> SparseMap:
    """The selection of the Lyndon words among all words of length 1 … N (method 0 to method 1)."""
    words = lyndon_basis(dimension, degree).words
    places = (expanded_size(dimension, len(word) - 1) + word_place(word, dimension) for word in words)
    return SparseMap.from_rows(expanded_size(dimension, degree), ({place: 1} for place in places))


def combination(factors: Mapping[int, int], vectors: Callable[[int], Mapping[int, int]]) -> dict[int, int]:
    """The sum of ``factors[k] * vectors(k)``, without zeros."""
    total: dict[int, int] = {}
    for which, factor in factors.items():
        for index, value in vectors(which).items():
            total[index] = total.get(index, 0) + factor * value
    return {index: value for index, value in total.items() if value}


def check_entries(basis: LyndonBasis) -> None:
    """Refuse maps of coordinates that would fill the memory.

    A bracket of ``n`` letters has at most ``2**(n - 1)`` words, all with the same letters.

    Raises
    ------
    ProblemTooLargeError
        If the brackets together may have more than ``MOST_ENTRIES`` words.
    """
    alike = Counter(tuple(sorted(Counter(word).values())) for word in basis.words)
    entries = sum(number * min(2 ** (sum(counts) - 1), _rearrangements(counts)) for counts, number in alike.items())
    if entries > MOST_ENTRIES:
        raise ProblemTooLargeError(
            f"(dimension={basis.dimension}, degree={basis.degree}): other coordinates than Lyndon brackets need tables "
            f"of up to {entries:,} numbers, more than {MOST_ENTRIES:,}"
        )


def _rearrangements(counts: Sequence[int]) -> int:
    """Words with so many of each letter."""
    return factorial(sum(counts)) // prod(map(factorial, counts))


def _bracket_polynomials(basis: LyndonBasis) -> Sequence[Mapping[int, int]]:
    """Every ``P_w`` as coefficients by the places of words of its length, in coordinate order."""
    check_entries(basis)
    powers = [int(basis.dimension**length) for length in range(basis.degree + 1)]
    table: list[dict[int, int]] = []
    for word, (left, right) in zip(basis.words, basis.factors, strict=True):
        if left < 0:
            table.append({word[0]: 1})
            continue
        after_left, after_right = powers[len(basis.words[right])], powers[len(basis.words[left])]
        total: dict[int, int] = {}
        for u, a in table[left].items():
            for v, b in table[right].items():
                forth, back = u * after_left + v, v * after_right + u
                total[forth] = total.get(forth, 0) + a * b
                total[back] = total.get(back, 0) - a * b
        table.append({place: value for place, value in total.items() if value})
    return table
