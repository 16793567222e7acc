"""Graded strictly upper-triangular matrices modulo a prime, for cheap random tests of identities.

A homogeneous element of weight ``k`` is the ``k``-th superdiagonal of a matrix with ``degree + 1`` rows, so that
products are cheap at any degree. Every symbol is given random entries. Row 0 of a word of weight ``n`` is the product
of one entry per letter. Different words give products of *different* entries, because the row of a letter's entry is
the weight of the letters before it. A false identity between graded symbols therefore holds in these matrices with a
probability of at most ``degree / PRIME`` (Schwartz–Zippel).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from logsig_codegen.algebra.surd import Coefficient, Surd
from logsig_codegen.algebra.tensor import exponential_coefficients, logarithm_coefficients

PRIME = 2**61 - 1
_SQRT5 = pow(5, (PRIME + 1) // 4, PRIME)  # 5 is a square modulo this prime, which is 3 modulo 4


@dataclass(frozen=True)
class Diagonal:
    """A matrix that is zero outside one superdiagonal: its weight and the entries there, from row 0 on."""

    weight: int
    entries: tuple[int, ...]


Matrix: TypeAlias = "list[Diagonal]"
"""A sum of superdiagonals of weight 0, 1, …, degree."""


def residue(coefficient: Coefficient) -> int:
    """An exact coefficient modulo ``PRIME``; ``√5`` becomes a fixed square root of 5."""
    if isinstance(coefficient, Surd):
        return (residue(coefficient.rational) + residue(coefficient.root) * _SQRT5) % PRIME
    return coefficient.numerator * pow(coefficient.denominator, -1, PRIME) % PRIME


@dataclass(frozen=True)
class MatrixAlgebra:
    """Matrices with ``degree + 1`` rows; also the Lie algebra that plans are evaluated in."""

    degree: int

    def random(self, weight: int, source: random.Random) -> Diagonal:
        """A superdiagonal with random entries."""
        return Diagonal(weight, tuple(source.randrange(PRIME) for _ in range(self.degree + 1 - weight)))

    def zero(self) -> Diagonal:
        """The zero matrix; its weight becomes that of the first element that is added to it."""
        return Diagonal(-1, ())

    def add_scaled(self, total: Diagonal, coefficient: Coefficient, element: Diagonal) -> Diagonal:
        """``total + coefficient * element``, two superdiagonals of the same weight."""
        scale = residue(coefficient)
        if total.weight < 0:
            return Diagonal(element.weight, tuple(scale * x % PRIME for x in element.entries))
        if element.weight not in (-1, total.weight):
            raise ValueError(f"a sum of weights {total.weight} and {element.weight}")
        pairs = zip(total.entries, element.entries, strict=False)
        return total if element.weight < 0 else Diagonal(total.weight, tuple((t + scale * x) % PRIME for t, x in pairs))

    def product(self, left: Diagonal, right: Diagonal) -> Diagonal:
        """Matrix product of two superdiagonals."""
        pairs = zip(left.entries, right.entries[left.weight :], strict=False)
        return Diagonal(left.weight + right.weight, tuple(x * y % PRIME for x, y in pairs))

    def bracket(self, left: Diagonal, right: Diagonal) -> Diagonal:
        """``left * right - right * left``."""
        if left.weight < 0 or right.weight < 0:
            return self.zero()
        return self.add_scaled(self.product(left, right), -1, self.product(right, left))

    def multiply(self, left: Matrix, right: Matrix) -> Matrix:
        """Product of two sums of superdiagonals."""
        result = []
        for weight in range(self.degree + 1):
            total = Diagonal(weight, (0,) * (self.degree + 1 - weight))
            for k in range(weight + 1):
                total = self.add_scaled(total, 1, self.product(left[k], right[weight - k]))
            result.append(total)
        return result

    def power_series(self, coefficients: Sequence[Coefficient], x: Matrix) -> Matrix:
        """``c_0 + c_1 x + c_2 x² + …`` by Horner's scheme."""
        result = self.constant(0)
        for coefficient in reversed(coefficients):
            result = self.multiply(x, result)
            result[0] = self.add_scaled(result[0], coefficient, self.constant(1)[0])
        return result

    def join(self, log_sig: Sequence[Diagonal], displacement: Diagonal) -> Matrix:
        """``log(exp(l_1 + … + l_N) exp(v))`` by definition."""
        exponential, logarithm = exponential_coefficients(self.degree), logarithm_coefficients(self.degree)
        letters = self.constant(0)
        letters[1] = displacement
        left = self.power_series(exponential, [self.constant(0)[0], *log_sig])
        product = self.multiply(left, self.power_series(exponential, letters))
        product[0] = self.add_scaled(product[0], -1, self.constant(1)[0])
        return self.power_series(logarithm, product)

    def constant(self, value: int) -> Matrix:
        """A multiple of the unit matrix."""
        sizes = range(self.degree + 1, 0, -1)
        return [Diagonal(weight, (0 if weight else value,) * size) for weight, size in enumerate(sizes)]


class MatrixForms(MatrixAlgebra):
    """The same with linear forms; one on weight ``k`` is given by a superdiagonal of weight ``k`` as well."""

    def pair(self, form: Diagonal, element: Diagonal) -> int:
        """The value of a form on an element of its weight: the sum of products of entries."""
        return sum(f * x for f, x in zip(form.entries, element.entries, strict=False)) % PRIME

    def coadjoint(self, actor: Diagonal, form: Diagonal) -> Diagonal:
        """The form ``x -> form([actor, x])``."""
        if actor.weight < 0 or form.weight < 0:
            return self.zero()
        p, weight = actor.weight, form.weight - actor.weight
        entries = [0] * (self.degree + 1 - weight)
        for row, value in enumerate(form.entries):
            entries[row + p] += actor.entries[row] * value
            entries[row] -= actor.entries[row + weight] * value
        return Diagonal(weight, tuple(x % PRIME for x in entries))
