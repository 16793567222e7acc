"""Parts of paths whose log-signatures are asked for: windows, intervals of points, intervals of time.

Here is what users write, in normal form, and every check of the numbers in it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from logsig_codegen.errors import shown
from logsig_codegen.problem import check_positive_integer
from logsig_codegen.runtime.checks import dtype_name, is_traced, known, namespace

Shape = tuple[int, ...]
SLACK = 1e-6
"""A window of time that lacks less than this part of a step at the end of a path is taken to fit."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Arrays that say which parts of paths are meant; windows in points are plain options.

    Attributes
    ----------
    intervals : integers, or real numbers with ``times``, shape (W, 2) or (..., W, 2); or None
        First and last point, or beginning and end, of each.
    times : real numbers, shape (length,) or (..., length), list of them for a list of paths; or None
        Strictly increasing.
    durations : (duration, step) or None
        Windows in units of time.
    """

    intervals: Any = None
    times: Any = None
    durations: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self.intervals is not None or self.times is not None


WHOLE = Parts()
"""Nothing is said."""


def asked(windows: Any, intervals: Any, times: Any) -> list[tuple[tuple[int, int] | None, Parts]]:
    """Windows in points, and the parts, of each of the calls that these arguments ask for.

    Raises
    ------
    ValueError
        For ``windows`` beside ``intervals``, and an empty list of windows.
    """
    if windows is not None and intervals is not None:
        raise ValueError("windows: expected None with intervals")
    each = windows if is_several(windows) else [windows]
    if windows is None or times is None:
        return [(one, Parts(intervals, times)) for one in each]
    return [(None, Parts(None, times, check_durations(one))) for one in each]


def for_each(windows: Any, intervals: Any, times: Any, out: Any, call: Callable[[Any, Parts], Any]) -> Any:
    """The result of ``call(windows, parts)``, or a list of them for a list of windows."""
    if (
        intervals is None
        and times is None
        and (windows is None or (type(windows) is tuple and windows and type(windows[0]) is int))
    ):
        return call(windows, WHOLE)
    several = is_several(windows)
    if several:
        _check_no_out(out)
    found = [call(*one) for one in asked(windows, intervals, times)]
    return found if several else found[0]


def sum_over_each(
    d_out: Any, windows: Any, intervals: Any, times: Any, out: Any, call: Callable[[Any, Any, Parts], Any]
) -> Any:
    """The gradients ``call(d_out, windows, parts)``, or for a list of windows, and of ``d_out``, their sum."""
    if not is_several(windows):
        return for_each(windows, intervals, times, out, lambda one, parts: call(d_out, one, parts))
    _check_no_out(out)
    each = asked(windows, intervals, times)
    if not isinstance(d_out, (list, tuple)) or len(d_out) != len(each):
        raise ValueError(f"d_out: expected a list of {len(each)} arrays, one for each of windows")
    gradients = [call(form, *one) for form, one in zip(d_out, each, strict=True)]
    if not isinstance(gradients[0], list):
        return sum(gradients[1:], start=gradients[0])
    return [sum(parts[1:], start=parts[0]) for parts in zip(*gradients, strict=True)]


def _check_no_out(out: Any) -> None:
    if out is not None:
        raise ValueError("out: expected None with a list of windows")


def is_several(windows: Any) -> bool:
    """Whether a list of windows was given, not one pair."""
    if isinstance(windows, np.ndarray):
        return windows.ndim > 1
    if not isinstance(windows, (list, tuple)):
        return False
    if not windows:
        raise ValueError("windows: expected at least one pair (size, stride), got an empty list")
    return isinstance(windows[0], (list, tuple)) or np.ndim(windows[0]) > 0


def check_windows(windows: Any) -> tuple[int, int] | None:
    """Return a pair of sizes as integers."""
    if windows is None:
        return None
    _check_pair(windows, "(size, stride)")
    size, stride = windows
    return check_positive_integer("windows[0]", size), check_positive_integer("windows[1]", stride)


def windows_in_points(windows: Any) -> bool:
    """Whether windows in normal form are one pair of integers."""
    return windows is not None and all(type(one) is int for one in windows)


def check_any_windows(windows: Any) -> Any:
    """Windows in points or in time, one pair or a list of them, in normal form."""
    if windows is None:
        return None
    return tuple(map(_check_any_pair, windows)) if is_several(windows) else _check_any_pair(windows)


def _check_any_pair(windows: Any) -> Any:
    _check_pair(windows, "(size, stride)")
    in_time = any(isinstance(one, (float, np.floating)) for one in windows)
    return check_durations(windows) if in_time else check_windows(windows)


def check_durations(windows: Any) -> tuple[float, float]:
    """Return a pair of lengths of time as positive numbers."""
    _check_pair(windows, "(duration, step)")
    for index, one in enumerate(windows):
        if isinstance(one, (bool, np.bool_)) or not isinstance(one, numbers.Real):
            raise TypeError(f"windows[{index}]: expected a real number, got {type(one).__name__} {shown(one)}")
        if not 0 < float(one) < math.inf:
            raise ValueError(f"windows[{index}]: expected a positive number, a length of time, got {one}")
    return float(windows[0]), float(windows[1])


def _check_pair(windows: Any, what: str) -> None:
    if not isinstance(windows, (tuple, list, np.ndarray)) or getattr(windows, "ndim", 1) == 0 or len(windows) != 2:
        raise TypeError(f"windows: expected a pair {what}, got {type(windows).__name__} {shown(windows)}")


def numbers_of(name: str, given: Any) -> Any:
    """What was given as an array of numbers; arrays that JAX traces are returned as they came.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if is_traced(given):
        return given
    try:
        found = np.asarray(given)
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is None or found.dtype.kind not in "iufcb":
        raise TypeError(f"{name}: expected an array of numbers, got {type(given).__name__} {shown(given)}")
    return found


