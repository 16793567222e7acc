"""Calls along paths: what a ``logsig_path_call`` asks for, and how it is done by rows and walks.

Items are what has a log-signature of its own: whole paths, windows or intervals. ``logsig_path_call.h`` says what each
member of the struct means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.coordinates import chain_of
from logsig_codegen.runtime.interpreted.memory import numbers, rows, strided
from logsig_codegen.runtime.interpreted.programs import NUMBERS, Array
from logsig_codegen.runtime.interpreted.walks import Walks
from logsig_codegen.runtime.request import window_count
from logsig_codegen.runtime.rows import apply_map, apply_transpose


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths in memory, as functions of libraries get them.

    Attributes
    ----------
    data : pointer
    begins : integers, shape (batch,)
        The first number of each path, counted from ``data``.
    counts : integers, shape (batch,)
        Points of each path that count, at most ``length``.
    """

    data: Any
    begins: Array
    counts: Array
    length: int
    dimension: int
    dtype: np.dtype[Any]

    @classmethod
    def of(
        cls, data: Any, stride: int, length: int, lengths: Any, starts: Any, batch: int, like: tuple[int, np.dtype[Any]]
    ) -> Paths:
        """From arguments of a function of the C interface; ``like``: dimension and number type."""
        begins, counts = numbers(starts, batch), numbers(lengths, batch)
        begins = np.arange(batch) * stride if begins is None else begins
        counts = np.full(batch, length) if counts is None else counts
        return cls(data, begins, counts, length, *like)

    def steps(self, path: Array, first: Array, count: Array) -> Array:
        """Displacements ``(items, steps, dimension)`` of ``count`` points of paths, from ``first`` on; zero beyond."""
        longest = int(count.max(initial=1))
        found = np.zeros((len(path), max(longest - 1, 0), self.dimension), self.dtype)
        if not found.size:
            return found
        low, high = int(self.begins.min()), int(self.begins.max())
        everything = strided(self.data, (high - low + self.length * self.dimension,), (1,), self.dtype, low)
        point = first[:, None] + np.minimum(np.arange(longest), np.maximum(count - 1, 0)[:, None])
        at = (self.begins[path] - low)[:, None] + np.where(count[:, None] > 0, point, 0) * self.dimension
        points = everything[at[..., None] + np.arange(self.dimension)]
        with np.errstate(all="ignore"):
            return np.where(_counted(count, longest - 1), points[:, 1:] - points[:, :-1], found)

    def write(self, d_data: Any, begins: Array, d_points: Array, *, beyond: bool) -> None:
        """Derivatives by points ``(batch, length, dimension)``; ``beyond``: also by those that do not count."""
        for b, begin in enumerate(begins):
            count = self.length if beyond else int(self.counts[b])
            rows_at(d_data, int(begin), count, self.dimension, self.dtype)[...] = d_points[b, :count]


def _counted(count: Array, steps: int) -> Array:
    """Which displacements of so many points count, ``(items, steps, 1)``."""
    there: Array = (np.arange(1, steps + 1) < count[:, None])[..., None]
    return there


