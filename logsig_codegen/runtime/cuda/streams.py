"""All expanding log-signatures on a GPU, forward and backward: one launch, or, for problems too large, one per step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from logsig_codegen.runtime.cuda import calls
from logsig_codegen.runtime.cuda.calls import Tensor
from logsig_codegen.runtime.cuda.pieces import DevicePaths

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

Rows = tuple[Tensor, int]
"""A row per path, and the distance between them: 0 for one row for all."""


def stream(kernel: LoadedKernel, paths: DevicePaths, initial: Rows | None) -> Tensor:
    """Log-signatures of what ``initial`` and the first points of every path make, ``(count, length - 1, size)``.

    Rows beyond the end of a path repeat its last one.
    """
    size, steps = kernel.size, max(paths.length - 1, 0)
    out = paths.data.new_empty((paths.count, steps, size))
    if not paths.count or not steps:
        return out
    if calls.available(kernel, "stream", out):
        arguments = (*paths.arguments(), *_pointer(initial), out.data_ptr(), steps * size)
        calls.launch(kernel, "stream", out, paths.count, arguments)
    else:
        _joins(kernel, paths, initial, out)
    return out


def stream_backprop(
    kernel: LoadedKernel, d_out: Tensor, rows: Tensor, paths: DevicePaths, initial: Rows | None, d_data: Tensor
) -> Tensor | None:
    """Gradients of :func:`stream`, of which ``rows`` is the result.

    Parameters
    ----------
    d_out, rows : tensors (count, length - 1, size), without gaps
    d_data : tensor
        Receives the gradient with respect to the points; holds zeros, and is laid out as ``paths.data``, without gaps.

    Returns
    -------
    tensor (count, size), or None
        The gradient with respect to ``initial``, before what was broadcast is summed over; ``None`` without it.
    """
    size, steps = kernel.size, max(paths.length - 1, 0)
    d_initial = None if initial is None else d_data.new_zeros((paths.count, size))
    if not paths.count or not steps:
        return d_initial
    if not calls.available(kernel, "stream_backprop", rows):
        d_before = _joins_backward(kernel, d_out, rows, paths, initial, d_data)
        return None if initial is None else d_before
    known = (d_out.data_ptr(), steps * size, rows.data_ptr(), steps * size)
    points = (*paths.arguments(), *_pointer(initial), d_data.data_ptr(), paths.length * kernel.dimension)
    result = (0 if d_initial is None else d_initial.data_ptr(), size)
    calls.launch(kernel, "stream_backprop", rows, paths.count, (*known, *points, *result))
    return d_initial


def _pointer(initial: Rows | None) -> tuple[int, int]:
    return (0, 0) if initial is None else (initial[0].data_ptr(), initial[1])


# ---- a launch per step --------------------------------------------------------------------------------------------


def _places(paths: DevicePaths, dimension: int) -> Tensor:
    """Where in the data the numbers of every path are, as far as ``length`` goes: (count, length * dimension)."""
    numbers = torch.arange(paths.length * dimension, device=paths.data.device)
    return (paths.offsets()[:, None] + numbers).clamp(max=max(paths.data.numel() - 1, 0))


def _counted(paths: DevicePaths) -> Tensor | None:
    """Which steps there are, (count, length - 1, 1); ``None`` if all are."""
    if paths.lengths is None:
        return None
    ends = torch.arange(1, paths.length, device=paths.data.device)
    return (ends < paths.lengths[:, None])[:, :, None]


def _displacements(paths: DevicePaths, dimension: int) -> Tensor:
    """(count, length - 1, dimension): zero beyond the end of a path."""
    shape = (paths.count, paths.length, dimension)
    if paths.starts is None:
        points = paths.data.as_strided(shape, (paths.stride, dimension, 1))
    else:
        points = paths.data.reshape(-1)[_places(paths, dimension)].reshape(shape)
    steps, counted = points[:, 1:] - points[:, :-1], _counted(paths)
    return steps if counted is None else torch.where(counted, steps, 0)


def _before(kernel: LoadedKernel, paths: DevicePaths, initial: Rows | None) -> Tensor:
    """What came before the first step, (count, size)."""
    if initial is None:
        return paths.data.new_zeros((paths.count, kernel.size))
    rows, stride = initial
    return rows.as_strided((paths.count, kernel.size), (stride, 1))


def _joins(kernel: LoadedKernel, paths: DevicePaths, initial: Rows | None, out: Tensor) -> None:
    displacements, last = _displacements(paths, kernel.dimension), _before(kernel, paths, initial)
    for t in range(out.shape[1]):
        calls.start(kernel, "join", (paths.count,), (last, displacements[:, t]), (out[:, t],))
        last = out[:, t]


def _joins_backward(
    kernel: LoadedKernel, d_out: Tensor, rows: Tensor, paths: DevicePaths, initial: Rows | None, d_data: Tensor
) -> Tensor:
    """Fills ``d_data``; the derivative with respect to what came before."""
    displacements, before = _displacements(paths, kernel.dimension), _before(kernel, paths, initial)
    d_last, d_steps = torch.zeros_like(before), torch.empty_like(displacements)
    for t in reversed(range(rows.shape[1])):
        d_row = d_last + d_out[:, t]
        d_last = torch.empty_like(d_row)
        inputs = (d_row, rows[:, t - 1] if t else before, displacements[:, t])
        calls.start(kernel, "join_backprop", (paths.count,), inputs, (d_last, d_steps[:, t]))
    counted = _counted(paths)
    if counted is not None:
        d_steps = torch.where(counted, d_steps, 0)
    d_points = d_data.new_zeros((paths.count, paths.length, kernel.dimension))
    d_points[:, 1:] += d_steps
    d_points[:, :-1] -= d_steps
    if paths.starts is None:
        d_data.view_as(d_points).copy_(d_points)
    elif d_data.numel():  # what lies beyond the end of a path is zero, and is added to another's points
        d_data.view(-1).index_add_(0, _places(paths, kernel.dimension).reshape(-1), d_points.reshape(-1))
    return d_last
