"""Words, Lyndon words, and the lengths of signatures and log-signatures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, SupportsIndex

from logsig_codegen.algebra import lyndon
from logsig_codegen.functional._arguments import augmented, non_negative
from logsig_codegen.problem import check_positive_integer, witt
from logsig_codegen.runtime.checks import check_bool

Word = tuple[int, ...]

_MAX_WORDS = 50_000_000  # a list of more would fill the memory before anyone could read it
_MAX_LENGTH = 2**63 - 1


def log_sig_length(
    dimension: SupportsIndex, degree: SupportsIndex, *, time_aug: bool = False, lead_lag: bool = False
) -> int:
    """Number of coordinates of a log-signature: Lyndon words of length 1 to ``degree`` (Witt's formula).

    ``lead_lag`` doubles the dimension, then ``time_aug`` adds one to it.

    Raises
    ------
    ValueError
        If dimension or degree is below 1, or the result does not fit 64 bits.
    """
    letters = augmented(check_positive_integer("dimension", dimension), time_aug, lead_lag)
    longest = check_positive_integer("degree", degree)
    if letters == 1:
        return 1
    # There are at least letters**degree / (2 degree) words of the last length alone.
    if longest * (letters.bit_length() - 1) > 64 + 1 + longest.bit_length():
        raise ValueError(_too_long("log-signature", letters, longest))
    length = sum(witt(letters, degree) for degree in range(1, longest + 1))
    if length > _MAX_LENGTH:
        raise ValueError(_too_long("log-signature", letters, longest))
    return length


def sig_length(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    scalar_term: bool = False,
) -> int:
    """Number of coordinates of a signature: words of length 1 to ``degree``, and the empty word with ``scalar_term``.

    ``lead_lag`` doubles the dimension, then ``time_aug`` adds one to it. Dimension and degree may be 0.

    Raises
    ------
    ValueError
        If dimension or degree is negative, or the result does not fit 64 bits.
    """
    letters = augmented(non_negative("dimension", dimension), time_aug, lead_lag)
    longest = non_negative("degree", degree)
    scalar_term = check_bool("scalar_term", scalar_term)
    if letters > 1 and longest * (letters.bit_length() - 1) > 64:
        raise ValueError(_too_long("signature", letters, longest))
    length = _count_words(letters, longest)
    if length > _MAX_LENGTH:
        raise ValueError(_too_long("signature", letters, longest))
    return length if scalar_term else length - 1


def words_of_length(alphabet_size: SupportsIndex, length: SupportsIndex) -> list[Word]:
    """All words of one length on the letters ``0 … alphabet_size-1``, in lexicographic order.

    ``words_of_length(2, 2)`` is ``[(0, 0), (0, 1), (1, 0), (1, 1)]``.
    """
    letters, number = non_negative("alphabet_size", alphabet_size), non_negative("length", length)
    _check_count(letters, number)
    return list(itertools.product(range(letters), repeat=number))


def words(alphabet_size: SupportsIndex, max_length: SupportsIndex) -> list[Word]:
    """All words of length 0 to ``max_length``, ordered by length, then lexicographically.

    ``words(2, 1)`` is ``[(), (0,), (1,)]``.
    """
    letters, longest = non_negative("alphabet_size", alphabet_size), non_negative("max_length", max_length)
    _check_count(letters, longest)
    if letters == 0:
        return [()]
    return [word for length in range(longest + 1) for word in itertools.product(range(letters), repeat=length)]


def lyndon_words_of_length(alphabet_size: SupportsIndex, length: SupportsIndex) -> list[Word]:
    """All Lyndon words of one length, in lexicographic order.

    ``lyndon_words_of_length(2, 3)`` is ``[(0, 0, 1), (0, 1, 1)]``.
    """
    number = non_negative("length", length)
    return [word for word in lyndon_words(alphabet_size, number) if len(word) == number]


def lyndon_words(alphabet_size: SupportsIndex, max_length: SupportsIndex) -> list[Word]:
    """All Lyndon words of length 1 to ``max_length``, ordered by length, then lexicographically.

    This is the order of a log-signature's coordinates. ``lyndon_words(2, 2)`` is ``[(0,), (1,), (0, 1)]``.
    """
    letters, longest = non_negative("alphabet_size", alphabet_size), non_negative("max_length", max_length)
    if letters == 0 or longest == 0:
        return []
    if letters == 1:
        return [(0,)]
    _check_count(letters, longest)
    return list(lyndon.lyndon_words(letters, longest))


def is_lyndon(word: Word) -> bool:
    """Whether a word is a Lyndon word: not empty, and smaller than each of its proper suffixes."""
    return lyndon.is_lyndon(_check_word(word))


def word_to_idx(word: Word, alphabet_size: SupportsIndex, *, scalar_term: bool = False) -> int:
    """Position of a word's coordinate in a signature; the inverse of :func:`idx_to_word`.

    With ``scalar_term`` position 0 is the empty word's; without it the empty word has no position (``ValueError``).
    """
    letters = non_negative("alphabet_size", alphabet_size)
    scalar_term = check_bool("scalar_term", scalar_term)
    checked = _check_word(word, letters)
    if not checked and not scalar_term:
        raise ValueError("word: the empty word has no position in a signature without scalar term, got ()")
    position = 0
    for letter in checked:
        position = position * letters + letter + 1
    return position if scalar_term else position - 1


def idx_to_word(idx: SupportsIndex, alphabet_size: SupportsIndex, *, scalar_term: bool = False) -> Word:
    """The word whose coordinate stands at position ``idx`` of a signature; the inverse of :func:`word_to_idx`."""
    letters = check_positive_integer("alphabet_size", alphabet_size)
    scalar_term = check_bool("scalar_term", scalar_term)
    position = non_negative("idx", idx) + (0 if scalar_term else 1)
    if letters == 1 and position > _MAX_WORDS:
        raise ValueError(f"idx: expected at most {_MAX_WORDS} on an alphabet of one letter, got {idx!r}")
    word = []
    while position:
        position, letter = divmod(position - 1, letters)
        word.append(letter)
    return tuple(reversed(word))


def _check_word(word: Iterable[Any], letters: int | None = None) -> Word:
    if not isinstance(word, tuple):
        raise TypeError(f"word: expected a tuple of integers, got {type(word).__name__} {word!r}")
    checked = tuple(non_negative("word", letter) for letter in word)
    if letters is not None and any(letter >= letters for letter in checked):
        raise ValueError(f"word: expected letters from 0 to {letters - 1}, got {word!r}")
    return checked


def _count_words(letters: int, longest: int) -> int:
    """Words of length 0 to ``longest``."""
    return longest + 1 if letters == 1 else (letters ** (longest + 1) - 1) // (letters - 1)


def _check_count(letters: int, longest: int) -> None:
    """Refuse to list more words than anyone can use, before the first of them is made."""
    # On one letter the words are few but long: their letters count.
    bits = 2 * longest.bit_length() - 2 if letters == 1 else longest * max(0, letters.bit_length() - 1)
    if letters > 0 and (bits > 64 or (letters > 1 and _count_words(letters, longest) > _MAX_WORDS)):
        raise ValueError(
            f"alphabet_size, max_length: more than {_MAX_WORDS:,} words on {letters} letters up to length {longest}"
        )


def _too_long(what: str, dimension: int, degree: int) -> str:
    return (
        f"dimension, degree: the length of a {what} of dimension {dimension} and degree {degree} does not fit 64 bits"
    )
