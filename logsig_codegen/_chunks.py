"""Paths in chunks along time: how parts are cut where chunks meet; what is computed of a chunk, and of two neighbours.

Neighbouring chunks share points: those of a chunk are followed by the first ones of the next. Everything here is on
numpy arrays, in one process; :mod:`logsig_codegen._lazy` says which of it is run on what.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen import functional
from logsig_codegen.problem import Problem

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


@dataclass(frozen=True)
class Chunk:
    """A chunk and how log-signatures of its points are computed.

    Attributes
    ----------
    start : int
        Points of the path before it.
    length : int
        Points of the whole path.
    degree : int
    options : dict
        Further arguments of :func:`logsig_codegen.log_sig`.
    """

    start: int
    length: int
    degree: int
    options: dict[str, Any]

    def arguments(self, points: Array, lengths: Array | None, times: Array | None) -> dict[str, Any]:
        """The arguments of a call on these points; ``lengths`` are those of the paths."""
        count, found = points.shape[-2], dict(self.options, times=times)
        if lengths is not None:
            found["lengths"] = np.clip(lengths - self.start, 0, count)
        if found["time_aug"] and times is None:  # log-signatures see differences of times only
            end_time = found["end_time"]
            if lengths is None:
                found["end_time"] = end_time * (count - 1) / (self.length - 1)
            else:
                step = end_time / np.maximum(lengths - 1, 1)
                found["times"] = step[..., None] * (self.start + np.arange(count))
        return found


def rows(points: Array, lengths: Array | None, times: Array | None, intervals: Array | None, chunk: Chunk) -> Array:
    """Log-signatures of all points or of intervals, ``(..., number of them, size)``, in Lyndon brackets."""
    arguments = chunk.arguments(points, lengths, times)
    found: Array = functional.log_sig(points, chunk.degree, intervals=intervals, method=2, **arguments)
    return found[..., None, :] if intervals is None else found


def rows_backprop(
    derivs: Array, points: Array, lengths: Array | None, times: Array | None, intervals: Array | None, chunk: Chunk
) -> Array:
    """Gradients of :func:`rows` with respect to the points."""
    arguments = chunk.arguments(points, lengths, times)
    derivs = derivs[..., 0, :] if intervals is None else derivs
    found: Array = functional.log_sig_backprop(
        derivs, points, chunk.degree, intervals=intervals, method=2, **arguments
    )  # fmt: skip
    return found


def stream(points: Array, lengths: Array | None, times: Array | None, before: Array | None, chunk: Chunk) -> Array:
    """Log-signatures after each step, ``(..., steps, size)``; ``before``, ``(..., 1, size)``: of what came before."""
    arguments = chunk.arguments(points, lengths, times)
    initial = None if before is None else before[..., 0, :]
    found: Array = functional.log_sig(points, chunk.degree, stream=True, initial=initial, method=2, **arguments)
    return found


def stream_backprop(
    points: Array,
    lengths: Array | None,
    times: Array | None,
    before: Array | None,
    derivs: Array,
    last: Array | None,
    chunk: Chunk,
) -> Array:
    """Gradients of :func:`stream`, as :func:`in_a_row` gives them; ``last``: further derivatives of the last row."""
    arguments = chunk.arguments(points, lengths, times)
    initial = None if before is None else before[..., 0, :]
    if last is not None:
        derivs = np.concatenate([derivs[..., :-1, :], derivs[..., -1:, :] + last[..., None, :]], -2)
    found = functional.log_sig_backprop(
        derivs, points, chunk.degree, stream=True, initial=initial, method=2, **arguments
    )  # fmt: skip
    return in_a_row(found)


def in_a_row(gradients: Any) -> Array:
    """Gradients with respect to points; of a pair those of a path's points in a row, before those of ``initial``."""
    if not isinstance(gradients, tuple):
        return gradients  # type: ignore[no-any-return]
    d_path, d_initial = gradients
    return np.concatenate([d_path.reshape(*d_path.shape[:-2], math.prod(d_path.shape[-2:])), d_initial], -1)


def as_points(row: Array, shape: tuple[int, int]) -> Array:
    """Points that are in a row."""
    return row.reshape(*row.shape[:-1], *shape)


def own_points(gradient: Array, before: Array | None, count: int) -> Array:
    """Gradients of a chunk's ``count`` own points; ``before``: of those that belong to the chunk before, too."""
    found = gradient[..., :count, :]
    if before is None:
        return found
    shared = before.shape[-2]
    return np.concatenate([found[..., :shared, :] + before, found[..., shared:, :]], -2)


@dataclass(frozen=True, eq=False)
class Merge:
    """The product of the parts' rows in neighbouring stretches of a path; a part may be in one of them only.

    Attributes
    ----------
    columns : array of intp
        Parts that either stretch has, increasing.
    left, right : array of intp
        Where the rows of each go.
    both : triple of arrays of intp
        Rows of the left, of the right, and of the result, which are multiplied.
    problem : Problem
    n_jobs : int
    """

    columns: Array
    left: Array
    right: Array
    both: tuple[Array, Array, Array]
    problem: Problem
    n_jobs: int

    @staticmethod
    def of(left: Array, right: Array, problem: Problem, n_jobs: int) -> Merge:
        """That of two stretches with these parts."""
        columns = np.union1d(left, right)
        common, in_left, in_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
        both = (in_left, in_right, np.searchsorted(columns, common))
        return Merge(
            columns, np.searchsorted(columns, left), np.searchsorted(columns, right), both, problem, n_jobs
        )  # fmt: skip