# -- intervals ------------------------------------------------------------------------------------------------------


def is_real(intervals: Any) -> bool:
    """Whether intervals are of real numbers; an empty list of them is of any."""
    kind = dtype_name(intervals)
    return kind.startswith(("float", "bfloat")) and math.prod(intervals.shape) > 0


def check_intervals(intervals: Any, batch: Shape, length: int, *, timed: bool = False, look: bool = True) -> Any:
    """Intervals of points as an array of intp, ``(W, 2)`` or ``(*batch, W, 2)``.

    Where the numbers cannot be looked at, shape and type are checked, and they are returned as they came.

    Raises
    ------
    TypeError, ValueError
        For other types and shapes, and for the first interval that is none, by its place.
    """
    look = look and not is_traced(intervals) and getattr(getattr(intervals, "device", None), "type", "cpu") == "cpu"
    if look:
        intervals = numbers_of("intervals", intervals)
    dtype = dtype_name(intervals)
    _check_shape(tuple(intervals.shape), batch)
    if not dtype.startswith(("int", "uint")) and (not look or intervals.size):
        needed = "" if timed else "; real numbers need times"
        raise TypeError(f"intervals: expected integers, the first and the last point, got dtype {dtype}{needed}")
    if not look:
        return intervals
    first, last = intervals[..., 0].astype(np.intp), intervals[..., 1].astype(np.intp)
    wrong = (first < 0) | (last >= length) | (last < first - 1)
    if wrong.any():
        hint = "; with times, integers are still numbers of points, and real numbers are times" if timed else ""
        raise ValueError(
            f"{_named(wrong)}: expected (first, last) with 0 <= first <= last <= {length - 1}, "
            f"or last = first - 1 for an empty one, got {_pair(intervals, wrong)}{hint}"
        )
    return np.ascontiguousarray(np.stack([first, last], -1))


def check_real_intervals(intervals: Any, batch: Shape, times: Any, lengths: Any) -> Any:
    """Intervals of time as an array of double precision; where ``lengths`` are given, cut where the paths end.

    Where JAX traces numbers that are needed, shape and type are checked, and all intervals are cut.
    """
    if not times.shape[-1]:
        raise ValueError("intervals: expected none of paths without points")
    intervals = numbers_of("intervals", intervals)
    _check_shape(tuple(intervals.shape), batch)
    if intervals.dtype.kind != "f":
        raise TypeError(f"intervals: expected real numbers, got dtype {intervals.dtype}")
    found = intervals.astype(float)
    if is_traced(intervals, times, lengths):
        return within(found, times[..., :1, None], times[..., -1:, None])
    first, last = found[..., 0], found[..., 1]
    start, end = times[..., :1], times[..., -1:]
    if lengths is not None:
        start, end = np.where(lengths[..., None] > 0, start, -np.inf), np.inf
    wrong = ~((first >= start) & (last <= end) & (first <= last))
    if wrong.any():
        place = np.argwhere(wrong)[0]
        least, most = (float(np.broadcast_to(one, wrong.shape)[tuple(place)]) for one in (start, end))
        chosen = found if wrong.shape == found.shape[:-1] else np.broadcast_to(found, (*wrong.shape, 2))
        raise ValueError(
            f"{_named(wrong)}: expected (begin, end) with {least} <= begin <= end <= {most}, the times of the path, "
            f"got {_pair(chosen, wrong)}"
        )
    return found if lengths is None else within(found, times[..., :1, None], times[..., -1:, None])


def within(numbers: Any, least: Any, most: Any) -> Any:
    """Numbers moved to the bounds that they are beyond; at a bound a number's derivative stays its own."""
    where = namespace(numbers, least, most).where
    return where(numbers < least, least, where(numbers > most, most, numbers))


