"""Graphs of Dask for calls along paths: which function of :mod:`._chunks` is run on which blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import dask.array as da
import numpy as np

from logsig_codegen import _chunks, functional
from logsig_codegen._chunks import Array, Chunk, Coordinates, Merge
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime import transforms
from logsig_codegen.runtime.parts import Parts, windows_of_time
from logsig_codegen.runtime.request import PathRequest

Lazy: TypeAlias = Any
"""A Dask array."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call on paths, checked; their channels are in one chunk, and no chunk is empty.

    Attributes
    ----------
    path : dask.array.Array
    request : PathRequest
    parts : Parts
    initial : array or dask.array.Array, or None
    """

    path: Lazy
    request: PathRequest
    parts: Parts
    initial: Any

    @property
    def batch(self) -> int:
        """Number of axes of the batch."""
        return len(self.request.batch)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of a block's call that are the same for all."""
        options = self.request.options
        return {**asdict(self.request.transform), "n_jobs": options.n_jobs, "state": options.state}

    @cached_property
    def lengths(self) -> Lazy:
        """Points of each path that count, if they are not all."""
        return self.aligned(self.request.given_lengths, 0)

    @cached_property
    def before(self) -> Lazy:
        """``initial`` for each path."""
        if self.initial is None:
            return None
        return self.aligned(da.broadcast_to(self.initial, (*self.request.batch, self.request.problem.size)), 1)

    def blocks(self, function: Callable[..., Any], shape: tuple[int, ...], *operands: tuple[Any, int]) -> Lazy:
        """``function`` of each block of the batch; its result has ``shape`` behind the axes of the batch.

        Operands are arrays, each with the number of its axes behind those of the batch, or ``None``.
        """
        batch, letters = tuple(range(self.batch)), itertools.count(self.batch)
        arguments: list[Any] = []
        for array, own in operands:
            axes = tuple(itertools.islice(letters, own))
            lead = batch if array is not None and array.ndim > own else ()
            arguments += [array, None if array is None else (*lead, *axes)]
        new = {next(letters): size for size in shape}
        return da.blockwise(
            function, (*batch, *new), *arguments, new_axes=new, concatenate=True, dtype=self.path.dtype,
            meta=np.empty((0,) * (self.batch + len(shape)), self.path.dtype),
        )  # fmt: skip

    def aligned(self, array: Any, own: int) -> Lazy:
        """An array in chunks along the batch as the paths are, with ``own`` axes behind those in one chunk each."""
        if array is None:
            return None
        lead = self.path.chunks[: self.batch] if array.ndim > own else ()
        chunks = (*lead, *((size,) for size in array.shape[array.ndim - own :]))
        return array.rechunk(chunks) if isinstance(array, da.Array) else da.from_array(array, chunks)

    def derivatives(self, d_out: Any) -> Lazy:
        """``d_out`` in the shape of the result."""
        shape = self.request.shape
        return self.aligned(da.broadcast_to(d_out, shape), len(shape) - self.batch)

    def in_a_row(self, points: tuple[int, ...], before: Lazy) -> tuple[int, ...]:
        """Shape of a block's gradients: those of the points, or with ``before`` all of them, as numbers in a row."""
        return points if before is None else (math.prod(points) + self.request.problem.size,)

    def from_a_row(self, gradients: Lazy, points: tuple[int, ...], before: Lazy) -> tuple[Lazy, Lazy]:
        """Gradients with respect to the points and, if it is given, what came before."""
        if before is None:
            return gradients, None
        size = self.request.problem.size
        return self.blocks(partial(_chunks.as_points, shape=points), points, (gradients[..., :-size], 1)), (
            gradients[..., -size:]
        )

    def d_initial(self, derivs: Lazy) -> Lazy:
        """Derivatives by ``initial`` as it came, of those for each path."""
        shape = (1,) * (derivs.ndim - self.initial.ndim) + self.initial.shape
        repeated = tuple(axis for axis, size in enumerate(shape) if size != derivs.shape[axis])
        return derivs.sum(axis=repeated, keepdims=True).reshape(self.initial.shape)


