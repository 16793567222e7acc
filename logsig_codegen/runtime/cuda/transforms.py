"""Transforms of paths on tensors, by torch's own operators: what :mod:`..transforms` does to arrays, bit for bit."""

from __future__ import annotations

import torch
from torch import Tensor

from logsig_codegen.runtime.transforms import Transform, check_transformed


def transform(path: Tensor, how: Transform, lengths: Tensor | None) -> Tensor:
    """Transformed paths, a new tensor.

    Parameters
    ----------
    path : tensor (..., length, dimension)
    how : Transform
        As for :func:`logsig_codegen.runtime.transforms.transform`.
    lengths : tensor of integers (...), or None
        On the same device: how many points of each path count.

    Returns
    -------
    tensor (..., new length, new dimension)
    """
    path = path.detach().resolve_neg()
    channels = [path]
    length = how.length(path.shape[-2])
    if how.lead_lag:
        twice = path[..., :, None, :].expand(*path.shape[:-1], 2, path.shape[-1]).flatten(-3, -2)
        channels = [twice[..., :length, :], twice[..., 1:, :]]
    if how.time_aug:
        times = _times(length, None if lengths is None else how.lengths(lengths), how.end_time, path).to(path.dtype)
        channels.append(times.expand(*path.shape[:-2], length)[..., None])
    return torch.cat(channels, dim=-1)


def _times(length: int, lengths: Tensor | None, end_time: float, like: Tensor) -> Tensor:
    """Times of the points, ``(length,)`` or ``(..., length)``; beyond the end of a path they stay at its last."""
    index = torch.arange(length, dtype=torch.float64, device=like.device)
    if lengths is None:
        return index * (end_time / max(length - 1, 1))
    steps = (lengths - 1).clamp(min=0).double()[..., None]
    # A number divided by a tensor would be the number times reciprocals, rounded twice.
    return torch.minimum(index, steps) * (torch.full_like(steps, end_time) / steps.clamp(min=1))


def transform_backprop(derivs: Tensor, how: Transform, lengths: Tensor | None) -> Tensor:
    """Derivatives with respect to the points of a path, ``(..., length, dimension)``, a new tensor.

    Raises
    ------
    ValueError
        If no path has such a transform.
    """
    check_transformed(derivs, how)
    derivs = derivs.detach().resolve_neg()
    dimension = derivs.shape[-1] - int(how.time_aug)
    if how.lead_lag:
        lag, lead = derivs[..., : dimension // 2], derivs[..., dimension // 2 : dimension]
        result = lag[..., ::2, :] + lead[..., ::2, :]
        result[..., : derivs.shape[-2] // 2, :] += lag[..., 1::2, :]
        result[..., 1:, :] += lead[..., 1::2, :]
    else:
        result = derivs[..., :dimension].clone(memory_format=torch.contiguous_format)
    if lengths is None:
        return result
    counts = torch.arange(result.shape[-2], device=result.device) < lengths[..., None]
    return torch.where(counts[..., None], result, torch.zeros_like(result))