def product(left: Array, right: Array, merge: Merge) -> Array:
    """The rows of the longer stretch."""
    found = np.empty((*left.shape[:-2], len(merge.columns), left.shape[-1]), left.dtype)
    found[..., merge.left, :], found[..., merge.right, :] = left, right
    first, second, place = merge.both
    if len(place):
        factors, problem = (left[..., first, :], right[..., second, :]), merge.problem
        found[..., place, :] = functional.log_sig_combine(
            *factors, problem.dimension, problem.degree, n_jobs=merge.n_jobs
        )  # fmt: skip
    return found


def product_backprop(derivs: Array, left: Array, right: Array, merge: Merge) -> Array:
    """Gradients with respect to the rows of the left, followed by those of the right."""
    before, after = derivs[..., merge.left, :], derivs[..., merge.right, :]
    first, second, place = merge.both
    if len(place):
        factors, problem = (left[..., first, :], right[..., second, :]), merge.problem
        before[..., first, :], after[..., second, :] = functional.log_sig_combine_backprop(
            derivs[..., place, :], *factors, problem.dimension, problem.degree, n_jobs=merge.n_jobs
        )  # fmt: skip
    return np.concatenate([before, after], -2)


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of a result, from Lyndon brackets.

    Attributes
    ----------
    problem : Problem
    method : int
    scalar_term : bool
        Whether a row begins with a zero.
    """

    problem: Problem
    method: int
    scalar_term: bool

    def __bool__(self) -> bool:
        """Whether they are other ones."""
        return self.method < 2


def in_coordinates(rows: Array, how: Coordinates) -> Array:
    """Rows in other coordinates."""
    problem = how.problem
    found = functional.log_sig_change_method(rows, problem.dimension, problem.degree, 2, how.method)
    return np.pad(found, [*([(0, 0)] * (rows.ndim - 1)), (int(how.scalar_term), 0)])


def in_coordinates_backprop(derivs: Array, how: Coordinates) -> Array:
    """Gradients with respect to rows in Lyndon brackets."""
    problem, derivs = how.problem, derivs[..., int(how.scalar_term) :]
    return functional.log_sig_change_method_backprop(
        derivs, problem.dimension, problem.degree, 2, how.method
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of paths, cut where chunks meet.

    Attributes
    ----------
    bounds : array (number of parts, 2), or (..., number of parts, 2)
        First and last point after the transform, or beginning and end in time.
    first, last : array of the same shape without the last axis
        Chunks that a part begins and ends in; one that fits the points of a chunk ends there.
    marks : array (number of chunks,)
        Where each chunk begins, in the unit of ``bounds``.
    in_time : bool
    """

    bounds: Array
    first: Array
    last: Array
    marks: Array
    in_time: bool

    def of_chunk(self, chunk: int, columns: slice) -> tuple[Array, Array]:
        """Those among ``columns`` that a chunk has a piece of, counted from the first of them, and these pieces.

        Points are counted from the chunk's first one.
        """
        first, last = self.first[..., columns], self.last[..., columns]
        touched = (first <= chunk) & (chunk <= last)
        chosen = np.flatnonzero(touched.any(axis=tuple(range(touched.ndim - 1))))
        bounds, mark = self.bounds[..., columns, :][..., chosen, :], self.marks[chunk]
        first, last, touched = first[..., chosen], last[..., chosen], touched[..., chosen]
        begin = np.where(first == chunk, bounds[..., 0], mark)
        end = np.where(last == chunk, bounds[..., 1], self.marks[min(chunk + 1, len(self.marks) - 1)])
        pieces = np.where(touched[..., None], np.stack([begin, end], -1), mark)
        if not self.in_time:
            pieces = pieces - mark
        return chosen, pieces


def cut(bounds: Array, positions: Array, ends: Sequence[int], starts: Array, marks: Array, in_time: bool) -> Parts:
    """Cut parts; ``positions`` are the first and last points they need, ``ends`` the last points of chunks."""
    first = np.searchsorted(starts, positions[..., 0], "right") - 1
    last = np.maximum(first, np.minimum(np.searchsorted(ends, positions[..., 1]), len(ends) - 1))
    return Parts(bounds, first, last, marks, in_time)


def overlap(positions: Array, smallest: int, lead_lag: bool) -> int:
    """Points of the next chunk that a chunk is followed by: enough for every part, if chunks are that long, or one."""
    steps = int(np.max(positions[..., 1] - positions[..., 0], initial=1))
    needed = steps // 2 + 1 if lead_lag else max(steps, 1)
    return needed if needed <= smallest else 1