def _check_shape(shape: Shape, batch: Shape) -> None:
    if len(shape) < 2 or shape[-1] != 2 or (len(shape) > 2 and shape[:-2] != batch):
        each = "" if not batch else f", or {(*batch, 'W', 2)} for one set for each path".replace("'", "")
        raise ValueError(f"intervals: expected shape (W, 2){each}, got {shape}")


def _named(wrong: Any) -> str:
    return f"intervals[{', '.join(map(str, np.argwhere(wrong)[0]))}]"


def _pair(intervals: Any, wrong: Any) -> tuple[Any, ...]:
    return tuple(intervals[tuple(np.argwhere(wrong)[0])].tolist())


# -- times ----------------------------------------------------------------------------------------------------------


def check_times(times: Any, batch: Shape, length: int, lengths: Any = None) -> Any:
    """Times of the points as an array of double precision, ``(length,)`` or ``(*batch, length)``.

    Those of points that do not count are replaced by the last one that does. Where JAX traces the numbers, shape and
    type are checked.

    Raises
    ------
    TypeError, ValueError
        For other types and shapes, and for the first time that does not increase, by its place.
    """
    found = numbers_of("times", times)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"times: expected real numbers, got dtype {found.dtype}")
    check_times_shape(found.shape, batch, length)
    found = found.astype(float)
    if lengths is not None:
        xp = namespace(found, lengths)
        found = xp.broadcast_to(found, (*batch, length))
        counts = np.arange(length) < lengths[..., None]
        last = xp.take_along_axis(found, xp.maximum(lengths - 1, 0)[..., None], -1) if length else found
        found = xp.where(counts, found, xp.where(lengths[..., None] > 0, last, 0))
    if is_traced(found):
        return found
    endless, back = ~np.isfinite(found), np.diff(found) <= 0
    if lengths is not None:
        back &= counts[..., 1:]
    for wrong, after, expected in ((endless, 0, "a finite number"), (back, 1, "a number above the time before it")):
        if wrong.any():
            *place, last = np.argwhere(wrong)[0].tolist()
            at = (*place, last + after)
            raise ValueError(f"times[{', '.join(map(str, at))}]: expected {expected}, got {found[at]}")
    return found


def check_times_shape(shape: Shape, batch: Shape, length: int) -> None:
    """Raise ``ValueError`` unless times are those of all paths, or of each."""
    if shape != (length,) and shape != (*batch, length):
        each = f", or {(*batch, length)} for those of each path" if batch else ""
        raise ValueError(f"times: expected shape ({length},){each}, got {shape}")


def padded_times(times: Any, paths: Sequence[Any]) -> Any:
    """The times of a list of paths, one array; zeros where there are no points."""
    if not is_list_of_times(times):
        return times
    check_list_of_times(times, [len(path) for path in paths])
    xp, longest = namespace(*times), max(len(path) for path in paths)
    return xp.stack([xp.pad(xp.asarray(one, float), (0, longest - len(one))) for one in times])


def is_list_of_times(times: Any) -> bool:
    """Whether each path has an array of times of its own."""
    return isinstance(times, (list, tuple)) and len(times) > 0 and np.ndim(times[0]) > 0


def check_list_of_times(times: Sequence[Any], lengths: Sequence[int]) -> None:
    """Raise ``ValueError`` unless there is an array for each path, with a time for each of its points."""
    if len(times) != len(lengths):
        raise ValueError(f"times: expected a list of {len(lengths)} arrays, one for each path, got {len(times)}")
    for index, (one, length) in enumerate(zip(times, lengths, strict=True)):
        if np.shape(one) != (length,):
            raise ValueError(f"times[{index}]: expected shape ({length},), got {np.shape(one)}")


def windows_of_time(durations: tuple[float, float], times: Any, count: int | None = None) -> Any:
    """Intervals of time, ``(W, 2)`` or ``(*batch, W, 2)``, a step apart from the first time of a path on.

    There are ``count``, or as many as fit the path that takes the longest time; they end where their path does.

    Raises
    ------
    ValueError
        Without ``count``, for times whose numbers are not there.
    """
    duration, step = durations
    if not times.shape[-1]:
        return np.zeros((0, 2))
    first, last = times[..., :1], times[..., -1:]
    if count is None:
        count = windows_within(float(np.max(known_times("windows", last - first), initial=0)), durations)
    begin = first + step * np.arange(count)
    both = namespace(times).stack([begin, begin + duration], -1)
    return within(both, -np.inf, last[..., None])


def known_times(name: str, times: Any) -> Any:
    """The numbers of times on which the number of windows depends; raises ``ValueError`` where they are not there."""
    found = known(times)
    if is_traced(found):
        raise ValueError(
            f"{name}: expected times whose numbers are known when a program is traced, for the number of windows "
            "depends on them; where they are not, windows are given as intervals="
        )
    return found


def windows_within(span: float, durations: tuple[float, float]) -> int:
    """How many windows of time fit."""
    duration, step = durations
    return max(math.floor((span - duration) / step + SLACK) + 1, 0)
