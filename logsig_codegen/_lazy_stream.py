"""Graphs of Dask for streams: the log-signatures of all beginnings of paths in several chunks along time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import dask.array as da
import numpy as np

from logsig_codegen import _chunks
from logsig_codegen._chunks import Array, Merge
from logsig_codegen._lazy import Chunked, Lazy

_ONE = np.zeros(1, np.intp)


@dataclass(frozen=True, eq=False)
class Streamed(Chunked):
    """The log-signatures of chunks are multiplied one after the other; a chunk's stream begins with such a product."""

    def _of_chunk(self, function: Callable[..., Array], chunk: int, shape: tuple[int, ...], *more: Any) -> Lazy:
        described, operands = self._operands(chunk)
        return self.blocks(partial(function, chunk=described), shape, *operands, *more)

    @cached_property
    def _before_chunks(self) -> list[Lazy]:
        """The log-signature of what comes before each chunk, ``(..., 1, size)``; ``None`` where that is nothing."""
        shape = 1, self.request.problem.size
        merge = Merge.of(_ONE, _ONE, self.request.problem, self.request.options.n_jobs)
        multiply = partial(_chunks.product, merge=merge)
        found = [None if self.before is None else self.before[..., None, :]]
        for chunk in range(len(self._starts) - 1):
            rows = self._of_chunk(_chunks.rows, chunk, shape, (None, 2))
            before = found[-1]
            found.append(rows if before is None else self.blocks(multiply, shape, (before, 2), (rows, 2)))
        return found

    @cached_property
    def _rows(self) -> list[slice]:
        """Which rows of the result are those of each chunk: one for each step."""
        scale = 2 if self.request.transform.lead_lag else 1
        ends = itertools.accumulate((scale * (points.shape[-2] - 1) for points in self._points), initial=0)
        return [slice(*pair) for pair in itertools.pairwise(ends)]

    def forward(self) -> Lazy:
        """The log-signatures."""
        found = []
        for chunk, (rows, before) in enumerate(zip(self._rows, self._before_chunks, strict=True)):
            shape = rows.stop - rows.start, self.request.problem.size
            found.append(self._in_coordinates(self._of_chunk(_chunks.stream, chunk, shape, (before, 2))))
        return da.concatenate(found, -2)

    def backward(self, d_out: Any) -> tuple[Lazy, Lazy]:
        """The gradients with respect to the points and, if there is one, ``initial``.

        What comes before a chunk is the last row of the chunk before: its derivatives are added to those of that row.
        """
        derivs, last, gradients = self._in_brackets(self.derivatives(d_out)), None, []
        for chunk in reversed(range(len(self._rows))):
            points, before = self._points[chunk].shape[-2:], self._before_chunks[chunk]
            more = (before, 2), (derivs[..., self._rows[chunk], :], 2), (last, 1)
            both = self._of_chunk(_chunks.stream_backprop, chunk, self.in_a_row(points, before), *more)
            d_points, last = self.from_a_row(both, points, before)
            gradients.append(d_points)
        return self._along_time(gradients[::-1]), None if last is None else self.d_initial(last)
