"""Whole paths on numpy arrays: where they lie in memory, the pieces long ones are cut into, and the C calls.

A kernel takes one path per lane. A long path is cut into pieces, which become rows like any other, and their
log-signatures are multiplied together in a tree: so one path alone fills the lanes, and errors do not grow along it.
How a path is cut depends on its length only, never on the batch or on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from logsig_codegen.operations import path_operation
from logsig_codegen.runtime import arrays
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.arrays import Array, address, function_for
from logsig_codegen.runtime.fast import NO_MEMORY

if TYPE_CHECKING:
    from logsig_codegen.runtime.kernel import LogSigKernel

PIECE_STEPS = 128
"""Paths of up to so many steps stay whole, and longer ones are cut into pieces of about this length …"""
MOST_PIECES = 64
"""… but into no more than this: what a backward pass keeps does not grow with the length."""
_WORK_NUMBERS = 1 << 21  # log-signatures of pieces held at a time, in numbers

Indices: TypeAlias = "np.ndarray[Any, np.dtype[np.intp]]"


@dataclass(frozen=True)
class Paths:
    """``count`` paths in one array.

    Attributes
    ----------
    data : array
        Holds the points of every path one after the other, in C order.
    stride : int
        Numbers from one path to the next, where ``starts`` is ``None``.
    length : int
        Points of a path; the largest number of them where ``lengths`` is given.
    lengths, starts : arrays of ``count`` intp, or None
        Points of each path; number of its first element within ``data``.
    """

    data: Array
    stride: int
    count: int
    length: int
    lengths: Indices | None = None
    starts: Indices | None = None

    def points(self) -> Indices:
        """Points of each path."""
        return np.full(self.count, self.length, np.intp) if self.lengths is None else self.lengths

    def offsets(self) -> Indices:
        """First element of each path."""
        return np.arange(self.count, dtype=np.intp) * self.stride if self.starts is None else self.starts

    def c_arguments(self) -> tuple[Any, ...]:
        """Arguments of the C functions from ``path`` to ``starts``."""
        indices = (ffi.NULL if x is None else ffi.from_buffer("ptrdiff_t[]", x) for x in (self.lengths, self.starts))
        return (address(self.data), self.stride, self.length, *indices)

    def some(self, start: int, stop: int) -> Paths:
        """Paths ``start`` to ``stop - 1``."""
        starts = self.offsets()[start:stop]
        lengths = None if self.lengths is None else self.lengths[start:stop]
        return replace(self, count=stop - start, lengths=lengths, starts=starts)


def piece_counts(points: Indices) -> Indices:
    """Number of pieces for paths of so many points."""
    wanted = -(-(points - 1) // PIECE_STEPS)
    return np.clip(wanted, 1, MOST_PIECES).astype(np.intp)


@dataclass(frozen=True)
class Cut:
    """Pieces of paths, as paths; ``counts`` tells how many each has. Neighbours share a point."""

    pieces: Paths
    counts: Indices


def cut(paths: Paths, dimension: int) -> Cut | None:
    """The pieces of ``paths``, or ``None`` if all of them stay whole."""
    if paths.length - 1 <= PIECE_STEPS:
        return None
    points = paths.points()
    counts = piece_counts(points)
    owner, position = _within(counts)
    steps = np.maximum(points - 1, 0)[owner]
    first = steps * position // counts[owner]
    last = steps * (position + 1) // counts[owner]
    lengths = np.minimum(last - first + 1, points[owner])
    starts = paths.offsets()[owner] + first * dimension
    pieces = replace(paths, count=len(owner), length=int(lengths.max()), lengths=lengths, starts=starts)
    return Cut(pieces, counts)


def _within(counts: Indices) -> tuple[Indices, Indices]:
    """For rows that belong to owners with so many rows each: the owner of every row, and its position there."""
    owner = np.repeat(np.arange(len(counts), dtype=np.intp), counts)
    return owner, np.arange(len(owner), dtype=np.intp) - (np.cumsum(counts) - counts)[owner]


class Runner:
    """Runs the whole-path operations of one kernel, for one state and number of threads."""

    def __init__(self, kernel: LogSigKernel, state: str, threads: int) -> None:
        self.kernel = kernel
        self.problem = kernel.problem
        self.state = state
        self.threads = threads

    # -- forward ------------------------------------------------------------------------------------------------

    def forward(self, paths: Paths, out: Array | None = None) -> Array:
        """Log-signatures, ``(count, size)``; ``out``, if given, is C-contiguous."""
        if out is None:
            out = np.empty((paths.count, self.problem.size), paths.data.dtype)
        for start, stop, part in self._in_parts(paths):
            pieces = cut(part, self.problem.dimension)
            if pieces is None:
                self._call_forward(part, out[start:stop])
            else:
                rows = np.empty((pieces.pieces.count, self.problem.size), out.dtype)
                self._call_forward(pieces.pieces, rows)
                out[start:stop] = self._tree(rows, pieces.counts)[-1]
        return out

    def _in_parts(self, paths: Paths) -> Iterator[tuple[int, int, Paths]]:
        """Batches whose pieces fit the work space."""
        most = int(piece_counts(np.array([paths.length]))[0])
        if most == 1 or paths.count == 0:
            yield 0, paths.count, paths
            return
        step = max(1, _WORK_NUMBERS // (most * self.problem.size))
        for start in range(0, paths.count, step):
            stop = min(start + step, paths.count)
            yield start, stop, paths.some(start, stop)

    def _call_forward(self, paths: Paths, out: Array) -> None:
        if paths.count:
            function = function_for(self.kernel.functions(path_operation(self.state)), out.dtype)
            size = self.problem.size
            _check(function(*paths.c_arguments(), address(out), size, paths.count, self.threads))

    def _tree(self, rows: Array, counts: Indices) -> list[Array]:
        """The products of neighbours, level by level; the last level has one row per path."""
        levels = [rows]
        for left, alone, target, fewer in _levels(counts):
            merged = np.empty((int(fewer.sum()), rows.shape[1]), rows.dtype)
            below = levels[-1]
            merged[target[left]] = self._combine(below[left], below[left + 1])
            merged[target[alone]] = below[alone]
            levels.append(merged)
        return levels

    def _combine(self, first: Array, second: Array) -> Array:
        return arrays.product(self.problem, self.kernel.functions("combine"), first, second, self.threads, None)

    # -- backward -----------------------------------------------------------------------------------------------

    def backward(self, d_out: Array, log_sig: Array | None, paths: Paths, d_data: Array) -> None:
        """Gradients with respect to the points, into ``d_data``, which is laid out as ``paths.data``.

        ``d_out`` and ``log_sig``, the result of :meth:`forward` if it is known, are C-contiguous, ``(count, size)``.
        """
        for start, stop, part in self._in_parts(paths):
            known = None if log_sig is None else log_sig[start:stop]
            pieces = cut(part, self.problem.dimension)
            if pieces is None:
                self._call_backward(d_out[start:stop], self.forward(part) if known is None else known, part, d_data)
            else:
                self._backward_in_pieces(d_out[start:stop], pieces, d_data)

    def _backward_in_pieces(self, d_out: Array, pieces: Cut, d_data: Array) -> None:
        rows = np.empty((pieces.pieces.count, self.problem.size), d_out.dtype)
        self._call_forward(pieces.pieces, rows)
        levels = self._tree(rows, pieces.counts)
        gradient = d_out
        for below, (left, alone, target, _) in zip(levels[-2::-1], reversed(list(_levels(pieces.counts))), strict=True):
            lower = np.empty_like(below)
            lower[alone] = gradient[target[alone]]
            functions = self.kernel.functions("combine_backprop")
            operands = (gradient[target[left]], below[left], below[left + 1])
            lower[left], lower[left + 1] = arrays.product_backprop(functions, operands, self.threads, None)
            gradient = lower
        first = np.empty((pieces.pieces.count, self.problem.dimension), d_out.dtype)
        self._call_backward(gradient, rows, pieces.pieces, d_data, first)
        # A piece leaves the derivative of its first point to whoever knows that this is also another's last.
        flat = d_data.reshape(-1)
        starts, lengths = pieces.pieces.offsets(), pieces.pieces.points()
        position = _within(pieces.counts)[1]
        not_empty = lengths > 0
        for where, add in ((position == 0, False), (position > 0, True)):
            chosen = np.flatnonzero(where & not_empty)
            at = starts[chosen][:, None] + np.arange(self.problem.dimension)
            flat[at] = flat[at] + first[chosen] if add else first[chosen]

    def _call_backward(
        self, d_out: Array, log_sig: Array, paths: Paths, d_data: Array, d_first: Array | None = None
    ) -> None:
        if not paths.count:
            return
        function = function_for(self.kernel.functions(path_operation(self.state, backward=True)), d_data.dtype)
        size, dimension = self.problem.size, self.problem.dimension
        first = ffi.NULL if d_first is None else address(d_first)
        _check(
            function(
                *(address(d_out), size, address(log_sig), size),
                *paths.c_arguments(),
                *(address(d_data), paths.length * dimension, first, dimension),
                *(paths.count, self.threads),
            )
        )

    # -- streams ------------------------------------------------------------------------------------------------

    def stream(self, paths: Paths, initial: Array | None, out: Array | None = None) -> Array:
        """All expanding log-signatures, ``(count, length - 1, size)``; ``initial`` is ``(count, size)``."""
        size, steps = self.problem.size, max(paths.length - 1, 0)
        if out is None:
            out = np.empty((paths.count, steps, size), paths.data.dtype)
        if out.size:
            function = function_for(self.kernel.functions("stream"), out.dtype)
            before = ffi.NULL if initial is None else address(initial)
            arguments = (before, size, address(out), steps * size, paths.count, self.threads)
            _check(function(*paths.c_arguments(), *arguments))
        return out

    def stream_backward(
        self, d_out: Array, stream: Array, paths: Paths, initial: Array | None, d_data: Array
    ) -> Array | None:
        """Gradients of :meth:`stream`: into ``d_data``, and with respect to ``initial``."""
        size, steps = self.problem.size, max(paths.length - 1, 0)
        d_initial = None if initial is None else np.zeros_like(initial)
        if paths.count and steps:
            function = function_for(self.kernel.functions("stream_backprop"), d_out.dtype)
            before, d_before = (ffi.NULL if x is None else address(x) for x in (initial, d_initial))
            _check(
                function(
                    *(address(d_out), steps * size, address(stream), steps * size),
                    *paths.c_arguments(),
                    *(before, size, address(d_data), paths.length * self.problem.dimension, d_before, size),
                    *(paths.count, self.threads),
                )
            )
        return d_initial


def _levels(counts: Indices) -> Iterator[tuple[Indices, Indices, Indices, Indices]]:
    """The levels of the trees that merge so many neighbours each.

    Yields the rows that are merged with the next one, those that go up alone, the place of every row's result, and the
    number of rows each path has left.
    """
    while len(counts) and counts.max() > 1:
        owner, position = _within(counts)
        fewer = counts - counts // 2
        target = (np.cumsum(fewer) - fewer)[owner] + position // 2
        last = position + 1 == counts[owner]
        even = position % 2 == 0
        yield np.flatnonzero(even & ~last), np.flatnonzero(even & last), target, fewer
        counts = fewer


def _check(error: int) -> None:
    if error:
        raise MemoryError(NO_MEMORY)