def rows_at(pointer: Any, first: int, count: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Rows that follow one another from a number on."""
    return strided(pointer, (count, columns), (columns, 1), dtype, first)


def d_points_of(d_steps: Array) -> Array:
    """Derivatives by points ``(paths, steps + 1, dimension)`` from those by displacements."""
    found = np.zeros((d_steps.shape[0], d_steps.shape[1] + 1, d_steps.shape[2]), d_steps.dtype)
    found[:, 1:] = d_steps
    found[:, :-1] -= d_steps
    return found


class Call:
    """One call; ``call`` points to the struct."""

    def __init__(self, walks: Walks, call: Any, dtype: np.dtype[Any]) -> None:
        self.walks, self.call, self.dtype = walks, call, dtype
        self.problem = walks.programs.problem
        like = (self.problem.dimension, dtype)
        self.paths = Paths.of(call.path, call.path_stride, call.length, call.lengths, call.starts, call.batch, like)
        self.map: SparseMap | None = chain_of(self.problem, 2, call.method).maps[0] if call.method < 2 else None
        self.width = self.problem.size if self.map is None else self.map.rows

    @cached_property
    def items(self) -> tuple[Array, Array, Array]:
        """Of each item: its path, its first point, how many points count."""
        call, batch = self.call, np.arange(self.call.batch)
        if call.intervals != ffi.NULL:
            each, shape = call.intervals_per_path, (call.batch, call.intervals_per_path, 2)
            pairs = strided(call.intervals, shape, (call.intervals_stride, 2, 1), np.dtype(np.intp)).copy()
            first, end = pairs[..., 0], pairs[..., 1] + 1
        elif call.window:
            each = window_count(call.length, call.window, call.step)
            first = np.broadcast_to(np.arange(each) * call.step, (call.batch, each))
            end = first + call.window
        else:
            each, first, end = 1, np.zeros((call.batch, 1), np.intp), np.full((call.batch, 1), call.length)
        counts = np.maximum(np.minimum(end, self.paths.counts[:, None]) - first, 0)
        return np.repeat(batch, each), np.where(counts > 0, first, 0).reshape(-1), counts.reshape(-1)

    def _parts(self) -> Iterator[slice]:
        """So many items at a time that their points take about ``NUMBERS`` numbers."""
        longest = int(self.items[2].max(initial=1))
        count = max(1, NUMBERS // (longest * self.problem.dimension))
        return (slice(start, start + count) for start in range(0, len(self.items[0]), count))

    def _steps(self, part: slice) -> Array:
        return self.paths.steps(*(one[part] for one in self.items))

    # -- forward ----------------------------------------------------------------------------------------------------

    def forward(self) -> None:
        """Write the result."""
        call = self.call
        if call.stream:
            steps, before = self._steps(slice(None)), self._before()
            found = self._given(self.walks.stream(steps, before))
            for b, one in enumerate(found):
                rows_at(call.out, b * call.out_stride, len(one), self.width, self.dtype)[...] = one
            return
        found = self._along()
        if call.initial != ffi.NULL:
            left, right = self._factors(found)
            (found,) = self.walks.programs.run("combine", left, right)
        rows(call.out, call.out_stride, len(found), self.width, self.dtype)[...] = self._given(found)

    def _along(self) -> Array:
        found = np.empty((len(self.items[0]), self.problem.size), self.dtype)
        for part in self._parts():
            found[part] = self.walks.forward(self._steps(part))
        return found

    def _given(self, found: Array) -> Array:
        """Rows in the coordinates that were asked for."""
        return found if self.map is None else apply_map(self.map, found)

    # -- what came before -------------------------------------------------------------------------------------------

    @cached_property
    def initial(self) -> Array:
        """The log-signatures of what came before, a row each."""
        call = self.call
        return rows(call.initial, call.initial_stride, call.initial_rows, self.problem.size, self.dtype)

    def _before(self) -> Array:
        """What came before each path of a stream."""
        if self.call.initial == ffi.NULL:
            return np.zeros((self.call.batch, self.problem.size), self.dtype)
        return self.initial[self._initial_of(self.call.batch)]

    def _initial_of(self, count: int) -> Array:
        of = numbers(self.call.initial_of, count)
        if of is not None:
            return of
        return np.zeros(count, np.intp) if self.call.initial_rows == 1 else np.arange(count)

    def _places(self) -> tuple[Array, Array]:
        """For each row of the result: the row of ``initial``, and the path."""
        call = self.call
        count = call.batch if call.path_of == ffi.NULL else call.rows
        path_of = numbers(call.path_of, count)
        return self._initial_of(count), np.arange(count) if path_of is None else path_of

    def _factors(self, along: Array) -> tuple[Array, Array]:
        initial_of, path_of = self._places()
        return self.initial[initial_of], along[path_of]

    # -- backward ---------------------------------------------------------------------------------------------------

    def backward(self) -> None:
        """Write the derivatives by the points, and by what came before."""
        call, d_initial = self.call, None
        d_points = np.zeros((call.batch, call.length, self.problem.dimension), self.dtype)
        if call.stream:
            d_initial = self._stream_back(d_points)
        else:
            given = rows(call.d_out, call.d_out_stride, self._rows(), self.width, self.dtype)
            d_rows = self._in_brackets(given)
            if call.initial != ffi.NULL:
                d_initial, d_rows = self._product_back(d_rows)
            self._along_back(d_rows, d_points)
        begins = self.paths.begins if call.starts != ffi.NULL else np.arange(call.batch) * call.d_path_stride
        self.paths.write(call.d_path, begins, d_points, beyond=call.starts == ffi.NULL)
        if d_initial is not None and call.initial != ffi.NULL:
            target = rows(call.d_initial, call.d_initial_stride, call.initial_rows, self.problem.size, self.dtype)
            target[...] = d_initial

    def _rows(self) -> int:
        return len(self._places()[1]) if self.call.initial != ffi.NULL else len(self.items[0])

    def _in_brackets(self, d_rows: Array) -> Array:
        return d_rows if self.map is None else apply_transpose(self.map, d_rows)

    def _stream_back(self, d_points: Array) -> Array:
        """The derivatives by ``initial``; those by points go into ``d_points``."""
        call, steps, before = self.call, self._steps(slice(None)), self._before()
        shape, stride = (call.batch, max(call.length - 1, 0)), (call.d_out_stride, self.width, 1)
        d_out = strided(call.d_out, (*shape, self.width), stride, self.dtype)[:, : steps.shape[1]]
        found = self.walks.stream(steps, before)
        d_steps, d_before = self.walks.stream_back(steps, before, found, self._in_brackets(d_out))
        self._add(slice(None), d_steps, d_points)
        return self._summed(d_before, self._initial_of(call.batch) if call.initial != ffi.NULL else None)

    def _product_back(self, d_rows: Array) -> tuple[Array, Array]:
        """Derivatives by ``initial``, and by the log-signature of each path."""
        along = self._along()
        initial_of, path_of = self._places()
        d_left, d_right = self.walks.programs.run("combine_backprop", d_rows, *self._factors(along))
        d_along = np.zeros(along.shape)
        np.add.at(d_along, path_of, d_right)
        return self._summed(d_left, initial_of), d_along.astype(self.dtype)

    def _summed(self, d_rows: Array, initial_of: Array | None) -> Array:
        """The sums, in double precision, of rows that share one of ``initial``."""
        if initial_of is None:
            return d_rows
        sums = np.zeros((self.call.initial_rows, self.problem.size))
        np.add.at(sums, initial_of, d_rows)
        return sums

    def _along_back(self, d_rows: Array, d_points: Array) -> None:
        for part in self._parts():
            steps = self._steps(part)
            if steps.shape[1]:
                self._add(part, self.walks.backward(steps, np.ascontiguousarray(d_rows[part])), d_points)

    def _add(self, part: slice, d_steps: Array, d_points: Array) -> None:
        """Add the derivatives by the displacements of items to those by the points of their paths."""
        path, first, count = (one[part] for one in self.items)
        found = d_points_of(np.where(_counted(count, d_steps.shape[1]), d_steps, 0))
        point = np.arange(found.shape[1])
        inside = point < count[:, None]
        at = np.broadcast_to(path[:, None], inside.shape)[inside], (first[:, None] + point)[inside]
        np.add.at(d_points, at, found[inside])
