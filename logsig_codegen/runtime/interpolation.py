"""Points between the points of a path, on arrays: missing values filled, and paths refined where intervals end.

Both are linear maps of the path: a value is ``(1 - w) x[left] + w x[right]``, or an observed value itself. Where this
takes JAX's arrays it uses JAX's functions of the same names; derivatives are written out for numpy's only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from logsig_codegen.runtime.arrays import Array
from logsig_codegen.runtime.checks import namespace
from logsig_codegen.runtime.transforms import Transform


@dataclass(frozen=True, eq=False)
class Between:
    """Points between two points of a path each.

    Attributes
    ----------
    left, right : integers, shape (..., new length, dimension or 1)
        Numbers of the points, which broadcast to the batch.
    weight : array of double precision, of their shape
        0 at the left one, 1 at the right one.
    known : array of bool, or None
        Where there is a value; elsewhere both points are the first one, which has to be 0.
    """

    left: Any
    right: Any
    weight: Any
    known: Any = None

    def apply(self, path: Array) -> Array:
        """``(..., length, dimension)`` to ``(..., new length, dimension)``."""
        rank, take = path.ndim, namespace(path).take_along_axis
        left, right = (take(path, _ranked(one, rank), -2) for one in (self.left, self.right))
        weight = _ranked(self.weight, rank).astype(path.dtype)
        between: Array = (1 - weight) * left + weight * right
        return between

    def transpose(self, derivs: Array, length: int) -> Array:
        """Derivatives by the points of paths of ``length`` points; sums go from the first new point to the last."""
        *batch, _, dimension = derivs.shape
        dtype, derivs = derivs.dtype, derivs.astype(np.float64)
        if self.known is not None:
            derivs = np.where(self.known, derivs, 0)
        path = np.arange(int(np.prod(batch, dtype=np.intp))).reshape(*batch, 1, 1)
        places = [
            ((path * length + _ranked(one, derivs.ndim)) * dimension + np.arange(dimension)).reshape(-1)
            for one in (self.left, self.right)
        ]
        weight = _ranked(self.weight, derivs.ndim)
        parts = [((1 - weight) * derivs).reshape(-1), (weight * derivs).reshape(-1)]
        total = np.zeros(path.size * length * dimension)
        for place, part in zip(places, parts, strict=True):
            total += np.bincount(place, part, minlength=total.size)
        result: Array = total.reshape(*batch, length, dimension).astype(dtype)
        return result


def _ranked(array: Array, rank: int) -> Array:
    """An array with as many axes; those that are new come first."""
    result: Array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return result


# -- missing values -------------------------------------------------------------------------------------------------


def observed(path: Array, lengths: Array | None) -> Array:
    """Which values are observed: those that are no NaN, of points that count."""
    there: Array = ~namespace(path).isnan(path)
    if lengths is not None:
        there = there & counted(path, lengths)
    return there


def counted(path: Array, lengths: Array) -> Array:
    """Which points count, ``(..., length, 1)``."""
    counts: Array = (np.arange(path.shape[-2]) < lengths[..., None])[..., None]
    return counts


def check_observed(path: Array, lengths: Array | None, name: str = "path") -> None:
    """Raise ``ValueError`` that names the first value that is missing."""
    there = observed(path, lengths)
    if lengths is not None:
        there |= ~counted(path, lengths)
    if not there.all():
        place = ", ".join(map(str, np.argwhere(~there)[0]))
        raise ValueError(f"{name}: expected numbers with missing='raise', got nan at [{place}]")


def filled(path: Array, how: Transform, lengths: Array | None, times: Array | None) -> tuple[Array, Between]:
    """Paths without missing values, with counts of observations beside them if wanted; and what fills them."""
    xp, there = namespace(path, lengths), observed(path, lengths)
    between = filling(there, how.missing, times)
    points = between.apply(xp.where(there, path, xp.zeros((), path.dtype)))
    if how.count_observations:
        points = xp.concatenate([points, counts(there, path.dtype)], axis=-1)
    return points, between


def filling(there: Array, kind: str | None, times: Array | None) -> Between:
    """How values that are not observed are made of those that are, channel by channel.

    Before the first observation of a channel its value is that of the first, after the last that of the last; a channel
    without any is 0.

    Parameters
    ----------
    there : array of bool, shape (..., length, dimension)
    kind : {"linear", "forward"}
        On the straight line between the observations before and after, in ``times``, or as the one before.
    times : array, shape (length,) or (..., length), or None
        ``None``: numbers of the points.
    """
    xp, length = namespace(there, times), there.shape[-2]
    index = np.arange(length)[:, None]
    before = xp.maximum.accumulate(xp.where(there, index, -1), axis=-2)
    after = xp.minimum.accumulate(xp.where(there, index, length)[..., ::-1, :], axis=-2)[..., ::-1, :]
    known = xp.broadcast_to(there.any(axis=-2, keepdims=True), there.shape)
    left = xp.where(before < 0, after, before)
    left = xp.where(known, left, 0)
    right = left if kind == "forward" else xp.where(known, xp.where(after == length, left, after), 0)
    if kind == "forward":
        return Between(left, right, xp.zeros(there.shape), known)
    at = np.arange(length, dtype=np.float64) if times is None else times
    at = xp.broadcast_to(at[..., None], there.shape)
    start, end = (xp.take_along_axis(at, one, -2) for one in (left, right))
    gap = right > left
    weight = xp.where(gap, (at - start) / xp.where(gap, end - start, 1), 0)
    return Between(left, right, weight, known)


def counts(there: Array, dtype: Any) -> Array:
    """How often each channel was observed up to each point."""
    return namespace(there).cumsum(there, axis=-2, dtype=dtype)  # type: ignore[no-any-return]


# -- ends of intervals ----------------------------------------------------------------------------------------------


def refinement(times: Array, intervals: Array) -> tuple[Between, Array]:
    """The points of paths and the ends of intervals that are between them, in order; and the intervals in these points.

    Parameters
    ----------
    times : array, shape (length,) or (..., length)
        At least one; beyond the end of a path they repeat its last one.
    intervals : array, shape (W, 2) or (..., W, 2)
        From the first time to the last.
    """
    lead = np.broadcast_shapes(times.shape[:-1], intervals.shape[:-2])
    times = np.broadcast_to(times, (*lead, times.shape[-1])).reshape(-1, times.shape[-1])
    ends = np.broadcast_to(intervals, (*lead, *intervals.shape[-2:])).reshape(len(times), -1)
    each = [_refined(*pair) for pair in zip(times, ends, strict=True)]
    longest = max((len(left) for left, _, _ in each), default=0)
    left = np.zeros((len(each), longest), np.intp)
    weight = np.zeros((len(each), longest))
    for row, (places, weights, _) in enumerate(each):
        left[row, : len(places)], weight[row, : len(places)] = places, weights
    right = np.where(weight > 0, left + 1, left)
    found = np.array([row for _, _, row in each], np.intp).reshape(*lead, *intervals.shape[-2:])
    shape = (*lead, longest, 1)
    return Between(left.reshape(shape), right.reshape(shape), weight.reshape(shape)), found


def _refined(times: Array, ends: Array) -> tuple[Array, Array, Array]:
    """For one path: the point before each new point, its weight, and the new points at ``ends``."""
    before = np.searchsorted(times, ends)  # the first of equal ones: those after it are beyond the end of the path
    before -= times[before] > ends
    inside = np.unique(ends[times[before] < ends])
    left = np.searchsorted(times, inside) - 1
    points = np.arange(len(times))
    after = points + np.searchsorted(inside, times)  # where the points are among all
    places = np.empty(len(times) + len(inside), np.intp)
    weights = np.zeros(len(places))
    new = left + 1 + np.arange(len(inside))
    places[after], places[new] = points, left
    weights[new] = (inside - times[left]) / (times[left + 1] - times[left])
    found = np.where(times[before] < ends, np.searchsorted(inside, ends) + before + 1, after[before])
    return places, weights, found
