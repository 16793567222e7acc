"""Lyndon words against their definition, spelled out over all words, and against pySigLib."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pysiglib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsig_codegen.algebra.lyndon import Word, is_lyndon, lyndon_basis, lyndon_words

PROBLEMS = [(1, 1), (1, 5), (2, 1), (2, 9), (3, 6), (4, 4), (6, 3), (11, 2), (25, 1)]

# The brackets for two letters up to degree five, as another library of iterated integrals prints them.
BRACKETS_2_5 = """
0 1
[0,1]
[0,[0,1]] [[0,1],1]
[0,[0,[0,1]]] [0,[[0,1],1]] [[[0,1],1],1]
[0,[0,[0,[0,1]]]] [0,[0,[[0,1],1]]] [[0,[0,1]],[0,1]] [0,[[[0,1],1],1]] [[0,1],[[0,1],1]] [[[[0,1],1],1],1]
"""

words_of_three_letters = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)


def smaller_than_its_rotations(word: Word) -> bool:
    """The definition: a word that is strictly smaller than all of its non-trivial rotations."""
    return all(word < word[cut:] + word[:cut] for cut in range(1, len(word)))


def all_lyndon_words(dimension: int, degree: int) -> list[Word]:
    """Those among all words, by length and then lexicographically."""
    return [
        word
        for length in range(1, degree + 1)
        for word in product(range(dimension), repeat=length)
        if smaller_than_its_rotations(word)
    ]


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_words_are_all_lyndon_words_in_order(dimension: int, degree: int) -> None:
    assert list(lyndon_words(dimension, degree)) == all_lyndon_words(dimension, degree)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 9), (3, 6), (4, 4)])
def test_is_lyndon_agrees_with_rotations(dimension: int, degree: int) -> None:
    for length in range(1, degree + 1):
        for word in product(range(dimension), repeat=length):
            assert is_lyndon(word) == smaller_than_its_rotations(word), word


@given(words_of_three_letters)
def test_is_lyndon_agrees_with_rotations_of_long_words(word: Word) -> None:
    assert is_lyndon(word) == smaller_than_its_rotations(word)


def test_empty_word_is_not_lyndon() -> None:
    assert not is_lyndon(())


@given(words_of_three_letters)
def test_every_word_factors_into_lyndon_words_in_exactly_one_way(word: Word) -> None:
    """Chen, Fox and Lyndon: one factorisation into Lyndon words that do not increase."""
    ways: dict[tuple[int, Word], int] = {}

    def count(start: int, largest: Word) -> int:
        if start == len(word):
            return 1
        key = (start, largest)
        if key not in ways:
            pieces = [word[start:end] for end in range(start + 1, len(word) + 1)]
            ways[key] = sum(
                count(start + len(piece), piece) for piece in pieces if is_lyndon(piece) and piece <= largest
            )
        return ways[key]

    assert count(0, (3,)) == 1


@pytest.mark.parametrize(("dimension", "degree"), [(1, 6), (2, 12), (3, 8), (10, 4)])
def test_number_of_words_of_each_length(dimension: int, degree: int) -> None:
    """Every word is a power of a rotation of one Lyndon word: the lengths ``k | n`` make up all ``d**n`` words."""
    counts = Counter(len(word) for word in lyndon_words(dimension, degree))
    for n in range(1, degree + 1):
        assert sum(k * counts[k] for k in range(1, n + 1) if n % k == 0) == dimension**n


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_words_are_those_of_pysiglib(dimension: int, degree: int) -> None:
    assert list(lyndon_words(dimension, degree)) == [tuple(word) for word in pysiglib.lyndon_words(dimension, degree)]


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_factors_are_the_longest_proper_lyndon_suffix_and_the_rest(dimension: int, degree: int) -> None:
    basis = lyndon_basis(dimension, degree)
    assert basis.words == lyndon_words(dimension, degree)
    for word, (left, right) in zip(basis.words, basis.factors, strict=True):
        if len(word) == 1:
            assert (left, right) == (-1, -1)
            continue
        suffixes = [word[cut:] for cut in range(1, len(word))]
        longest = max((suffix for suffix in suffixes if smaller_than_its_rotations(suffix)), key=len)
        assert basis.words[right] == longest
        assert basis.words[left] + longest == word


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_offsets_delimit_the_degrees(dimension: int, degree: int) -> None:
    basis = lyndon_basis(dimension, degree)
    assert len(basis.offsets) == degree + 1
    for k in range(1, degree + 1):
        expected = [index for index, word in enumerate(basis.words) if len(word) == k]
        assert list(basis.coordinates(k)) == expected


def test_brackets_as_text() -> None:
    basis = lyndon_basis(2, 5)
    assert [basis.bracket(index) for index in range(len(basis.words))] == BRACKETS_2_5.split()


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_a_bracket_names_its_word(dimension: int, degree: int) -> None:
    """Without brackets and commas, the text is the word."""
    basis = lyndon_basis(dimension, degree)
    for index, word in enumerate(basis.words):
        text = basis.bracket(index)
        assert text.replace("[", "").replace("]", "").split(",") == [str(letter) for letter in word]
        assert text.count("[") == text.count("]") == len(word) - 1


def test_one_letter_has_a_single_word() -> None:
    basis = lyndon_basis(1, 7)
    assert basis.words == ((0,),)
    assert basis.offsets == (0, 1, 1, 1, 1, 1, 1, 1)
    assert list(basis.coordinates(2)) == []
