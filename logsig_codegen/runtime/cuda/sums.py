"""Sums of many terms for some rows and of few for others, as operations on whole arrays: in what order, and of what.

Rows are sorted by their number of terms, rounded up to a power of two; zeros fill them up; then halves are added until
each row is one number. Each sum has an order of its own, whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Arranged:
    """How to sum up rows.

    Attributes
    ----------
    groups : tuple of (terms of a row, number of rows)
        From the widest to those of one term; each half as wide as the one before. Group by group, and in a group the
        first terms of all rows, then the second ones, and so on.
    order : array of int64
        Where each row is among the sorted ones.
    places : array of int64
        Which terms to list, in order; -1 for a zero.
    """

    groups: tuple[tuple[int, int], ...]
    order: Any
    places: Any

    def of(self, numbers: Sequence[Any], otherwise: Any, dtype: Any) -> Any:
        """Something of each term, as listed, and ``otherwise`` of zeros."""
        return np.append(np.array(numbers, dtype), np.array(otherwise, dtype))[self.places]


def arrange(starts: Sequence[int]) -> Arranged:
    """How to sum up rows whose terms are ``starts[r]:starts[r+1]``."""
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
    return Arranged(tuple(groups), np.argsort(np.concatenate(placed)), np.concatenate(listed))
