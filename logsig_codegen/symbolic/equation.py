"""One coordinate as a polynomial equation, with its terms grouped by number of factors, as in the series."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import Any

import sympy
from sympy.polys.rings import PolyElement

from logsig_codegen.symbolic.notation import LATEX, TEXT, Notation, Piece


@dataclass(frozen=True)
class Group:
    """``scale`` times a sum of integer multiples of products; a product is a sequence of factors with repetition."""

    scale: Fraction
    products: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Equation:
    """``name = sum of groups``, where a group holds the products with the same number of factors.

    The common rational factor is written in front of each group, which shows the coefficients of the series: 1, 1/2,
    1/12, 1/24, … for 0, 1, 2, 3, … brackets.

    Attributes
    ----------
    name : str
        Name of the coordinate, for example ``z_01``.
    bracket : str
        The basis element that it belongs to, for example ``[0,1]``.
    groups : tuple of Group
    """

    name: str
    bracket: str
    groups: tuple[Group, ...]

    @classmethod
    def from_polynomial(cls, name: str, bracket: str, polynomial: PolyElement) -> Equation:
        """Group a polynomial over ℚ."""
        names = [str(symbol) for symbol in polynomial.ring.symbols]
        by_factors: dict[int, list[tuple[Fraction, tuple[str, ...]]]] = {}
        for monomial in sorted(polynomial, reverse=True):
            value = polynomial[monomial]
            factors = tuple(name for name, power in zip(names, monomial, strict=True) for _ in range(power))
            coefficient = Fraction(int(value.numerator), int(value.denominator))
            by_factors.setdefault(len(factors), []).append((coefficient, factors))
        return cls(name, bracket, tuple(_group(by_factors[count]) for count in sorted(by_factors)))

    @cached_property
    def expression(self) -> sympy.Expr:
        """The right-hand side as a SymPy expression, with the groups kept together."""
        return sympy.Add(*(_expression(group) for group in self.groups), evaluate=False)

    def right_hand_side(self, notation: Notation = TEXT) -> str:
        """For example ``l_01 + 1/2*(l_0*v_1 - l_1*v_0)``: by default plain text that SymPy can parse."""
        pieces: list[Piece] = []
        for group in self.groups:
            if group.scale == 1 or len(group.products) == 1:
                pieces += [_piece(group.scale * multiple, names, notation) for multiple, names in group.products]
            else:
                inner = [_piece(Fraction(multiple), names, notation) for multiple, names in group.products]
                pieces.append((False, notation.product([notation.group(notation.total(inner))], group.scale)))
        return notation.total(pieces)

    def render(self, notation: Notation) -> str:
        """The equation in a notation."""
        return notation.equation(self.name, self.right_hand_side(notation))

    def text(self) -> str:
        """The equation as one line of plain text."""
        return self.render(TEXT)

    def latex(self) -> str:
        r"""For example ``z_{01} = l_{01} + \frac{1}{2} \bigl(l_{0} v_{1} - l_{1} v_{0}\bigr)``."""
        return self.render(LATEX)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols on the right-hand side, each once, in order."""
        names = (name for group in self.groups for _, factors in group.products for name in factors)
        return tuple(dict.fromkeys(names))

    def data(self) -> dict[str, Any]:
        """Plain lists and strings: name, bracket, right-hand side, and every term with its coefficient and factors."""
        terms = [
            {"coefficient": str(group.scale * multiple), "factors": list(factors)}
            for group in self.groups
            for multiple, factors in group.products
        ]
        return {"name": self.name, "bracket": self.bracket, "expression": self.right_hand_side(), "terms": terms}


def _group(products: list[tuple[Fraction, tuple[str, ...]]]) -> Group:
    numerator = gcd(*(value.numerator for value, _ in products))
    scale = Fraction(numerator, lcm(*(value.denominator for value, _ in products)))
    return Group(scale, tuple((int(value / scale), factors) for value, factors in products))


def _expression(group: Group) -> sympy.Expr:
    products = [multiple * sympy.Mul(*map(sympy.Symbol, factors)) for multiple, factors in group.products]
    scale = sympy.Rational(group.scale.numerator, group.scale.denominator)
    if len(products) == 1:
        return scale * products[0]
    total = sympy.Add(*products)
    return total if scale == 1 else sympy.Mul(scale, total, evaluate=False)


def _piece(coefficient: Fraction, names: tuple[str, ...], notation: Notation) -> Piece:
    return coefficient < 0, notation.product(notation.monomial(names), abs(coefficient))
