"""Exact numbers as C text."""

from __future__ import annotations

from fractions import Fraction

from logsig_codegen.algebra.surd import Coefficient, Surd, simplify

_EXACT_IN_FLOAT = 1 << 24


def c_number(number: Coefficient) -> str:
    """A C expression for ``number``, of type ``logsig_real`` and rounded to it once wherever that is possible.

    A fraction of two integers that both formats hold exactly stays a fraction, which the compiler divides in the
    kernel's own precision; everything else becomes the hexadecimal literal of the nearest double.
    """
    number = simplify(number)
    if isinstance(number, int) and abs(number) <= _EXACT_IN_FLOAT:
        return f"(logsig_real){number}"
    if isinstance(number, Fraction) and max(abs(number.numerator), number.denominator) <= _EXACT_IN_FLOAT:
        return f"(logsig_real){number.numerator} / {number.denominator}"
    return f"(logsig_real){float(number).hex()}"


def constant_name(magnitude: Coefficient, known: int) -> str:
    """A readable variable name for a positive constant; ``known`` numbers those that have none of their own."""
    if isinstance(magnitude, Surd):
        return f"root{known}"
    fraction = Fraction(magnitude)
    return f"c{fraction.numerator}" if fraction.denominator == 1 else f"c{fraction.numerator}_{fraction.denominator}"
