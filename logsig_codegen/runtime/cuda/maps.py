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
class DeviceTable:
    """A sparse map as tensors.

    Rows are sorted by their number of entries, rounded up to a power of two; a column of zeros fills them up.

    Attributes
    ----------
    indices, coefficients : tensors
        Column and value of each entry: group by group, and in a group the first entries of all rows, the second, …
    groups : tuple of (entries of a row, number of rows)
        From the widest to those of one entry; each half as wide as the one before.
    order : tensor
        Where each row of the result is among the sorted ones.
    """

    indices: Tensor
    coefficients: Tensor
    groups: tuple[tuple[int, int], ...]
    order: Tensor

    @property
    def work(self) -> int:
        """Numbers a row needs in temporaries, about."""
        return 3 * len(self.indices)

    def apply(self, x: Tensor) -> Tensor:
        """Apply the map to rows of double precision, ``(count, columns) -> (count, rows)``."""
        terms = torch.nn.functional.pad(x, (0, 1)).index_select(1, self.indices) * self.coefficients
        sums: Tensor | None = None
        start = 0
        for width, rows in self.groups:
            part = terms[:, start : start + width * rows].reshape(len(x), width, rows)
            start += width * rows
            sums = part if sums is None else torch.cat([sums, part], 2) if rows else sums
            if width > 1:
                sums = sums[:, : width // 2] + sums[:, width // 2 :]
        assert sums is not None
        return sums[:, 0].index_select(1, self.order)


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
    starts, counts = np.array(linear.starts), np.diff(linear.starts)
    widths = 2 ** np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64)
    columns, values = np.array(linear.indices, np.int64), np.array(linear.coefficients, np.float64)
    groups, indices, coefficients, placed = [], [], [], []
    width = int(widths.max(initial=1))
    while width:
        rows = np.flatnonzero(widths == width)
        entry = np.arange(width)[:, None]
        there = entry < counts[rows]
        at = np.where(there, starts[rows] + entry, 0)
        indices.append(np.where(there, _at(columns, at), linear.columns).reshape(-1))
        coefficients.append(np.where(there, _at(values, at), 0.0).reshape(-1))
        groups.append((width, len(rows)))
        placed.append(rows)
        width //= 2
    return DeviceTable(
        indices=_tensor(indices, device),
        coefficients=_tensor(coefficients, device),
        groups=tuple(groups),
        order=_tensor([np.argsort(np.concatenate(placed))], device),
    )


def _at(numbers: Any, at: Any) -> Any:
    """Numbers at places, of which those that do not count may be anything."""
    return numbers[at] if len(numbers) else np.zeros(at.shape, numbers.dtype)


def _tensor(parts: Sequence[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(parts)).to(device)
