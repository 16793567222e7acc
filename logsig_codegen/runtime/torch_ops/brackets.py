"""Derivatives of products as compositions of brackets and coadjoint actions, which can be differentiated for ever.

With ``z = log(e^l e^r)``, ``psi(x) = (e^x - 1) / x`` and ``ad_x y = [x, y]``, the derivative of a product is::

    psi(ad_z) dz = psi(ad_l) dl + e^{ad_l} psi(ad_r) dr

A power series of ``ad_x`` is a polynomial here, its transpose the same polynomial of the coadjoint action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial
from typing import Any, TypeAlias

import torch
from torch import Tensor

Binary: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


class Derivatives:
    """Compositions for one problem.

    Parameters
    ----------
    last_degree : int
        The last degree that has coordinates.
    bracket, coadjoint : callable
        The two operators, on rows.
    """

    def __init__(self, last_degree: int, bracket: Binary, coadjoint: Binary) -> None:
        self.bracket, self.coadjoint = bracket, coadjoint
        self.psi, self.exponential, self.inverse = coefficients(last_degree)

    def apply(self, series: Sequence[float], x: Tensor, y: Tensor) -> Tensor:
        """``series(ad_x) y``."""
        total, power = series[0] * y, y
        for c in series[1:]:
            power = self.bracket(x, power)
            if c:
                total = total + c * power
        return total

    def pull(self, series: Sequence[float], x: Tensor, y: Tensor, form: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of ``<form, series(ad_x) y>`` with respect to ``x`` and ``y``."""
        powers = [y]
        for _ in series[2:]:
            powers.append(self.bracket(x, powers[-1]))
        bar = series[-1] * form
        d_x = torch.zeros_like(x)
        for c, power in zip(reversed(series[:-1]), reversed(powers if len(series) > 1 else []), strict=True):
            d_x = d_x - self.coadjoint(power, bar)
            bar = c * form + self.coadjoint(x, bar)
        return d_x, bar

    def tangent(self, z: Tensor, left: Tensor, right: Tensor, t_left: Tensor, t_right: Tensor) -> Tensor:
        """The derivative of the product ``z`` of ``left`` and ``right`` in a direction."""
        inner = self.apply(self.psi, right, t_right)
        both = self.apply(self.psi, left, t_left) + self.apply(self.exponential, left, inner)
        return self.apply(self.inverse, z, both)

    def pull_tangent(
        self, z: Tensor, left: Tensor, right: Tensor, t_left: Tensor, t_right: Tensor, form: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The tangent, and derivatives of ``<form, tangent>`` with respect to ``z``, ``left`` and ``right``."""
        inner = self.apply(self.psi, right, t_right)
        both = self.apply(self.psi, left, t_left) + self.apply(self.exponential, left, inner)
        d_z, d_both = self.pull(self.inverse, z, both, form)
        first, _ = self.pull(self.psi, left, t_left, d_both)
        second, d_inner = self.pull(self.exponential, left, inner, d_both)
        d_right, _ = self.pull(self.psi, right, t_right, d_inner)
        return self.apply(self.inverse, z, both), d_z, first + second, d_right


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


def reduced(tensor: Tensor, shape: Any) -> Tensor:
    """``tensor`` summed over what was broadcast from ``shape``."""
    return tensor if tensor.shape == shape else tensor.sum_to_size(shape)
