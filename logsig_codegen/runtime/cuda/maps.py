"""Exact linear maps on the rows of tensors, by torch's own operators: what :mod:`..conversions` does to arrays.

Everything is computed in double precision and rounded once. Each coordinate of the result is a sum in an order of its
own, formed by additions of whole tensors: a row does not depend, bit for bit, on the others. Nothing is added
atomically, and nothing waits for the device once the tables of a map are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.runtime.coordinates import RowMap
from logsig_codegen.runtime.cuda.sums import Arranged, arrange

ROOM = 1 << 24
"""Numbers of double precision in temporaries, about: as many rows at a time."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of terms: ``groups`` and ``order`` of :class:`~logsig_codegen.runtime.cuda.sums.Arranged`, on a device."""

    groups: tuple[tuple[int, int], ...]
    order: Tensor

    @classmethod
    def arranged(cls, found: Arranged, device: torch.device) -> Sums:
        """These sums on a device."""
        return cls(found.groups, on(found.order, device))

    def of(self, terms: Tensor) -> Tensor:
        """``(count, terms) -> (count, rows)``; terms are in the order of ``places``."""
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
    found = arrange(linear.starts)
    indices = found.of(linear.indices, linear.columns, np.int64)
    coefficients = found.of(linear.coefficients, 0, np.float64)
    return DeviceTable(on(indices, device), on(coefficients, device), Sums.arranged(found, device))
