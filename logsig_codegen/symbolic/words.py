"""``log(e^l e^v)`` in words and in right-normed brackets, with fractions: what plans are made of, without SymPy."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from logsig_codegen.algebra.lyndon import Word
from logsig_codegen.algebra.tensor import TensorAlgebra, Words, exponential_coefficients, logarithm_coefficients


@lru_cache(maxsize=16)
def bch_words(degree: int) -> tuple[Mapping[Word, Fraction], ...]:
    """Coefficients of ``log(e^l e^v)`` on words of the letters 0 (``l``) and 1 (``v``), by word length 0 … degree."""
    algebra = TensorAlgebra(degree)
    symbols = [algebra.zero(), algebra.zero()]
    for letter, element in enumerate(symbols):
        element[1] = {(letter,): Fraction(1)}
    left, right = (algebra.power_series(exponential_coefficients(degree), element) for element in symbols)
    product = algebra.product(left, right)
    return tuple(algebra.power_series(logarithm_coefficients(degree), [{}, *product[1:]]))


def right_normed_words(words: Mapping[Word, Fraction]) -> Words:
    """Rewrite a homogeneous Lie polynomial of degree ``n`` in right-normed brackets, by Dynkin's ``p = r(p)/n``.

    Parameters
    ----------
    words : mapping
        Its coefficients on words, all of the same length.

    Returns
    -------
    dict
        Coefficients by word, where the word ``a b c d`` stands for ``[a,[b,[c,d]]]`` and always ends in ``c < d``.
    """
    result: Words = {}
    for word, value in sorted(words.items()):
        value = Fraction(value, len(word))
        if len(word) > 1:
            if word[-2] == word[-1]:
                continue
            if word[-2] > word[-1]:
                word, value = (*word[:-2], word[-1], word[-2]), -value
        result[word] = result.get(word, 0) + value
    return {word: value for word, value in sorted(result.items()) if value}
