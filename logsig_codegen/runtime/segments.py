"""Degree one: the log-signature of a path is its end minus its start, and needs no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from logsig_codegen.runtime.arrays import Array, plain, sum_to
from logsig_codegen.runtime.request import PathRequest


class Segments:
    """One call: its paths, and for each row of the result the two points of which it is the difference."""

    def __init__(self, request: PathRequest, paths: Sequence[Array], initial: Array | None) -> None:
        self.request = request
        self.shapes = [path.shape for path in paths]
        self.initial = None if initial is None else plain(initial)
        dimension = request.problem.dimension
        flat = [path.reshape(-1, dimension) for path in paths]
        self.points = flat[0] if len(flat) == 1 else np.concatenate(flat)
        self.first, self.last, self.counts = self._ends([len(path) for path in paths])

    def _ends(self, each: Sequence[int]) -> tuple[Any, Any, Any]:
        """Places of the two points among all, of the shape of the rows, and whether there are two."""
        request, options = self.request, self.request.options
        starts: Any
        lengths: Any
        if request.ragged:
            lengths = np.asarray(each, np.intp)
            starts = np.cumsum(lengths) - lengths
        else:
            starts = np.arange(int(np.prod(request.batch, dtype=np.intp))).reshape(request.batch) * request.length
            lengths = np.full(request.batch, request.length, np.intp) if request.lengths is None else request.lengths
        first: Any = np.zeros((), np.intp)
        last: Any = lengths - 1
        if options.stream or options.windows is not None or request.intervals is not None:
            number, starts, last = np.arange(request.rows[-1]), starts[..., None], last[..., None]
            if request.intervals is not None:
                first = request.intervals[..., 0]
                last = np.minimum(last, request.intervals[..., 1])
            elif options.windows is None:
                last = np.minimum(last, number + 1)
            else:
                size, stride = options.windows
                first = number * stride
                last = np.minimum(last, first + size - 1)
        counts = np.broadcast_to(last > first, request.rows)
        return np.asarray(starts + np.where(counts, first, 0)), np.asarray(starts + np.where(counts, last, 0)), counts

    def forward(self, out: Array | None = None) -> Array:
        """The result; into ``out``, if given."""
        result = np.zeros((*self.request.rows, self.points.shape[-1]), self.points.dtype)
        result[self.counts] = self.points[self.last[self.counts]] - self.points[self.first[self.counts]]
        if self.initial is not None:
            before = self.initial[..., None, :] if self.request.options.stream else self.initial
            result = result + before
        if out is None:
            return result
        out[...] = result
        return out

    def backward(
        self, d_out: Array, known: Array | None = None, out: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Gradients with respect to each path and, last, ``initial`` if there is one; into ``out``, if given."""
        full = np.broadcast_to(d_out, self.request.shape)
        d_rows = self._summed(full, (*self.request.rows, full.shape[-1]))[self.counts]
        d_points = np.zeros_like(self.points)
        np.add.at(d_points, self.last[self.counts], d_rows)
        np.subtract.at(d_points, self.first[self.counts], d_rows)
        parts = np.split(d_points, np.cumsum([int(np.prod(shape[:-1])) for shape in self.shapes])[:-1])
        gradients = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        if self.initial is not None:
            d_before = self._summed(full, (*full.shape[:-2], 1, full.shape[-1]))[..., 0, :] if self._stream else full
            gradients.append(self._summed(d_before, self.initial.shape))
        if out is None:
            return tuple(gradients)
        for target, gradient in zip(out, gradients, strict=True):
            target[...] = gradient
        return out

    @property
    def _stream(self) -> bool:
        return self.request.options.stream

    @staticmethod
    def _summed(gradients: Array, shape: tuple[int, ...]) -> Array:
        """``gradients`` summed over what was broadcast from ``shape``."""
        if gradients.shape == shape:
            return gradients
        result = np.empty(shape, gradients.dtype)
        sum_to(gradients, result)
        return result
