"""The truncated tensor algebra over exact numbers: the reference that everything the compiler derives is compared with.

It does not use structure constants. A log-signature is expanded into words, exponentials and logarithms are power
series of words, and bracket coordinates are read off the words. That is slow, but short and easy to check.

Numbers are ``int``, ``Fraction``, ``Surd``, polynomials, residues, …: anything with ``+``, ``-``, ``*`` and a truth
value that is false exactly for zero. ``number`` converts rational constants for rings that do not mix with
``Fraction``. Floats cannot be used, since :func:`lie_coordinates` checks that the remainder is exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import Any, TypeAlias

from logsig_codegen.algebra.lyndon import LyndonBasis, Word, lyndon_basis
from logsig_codegen.algebra.surd import Coefficient

Words: TypeAlias = "dict[Word, Any]"
"""A homogeneous element: its non-zero coefficients by word."""

Tensor: TypeAlias = "list[Words]"
"""An element of the truncated algebra: its homogeneous parts of weight 0, 1, …, degree."""


def unchanged(coefficient: Coefficient) -> Any:
    """The default for ``number``: exact coefficients are used as they are."""
    return coefficient


def exponential_coefficients(degree: int) -> tuple[Fraction, ...]:
    """Taylor coefficients of ``exp(x)`` up to ``x**degree``."""
    return tuple(Fraction(1, factorial(k)) for k in range(degree + 1))


def logarithm_coefficients(degree: int) -> tuple[Fraction, ...]:
    """Taylor coefficients of ``log(1 + x)`` up to ``x**degree``."""
    return (Fraction(0), *(Fraction((-1) ** (k + 1), k) for k in range(1, degree + 1)))


def add_scaled(total: Words, coefficient: Any, words: Mapping[Word, Any]) -> Words:
    """Add ``coefficient * words`` to ``total`` in place, keep only non-zero coefficients, and return ``total``."""
    for word, value in words.items():
        value = coefficient * value
        if word in total:
            value = total[word] + value
        if value:
            total[word] = value
        else:
            total.pop(word, None)
    return total


def concatenate(left: Mapping[Word, Any], right: Mapping[Word, Any]) -> Words:
    """The product of two homogeneous elements.

    No two pairs of words concatenate to the same word: all words on one side have the same weight.
    """
    return {u + v: a * b for u, a in left.items() for v, b in right.items()}


def commutator(left: Mapping[Word, Any], right: Mapping[Word, Any]) -> Words:
    """``left * right - right * left`` of two homogeneous elements."""
    return add_scaled(concatenate(left, right), -1, concatenate(right, left))


@dataclass(frozen=True)
class TensorAlgebra:
    """Words up to a total weight.

    Attributes
    ----------
    degree : int
        Largest weight kept.
    number : callable
        Converts a rational constant to something that mixes with the coefficients.
    """

    degree: int
    number: Callable[[Coefficient], Any] = unchanged

    def zero(self) -> Tensor:
        """A fresh zero."""
        return [{} for _ in range(self.degree + 1)]

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """``left * right``, truncated at the smaller of ``degree`` and the length of ``right``."""
        result: Tensor = []
        for weight in range(min(self.degree + 1, len(right))):
            total: Words = {}
            for k in range(weight + 1):
                if left[k] and right[weight - k]:
                    add_scaled(total, 1, concatenate(left[k], right[weight - k]))
            result.append(total)
        return result

    def horner(self, coefficients: Sequence[Coefficient], x: Tensor) -> list[Tensor]:
        """Horner's stages ``p_k = c_k + x p_{k+1}`` for an ``x`` without constant part; ``p_0`` is the series.

        Stage ``k`` is multiplied by ``x`` another ``k`` times, so that only weights up to ``degree - k`` are computed.
        """
        if x[0]:
            raise ValueError("x: expected no constant part")
        last = min(self.degree, len(coefficients) - 1)
        stages: list[Tensor] = []
        stage: Tensor = [{} for _ in range(self.degree - last + 1)]
        for k in range(last, -1, -1):
            if stages:
                stage = self.product(x, [*stage, {}])
            constant = self.number(coefficients[k])
            stage[0] = {(): constant} if constant else {}
            stages.append(stage)
        return stages[::-1]

    def power_series(self, coefficients: Sequence[Coefficient], x: Tensor) -> Tensor:
        """``c_0 + c_1 x + c_2 x² + …`` for an ``x`` without constant part."""
        return self.horner(coefficients, x)[0]

    def exp(self, x: Tensor) -> Tensor:
        """The exponential of an ``x`` without constant part."""
        return self.power_series(exponential_coefficients(self.degree), x)

    def log(self, x: Tensor) -> Tensor:
        """The logarithm of an ``x`` with constant part one."""
        if x[0].get(()) != self.number(1):
            raise ValueError("x: expected constant part 1")
        return self.power_series(logarithm_coefficients(self.degree), [{}, *x[1:]])


@lru_cache(maxsize=32)
def bracket_words(dimension: int, degree: int) -> tuple[Mapping[Word, int], ...]:
    """Every element ``P_w`` of the Lyndon bracket basis as a polynomial in words, in coordinate order."""
    basis = lyndon_basis(dimension, degree)
    table: list[Words] = []
    for word, (left, right) in zip(basis.words, basis.factors, strict=True):
        table.append({word: 1} if left < 0 else commutator(table[left], table[right]))
    return tuple(table)


def embed(basis: LyndonBasis, coordinates: Sequence[Any]) -> Tensor:
    """The Lie element with the given bracket coordinates, as words.

    If there are fewer coordinates than basis elements, the others are zero.

    Raises
    ------
    ValueError
        If there are more coordinates than basis elements.
    """
    if len(coordinates) > len(basis.words):
        raise ValueError(f"coordinates: expected at most {len(basis.words)}, got {len(coordinates)}")
    tensor: Tensor = [{} for _ in range(basis.degree + 1)]
    table = bracket_words(basis.dimension, basis.degree)
    for word, coordinate, words in zip(basis.words, coordinates, table, strict=False):
        add_scaled(tensor[len(word)], coordinate, words)
    return tensor


def lie_coordinates(basis: LyndonBasis, tensor: Tensor) -> list[Any]:
    """Bracket coordinates of a Lie element; the inverse of :func:`embed`.

    ``P_w`` is ``w`` plus larger words of the same length. For each Lyndon word ``w``, in ascending order, the
    coefficient on ``w`` is its coordinate, and that multiple of ``P_w`` is subtracted.

    Raises
    ------
    ValueError
        If the remainder is not zero: the tensor is not a Lie element.
    """
    rest = [dict(words) for words in tensor]
    table = bracket_words(basis.dimension, basis.degree)
    coordinates = []
    for word, words in zip(basis.words, table, strict=True):
        coordinate = rest[len(word)].get(word, 0)
        if coordinate:
            add_scaled(rest[len(word)], -coordinate, words)
        coordinates.append(coordinate)
    if any(rest):
        raise ValueError(f"not a Lie element: {min(word for words in rest for word in words)} is left over")
    return coordinates


def join_oracle(
    dimension: int,
    degree: int,
    log_sig: Sequence[Any],
    displacement: Sequence[Any],
    *,
    number: Callable[[Coefficient], Any] = unchanged,
) -> list[Any]:
    """Bracket coordinates of ``log(exp(l) exp(v))``, exactly and by definition.

    Parameters
    ----------
    log_sig : sequence of m(dimension, degree) numbers
        Coordinates of ``l`` in the Lyndon bracket basis.
    displacement : sequence of ``dimension`` numbers
        Coordinates of ``v`` on the letters.

    Returns
    -------
    list of m(dimension, degree) numbers

    Raises
    ------
    ValueError
        If a sequence has the wrong length.
    """
    basis = lyndon_basis(dimension, degree)
    _check_length("log_sig", log_sig, len(basis.words))
    _check_length("displacement", displacement, dimension)
    algebra = TensorAlgebra(degree, number)
    product = algebra.product(algebra.exp(embed(basis, log_sig)), algebra.exp(embed(basis, displacement)))
    return lie_coordinates(basis, algebra.log(product))


def join_vjp_oracle(
    dimension: int,
    degree: int,
    d_out: Sequence[Any],
    log_sig: Sequence[Any],
    displacement: Sequence[Any],
    *,
    number: Callable[[Coefficient], Any] = unchanged,
) -> tuple[list[Any], list[Any]]:
    """Gradient of ``<d_out, join(log_sig, displacement)>``, exactly.

    The pullbacks of the steps of :func:`join_oracle` in reverse order: coordinates, logarithm, product, exponential,
    embedding. The pullback of a product of words splits words in two.

    Parameters
    ----------
    d_out, log_sig : sequences of m(dimension, degree) numbers
    displacement : sequence of ``dimension`` numbers

    Returns
    -------
    (d_log_sig, d_displacement) : lists of the same lengths as the inputs

    Raises
    ------
    ValueError
        If a sequence has the wrong length.
    """
    basis = lyndon_basis(dimension, degree)
    _check_length("d_out", d_out, len(basis.words))
    _check_length("log_sig", log_sig, len(basis.words))
    _check_length("displacement", displacement, dimension)
    algebra = TensorAlgebra(degree, number)
    exponential, logarithm = exponential_coefficients(degree), logarithm_coefficients(degree)
    element, letters = embed(basis, log_sig), embed(basis, displacement)
    left, right = algebra.exp(element), algebra.exp(letters)
    product = algebra.product(left, right)
    form = _series_pullback(algebra, logarithm, [{}, *product[1:]], _coordinates_pullback(basis, d_out))
    form_left, form_right = _product_pullback(left, right, form)
    d_element = _series_pullback(algebra, exponential, element, form_left)
    d_letters = _series_pullback(algebra, exponential, letters, form_right)
    return _embedding_pullback(basis, d_element, len(basis.words)), _embedding_pullback(basis, d_letters, dimension)


def _check_length(name: str, sequence: Sequence[Any], expected: int) -> None:
    if len(sequence) != expected:
        raise ValueError(f"{name}: expected {expected} numbers, got {len(sequence)}")


def _product_pullback(left: Tensor, right: Tensor, form: Tensor) -> tuple[Tensor, Tensor]:
    """The pullback of ``form`` on a product to its two factors.

    Weights are word lengths here: every letter has weight one.
    """
    form_left: Tensor = [{} for _ in form]
    form_right: Tensor = [{} for _ in form]
    for length, words in enumerate(form):
        for word, value in words.items():
            for cut in range(length + 1):
                head, tail = word[:cut], word[cut:]
                if tail in right[length - cut]:
                    add_scaled(form_left[cut], value, {head: right[length - cut][tail]})
                if head in left[cut]:
                    add_scaled(form_right[length - cut], value, {tail: left[cut][head]})
    return form_left, form_right


def _series_pullback(algebra: TensorAlgebra, coefficients: Sequence[Coefficient], x: Tensor, form: Tensor) -> Tensor:
    """The pullback of ``form`` on a power series of ``x`` to ``x`` (transposed Horner scheme)."""
    stages = algebra.horner(coefficients, x)
    total = algebra.zero()
    for stage in stages[1:]:
        form_x, form = _product_pullback(x, [*stage, {}], form)
        for words, more in zip(total, form_x, strict=False):
            add_scaled(words, 1, more)
        form = form[: len(stage)]
    return total


def _coordinates_pullback(basis: LyndonBasis, form: Sequence[Any]) -> Tensor:
    """The pullback of ``form`` on bracket coordinates to words; it is zero except on Lyndon words."""
    table = bracket_words(basis.dimension, basis.degree)
    result: Tensor = [{} for _ in range(basis.degree + 1)]
    values = list(form)
    for target in range(len(basis.words) - 1, -1, -1):
        word, value = basis.words[target], values[target]
        if not value:
            continue
        result[len(word)][word] = value
        for source in range(basis.offsets[len(word) - 1], target):
            if word in table[source]:
                values[source] = values[source] - value * table[source][word]
    return result


def _embedding_pullback(basis: LyndonBasis, form: Tensor, length: int) -> list[Any]:
    """The pullback of ``form`` on words to the first ``length`` bracket coordinates."""
    result = []
    for word, words in zip(basis.words[:length], bracket_words(basis.dimension, basis.degree), strict=False):
        values = [form[len(word)][w] * c for w, c in words.items() if w in form[len(word)]]
        result.append(sum(values[1:], values[0]) if values else 0)
    return result
