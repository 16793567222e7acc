"""Whole paths and streams, made of operations on rows; displacements in, log-signatures out, and back.

A path is cut into segments of at most ``SEGMENT`` steps. Within a segment, and then among segments, neighbours are
multiplied in a tree: few operations on many rows, which is what an interpreter is good at. Steps of zero change no
product, so shorter paths are filled up with them. Memory is that of the points, and of one log-signature per segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from logsig_codegen.runtime.interpreted.programs import NUMBERS, Array, Programs

SEGMENT = 64
"""Steps of a segment, a power of two."""


@dataclass(frozen=True)
class Walks:
    """Log-signatures of the paths of one problem."""

    programs: Programs

    # -- whole paths ------------------------------------------------------------------------------------------------

    def forward(self, steps: Array) -> Array:
        """Log-signatures ``(paths, size)`` of displacements ``(paths, steps, dimension)``."""
        return self._tree(self._segments(_cut(steps)))[-1][:, 0]

    def backward(self, steps: Array, d_out: Array) -> Array:
        """Derivatives by the displacements of ``<d_out, forward(steps)>``."""
        cut = _cut(steps)
        levels = self._tree(self._segments(cut))
        d_segments = self._tree_back(levels, d_out[:, None])[:, : cut.shape[1]]
        rows, forms = cut.reshape(-1, *cut.shape[2:]), d_segments.reshape(-1, d_segments.shape[-1])
        d_steps = np.empty_like(rows)
        for part in self._parts(rows):
            leaves = self._leaves(rows[part])
            d_leaves = self._tree_back(self._tree(leaves), forms[part][:, None])[:, : leaves.shape[1]]
            d_steps[part] = self._leaves_back(rows[part], d_leaves)
        return d_steps.reshape(len(steps), -1, steps.shape[-1])[:, : steps.shape[1]]

    def _parts(self, rows: Array) -> Iterator[slice]:
        """So many segments at a time that the rows of a tree take about ``NUMBERS`` numbers."""
        count = max(1, NUMBERS // (rows.shape[1] * self.programs.problem.size))
        return (slice(start, start + count) for start in range(0, len(rows), count))

    def _segments(self, cut: Array) -> Array:
        """Log-signatures ``(paths, segments, size)`` of displacements ``(paths, segments, steps, dimension)``."""
        rows = cut.reshape(-1, *cut.shape[2:])
        found = np.empty((len(rows), self.programs.problem.size), cut.dtype)
        for part in self._parts(rows):
            found[part] = self._tree(self._leaves(rows[part]))[-1][:, 0]
        return found.reshape(*cut.shape[:2], -1)

    def _leaves(self, steps: Array) -> Array:
        """Pairs of neighbouring steps, joined: ``(paths, steps / 2, size)``."""
        (leaves,) = self._rows("join", self.lifted(steps[:, 0::2]), steps[:, 1::2])
        return leaves

    def _leaves_back(self, steps: Array, d_leaves: Array) -> Array:
        d_lifted, d_second = self._rows("join_backprop", d_leaves, self.lifted(steps[:, 0::2]), steps[:, 1::2])
        d_steps = np.empty_like(steps)
        d_steps[:, 0::2], d_steps[:, 1::2] = d_lifted[..., : steps.shape[-1]], d_second
        return d_steps

    def _tree(self, rows: Array) -> list[Array]:
        """Products of neighbours, their products, and so on, down to one; all levels but the last have even numbers."""
        levels = [rows]
        while rows.shape[1] > 1:
            levels[-1] = rows = _filled(rows, rows.shape[1] + rows.shape[1] % 2)
            rows = self._rows("combine", rows[:, 0::2], rows[:, 1::2])[0]
            levels.append(rows)
        return levels

    def _tree_back(self, levels: list[Array], d_last: Array) -> Array:
        """Derivatives by the rows of the first level."""
        for rows in reversed(levels[:-1]):
            d_rows = np.empty_like(rows)
            d_last = d_last[:, : rows.shape[1] // 2]
            d_rows[:, 0::2], d_rows[:, 1::2] = self._rows("combine_backprop", d_last, rows[:, 0::2], rows[:, 1::2])
            d_last = d_rows
        return d_last

    # -- streams ----------------------------------------------------------------------------------------------------

    def stream(self, steps: Array, initial: Array) -> Array:
        """All expanding log-signatures ``(paths, steps, size)``; ``initial (paths, size)``: what came before."""
        found = np.empty((*steps.shape[:2], self.programs.problem.size), steps.dtype)
        state = initial
        for t in range(steps.shape[1]):
            (state,) = self.programs.run("join", state, steps[:, t])
            found[:, t] = state
        return found

    def stream_back(self, steps: Array, initial: Array, found: Array, d_out: Array) -> tuple[Array, Array]:
        """Derivatives by the displacements and by ``initial`` of ``<d_out, stream(steps, initial)>``."""
        d_steps, d_state = np.empty_like(steps), np.zeros_like(initial)
        for t in reversed(range(steps.shape[1])):
            before = found[:, t - 1] if t else initial
            d_state, d_steps[:, t] = self.programs.run("join_backprop", d_state + d_out[:, t], before, steps[:, t])
        return d_steps, d_state

    # -- rows -------------------------------------------------------------------------------------------------------

    def lifted(self, steps: Array) -> Array:
        """Displacements as log-signatures: their coordinates of degree one."""
        found = np.zeros((*steps.shape[:-1], self.programs.problem.size), steps.dtype)
        found[..., : steps.shape[-1]] = steps
        return found

    def _rows(self, operation: str, *operands: Array) -> tuple[Array, ...]:
        """An operation on operands ``(paths, rows, columns)``."""
        flat = (one.reshape(-1, one.shape[-1]) for one in operands)
        return tuple(one.reshape(*operands[0].shape[:2], -1) for one in self.programs.run(operation, *flat))


def _filled(rows: Array, count: int) -> Array:
    """Zeros behind the rows ``(paths, rows, columns)`` of each path, up to ``count`` of them."""
    missing = count - rows.shape[1]
    return np.pad(rows, [(0, 0), (0, missing), (0, 0)]) if missing else rows


def _cut(steps: Array) -> Array:
    """Displacements as ``(paths, segments, steps of a segment, dimension)``; an even number of steps, at least two."""
    paths, count, dimension = steps.shape
    length = min(SEGMENT, max(2, count + count % 2))
    segments = max(1, -(-count // length))
    return _filled(steps, segments * length).reshape(paths, segments, length, dimension)
