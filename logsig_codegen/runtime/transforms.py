"""Transforms of paths on numpy arrays: time as a further channel, and lead-lag; with pySigLib's conventions.

What is done about missing values is said here as well, and done in :mod:`..interpolation`.

Lead-lag makes ``2 length - 1`` points ``(lag, lead)`` of twice as many channels: ``(x0, x0), (x0, x1), (x1, x1), …``.
Time comes after it, as the last channel, in equal steps from 0 to ``end_time``. Both are linear up to the times, so
their derivatives are sums of the right channels.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from logsig_codegen.errors import shown
from logsig_codegen.runtime.arrays import Array
from logsig_codegen.runtime.checks import check_bool, namespace

Lengths = Any


@dataclass(frozen=True)
class Transform:
    """What is done to paths first, in normal form; hashable.

    Attributes
    ----------
    time_aug : bool
        Time is added, as the last channel.
    lead_lag : bool
        The path is replaced by its lead-lag transform, lag channels first.
    end_time : float
        Time of the last point.
    missing : {"raise", "linear", "forward"} or None
        What is done about values that are NaN, before everything else; ``None``: nothing.
    count_observations : bool
        For each channel another one is added that counts its observations, before everything else.

    Raises
    ------
    TypeError
        For flags that are none, and an ``end_time`` that is no real number.
    ValueError
        For an ``end_time`` that is not finite, another ``missing``, and counts where nothing may be missing.
    """

    time_aug: bool = False
    lead_lag: bool = False
    end_time: float = 1.0
    missing: str | None = None
    count_observations: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_aug", check_bool("time_aug", self.time_aug))
        object.__setattr__(self, "lead_lag", check_bool("lead_lag", self.lead_lag))
        object.__setattr__(self, "end_time", finite_number("end_time", self.end_time))
        object.__setattr__(self, "missing", _check_missing(self.missing))
        object.__setattr__(self, "count_observations", check_bool("count_observations", self.count_observations))
        if self.count_observations and self.missing not in FILLING:
            raise ValueError(f"count_observations: expected missing='linear' or 'forward', got {self.missing!r}")

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.time_aug or self.lead_lag or self.missing is not None

    @property
    def arguments(self) -> tuple[bool, bool, float]:
        """The first three values, as the torch operator takes them."""
        return self.time_aug, self.lead_lag, self.end_time

    def channels(self, dimension: int) -> int:
        """Number of channels after it."""
        return self.augmented(2 * dimension if self.count_observations else dimension)

    def augmented(self, dimension: int) -> int:
        """Number of channels after lead-lag and time."""
        return (2 * dimension if self.lead_lag else dimension) + (1 if self.time_aug else 0)

    def length(self, length: int) -> int:
        """Number of points after it."""
        return max(2 * length - 1, 0) if self.lead_lag else length

    def lengths(self, lengths: Lengths) -> Lengths:
        """Numbers of points after it, of an array or a tensor."""
        return (2 * lengths - 1).clip(0) if self.lead_lag else lengths


FILLING = ("linear", "forward")
"""Ways to fill in what is missing."""


def _check_missing(missing: Any) -> str | None:
    if missing is None or (isinstance(missing, str) and missing in ("raise", *FILLING)):
        return None if missing is None else str(missing)
    raise ValueError(f"missing: expected None, 'raise', 'linear' or 'forward', got {shown(missing)}")


def finite_number(name: str, value: Any) -> float:
    """Return a real number as a float; raises ``TypeError`` or ``ValueError`` for anything else."""
    if not isinstance(value, (int, float)):  # these are asked first, for torch may be tracing
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name}: expected a real number, got {type(value).__name__} {shown(value)}")
    elif isinstance(value, bool):
        raise TypeError(f"{name}: expected a real number, got bool {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not -math.inf < number < math.inf:
        raise ValueError(f"{name}: expected a finite number, got {number}")
    return number


UNCHANGED = Transform()
"""Nothing is done to the paths."""


def filled(missing: Any) -> Transform:
    """Nothing but what is done about missing values."""
    return UNCHANGED if missing is None else Transform(missing=missing)


def transform(path: Array, how: Transform, lengths: Lengths | None = None, times: Array | None = None) -> Array:
    """Transformed paths, but for missing values.

    Parameters
    ----------
    path : array (..., length, dimension)
    how : Transform
        A path of one point has time 0.
    lengths : array of int (...), optional
        How many points of each path count: time reaches ``end_time`` at the last of them.
    times : array (new length,) or (..., new length), optional
        Times of the transformed path instead of those; see :func:`later`.

    Returns
    -------
    array (..., new length, new dimension)
    """
    length, dimension = path.shape[-2:]
    points = how.length(length)
    result = np.empty((*path.shape[:-2], points, how.augmented(dimension)), path.dtype)
    if how.lead_lag:
        result[..., ::2, :dimension] = path
        result[..., 1::2, :dimension] = path[..., : max(length - 1, 0), :]
        result[..., ::2, dimension : 2 * dimension] = path
        result[..., 1::2, dimension : 2 * dimension] = path[..., 1:, :]
    else:
        result[..., :dimension] = path
    if how.time_aug and times is not None:
        result[..., -1] = times
    elif how.time_aug:
        result[..., -1] = equal_steps(points, how.end_time, None if lengths is None else how.lengths(lengths))
    return result


def later(times: Array, how: Transform) -> Array:
    """Times after the transform: a point of lead-lag's between two others is halfway between them in time."""
    if not how.lead_lag:
        return times
    xp, last = namespace(times), times[..., -1:]
    pairs = xp.stack([times[..., :-1], (times[..., 1:] + times[..., :-1]) / 2], -1)
    both: Array = xp.concatenate([pairs.reshape(*last.shape[:-1], 2 * pairs.shape[-2]), last], -1)
    return both


