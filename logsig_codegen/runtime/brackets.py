"""Derivatives of products as compositions of brackets, which can be differentiated for ever; of arrays of any kind.

With ``z = log(e^l e^r)``, ``psi(x) = (e^x - 1) / x`` and ``ad_x y = [x, y]``, the derivative of a product is::

    psi(ad_z) dz = psi(ad_l) dl + e^{ad_l} psi(ad_r) dr

A power series of ``ad_x`` is a polynomial here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial
from typing import Any, TypeAlias

from logsig_codegen.problem import Problem

Binary: TypeAlias = "Callable[[Any, Any], Any]"


class Brackets:
    """Compositions for one problem.

    Parameters
    ----------
    problem : Problem
    bracket : callable
        The Lie bracket of rows.
    """

    def __init__(self, problem: Problem, bracket: Binary) -> None:
        last_degree = max(k for k, size in enumerate(problem.sizes, start=1) if size)  # that has coordinates
        self.bracket = bracket
        self.psi, self.exponential, self.inverse = coefficients(last_degree)

    def apply(self, series: Sequence[float], x: Any, y: Any) -> Any:
        """``series(ad_x) y``."""
        total, power = series[0] * y, y
        for c in series[1:]:
            power = self.bracket(x, power)
            if c:
                total = total + c * power
        return total

    def tangent(self, z: Any, left: Any, right: Any, t_left: Any, t_right: Any) -> Any:
        """The derivative of the product ``z`` of ``left`` and ``right`` in a direction."""
        inner = self.apply(self.psi, right, t_right)
        both = self.apply(self.psi, left, t_left) + self.apply(self.exponential, left, inner)
        return self.apply(self.inverse, z, both)


@lru_cache(maxsize=32)
def coefficients(count: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """The first coefficients of ``(e^x - 1) / x``, ``e^x`` and ``x / (e^x - 1)``."""
    bernoulli: list[Fraction] = []
    for n in range(count):
        rest = sum((comb(n + 1, k) * bernoulli[k] for k in range(n)), Fraction(0))
        bernoulli.append(Fraction(1) if n == 0 else -rest / (n + 1))
    psi = tuple(1 / factorial(k + 1) for k in range(count))
    exponential = tuple(1 / factorial(k) for k in range(count))
    return psi, exponential, tuple(float(b / factorial(k)) for k, b in enumerate(bernoulli))
