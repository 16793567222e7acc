"""Log-signatures of intervals of paths on a GPU: rows that begin anywhere, with numbers of points of their own.

Forward they are walked where they lie. Backward their points are copied, some intervals at a time, so that each has
derivatives of its own, which are then added in a fixed order. Nothing waits for the device: an interval that only the
device knows is taken to be as long as a path may be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from logsig_codegen.runtime.coordinates import log_sig_size
from logsig_codegen.runtime.cuda import paths
from logsig_codegen.runtime.cuda.lengths import to_device
from logsig_codegen.runtime.request import PathRequest
from logsig_codegen.runtime.torch_ops import private

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

ROOM = 1 << 24
"""Numbers of copied points, about: as many intervals at a time."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Intervals of all paths, one after the other.

    Attributes
    ----------
    first, counts : tensors of int64, shape (number of intervals,)
        The first point of each, counted through all paths; how many points it has.
    longest : int
        Points, at most.
    """

    first: Tensor
    counts: Tensor
    longest: int


def _rows(request: PathRequest, path: Tensor) -> _Rows:
    pairs, batch, length = request.intervals, tuple(path.shape[:-2]), path.shape[-2]
    longest = length
    if isinstance(pairs, np.ndarray):
        longest = int((pairs[..., 1] - pairs[..., 0] + 1).max(initial=0))
        pairs = to_device(torch.from_numpy(pairs), path.device)
    else:
        pairs = pairs.to(torch.int64)
        first, last = pairs[..., 0], pairs[..., 1]
        right = (first >= 0).logical_and(last < length).logical_and(last >= first - 1)
        private.assert_async(right.all(), "intervals: expected pairs of points, 0 <= first <= last + 1 <= length")
    pairs = pairs.expand(*batch, *pairs.shape[-2:])
    path_of = torch.arange(prod(batch), device=path.device).reshape(*batch, 1) * length
    counts = (pairs[..., 1] - pairs[..., 0] + 1).reshape(-1)
    first = (pairs[..., 0] + path_of).reshape(-1)
    return _Rows(torch.where(counts > 0, first, torch.zeros_like(first)), counts, longest)


def log_sig(kernel: LoadedKernel, request: PathRequest, path: Tensor) -> Tensor:
    """The result of a request with intervals."""
    rows, dimension = _rows(request, path), path.shape[-1]
    laid_out = paths.DevicePaths(
        path.detach().resolve_neg().contiguous(), 0, len(rows.first), rows.longest, rows.counts, rows.first * dimension
    )
    return paths.PathCall(kernel, request, 1, laid_out).forward(path)


def log_sig_backprop(
    kernel: LoadedKernel, request: PathRequest, d_out: Tensor, result: Tensor | None, path: Tensor
) -> Tensor:
    """Derivatives with respect to the points."""
    rows, points = _rows(request, path), path.detach().resolve_neg().reshape(-1, path.shape[-1])
    width = log_sig_size(request.problem, request.options.method)
    d_rows = d_out.detach().expand(request.shape).reshape(-1, width)
    known = None if result is None else result.detach().reshape(-1, width)
    d_path = torch.zeros_like(points, memory_format=torch.contiguous_format)
    step = max(1, ROOM // max(1, rows.longest * points.shape[-1]))
    for start in range(0, len(rows.first) if len(points) else 0, step):
        some = slice(start, start + step)
        counts = rows.counts[some]
        places = rows.first[some, None] + torch.arange(rows.longest, device=path.device)
        places = places.clamp(max=len(points) - 1)
        items = (len(counts),)
        part = replace(
            request, intervals=None, batch=items, length=rows.longest, lengths=counts, rows=items, shape=(*items, width)
        )
        one = None if known is None else known[some]
        (d_points,) = paths.PathCall(kernel, part, 1).backward(d_rows[some], one, points[places])
        d_path.index_put_((places.reshape(-1),), d_points.reshape(-1, points.shape[-1]), accumulate=True)
    return d_path.reshape(path.shape)
