"""The series behind the join: ``log(e^l e^v)`` and its logarithmic-derivative form, exactly.

Words come from :mod:`logsig_codegen.symbolic.words`; here they become terms that SymPy and people can read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from logsig_codegen.algebra.lyndon import LyndonBasis, Word, lyndon_basis
from logsig_codegen.algebra.tensor import exponential_coefficients, lie_coordinates
from logsig_codegen.problem import check_positive_integer
from logsig_codegen.symbolic.notation import SYMPY, sympy_module, wrapped
from logsig_codegen.symbolic.terms import Commutator, LieSeries, LieTerm, Monomial, Product, right_nested
from logsig_codegen.symbolic.words import bch_words, right_normed_words

LETTERS = ("l", "v")
"""Names of the two symbols: letter 0 is the log-signature, letter 1 the displacement."""

SERIES_LIMIT = 10
"""Largest degree up to which the series are derived; their size triples with every two degrees."""


def phi(degree: int) -> tuple[Fraction, ...]:
    """Taylor coefficients of ``phi(z) = (1 - exp(-z))/z`` up to ``z**degree``."""
    return tuple((-1) ** k * value for k, value in enumerate(exponential_coefficients(degree + 1)[1:]))


@dataclass(frozen=True)
class LogDerivative:
    """The join in the coordinates ``omega = e^-L D(e^L) = phi(ad_l)(D l)``, where ``D`` multiplies degree k by k.

    Attributes
    ----------
    phi : tuple of Fraction
        Taylor coefficients of ``phi``.
    step : tuple of LieSeries
        By degree: ``Omega = e^{-ad_v} omega + v``, where ``omega`` belongs to ``x`` and ``Omega`` to ``x*v``.
    to_omega : tuple of LieSeries
        By degree: ``omega_n`` from ``l_1 … l_n``.
    to_log : tuple of LieSeries
        By degree: ``l_n`` from ``omega_n`` and ``l_1 … l_{n-1}``.
    """

    phi: tuple[Fraction, ...]
    step: tuple[LieSeries, ...]
    to_omega: tuple[LieSeries, ...]
    to_log: tuple[LieSeries, ...]


@dataclass(frozen=True)
class SeriesForm:
    """One form of the series: its name in data, a line about it, and its equations."""

    name: str
    title: str
    series: tuple[LieSeries, ...]


@dataclass(frozen=True)
class BchSeries:
    """``z = log(e^l e^v)`` up to a degree, in every form that the compiler works with.

    Attributes
    ----------
    degree : int
        Number of symbols of the longest bracket.
    words, right_normed, lyndon : LieSeries
        The series in words, in right-normed brackets, and in the Lyndon bracket basis on the two letters ``l < v``.
    log_derivative : LogDerivative
        The same update in logarithmic-derivative coordinates.
    """

    degree: int
    words: LieSeries
    right_normed: LieSeries
    lyndon: LieSeries
    log_derivative: LogDerivative

    def text(self) -> str:
        """All forms as plain text, a heading line before each, in lines of at most 100 columns."""
        return "\n".join(
            line
            for form in self.forms
            for line in (f"# {form.title}", *(wrapped(series.text()) for series in form.series))
        )

    def latex(self) -> str:
        """All forms as LaTeX display equations."""
        return "\n".join(
            line
            for form in self.forms
            for line in (f"% {form.title}", *(f"\\[ {series.latex()} \\]" for series in form.series))
        )

    def sympy(self) -> str:
        """Python that defines noncommutative symbols, and a dictionary of SymPy's expressions for every form."""
        title = f"log(e^l e^v) up to degree {self.degree}"
        symbols = dict.fromkeys(name for form in self.forms for series in form.series for name in series.symbols)
        groups = {
            form.name: (f'"{series.name}": {series.right_hand_side(SYMPY)},' for series in form.series)
            for form in self.forms
        }
        return sympy_module(title, symbols, groups, lie=True)

    def data(self) -> dict[str, Any]:
        """All forms as plain lists and strings."""
        derivative = self.log_derivative
        return {
            "degree": self.degree,
            "words": self.words.data(),
            "right_normed": self.right_normed.data(),
            "lyndon": self.lyndon.data(),
            "log_derivative": {
                "phi": [str(value) for value in derivative.phi],
                "step": [series.data() for series in derivative.step],
                "to_omega": [series.data() for series in derivative.to_omega],
                "to_log": [series.data() for series in derivative.to_log],
            },
        }

    def json(self) -> str:
        """:meth:`data` as JSON text."""
        return json.dumps(self.data())

    @property
    def forms(self) -> tuple[SeriesForm, ...]:
        """The forms in which the series is shown."""
        derivative = self.log_derivative
        phi_text = "omega = phi(ad_l)(D l), phi(z) = (1 - e^-z)/z, D l_k = k l_k"
        return (
            SeriesForm("words", "log(e^l e^v) in words", (self.words,)),
            SeriesForm("right_normed", "log(e^l e^v) in right-normed brackets", (self.right_normed,)),
            SeriesForm("lyndon", "log(e^l e^v) in the Lyndon bracket basis", (self.lyndon,)),
            SeriesForm("to_omega", phi_text, derivative.to_omega),
            SeriesForm("step", "the join in these coordinates: Omega = e^{-ad_v} omega + v", derivative.step),
            SeriesForm("to_log", "back to the logarithm", derivative.to_log),
        )


