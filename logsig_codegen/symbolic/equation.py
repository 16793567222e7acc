"""One coordinate as a polynomial equation, with its terms grouped by number of factors, as in the series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import groupby
from math import gcd, lcm
from typing import Any

import sympy
from sympy.polys.rings import PolyElement


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

    def right_hand_side(self) -> str:
        """For example ``l_01 + 1/2*(l_0*v_1 - l_1*v_0)``: plain text that Python and SymPy can parse."""
        return _render(self.groups, _product_text, str, "{}*({})", "{}*{}")

    def text(self) -> str:
        """The equation as one line of plain text."""
        return f"{self.name} = {self.right_hand_side()}"

    def latex(self) -> str:
        r"""For example ``z_{01} = l_{01} + \frac{1}{2} \left(l_{0} v_{1} - l_{1} v_{0}\right)``."""
        right = _render(self.groups, _product_latex, _scale_latex, r"{} \left({}\right)", "{} {}")
        return f"{_name_latex(self.name)} = {right}"

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


def _product_text(factors: tuple[str, ...]) -> str:
    powers = ((name, len(list(same))) for name, same in groupby(factors))
    return "*".join(name if power == 1 else f"{name}**{power}" for name, power in powers)


def _product_latex(factors: tuple[str, ...]) -> str:
    powers = ((_name_latex(name), len(list(same))) for name, same in groupby(factors))
    return " ".join(name if power == 1 else f"{name}^{{{power}}}" for name, power in powers)


def _render(
    groups: tuple[Group, ...],
    product: Callable[[tuple[str, ...]], str],
    scale: Callable[[Fraction], str],
    bracketed: str,
    scaled: str,
) -> str:
    """The sum of the groups; the templates tell how a number stands before a sum and before a product."""
    pieces = []
    for group in groups:
        if group.scale == 1 or len(group.products) == 1:
            pieces += [_signed(group.scale * multiple, product(f), scale, scaled) for multiple, f in group.products]
        else:
            inner = _joined([_signed(Fraction(multiple), product(f), scale, scaled) for multiple, f in group.products])
            pieces.append("+ " + bracketed.format(scale(group.scale), inner))
    return _joined(pieces)


def _signed(coefficient: Fraction, body: str, scale: Callable[[Fraction], str], scaled: str) -> str:
    size = abs(coefficient)
    return ("- " if coefficient < 0 else "+ ") + (body if size == 1 else scaled.format(scale(size), body))


def _joined(pieces: list[str]) -> str:
    if not pieces:
        return "0"
    first = pieces[0]
    return " ".join([first[2:] if first[0] == "+" else "-" + first[2:], *pieces[1:]])


def _scale_latex(scale: Fraction) -> str:
    return str(scale) if scale.denominator == 1 else rf"\frac{{{scale.numerator}}}{{{scale.denominator}}}"


def _name_latex(name: str) -> str:
    r"""``z_01`` becomes ``z_{01}``, ``l_0_11`` becomes ``l_{0,11}``, and ``d_l_01`` becomes ``\bar{l}_{01}``."""
    base, _, index = name.removeprefix("d_").partition("_")
    base = rf"\bar{{{base}}}" if name.startswith("d_") else base
    return f"{base}_{{{index.replace('_', ',')}}}"
