"""Transforms of paths on numpy arrays: time as a further channel, and lead-lag; with pySigLib's conventions.

Lead-lag makes ``2 length - 1`` points ``(lag, lead)`` of twice as many channels: ``(x0, x0), (x0, x1), (x1, x1), …``.
Time comes after it, as the last channel, in equal steps from 0 to ``end_time``. Both are linear up to the times, so
their derivatives are sums of the right channels.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from logsig_codegen.runtime.arrays import Array

Lengths = Any


def check_end_time(end_time: float) -> None:
    """Raise unless ``end_time`` is a finite real number.

    Raises
    ------
    TypeError
        For anything but a real number; a bool is none.
    ValueError
        For NaN and infinities.
    """
    if isinstance(end_time, (bool, np.bool_)) or not isinstance(end_time, numbers.Real):
        raise TypeError(f"end_time: expected a real number, got {type(end_time).__name__} {end_time!r}")
    if not math.isfinite(end_time):
        raise ValueError(f"end_time: expected a finite number, got {end_time}")


def transformed_shape(length: int, dimension: int, *, time_aug: bool, lead_lag: bool) -> tuple[int, int]:
    """Number of points and channels after the transforms."""
    if lead_lag:
        length, dimension = max(2 * length - 1, 0), 2 * dimension
    return length, dimension + (1 if time_aug else 0)


def transform_lengths(lengths: Lengths, lead_lag: bool) -> Lengths:
    """Numbers of points after the transforms."""
    return np.maximum(2 * lengths - 1, 0) if lead_lag else lengths


def transform(path: Array, *, time_aug: bool, lead_lag: bool, end_time: float, lengths: Lengths | None = None) -> Array:
    """Transformed paths.

    Parameters
    ----------
    path : array (..., length, dimension)
    time_aug, lead_lag : bool
    end_time : float
        Time of the last point; a path of one point has time 0.
    lengths : array of int (...), optional
        How many points of each path count: time reaches ``end_time`` at the last of them.

    Returns
    -------
    array (..., new length, new dimension)
    """
    length, dimension = path.shape[-2:]
    shape = transformed_shape(length, dimension, time_aug=time_aug, lead_lag=lead_lag)
    result = np.empty((*path.shape[:-2], *shape), path.dtype)
    if lead_lag:
        result[..., ::2, :dimension] = path
        result[..., 1::2, :dimension] = path[..., : max(length - 1, 0), :]
        result[..., ::2, dimension : 2 * dimension] = path
        result[..., 1::2, dimension : 2 * dimension] = path[..., 1:, :]
    else:
        result[..., :dimension] = path
    if time_aug:
        result[..., -1] = _times(shape[0], end_time, None if lengths is None else transform_lengths(lengths, lead_lag))
    return result


def _times(length: int, end_time: float, lengths: Lengths | None) -> Array:
    """Times of the points, ``(length,)`` or ``(..., length)``; beyond the end of a path they stay at its last."""
    index = np.arange(length, dtype=np.float64)
    if lengths is None:
        return index * (end_time / max(length - 1, 1))
    steps = np.maximum(np.asarray(lengths) - 1, 0)[..., None]
    times: Array = np.minimum(index, steps) * (end_time / np.maximum(steps, 1))
    return times


def transform_backprop(
    derivs: Array, *, time_aug: bool, lead_lag: bool, end_time: float = 1.0, lengths: Lengths | None = None
) -> Array:
    """Derivatives with respect to the points of a path.

    Parameters
    ----------
    derivs : array (..., new length, new dimension)
        Derivatives with respect to the transformed path.
    lengths : array of int (...), optional
        As for :func:`transform`; points that do not count get 0.

    Returns
    -------
    array (..., length, dimension)

    Raises
    ------
    ValueError
        If no path has such a transform.
    """
    del end_time  # times do not depend on the path
    check_transformed(derivs, time_aug=time_aug, lead_lag=lead_lag)
    length, dimension = derivs.shape[-2], derivs.shape[-1] - (1 if time_aug else 0)
    if not lead_lag:
        result = np.array(derivs[..., :dimension], order="C")
    else:
        lag, lead = derivs[..., : dimension // 2], derivs[..., dimension // 2 : dimension]
        result = np.add(lag[..., ::2, :], lead[..., ::2, :])
        result[..., : max(length // 2, 0), :] += lag[..., 1::2, :]
        result[..., 1:, :] += lead[..., 1::2, :]
    if lengths is not None:
        result[np.arange(result.shape[-2]) >= np.asarray(lengths)[..., None]] = 0
    return result


def check_transformed(derivs: Any, *, time_aug: bool, lead_lag: bool) -> None:
    """Raise ``ValueError`` unless an array or tensor has the shape of transformed paths."""
    length, dimension = derivs.shape[-2], derivs.shape[-1] - (1 if time_aug else 0)
    if dimension < (2 if lead_lag else 1) or (lead_lag and dimension % 2):
        kind = " and ".join(name for name, used in (("time_aug", time_aug), ("lead_lag", lead_lag)) if used)
        raise ValueError(f"derivs: expected the channels of a path with {kind}, got last dimension {derivs.shape[-1]}")
    if lead_lag and length and length % 2 == 0:
        raise ValueError(f"derivs: expected an odd number of points with lead_lag, got {length}")
