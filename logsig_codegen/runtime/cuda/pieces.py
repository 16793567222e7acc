"""Long paths in pieces: log-signatures of the pieces, multiplied two by two, and the way back.

As on the CPU (``docs/decisions/0012-pieces-of-a-path.md``): a few long paths fill the device, and errors do not grow
along a path. The number of pieces depends on the length alone, so that results do not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from logsig_codegen.operations import WHOLE_STEPS
from logsig_codegen.runtime.cuda import calls
from logsig_codegen.runtime.cuda.calls import Tensor

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

MOST_PIECES = 64
ROOM = 1 << 26
"""Numbers of the log-signatures of pieces that are kept at a time, about."""


@dataclass(frozen=True)
class DevicePaths:
    """``count`` paths in one tensor.

    Attributes
    ----------
    data : tensor
        Holds the points of every path one after the other.
    stride : int
        Numbers from one path to the next, where ``starts`` is ``None``.
    count, length : int
        Paths; points of a path, the largest number of them where ``lengths`` is given.
    lengths, starts : tensors of ``count`` int64 on the device, or None
        Points of each path; number of its first element within ``data``.
    """

    data: Tensor
    stride: int
    count: int
    length: int
    lengths: Tensor | None = None
    starts: Tensor | None = None

    def offsets(self) -> Tensor:
        """First element of each path."""
        if self.starts is not None:
            return self.starts
        return torch.arange(self.count, device=self.data.device) * self.stride

    def arguments(self) -> tuple[int, ...]:
        """Arguments of a kernel from ``path`` to ``starts``."""
        indices = (0 if x is None else x.data_ptr() for x in (self.lengths, self.starts))
        return (self.data.data_ptr(), self.stride, self.length, *indices)

    def some(self, first: int, end: int) -> DevicePaths:
        """Paths ``first`` to ``end - 1``."""
        lengths = None if self.lengths is None else self.lengths[first:end]
        return replace(self, count=end - first, lengths=lengths, starts=self.offsets()[first:end])

    def pieces(self, count: int, dimension: int) -> DevicePaths:
        """Every path cut into ``count`` pieces; neighbours share a point, and pieces of short paths may be a point."""
        cuts = torch.arange(count + 1, device=self.data.device)
        if self.lengths is None:
            bounds = ((self.length - 1) * cuts // count).expand(self.count, -1)
        else:
            bounds = (self.lengths - 1).clamp(min=0)[:, None] * cuts // count
        starts = self.offsets()[:, None] + bounds[:, :-1] * dimension
        points = bounds[:, 1:] - bounds[:, :-1] + 1
        longest = -(-(self.length - 1) // count) + 1
        return DevicePaths(self.data, 0, self.count * count, longest, points.reshape(-1), starts.reshape(-1))


def piece_count(length: int) -> int:
    """Pieces that paths of up to ``length`` points are cut into: a power of two."""
    pieces = 1
    while pieces < MOST_PIECES and length - 1 >= pieces * WHOLE_STEPS:
        pieces *= 2
    return pieces


def log_sig(kernel: LoadedKernel, state: str, paths: DevicePaths) -> Tensor:
    """Log-signatures, ``(count, size)``."""
    out = paths.data.new_empty((paths.count, kernel.size))
    pieces = piece_count(paths.length)
    if pieces == 1:
        _whole(kernel, state, paths, out)
        return out
    for first, end in _portions(paths.count, 2 * pieces * kernel.size):
        levels = _levels(kernel, state, paths.some(first, end), pieces)
        out[first:end] = levels[-1][:, 0]
    return out


def _portions(count: int, numbers: int) -> Iterator[tuple[int, int]]:
    """Ranges of paths whose pieces, ``numbers`` for each path, fit :data:`ROOM`."""
    step = max(1, ROOM // numbers)
    for first in range(0, count, step):
        yield first, min(first + step, count)


def _whole(kernel: LoadedKernel, state: str, paths: DevicePaths, out: Tensor) -> None:
    if paths.count:
        arguments = (*paths.arguments(), out.data_ptr(), kernel.size)
        calls.launch_along(kernel, state, out, paths.count, arguments)


def _levels(kernel: LoadedKernel, state: str, paths: DevicePaths, pieces: int) -> list[Tensor]:
    """Log-signatures of the pieces, of pairs of them, and so on: ``(count, pieces, size)``, …, ``(count, 1, size)``."""
    rows = paths.data.new_empty((paths.count, pieces, kernel.size))
    _whole(kernel, state, paths.pieces(pieces, kernel.dimension), rows)
    levels = [rows]
    while rows.shape[1] > 1:
        rows = calls.product(kernel, "combine", rows[:, 0::2], rows[:, 1::2])
        levels.append(rows)
    return levels


def log_sig_backprop(
    kernel: LoadedKernel,
    state: str,
    d_out: Tensor,
    known: Tensor | None,
    paths: DevicePaths,
    d_data: Tensor,
    d_stride: int,
) -> None:
    """Gradients with respect to the points, into ``d_data``, which holds zeros and is laid out as ``paths.data``.

    ``known`` are the log-signatures, where the caller has them; paths in pieces do without.
    """
    if not paths.count:
        return
    pieces = piece_count(paths.length)
    if pieces == 1:
        result = log_sig(kernel, state, paths) if known is None else known
        _whole_backprop(kernel, state, d_out, result, paths, d_data, d_stride, None)
        return
    for first, end in _portions(paths.count, 4 * pieces * kernel.size):
        _pieces_backprop(kernel, state, d_out[first:end], paths.some(first, end), pieces, d_data)


def _whole_backprop(
    kernel: LoadedKernel,
    state: str,
    d_out: Tensor,
    result: Tensor,
    paths: DevicePaths,
    d_data: Tensor,
    d_stride: int,
    d_first: Tensor | None,
) -> None:
    rows = (d_out.data_ptr(), kernel.size, result.data_ptr(), kernel.size)
    derivatives = (d_data.data_ptr(), d_stride, 0 if d_first is None else d_first.data_ptr())
    arguments = (*rows, *paths.arguments(), *derivatives)
    calls.launch_along(kernel, state, d_data, paths.count, arguments, backward=True)


def _pieces_backprop(
    kernel: LoadedKernel, state: str, d_out: Tensor, paths: DevicePaths, pieces: int, d_data: Tensor
) -> None:
    levels = _levels(kernel, state, paths, pieces)
    d_rows = d_out[:, None]
    for rows in reversed(levels[:-1]):
        d_pieces = torch.empty_like(rows)
        batch = (rows.shape[0], rows.shape[1] // 2)
        inputs = (d_rows, rows[:, 0::2], rows[:, 1::2])
        calls.start(kernel, "combine_backprop", batch, inputs, (d_pieces[:, 0::2], d_pieces[:, 1::2]))
        d_rows = d_pieces
    cut = paths.pieces(pieces, kernel.dimension)
    d_first = d_data.new_zeros((cut.count, kernel.dimension))
    _whole_backprop(kernel, state, d_rows, levels[0], cut, d_data, 0, d_first)
    if d_data.numel():
        # The last point of a piece is the first of the next one. Of pieces that are one point, all but one add zero.
        places = cut.offsets()[:, None] + torch.arange(kernel.dimension, device=d_data.device)
        d_data.view(-1).index_add_(0, places.clamp(max=d_data.numel() - 1).reshape(-1), d_first.reshape(-1))