@dataclass(frozen=True, eq=False)
class Whole(Call):
    """Paths in one chunk along time: each block of the batch is a call of :func:`logsig_codegen.log_sig`."""

    def _blocks(self, function: Callable[..., Any], shape: tuple[int, ...], *derivs: tuple[Any, int]) -> Lazy:
        request, times = self.request, self.parts.times
        chosen = request.options
        others = {"method": chosen.method, "stream": chosen.stream, "windows": chosen.windows}
        options = {**self.options, **others, "degree": request.problem.degree, "scalar_term": request.scalar_term}
        operands = (
            (self.path, 2),
            (self.lengths, 0),
            (self.before, 1),
            (self.aligned(request.intervals, 2), 2),
            (self.aligned(None if times is None else np.asarray(times), 1), 1),
        )
        return self.blocks(partial(function, options=options), shape, *derivs, *operands)

    def forward(self) -> Lazy:
        """The log-signatures."""
        return self._blocks(_log_sig, self.request.shape[self.batch :])

    def backward(self, d_out: Any) -> tuple[Lazy, Lazy]:
        """The gradients with respect to the points and, if there is one, ``initial``."""
        points, derivs = self.path.shape[-2:], self.derivatives(d_out)
        both = self._blocks(_log_sig_backprop, self.in_a_row(points, self.before), (derivs, derivs.ndim - self.batch))
        d_path, d_initial = self.from_a_row(both, points, self.before)
        return d_path, None if d_initial is None else self.d_initial(d_initial)


def _log_sig(path: Array, lengths: Any, initial: Any, intervals: Any, times: Any, options: dict[str, Any]) -> Any:
    return functional.log_sig(path, lengths=lengths, initial=initial, intervals=intervals, times=times, **options)


