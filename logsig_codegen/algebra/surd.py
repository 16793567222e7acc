"""Exact numbers ``a + b√5`` with rational ``a`` and ``b``: the coefficients of plans.

One plan (the join of degree five) needs the roots of ``2λ² − λ + 1/10``. Keeping them exact lets that plan be proved
and interpreted like the rational ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import TypeAlias

Rational: TypeAlias = "int | Fraction"
Coefficient: TypeAlias = "int | Fraction | Surd"


@dataclass(frozen=True, eq=False)
class Surd:
    """The number ``rational + root * √5``; arithmetic is exact and mixes with ``int`` and ``Fraction``."""

    rational: Fraction
    root: Fraction

    def __add__(self, other: Coefficient) -> Surd:
        if not isinstance(other, _NUMBERS):
            return NotImplemented
        right = _surd(other)
        return Surd(self.rational + right.rational, self.root + right.root)

    __radd__ = __add__

    def __neg__(self) -> Surd:
        return Surd(-self.rational, -self.root)

    def __sub__(self, other: Coefficient) -> Surd:
        return self + (-_surd(other))

    def __rsub__(self, other: Coefficient) -> Surd:
        return _surd(other) + (-self)

    def __mul__(self, other: Coefficient) -> Surd:
        if not isinstance(other, _NUMBERS):
            return NotImplemented
        right = _surd(other)
        return Surd(
            self.rational * right.rational + 5 * self.root * right.root,
            self.rational * right.root + self.root * right.rational,
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Coefficient) -> Surd:
        right = _surd(other)
        norm = right.rational * right.rational - 5 * right.root * right.root
        return self * Surd(right.rational / norm, -right.root / norm)

    def __rtruediv__(self, other: Coefficient) -> Surd:
        return _surd(other) / self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (int, Fraction, Surd)):
            return NotImplemented
        right = _surd(other)
        return self.rational == right.rational and self.root == right.root

    def __hash__(self) -> int:
        return hash(self.rational) if self.root == 0 else hash((self.rational, self.root))

    def __bool__(self) -> bool:
        return self.rational != 0 or self.root != 0

    def __abs__(self) -> Surd:
        return -self if self.sign() < 0 else self

    def sign(self) -> int:
        """-1, 0 or 1, exactly: if the two parts have different signs, their squares are compared."""
        a, b = self.rational, self.root
        difference = a * a - 5 * b * b
        leading = a if difference > 0 else b
        return (leading > 0) - (leading < 0)

    def __float__(self) -> float:
        if self.rational * self.root >= 0:
            return float(self.approximate(200))
        # The two parts cancel; norm and conjugate do not.
        norm = self.rational * self.rational - 5 * self.root * self.root
        return float(norm / Surd(self.rational, -self.root).approximate(200))

    def __repr__(self) -> str:
        return f"Surd({self.rational}, {self.root})"

    def __str__(self) -> str:
        return f"({self.rational} + {self.root}*sqrt(5))"

    def approximate(self, bits: int) -> Fraction:
        """A fraction within ``|root| * 2**-bits`` of the number."""
        return self.rational + self.root * Fraction(isqrt(5 << (2 * bits)), 1 << bits)


_NUMBERS = (int, Fraction, Surd)


def _surd(number: Coefficient) -> Surd:
    return number if isinstance(number, Surd) else Surd(Fraction(number), Fraction(0))


def simplify(number: Coefficient) -> Coefficient:
    """The same number as ``int`` if possible, else as ``Fraction``, else as ``Surd``."""
    if isinstance(number, Surd):
        if number.root:
            return number
        number = number.rational
    if isinstance(number, Fraction) and number.denominator == 1:
        return number.numerator
    return number


def magnitude(number: Coefficient) -> Coefficient:
    """``abs(number)``, annotated for type checkers, which cannot infer it for a union."""
    return number.__abs__()


SQRT5 = Surd(Fraction(0), Fraction(1))
