"""Lyndon words, their standard factorisation, and the Lyndon bracket basis in coordinate order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Word = tuple[int, ...]


def is_lyndon(word: Word) -> bool:
    """Whether ``word`` is strictly smaller than each of its proper suffixes (the empty word is not Lyndon).

    Uses Duval's comparison, linear in the length of the word.
    """
    if not word:
        return False
    start = 0
    for position in range(1, len(word)):
        if word[position] < word[start]:
            return False
        start = start + 1 if word[position] == word[start] else 0
    return start == 0


def lyndon_words(dimension: int, degree: int) -> tuple[Word, ...]:
    """All Lyndon words of length at most ``degree`` on the letters ``0 … dimension-1``.

    Ordered by length, then lexicographically: the coordinate order used everywhere in this package. Duval's
    algorithm visits them lexicographically in constant amortised time per word.
    """
    by_length: list[list[Word]] = [[] for _ in range(degree + 1)]
    word = [-1]
    while word:
        word[-1] += 1
        by_length[len(word)].append(tuple(word))
        period = len(word)
        while len(word) < degree:
            word.append(word[-period])
        while word and word[-1] == dimension - 1:
            word.pop()
    return tuple(word for words in by_length for word in words)


@dataclass(frozen=True)
class LyndonBasis:
    """The Lyndon bracket basis of the free Lie algebra truncated at a degree.

    Attributes
    ----------
    dimension, degree : int
        Number of letters and truncation degree.
    words : tuple of words
        The Lyndon words in coordinate order.
    factors : tuple of pairs
        For each word of length at least two, the coordinates of its standard factors ``(u, v)``, where ``v`` is the
        longest proper Lyndon suffix; ``(-1, -1)`` for a letter.
    offsets : tuple of int
        ``offsets[k-1]:offsets[k]`` is the range of coordinates of degree ``k``.
    """

    dimension: int
    degree: int
    words: tuple[Word, ...]
    factors: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...]

    def coordinates(self, degree: int) -> range:
        """Coordinates of the basis elements of one degree."""
        return range(self.offsets[degree - 1], self.offsets[degree])

    def bracket(self, coordinate: int, letters: Sequence[str] | None = None) -> str:
        """The basis element as text: a letter, or ``[u,v]`` of its standard factors; ``letters`` are their names."""
        left, right = self.factors[coordinate]
        if left < 0:
            (letter,) = self.words[coordinate]
            return str(letter) if letters is None else letters[letter]
        return f"[{self.bracket(left, letters)},{self.bracket(right, letters)}]"


@lru_cache(maxsize=32)
def lyndon_basis(dimension: int, degree: int) -> LyndonBasis:
    """Build (or fetch) the basis for ``dimension`` letters up to ``degree``."""
    words = lyndon_words(dimension, degree)
    coordinate = {word: index for index, word in enumerate(words)}
    offsets, position = [0], 0
    for length in range(1, degree + 1):
        while position < len(words) and len(words[position]) == length:
            position += 1
        offsets.append(position)
    factors = tuple(_standard_factors(word, coordinate) for word in words)
    return LyndonBasis(dimension, degree, words, factors, tuple(offsets))


def _standard_factors(word: Word, coordinate: dict[Word, int]) -> tuple[int, int]:
    for split in range(1, len(word)):
        right = coordinate.get(word[split:])
        if right is not None:
            return coordinate[word[:split]], right
    return -1, -1