def _log_sig_backprop(
    d_out: Array, path: Array, lengths: Any, initial: Any, intervals: Any, times: Any, options: dict[str, Any]
) -> Any:
    arrays = {"lengths": lengths, "initial": initial, "intervals": intervals, "times": times}
    return _chunks.in_a_row(functional.log_sig_backprop(d_out, path, **arrays, **options))


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Log-signatures of pieces in a stretch of the paths.

    Attributes
    ----------
    columns : array of intp
        Which parts of a group have a piece here.
    rows : dask.array.Array (..., number of pieces, size)
        In Lyndon brackets.
    of : (merge, left, right), or (chunk, intervals), or None
        What it was made of; ``None`` stands for ``initial``.
    """

    columns: Array
    rows: Lazy
    of: tuple[Merge, _Stretch, _Stretch] | tuple[int, Lazy] | None


_ONE = np.zeros(1, np.intp)
_EVERYTHING = slice(0, 1)


@dataclass(frozen=True, eq=False)
class Chunked(Call):
    """Paths in several chunks along time."""

    def __post_init__(self) -> None:
        request, how, times = self.request, self.request.transform, self.parts.times
        for name, wrong in (
            ("missing", how.missing is not None),
            ("times", self._in_time and np.ndim(times) > 1),
            ("end_time", how.time_aug and times is None and request.lengths is not None and how.end_time <= 0),
        ):
            if wrong:
                raise UnsupportedError(
                    f"{name}: such a call needs each path in one chunk along time, path.rechunk({{-2: -1}}); "
                    f"got {self.path.numblocks[-2]} chunks"
                )

    @property
    def _in_time(self) -> bool:
        """Whether parts are in the unit of ``times``."""
        return self.request.intervals is not None and self.request.intervals.dtype.kind == "f"

    @cached_property
    def _starts(self) -> Array:
        """Number of the first point of each chunk."""
        return np.cumsum((0, *self.path.chunks[-2][:-1]))

    @cached_property
    def _cut(self) -> tuple[int, _chunks.Parts | None]:
        """How many points of the next chunk go with each, and the parts, if there are any."""
        bounds, how, starts = self._bounds(), self.request.transform, self._starts
        if bounds is None:
            return 1, None
        scale = 2 if how.lead_lag else 1
        marks, positions = scale * starts, bounds
        if self._in_time:
            times = transforms.later(np.asarray(self.parts.times, float), how)
            first = np.searchsorted(times, bounds[..., 0], "right") - 1
            last = np.searchsorted(times, bounds[..., 1])
            positions = np.stack([first, last], -1).clip(0, len(times) - 1)
            marks = times[marks]
        sizes = self.path.chunks[-2]
        shared = _chunks.overlap(positions, min(sizes), how.lead_lag)
        ends = np.minimum(starts + sizes + (shared - 1), self.path.shape[-2] - 1)
        return shared, _chunks.cut(bounds, positions, scale * ends, scale * starts, marks, self._in_time)

    def _bounds(self) -> Array | None:
        request, parts = self.request, self.parts
        if request.options.windows is not None:
            size, stride = request.options.windows
            begin = stride * np.arange(request.rows[-1])
            return np.stack([begin, begin + size - 1], -1)
        if parts.durations is not None:  # the same for all paths: pieces are cut where their paths end
            count: int = request.intervals.shape[-2]
            return windows_of_time(parts.durations, np.asarray(parts.times, float), count)  # type: ignore[no-any-return]
        return request.intervals  # type: ignore[no-any-return]

    @cached_property
    def _groups(self) -> list[slice]:
        """Parts that are computed together: windows that begin in the same chunk, or all."""
        cut = self._cut[1]
        if cut is None:
            return [_EVERYTHING]
        count = cut.bounds.shape[-2]
        if self.request.options.windows is None and self.parts.durations is None:
            return [slice(0, count)] if count else []
        edges = np.searchsorted(cut.first, np.arange(len(cut.marks) + 1))
        return [slice(*pair) for pair in itertools.pairwise(edges.tolist()) if pair[0] < pair[1]]

    @cached_property
    def _points(self) -> list[Lazy]:
        """The points of each chunk, with those that it shares with the next one."""
        axis = self.batch
        extended = da.overlap.overlap(self.path, {axis: (0, self._cut[0])}, "none", allow_rechunk=False)
        places = [(*(slice(None),) * axis, chunk) for chunk in range(self.path.numblocks[axis])]
        return [extended.blocks[place] for place in places]

    def _operands(self, chunk: int) -> tuple[Chunk, tuple[tuple[Any, int], ...]]:
        """A chunk's options, and its points, lengths and times."""
        request, points, times = self.request, self._points[chunk], self.parts.times
        described = Chunk(int(self._starts[chunk]), self.path.shape[-2], request.problem.degree, self.options)
        if times is not None:
            times = np.asarray(times)[..., described.start : described.start + points.shape[-2]]
            times = self.aligned(times, 1) if self._in_time or request.transform.time_aug else None
        return described, ((points, 2), (self.lengths, 0), (times, 1))

    def _leaves(self, group: slice) -> Iterator[_Stretch]:
        """Pieces of a group in each chunk that has some, after ``initial``."""
        size, cut = self.request.problem.size, self._cut[1]
        if self.before is not None:
            yield _Stretch(_ONE, self.before[..., None, :], None)
        chunks = range(len(self._starts))
        if cut is not None:
            chunks = range(int(cut.first[..., group].min()), int(cut.last[..., group].max()) + 1)
        for chunk in chunks:
            columns, intervals = (_ONE, None) if cut is None else cut.of_chunk(chunk, group)
            if len(columns):
                described, operands = self._operands(chunk)
                pieces = self.aligned(intervals, 2)
                rows = self.blocks(
                    partial(_chunks.rows, chunk=described), (len(columns), size), *operands, (pieces, 2)
                )  # fmt: skip
                yield _Stretch(columns, rows, (chunk, pieces))

    def _tree(self, group: slice) -> _Stretch:
        """The log-signatures of a group, as products of neighbours, of these, and so on."""
        problem, n_jobs = self.request.problem, self.request.options.n_jobs
        level = list(self._leaves(group))
        while len(level) > 1:
            above = []
            for left, right in zip(level[::2], level[1::2], strict=False):
                merge = Merge.of(left.columns, right.columns, problem, n_jobs)
                shape = len(merge.columns), problem.size
                rows = self.blocks(partial(_chunks.product, merge=merge), shape, (left.rows, 2), (right.rows, 2))
                above.append(_Stretch(merge.columns, rows, (merge, left, right)))
            level = above + level[len(level) & ~1 :]
        return level[0]

    @property
    def _coordinates(self) -> Coordinates:
        request = self.request
        return Coordinates(request.problem, request.options.method, request.scalar_term)

    def _in_coordinates(self, rows: Lazy) -> Lazy:
        """Rows ``(..., number of them, size)`` in the coordinates of the result."""
        if not (how := self._coordinates):
            return rows
        change = partial(_chunks.in_coordinates, how=how)
        return self.blocks(change, (rows.shape[-2], self.request.shape[-1]), (rows, 2))

    def _in_brackets(self, derivs: Lazy) -> Lazy:
        """Derivatives by such rows, of those by rows of the result."""
        if not (how := self._coordinates):
            return derivs
        change = partial(_chunks.in_coordinates_backprop, how=how)
        return self.blocks(change, (derivs.shape[-2], self.request.problem.size), (derivs, 2))

    def forward(self) -> Lazy:
        """The log-signatures."""
        shape = self.request.shape
        found = [self._in_coordinates(self._tree(group).rows) for group in self._groups]
        if not found:
            return da.zeros(shape, self.path.dtype, chunks=(*self.path.chunks[: self.batch], 0, shape[-1]))
        return found[0][..., 0, :] if self._cut[1] is None else da.concatenate(found, -2)

    def backward(self, d_out: Any) -> tuple[Lazy, Lazy]:
        """The gradients with respect to the points and, if there is one, ``initial``."""
        d_initial = None
        derivs = self.derivatives(d_out) if self._cut[1] is not None else self.derivatives(d_out)[..., None, :]
        found: list[list[Lazy]] = [[] for _ in self._starts]
        for group in self._groups:
            rows = self._in_brackets(derivs[..., group, :])
            for leaf, gradient in self._down(self._tree(group), rows):
                if leaf.of is None:
                    d_initial = self.d_initial(gradient[..., 0, :])
                    continue
                chunk, pieces = leaf.of  # type: ignore[misc]
                described, operands = self._operands(chunk)
                backprop = partial(_chunks.rows_backprop, chunk=described)
                shape = self._points[chunk].shape[-2:]
                found[chunk].append(self.blocks(backprop, shape, (gradient, 2), *operands, (pieces, 2)))
        sums = [
            sum(some[1:], start=some[0]) if some else da.zeros_like(points)
            for some, points in zip(found, self._points, strict=True)
        ]
        return self._along_time(sums), d_initial

    def _down(self, stretch: _Stretch, derivs: Lazy) -> Iterator[tuple[_Stretch, Lazy]]:
        """The leaves of a tree, each with the derivatives by its rows."""
        if stretch.of is None or len(stretch.of) == 2:
            yield stretch, derivs
            return
        merge, left, right = stretch.of
        count = len(left.columns)
        shape = count + len(right.columns), self.request.problem.size
        backprop = partial(_chunks.product_backprop, merge=merge)
        both = self.blocks(backprop, shape, (derivs, 2), (left.rows, 2), (right.rows, 2))
        yield from self._down(left, both[..., :count, :])
        yield from self._down(right, both[..., count:, :])

    def _along_time(self, gradients: list[Lazy]) -> Lazy:
        """Gradients of the paths, of those of the points of each chunk and those that it shares with the next one."""
        found, before = [], None
        for gradient, count in zip(gradients, self.path.chunks[-2], strict=True):
            own = partial(_chunks.own_points, count=count)
            found.append(self.blocks(own, (count, self.path.shape[-1]), (gradient, 2), (before, 2)))
            before = gradient[..., count:, :] if gradient.shape[-2] > count else None
        return da.concatenate(found, -2)