def equal_steps(length: int, end_time: float, lengths: Lengths | None) -> Array:
    """Times of the points, ``(length,)`` or ``(..., length)``; beyond the end of a path they stay at its last."""
    xp, index = namespace(lengths), np.arange(length, dtype=np.float64)
    if lengths is None:
        return index * (end_time / max(length - 1, 1))
    steps = xp.maximum(lengths - 1, 0)[..., None]
    times: Array = xp.minimum(index, steps) * (end_time / xp.maximum(steps, 1))
    return times


def transform_backprop(derivs: Array, how: Transform, lengths: Lengths | None = None) -> Array:
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
    check_transformed(derivs, how)
    length, dimension = derivs.shape[-2], derivs.shape[-1] - int(how.time_aug)
    if not how.lead_lag:
        result = np.array(derivs[..., :dimension], order="C")
    else:
        lag, lead = derivs[..., : dimension // 2], derivs[..., dimension // 2 : dimension]
        result = np.add(lag[..., ::2, :], lead[..., ::2, :])
        result[..., : max(length // 2, 0), :] += lag[..., 1::2, :]
        result[..., 1:, :] += lead[..., 1::2, :]
    if lengths is not None:
        result[np.arange(result.shape[-2]) >= np.asarray(lengths)[..., None]] = 0
    return result


def points(displacements: Any, shape: tuple[int, ...]) -> Any:
    """The points of paths, from the origin on, whose steps are given, numpy's or JAX's, of some leading shape."""
    xp = namespace(displacements)
    start = xp.zeros((*displacements.shape[:-2], 1, displacements.shape[-1]), displacements.dtype)
    found = xp.concatenate([start, xp.cumsum(displacements, axis=-2)], axis=-2)
    return xp.broadcast_to(found, (*shape, *found.shape[-2:]))


def points_backprop(derivs: Any) -> Any:
    """The gradient of the steps, from that of the points."""
    return np.cumsum(derivs[..., :0:-1, :], axis=-2)[..., ::-1, :]


def check_transformed(derivs: Any, how: Transform) -> None:
    """Raise ``ValueError`` unless an array or tensor has the shape of transformed paths."""
    length, dimension = derivs.shape[-2], derivs.shape[-1] - int(how.time_aug)
    if dimension < (2 if how.lead_lag else 1) or (how.lead_lag and dimension % 2):
        kind = " and ".join(name for name in ("time_aug", "lead_lag") if getattr(how, name))
        raise ValueError(f"derivs: expected the channels of a path with {kind}, got last dimension {derivs.shape[-1]}")
    if how.lead_lag and length and length % 2 == 0:
        raise ValueError(f"derivs: expected an odd number of points with lead_lag, got {length}")
