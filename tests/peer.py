"""pySigLib as the other opinion: each row on its own, from arrays of its own."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pysiglib

Array = np.ndarray[Any, np.dtype[Any]]


@cache
def _prepare(dimension: int, degree: int) -> None:
    pysiglib.prepare_log_sig(dimension, degree, 3)


def join(log_sig: Array, displacement: Array, dimension: int, degree: int) -> Array:
    """``log_sig_join`` of broadcast arguments, one sample at a time."""
    _prepare(dimension, degree)
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
    _prepare(dimension, degree)
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
