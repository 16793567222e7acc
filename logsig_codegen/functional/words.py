"""Words, Lyndon words, and the lengths of signatures and log-signatures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from logsig_codegen.algebra import lyndon
from logsig_codegen.errors import shown
from logsig_codegen.functional._arguments import augmented, non_negative
from logsig_codegen.problem import check_positive_integer, check_size, witt
from logsig_codegen.runtime.checks import check_bool

Word = tuple[int, ...]

_MOST_BYTES = 2**30  # a list of words that takes more would fill the memory before anyone could read it
_WORD_BYTES = 48  # of a word in a list, besides 8 for each letter
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

    Raises
    ------
    ValueError
        If the list would take more than a gigabyte.
    """
    letters, number = non_negative("alphabet_size", alphabet_size), non_negative("length", length)
    _check_room("length", letters, range(number, number + 1))
    return _words_of_length(letters, number)


def words(alphabet_size: SupportsIndex, max_length: SupportsIndex) -> list[Word]:
    """All words of length 0 to ``max_length``, ordered by length, then lexicographically.

    ``words(2, 1)`` is ``[(), (0,), (1,)]``. Raises as :func:`words_of_length`.
    """
    letters, longest = non_negative("alphabet_size", alphabet_size), non_negative("max_length", max_length)
    if letters == 0:
        return [()]
    _check_room("max_length", letters, range(longest + 1))
    return [word for length in range(longest + 1) for word in _words_of_length(letters, length)]


def lyndon_words_of_length(alphabet_size: SupportsIndex, length: SupportsIndex) -> list[Word]:
    """All Lyndon words of one length, in lexicographic order.

    ``lyndon_words_of_length(2, 3)`` is ``[(0, 0, 1), (0, 1, 1)]``. Raises as :func:`words_of_length`.
    """
    letters, number = non_negative("alphabet_size", alphabet_size), non_negative("length", length)
    return [word for word in _lyndon_words("length", letters, number) if len(word) == number]


def lyndon_words(alphabet_size: SupportsIndex, max_length: SupportsIndex) -> list[Word]:
    """All Lyndon words of length 1 to ``max_length``, ordered by length, then lexicographically.

    This is the order of a log-signature's coordinates. ``lyndon_words(2, 2)`` is ``[(0,), (1,), (0, 1)]``. Raises as
    :func:`words_of_length`.
    """
    letters, longest = non_negative("alphabet_size", alphabet_size), non_negative("max_length", max_length)
    return _lyndon_words("max_length", letters, longest)


def _lyndon_words(name: str, letters: int, longest: int) -> list[Word]:
    if letters == 0 or longest == 0:
        return []
    if letters == 1:
        return [(0,)]
    _check_room(name, letters, range(1, longest + 1), witt)
    return list(lyndon.lyndon_words(letters, longest))


def is_lyndon(word: Word) -> bool:
    """Whether a word is a Lyndon word: not empty, and smaller than each of its proper suffixes."""
    return lyndon.is_lyndon(_check_word(word))


def word_to_idx(word: Word, alphabet_size: SupportsIndex, *, scalar_term: bool = False) -> int:
    """Position of a word's coordinate in a signature; the inverse of :func:`idx_to_word`.

    With ``scalar_term`` position 0 is the empty word's; without it the empty word has no position (``ValueError``),
    nor has a word whose position does not fit 64 bits.
    """
    letters = non_negative("alphabet_size", alphabet_size)
    scalar_term = check_bool("scalar_term", scalar_term)
    checked = _check_word(word, letters)
    if not checked and not scalar_term:
        raise ValueError("word: the empty word has no position in a signature without scalar term, got ()")
    position = 0
    for letter in checked:
        position = check_size("word: its position", position * letters + letter + 1)
    return position if scalar_term else position - 1


def idx_to_word(idx: SupportsIndex, alphabet_size: SupportsIndex, *, scalar_term: bool = False) -> Word:
    """The word whose coordinate stands at position ``idx`` of a signature; the inverse of :func:`word_to_idx`."""
    letters = check_positive_integer("alphabet_size", alphabet_size)
    scalar_term = check_bool("scalar_term", scalar_term)
    position = non_negative("idx", idx) + (0 if scalar_term else 1)
    if letters == 1:  # the position is the length of the word
        _check_room("idx", 1, range(position, position + 1))
    word = []
    while position:
        position, letter = divmod(position - 1, letters)
        word.append(letter)
    return tuple(reversed(word))


def _check_word(word: Iterable[Any], letters: int | None = None) -> Word:
    if not isinstance(word, tuple):
        raise TypeError(f"word: expected a tuple of integers, got {type(word).__name__} {shown(word)}")
    checked = tuple(non_negative("word", letter) for letter in word)
    if letters is not None and any(letter >= letters for letter in checked):
        raise ValueError(f"word: expected letters from 0 to {letters - 1}, got {shown(word)}")
    return checked


def _count_words(letters: int, longest: int) -> int:
    """Words of length 0 to ``longest``."""
    return longest + 1 if letters == 1 else (letters ** (longest + 1) - 1) // (letters - 1)


def _words_of_length(letters: int, length: int) -> list[Word]:
    """What :func:`words_of_length` gives; for fewer than two letters without the work space of a product."""
    if letters < 2:
        return [(0,) * length] if letters or not length else []
    return list(itertools.product(range(letters), repeat=length))


def _check_room(name: str, letters: int, lengths: range, count: Callable[[int, int], int] = pow) -> None:
    """Refuse to list words that would fill the memory, before the first of them is made.

    ``count(letters, length)``: how many there are of a length, for two letters and more about as many as all words.
    """
    size = 0
    for length in lengths if letters else ():
        astronomic = length * (letters.bit_length() - 1) > 128
        size += _MOST_BYTES + 1 if astronomic else count(letters, length) * (8 * length + _WORD_BYTES)
        if size > _MOST_BYTES:
            raise ValueError(
                f"alphabet_size, {name}: the words on {letters} letters up to length {lengths[-1]} would take more "
                f"than {_MOST_BYTES:,} bytes"
            )


def _too_long(what: str, dimension: int, degree: int) -> str:
    return (
        f"dimension, degree: the length of a {what} of dimension {dimension} and degree {degree} does not fit 64 bits"
    )
