"""Exact linear maps on the rows of tensors, by torch's own operators: what :mod:`..conversions` does to arrays.

Everything is computed in double precision and rounded once. Each coordinate of the result is a sum in an order of its
own, formed by additions of whole tensors: a row does not depend, bit for bit, on the others. Nothing is added
atomically, and nothing waits for the device once the tables of a map are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.runtime.coordinates import RowMap

ROOM = 1 << 24
"""Numbers of double precision in temporaries, about: as many rows at a time."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of terms, many for each of some rows, few for others.

    Rows are sorted by their number of terms, rounded up to a power of two; zeros fill them up.

    Attributes
    ----------
    groups : tuple of (terms of a row, number of rows)
        From the widest to those of one term; each half as wide as the one before.
    order : tensor
        Where each row is among the sorted ones.
    """

    groups: tuple[tuple[int, int], ...]
    order: Tensor

    def of(self, terms: Tensor) -> Tensor:
        """``(count, terms) -> (count, rows)``; terms are in the order of :func:`arrange`."""
        sums: Tensor | None = None
        start = 0
        for width, rows in self.groups:
            part = terms[:, start : start + width * rows].reshape(len(terms), width, rows)
            start += width * rows
            sums = part if sums is None else torch.cat([sums, part], 2) if rows else sums
            if width > 1:
                sums = sums[:, : width // 2] + sums[:, width // 2 :]
        assert sums is not None
        return sums[:, 0].index_select(1, self.order)


def arrange(starts: Sequence[int], device: torch.device) -> tuple[Sums, Any]:
    """How to sum up rows whose terms are ``starts[r]:starts[r+1]``, and which terms to list, in order; -1 for a zero.

    Group by group, and in a group the first terms of all rows, then the second ones, and so on.
    """
    first, counts = np.array(starts[:-1], np.int64), np.diff(np.array(starts, np.int64))
    widths = 2 ** np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64)
    groups, listed, placed = [], [], []
    width = int(widths.max(initial=1))
    while width:
        rows = np.flatnonzero(widths == width)
        term = np.arange(width)[:, None]
        listed.append(np.where(term < counts[rows], first[rows] + term, -1).reshape(-1))
        groups.append((width, len(rows)))
        placed.append(rows)
        width //= 2
    return Sums(tuple(groups), on(np.argsort(np.concatenate(placed)), device)), np.concatenate(listed)


def select(numbers: Sequence[int], places: Any, otherwise: int, dtype: Any) -> Any:
    """Numbers at places, and ``otherwise`` at -1."""
    return np.append(np.array(numbers, dtype), np.array(otherwise, dtype))[places]


def on(numbers: Any, device: torch.device) -> Tensor:
    """An array on a device; this waits until it is there."""
    return torch.from_numpy(np.ascontiguousarray(numbers)).to(device)


@dataclass(frozen=True, eq=False)
class DeviceTable:
    """A sparse map as tensors.

    Attributes
    ----------
    indices, coefficients : tensors
        Column and value of each entry, as ``sums`` wants them; the column after the last one holds zeros.
    sums : Sums
    """

    indices: Tensor
    coefficients: Tensor
    sums: Sums

    @property
    def work(self) -> int:
        """Numbers a row needs in temporaries, about."""
        return 3 * len(self.indices)

    def apply(self, x: Tensor) -> Tensor:
        """Apply the map to rows of double precision, ``(count, columns) -> (count, rows)``."""
        return self.sums.of(with_zero(x).index_select(1, self.indices) * self.coefficients)


def with_zero(x: Tensor) -> Tensor:
    """Rows with a zero behind them: whatever stands for no number, infinities and NaN must not come from there."""
    return torch.nn.functional.pad(x, (0, 1))


def apply(plan: RowMap, x: Tensor) -> Tensor:
    """Apply a map to every row.

    Parameters
    ----------
    plan : RowMap
        Made for the last axis of ``x``.
    x : tensor (..., columns), float32 or float64

    Returns
    -------
    tensor (..., plan.width)
        New, of the dtype of ``x``.
    """
    batch, x = x.shape[:-1], x.detach().resolve_neg()
    rows = x.reshape(-1, x.shape[-1])[:, plan.skip :]
    result = x.new_empty((len(rows), plan.width))
    if not plan.maps:
        return result.copy_(_widened(rows, plan)).reshape(*batch, plan.width)
    tables = [table(linear, x.device) for linear in plan.maps]
    step = max(1, ROOM // max(one.work for one in tables))
    for start in range(0, len(rows), step):
        part = rows[start : start + step].double()
        for one in tables:
            part = one.apply(part)
        result[start : start + step] = _widened(part, plan)
    return result.reshape(*batch, plan.width)


def _widened(rows: Tensor, plan: RowMap) -> Tensor:
    """Zeros before and behind; a negative number of the latter cuts."""
    return torch.nn.functional.pad(rows, (plan.front, plan.width - plan.front - rows.shape[1]))


# Kept for ever: a captured graph reads them whenever it is replayed.
_tables: dict[tuple[Any, ...], DeviceTable] = {}


@lru_cache(maxsize=64)
def table(linear: SparseMap, device: torch.device) -> DeviceTable:
    """The tensors of a map on a device; made when it is first used there."""
    key = (device, linear.columns, linear.starts, linear.indices, linear.coefficients)
    if key not in _tables:
        _tables[key] = _make(linear, device)
    return _tables[key]


def _make(linear: SparseMap, device: torch.device) -> DeviceTable:
    sums, places = arrange(linear.starts, device)
    indices = select(linear.indices, places, linear.columns, np.int64)
    coefficients = select(linear.coefficients, places, 0, np.float64)
    return DeviceTable(on(indices, device), on(coefficients, device), sums)
