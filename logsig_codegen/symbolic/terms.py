"""Finite sums of brackets or words with exact coefficients, as text, LaTeX, data and SymPy expressions.

Grammar::

    LieSeries  := name terms:LieTerm*              name = sum of terms
    LieTerm    := coefficient:Fraction monomial
    Monomial   := symbol:str | Product symbol+ | Commutator left:Monomial right:Monomial

A symbol is a name with an optional index after an underscore: ``v``, ``l_3``, ``omega_2``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

import sympy


@dataclass(frozen=True)
class Product:
    """The product of symbols in the free associative algebra: a word."""

    letters: tuple[str, ...]


@dataclass(frozen=True)
class Commutator:
    """The bracket ``[left, right]``."""

    left: Monomial
    right: Monomial


Monomial: TypeAlias = "str | Product | Commutator"


@dataclass(frozen=True)
class LieTerm:
    """One term ``coefficient * monomial``."""

    coefficient: Fraction
    monomial: Monomial


@dataclass(frozen=True)
class LieSeries:
    """The equation ``name = sum of terms``; terms are listed by degree."""

    name: str
    terms: tuple[LieTerm, ...]

    def text(self) -> str:
        """One line of plain text, for example ``z = l + v + 1/2 [l,v]``."""
        pieces = [_signed(term.coefficient, _text(term.monomial), "{}/{}") for term in self.terms]
        return f"{self.name} = {_joined(pieces)}"

    def latex(self) -> str:
        r"""The same as LaTeX, for example ``z = l + v + \frac{1}{2} [l,v]``."""
        pieces = [_signed(term.coefficient, _latex(term.monomial), r"\frac{{{}}}{{{}}}") for term in self.terms]
        return f"{_symbol_latex(self.name)} = {_joined(pieces)}"

    def data(self) -> dict[str, Any]:
        """Plain lists and strings: words as ``["l", "v"]`` under ``word``, brackets nested under ``bracket``."""
        terms = [{"coefficient": str(term.coefficient), **_data(term.monomial)} for term in self.terms]
        return {"name": self.name, "terms": terms}

    def json(self) -> str:
        """:meth:`data` as JSON text."""
        return json.dumps(self.data())

    def expression(self) -> sympy.Expr:
        """The right-hand side in noncommutative SymPy symbols; a bracket is written ``a*b - b*a``, not expanded."""
        pieces = [
            sympy.Rational(term.coefficient.numerator, term.coefficient.denominator) * _expression(term.monomial)
            for term in self.terms
        ]
        return sympy.Add(*pieces)


def right_nested(letters: tuple[str, ...]) -> Monomial:
    """``[a,[b,[c,d]]]`` of the letters ``a b c d``."""
    monomial: Monomial = letters[-1]
    for letter in reversed(letters[:-1]):
        monomial = Commutator(letter, monomial)
    return monomial


def symbol(name: str) -> sympy.Symbol:
    """The noncommutative SymPy symbol of a name."""
    return sympy.Symbol(name, commutative=False)


def _signed(coefficient: Fraction, body: str, fraction: str) -> str:
    size = abs(coefficient)
    scale = str(size) if size.denominator == 1 else fraction.format(size.numerator, size.denominator)
    return ("- " if coefficient < 0 else "+ ") + (body if size == 1 else f"{scale} {body}")


def _joined(pieces: list[str]) -> str:
    if not pieces:
        return "0"
    first = pieces[0]
    return " ".join([first[2:] if first[0] == "+" else "-" + first[2:], *pieces[1:]])


def _text(monomial: Monomial) -> str:
    if isinstance(monomial, str):
        return monomial
    if isinstance(monomial, Product):
        return " ".join(monomial.letters)
    return f"[{_text(monomial.left)},{_text(monomial.right)}]"


def _latex(monomial: Monomial) -> str:
    if isinstance(monomial, str):
        return _symbol_latex(monomial)
    if isinstance(monomial, Product):
        return " ".join(_symbol_latex(letter) for letter in monomial.letters)
    return f"[{_latex(monomial.left)},{_latex(monomial.right)}]"


def _symbol_latex(name: str) -> str:
    base, _, index = name.partition("_")
    base = f"\\{base}" if len(base) > 1 else base
    return f"{base}_{{{index}}}" if index else base


def _data(monomial: Monomial) -> dict[str, Any]:
    if isinstance(monomial, Product):
        return {"word": list(monomial.letters)}
    return {"bracket": _nested(monomial)}


def _nested(monomial: Monomial) -> Any:
    if isinstance(monomial, Commutator):
        return [_nested(monomial.left), _nested(monomial.right)]
    return list(monomial.letters) if isinstance(monomial, Product) else monomial


@lru_cache(maxsize=1 << 14)
def _expression(monomial: Monomial) -> sympy.Expr:
    if isinstance(monomial, str):
        return symbol(monomial)
    if isinstance(monomial, Product):
        return sympy.Mul(*(symbol(letter) for letter in monomial.letters))
    left, right = _expression(monomial.left), _expression(monomial.right)
    return left * right - right * left
