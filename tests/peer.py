"""pySigLib as the other opinion: each row on its own, from arrays of its own."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pysiglib

Array = np.ndarray[Any, np.dtype[Any]]


@cache
def prepare(dimension: int, degree: int) -> None:
    """What pySigLib wants to be called first, for all its methods."""
    for method in (1, 2, 3):
        pysiglib.prepare_log_sig(dimension, degree, method)


def join(log_sig: Array, displacement: Array, dimension: int, degree: int) -> Array:
    """``log_sig_join`` of broadcast arguments, one sample at a time."""
    prepare(dimension, degree)
    batch = np.broadcast_shapes(log_sig.shape[:-1], displacement.shape[:-1])
    result = np.empty((*batch, log_sig.shape[-1]), log_sig.dtype)
    left, right = np.broadcast_to(log_sig, result.shape), np.broadcast_to(displacement, (*batch, dimension))
    for index in np.ndindex(*batch):
        result[index] = pysiglib.log_sig_join(left[index].copy(), right[index].copy(), dimension, degree)
    return result


def join_backprop(
    d_out: Array, log_sig: Array, displacement: Array, dimension: int, degree: int
) -> tuple[Array, Array]:
    """``log_sig_join_backprop`` of broadcast arguments, added up per sample where an argument was shared."""
    prepare(dimension, degree)
    batch = np.broadcast_shapes(log_sig.shape[:-1], displacement.shape[:-1])
    width = log_sig.shape[-1]
    outs = np.broadcast_to(d_out, (*batch, width))
    left, right = np.broadcast_to(log_sig, (*batch, width)), np.broadcast_to(displacement, (*batch, dimension))
    results = np.zeros(log_sig.shape), np.zeros(displacement.shape)
    for index in np.ndindex(*batch):
        gradients = pysiglib.log_sig_join_backprop(
            outs[index].copy(), left[index].copy(), right[index].copy(), dimension, degree
        )
        for result, gradient in zip(results, gradients, strict=True):
            kept = index[len(index) - (result.ndim - 1) :]
            place = tuple(0 if length == 1 else i for i, length in zip(kept, result.shape, strict=False))
            result[place] += gradient
    return results[0].astype(log_sig.dtype), results[1].astype(log_sig.dtype)


def log_sig(path: Array, degree: int, method: int = 2) -> Array:
    """``log_sig`` of a batch of paths, in float64; zero for paths of length 0 and 1, which it refuses."""
    prepare(path.shape[-1], degree)
    if path.shape[-2] <= 1 or 0 in path.shape:
        size = pysiglib.log_sig_length(path.shape[-1], degree)
        return np.zeros((*path.shape[:-2], size))
    result: Array = pysiglib.log_sig(np.array(path, np.float64, order="C"), degree, method=method)
    return result


def log_sig_backprop(d_out: Array, path: Array, degree: int, method: int = 2) -> Array:
    """Gradient of ``log_sig`` (methods 1 and 2), as pySigLib's autograd computes it."""
    path, d_out = np.array(path, np.float64, order="C"), np.array(d_out, np.float64, order="C")
    prepare(path.shape[-1], degree)
    sig = pysiglib.sig(path, degree)
    d_sig = pysiglib.sig_to_log_sig_backprop(sig, d_out, path.shape[-1], degree, method=method)
    result: Array = pysiglib.sig_backprop(path, sig, d_sig, degree)
    return result
