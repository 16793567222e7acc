"""Derivatives of products as compositions of brackets and coadjoint actions, of tensors; see :mod:`..brackets`.

The transpose of a polynomial of ``ad_x`` is the same polynomial of the coadjoint action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.problem import Problem
from logsig_codegen.runtime.brackets import Binary, Brackets


class Derivatives(Brackets):
    """Compositions for one problem, of two operators on rows: ``bracket`` and ``coadjoint``."""

    def __init__(self, problem: Problem, bracket: Binary, coadjoint: Binary) -> None:
        super().__init__(problem, bracket)
        self.coadjoint = coadjoint

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


def reduced(tensor: Tensor, shape: Any) -> Tensor:
    """``tensor`` summed over what was broadcast from ``shape``."""
    return tensor if tensor.shape == shape else tensor.sum_to_size(shape)