@lru_cache(maxsize=16)
def bch_series(degree: int) -> BchSeries:
    """Derive ``log(e^l e^v)`` up to ``degree`` symbols.

    Raises
    ------
    TypeError, ValueError
        If ``degree`` is not an integer from 1 to ``SERIES_LIMIT``.
    """
    degree = check_positive_integer("degree", degree)
    if degree > SERIES_LIMIT:
        raise ValueError(f"degree: expected at most {SERIES_LIMIT}, got {degree}")
    words = bch_words(degree)
    normed = (item for part in words for item in right_normed_words(part).items())
    return BchSeries(
        degree=degree,
        words=LieSeries("z", tuple(LieTerm(c, Product(_names(w))) for part in words for w, c in sorted(part.items()))),
        right_normed=LieSeries("z", tuple(LieTerm(c, right_nested(_names(w))) for w, c in normed)),
        lyndon=LieSeries("z", tuple(_lyndon_terms(words, degree))),
        log_derivative=_log_derivative(degree),
    )


def _names(word: Word) -> tuple[str, ...]:
    return tuple(LETTERS[letter] for letter in word)


def _lyndon_terms(words: tuple[Mapping[Word, Fraction], ...], degree: int) -> Iterator[LieTerm]:
    basis = lyndon_basis(2, degree)
    for coordinate, value in enumerate(lie_coordinates(basis, [dict(part) for part in words])):
        if value:
            yield LieTerm(value, _basis_element(basis, coordinate))


def _basis_element(basis: LyndonBasis, coordinate: int) -> Monomial:
    left, right = basis.factors[coordinate]
    if left < 0:
        return LETTERS[basis.words[coordinate][0]]
    return Commutator(_basis_element(basis, left), _basis_element(basis, right))


def _log_derivative(degree: int) -> LogDerivative:
    to_omega, to_log = [], []
    for n in range(1, degree + 1):
        terms = tuple(_omega_terms(n))
        to_omega.append(LieSeries(f"omega_{n}", (LieTerm(Fraction(n), f"l_{n}"), *terms)))
        rest = tuple(LieTerm(-term.coefficient / n, term.monomial) for term in terms)
        to_log.append(LieSeries(f"l_{n}", (LieTerm(Fraction(1, n), f"omega_{n}"), *rest)))
    step = tuple(LieSeries(f"Omega_{n}", tuple(_step_terms(n, degree))) for n in range(1, degree + 1))
    return LogDerivative(phi(degree), step, tuple(to_omega), tuple(to_log))


def _step_terms(n: int, degree: int) -> Iterator[LieTerm]:
    decay = exponential_coefficients(degree)
    for k in range(n):
        yield LieTerm((-1) ** k * decay[k], right_nested((*("v",) * k, f"omega_{n - k}")))
    if n == 1:
        yield LieTerm(Fraction(1), "v")


def _omega_terms(n: int) -> Iterator[LieTerm]:
    """The terms of ``omega_n`` with at least one bracket.

    ``D`` turns ``[l_a, l_b]`` with ``a < b`` and its mirror image into ``(b - a) [l_a, l_b]``.
    """
    weights = phi(n)
    for depth in range(1, n):
        for parts in _compositions(n, depth + 1):
            *_, a, b = parts
            if a < b:
                yield LieTerm(weights[depth] * (b - a), right_nested(tuple(f"l_{part}" for part in parts)))


def _compositions(total: int, count: int) -> Iterator[tuple[int, ...]]:
    """Sequences of ``count`` positive integers that add up to ``total``, lexicographically."""
    if count == 1:
        yield (total,)
        return
    for first in range(1, total - count + 2):
        for rest in _compositions(total - first, count - 1):
            yield (first, *rest)
