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

from logsig_codegen.symbolic.notation import LATEX, WORDS, Notation


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

    def right_hand_side(self, notation: Notation = WORDS) -> str:
        """The sum in a notation."""
        return notation.total(
            [
                (term.coefficient < 0, notation.product(_factors(term.monomial, notation), abs(term.coefficient)))
                for term in self.terms
            ]
        )

    def render(self, notation: Notation) -> str:
        """The equation in a notation."""
        return notation.equation(self.name, self.right_hand_side(notation))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols in it, each once, in order."""
        return tuple(dict.fromkeys(name for term in self.terms for name in _letters(term.monomial)))

    def text(self) -> str:
        """One line of plain text, for example ``z = l + v + 1/2 [l,v]``."""
        return self.render(WORDS)

    def latex(self) -> str:
        r"""The same as LaTeX, for example ``z = l + v + \frac{1}{2} [l,v]``."""
        return self.render(LATEX)

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


def _factors(monomial: Monomial, notation: Notation) -> tuple[str, ...]:
    """What a monomial is the product of: letters of a word, or one bracket."""
    if isinstance(monomial, Product):
        return tuple(map(notation.name, monomial.letters))
    if isinstance(monomial, str):
        return (notation.name(monomial),)
    left, right = (notation.product(_factors(side, notation)) for side in (monomial.left, monomial.right))
    return (notation.bracket(left, right),)


def _letters(monomial: Monomial) -> tuple[str, ...]:
    if isinstance(monomial, Commutator):
        return _letters(monomial.left) + _letters(monomial.right)
    return monomial.letters if isinstance(monomial, Product) else (monomial,)


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
