"""Brackets and coadjoint actions of tensors by torch's own operators, for problems that are too large for a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from logsig_codegen.gpu.gather import gather
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.cuda import maps
from logsig_codegen.runtime.cuda.sums import arrange

Term = tuple[int, int, int]
"""Columns of the two operands, and the constant."""


@dataclass(frozen=True, eq=False)
class Products:
    """Sums of products of two rows: ``out[r] = sum of coefficients[e] * x[left[e]] * y[right[e]]``."""

    left: Tensor
    right: Tensor
    coefficients: Tensor
    sums: maps.Sums

    def apply(self, x: Tensor, y: Tensor) -> Tensor:
        """Of all rows, in double precision, rounded once; leading axes broadcast."""
        batch = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        rows = [one.detach().resolve_neg().expand(*batch, one.shape[-1]).reshape(-1, one.shape[-1]) for one in (x, y)]
        result = x.new_empty((len(rows[0]), len(self.sums.order)))
        step = max(1, maps.ROOM // (4 * len(self.left)))
        for start in range(0, len(result), step):
            first, second = (maps.with_zero(one[start : start + step].double()) for one in rows)
            factors = first.index_select(1, self.left) * second.index_select(1, self.right)
            result[start : start + step] = self.sums.of(factors * self.coefficients)
        return result.reshape(*batch, result.shape[-1])


def bracket(problem: Problem, left: Tensor, right: Tensor) -> Tensor:
    """``[left, right]``, truncated, row by row."""
    return _products("bracket", _bracket_terms, problem, left.device).apply(left, right)


def coadjoint(problem: Problem, actor: Tensor, form: Tensor) -> Tensor:
    """The form with ``<out, x> = <form, [actor, x]>`` for every ``x``, row by row."""
    return _products("coadjoint", _coadjoint_terms, problem, actor.device).apply(actor, form)


# Kept for ever: a captured graph reads them whenever it is replayed.
_made: dict[tuple[str, Problem, torch.device], Products] = {}


def _products(
    name: str, terms_of: Callable[[Problem], Iterator[list[Term]]], problem: Problem, device: torch.device
) -> Products:
    key = name, problem, device
    if key not in _made:
        rows = list(terms_of(problem))
        terms = [term for row in rows for term in row]
        found = arrange([0, *np.cumsum([len(row) for row in rows]).tolist()])
        left, right, constants = ([term[side] for term in terms] for side in (0, 1, 2))
        _made[key] = Products(
            left=maps.on(found.of(left, problem.size, np.int64), device),
            right=maps.on(found.of(right, problem.size, np.int64), device),
            coefficients=maps.on(found.of(constants, 0, np.float64), device),
            sums=maps.Sums.arranged(found, device),
        )
    return _made[key]


def _starts(problem: Problem) -> list[int]:
    """The first coordinate of each degree; an empty degree has one all the same."""
    return [0, *np.cumsum(problem.sizes).tolist()]


def _bracket_terms(problem: Problem) -> Iterator[list[Term]]:
    starts = _starts(problem)
    for degree, size in enumerate(problem.sizes, start=1):
        sums: list[list[Term]] = [[] for _ in range(size)]
        for p in range(1, degree):
            q = degree - p
            table = gather(problem, "bracket", min(p, q), max(p, q)).sums
            for row, entries in zip(sums, table, strict=True):
                if p <= q:
                    row.extend((starts[p - 1] + i, starts[q - 1] + j, c) for i, j, c in entries)
                else:
                    row.extend((starts[p - 1] + j, starts[q - 1] + i, -c) for i, j, c in entries)
        yield from sums


def _coadjoint_terms(problem: Problem) -> Iterator[list[Term]]:
    starts, degrees = _starts(problem), len(problem.sizes)
    for degree, size in enumerate(problem.sizes, start=1):
        sums: list[list[Term]] = [[] for _ in range(size)]
        for p in range(1, degrees - degree + 1):
            table = gather(problem, "coadjoint", p, degree).sums
            for row, entries in zip(sums, table, strict=True):
                row.extend((starts[p - 1] + i, starts[p + degree - 1] + k, c) for i, k, c in entries)
        yield from sums
