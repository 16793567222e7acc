"""The join and its gradient as explicit polynomials, expanded by SymPy without structure constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sympy import QQ, grlex, sqrt
from sympy.polys.rings import PolyElement, PolyRing

from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.algebra.surd import Coefficient, Surd
from logsig_codegen.algebra.tensor import join_oracle
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.problem import Problem

EXPANSION_LIMIT = 4400
"""Largest ``degree * dimension**degree``, roughly the number of monomials of the join, that is expanded."""


@dataclass(frozen=True)
class JoinPolynomials:
    """The join over a polynomial ring.

    Attributes
    ----------
    problem : Problem
    ring : PolyRing
        Generators, in order: ``l`` and ``v``, each in coordinate order.
    log_sig, displacement : tuple of PolyElement
        The generators by operand.
    out : tuple of PolyElement
        Coordinates of ``log(exp(l) exp(v))``.
    """

    problem: Problem
    ring: PolyRing
    log_sig: tuple[PolyElement, ...]
    displacement: tuple[PolyElement, ...]
    out: tuple[PolyElement, ...]


@dataclass(frozen=True)
class GradientPolynomials:
    """The gradient of ``<d_out, join>`` over a polynomial ring.

    Attributes
    ----------
    ring : PolyRing
        Generators, in order: ``g`` (that is ``d_out``), ``l`` and ``v``, each in coordinate order.
    d_out, log_sig, displacement : tuple of PolyElement
        The generators by operand.
    d_log_sig, d_displacement : tuple of PolyElement
        The derivatives with respect to ``l`` and ``v``.
    """

    ring: PolyRing
    d_out: tuple[PolyElement, ...]
    log_sig: tuple[PolyElement, ...]
    displacement: tuple[PolyElement, ...]
    d_log_sig: tuple[PolyElement, ...]
    d_displacement: tuple[PolyElement, ...]


def coordinate_names(prefix: str, words: tuple[Word, ...], dimension: int) -> list[str]:
    """Names ``prefix_word``; letters are joined if each is one digit, and separated by ``_`` otherwise."""
    parting = "" if dimension <= 10 else "_"
    return [f"{prefix}_{parting.join(map(str, word))}" for word in words]


def check_expansion(problem: Problem, limit: int = EXPANSION_LIMIT) -> None:
    """Raise for problems whose explicit polynomials are too large to be useful, with more terms than ``limit``.

    Raises
    ------
    ProblemTooLargeError
        Naming the estimated size.
    """
    estimate = problem.degree * problem.dimension**problem.degree
    if estimate > limit:
        raise ProblemTooLargeError(
            f"dimension={problem.dimension}, degree={problem.degree}: the expanded coordinates would have about "
            f"{estimate} terms, and at most {limit} are expanded; the program text and the series "
            "describe problems of every size"
        )


def join_polynomials(problem: Problem, *, root: bool = False) -> JoinPolynomials:
    """Expand the join of a problem.

    Parameters
    ----------
    problem : Problem
    root : bool
        Whether coefficients live in ℚ(√5) rather than ℚ.

    Raises
    ------
    ProblemTooLargeError
        If there would be too many terms; see :func:`check_expansion`.
    """
    check_expansion(problem)
    size = problem.size
    words = lyndon_basis(problem.dimension, problem.degree).words
    names = coordinate_names("l", words, problem.dimension)
    names += coordinate_names("v", words[: problem.dimension], problem.dimension)
    ring = PolyRing(names, QQ.algebraic_field(sqrt(5)) if root else QQ, grlex)
    log_sig, displacement = ring.gens[:size], ring.gens[size:]
    out = join_oracle(problem.dimension, problem.degree, log_sig, displacement, number=ring_number(ring))
    return JoinPolynomials(problem, ring, log_sig, displacement, tuple(ring.zero + value for value in out))


def gradient_polynomials(join: JoinPolynomials) -> GradientPolynomials:
    """Differentiate every coordinate with respect to every symbol in it, and multiply by the coordinate's ``g``."""
    problem, size = join.problem, join.problem.size
    names = coordinate_names("g", lyndon_basis(problem.dimension, problem.degree).words, problem.dimension)
    ring = PolyRing([*names, *map(str, join.ring.symbols)], join.ring.domain, grlex)
    totals: list[dict[tuple[int, ...], Any]] = [{} for _ in join.ring.gens]
    for position, coordinate in enumerate(join.out):
        weight = tuple(int(index == position) for index in range(size))
        present = {index for monomial in coordinate for index, power in enumerate(monomial) if power}
        for index in sorted(present):
            derivative = coordinate.diff(join.ring.gens[index])
            totals[index].update((weight + monomial, value) for monomial, value in derivative.items())
    derivatives = tuple(ring.from_dict(total) for total in totals)
    return GradientPolynomials(
        ring=ring,
        d_out=ring.gens[:size],
        log_sig=ring.gens[size : 2 * size],
        displacement=ring.gens[2 * size :],
        d_log_sig=derivatives[:size],
        d_displacement=derivatives[size:],
    )


def ring_number(ring: PolyRing) -> Callable[[Coefficient], Any]:
    """The function that converts an exact coefficient to the coefficient domain of ``ring``.

    It raises ``TypeError`` for an irrational coefficient when the domain is ℚ.
    """
    domain = ring.domain

    def number(coefficient: Coefficient) -> Any:
        if isinstance(coefficient, Surd):
            if domain == QQ:
                raise TypeError(f"{coefficient} is not rational")
            return number(coefficient.rational) + number(coefficient.root) * domain.unit
        return domain.convert(QQ(coefficient.numerator, coefficient.denominator))

    return number
