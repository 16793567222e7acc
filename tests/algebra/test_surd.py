"""Exact numbers with a square root of five: a field, ordered, and the same numbers as decimal ones."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logsig_codegen.algebra.surd import SQRT5, Coefficient, Surd, magnitude, simplify

rationals = st.fractions(max_denominator=1000)
surds = st.builds(Surd, rationals, rationals)
numbers = st.one_of(st.integers(-1000, 1000), rationals, surds)
Matrix = tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]


def matrix(number: Coefficient) -> Matrix:
    """Multiplication by ``a + b√5`` on the vectors ``(x, y)`` that stand for ``x + y√5``."""
    a, b = (number.rational, number.root) if isinstance(number, Surd) else (Fraction(number), Fraction(0))
    return (a, 5 * b), (b, a)


def matrix_product(left: Matrix, right: Matrix) -> Matrix:
    (a, b), (c, d) = left
    (e, f), (g, h) = right
    return (a * e + b * g, a * f + b * h), (c * e + d * g, c * f + d * h)


def decimal(number: Coefficient) -> Decimal:
    """The number with 120 digits."""
    with localcontext() as context:
        context.prec = 120
        a, b = (number.rational, number.root) if isinstance(number, Surd) else (Fraction(number), Fraction(0))
        return a.numerator / Decimal(a.denominator) + b.numerator / Decimal(b.denominator) * Decimal(5).sqrt()


@given(numbers, numbers)
def test_sum_difference_and_product_are_those_of_matrices(x: Coefficient, y: Coefficient) -> None:
    if not isinstance(x, Surd) and not isinstance(y, Surd):
        x = Surd(Fraction(x), Fraction(0))
    (a, b), (c, d) = matrix(x)
    (e, f), (g, h) = matrix(y)
    assert matrix(x + y) == ((a + e, b + f), (c + g, d + h))
    assert matrix(x - y) == ((a - e, b - f), (c - g, d - h))
    assert matrix(x * y) == matrix_product(matrix(x), matrix(y))
    assert matrix(-x) == ((-a, -b), (-c, -d))


@given(surds, numbers, numbers)
def test_axioms_of_a_field(x: Surd, y: Coefficient, z: Coefficient) -> None:
    assert x + y == y + x
    assert x * y == y * x
    assert (x + y) + z == x + (y + z)
    assert (x * y) * z == x * (y * z)
    assert x * (y + z) == x * y + x * z
    assert x + 0 == 0 + x == x
    assert x * 1 == 1 * x == x
    assert x - x == 0
    assert (y - x) + x == y


@given(surds, numbers)
def test_quotients_undo_products(x: Surd, y: Coefficient) -> None:
    if y:
        assert (x / y) * y == x
        assert x * y / y == x
    if x:
        assert (y / x) * x == y
        assert x * (1 / x) == 1


@given(surds)
def test_division_by_zero(x: Surd) -> None:
    for zero in (0, Fraction(0), Surd(Fraction(0), Fraction(0))):
        with pytest.raises(ZeroDivisionError):
            x / zero


@given(numbers, numbers)
def test_equality_and_hash_agree_across_types(x: Coefficient, y: Coefficient) -> None:
    same = matrix(x) == matrix(y)
    assert (x == y) == same
    assert (x != y) != same
    if same:
        assert hash(x) == hash(y)
    wrapped = x if isinstance(x, Surd) else Surd(Fraction(x), Fraction(0))
    assert wrapped == x
    assert hash(wrapped) == hash(x)


@pytest.mark.parametrize("other", ["1", 1.5, None])
def test_other_types_are_not_numbers(other: Any) -> None:
    assert other != SQRT5
    assert (other == SQRT5) is False


@given(surds)
def test_truth_is_being_non_zero(x: Surd) -> None:
    assert bool(x) == (matrix(x) != matrix(0))


def test_the_square_root() -> None:
    assert SQRT5 * SQRT5 == 5
    lam = Fraction(1, 4) + SQRT5 / 20
    assert 2 * lam * lam - lam + Fraction(1, 10) == 0


@given(numbers)
def test_float_is_the_nearest_one(x: Coefficient) -> None:
    assert float(x) == float(decimal(x))


@given(numbers)
def test_absolute_value_has_the_right_sign(x: Coefficient) -> None:
    negative = decimal(x) < 0
    assert abs(x) == (-x if negative else x)
    assert magnitude(x) == abs(x)


@pytest.mark.parametrize("power", range(1, 100, 7))
def test_absolute_value_of_numbers_close_to_zero(power: int) -> None:
    """Powers of ``√5 - 2``: positive, tiny, and differences of huge numbers."""
    number: Coefficient = 1
    for _ in range(power):
        number = number * (SQRT5 - 2)
    assert abs(number) == abs(-number) == number
    assert float(number) > 0


@given(surds, st.integers(1, 300))
def test_approximation_keeps_its_promise(x: Surd, bits: int) -> None:
    with localcontext() as context:
        context.prec = 200
        root = Decimal(5).sqrt()
        exact = x.rational.numerator / Decimal(x.rational.denominator)
        exact += x.root.numerator / Decimal(x.root.denominator) * root
        near = x.approximate(bits)
        distance = abs(near.numerator / Decimal(near.denominator) - exact)
        assert distance <= abs(x.root.numerator) / Decimal(x.root.denominator) / 2**bits + Decimal(10) ** -180


@given(numbers)
def test_simplify_keeps_the_number_in_its_plainest_type(x: Coefficient) -> None:
    plain = simplify(x)
    assert matrix(plain) == matrix(x)
    if matrix(x)[1][0]:
        assert isinstance(plain, Surd)
    elif matrix(x)[0][0].denominator == 1:
        assert type(plain) is int
    else:
        assert type(plain) is Fraction
    assert simplify(plain) == plain


def test_text() -> None:
    number = Surd(Fraction(1, 4), Fraction(-1, 20))
    assert repr(number) == "Surd(1/4, -1/20)"
    assert str(number) == "(1/4 + -1/20*sqrt(5))"


@pytest.mark.parametrize("foreign", ["1", 0.5, None])
def test_other_types_are_refused(foreign: Any) -> None:
    for operate in (lambda: SQRT5 + foreign, lambda: foreign + SQRT5, lambda: SQRT5 * foreign, lambda: foreign * SQRT5):
        with pytest.raises(TypeError):
            operate()
