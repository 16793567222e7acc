"""Log-signatures of many paths as a table, one row for each: what the transformers for other projects' tools share."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen import functional
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.errors import shown
from logsig_codegen.runtime.checks import DTYPES
from logsig_codegen.runtime.parts import (
    asked,
    check_times,
    check_windows,
    numbers_of,
    windows_of_time,
    windows_within,
)
from logsig_codegen.runtime.request import check_method, window_count
from logsig_codegen.runtime.transforms import FILLING, Transform

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Arrays: TypeAlias = "Array | list[Array]"

TRIED: tuple[dict[str, Any], ...] = (
    {"degree": 2, "missing": "linear"},
    {"degree": 2, "time_aug": True, "basepoint": True, "windows": [(4, 2), (6, 6)], "missing": "forward"},
)
"""Options that other packages' own checks of transformers try."""


class FeatureOptions:
    """The options of the transformers, stored as they came; checked when data are seen.

    :class:`logsig_codegen.sklearn.LogSignature` says what they are.
    """

    def __init__(
        self,
        degree: int = 2,
        *,
        windows: Any = None,
        intervals: Any = None,
        times: Any = None,
        time_aug: bool = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        basepoint: bool = False,
        missing: str | None = "raise",
        count_observations: bool = False,
        method: int = 2,
        n_jobs: int = 1,
        dtype: Any = None,
    ) -> None:
        self.degree = degree
        self.windows = windows
        self.intervals = intervals
        self.times = times
        self.time_aug = time_aug
        self.lead_lag = lead_lag
        self.end_time = end_time
        self.basepoint = basepoint
        self.missing = missing
        self.count_observations = count_observations
        self.method = method
        self.n_jobs = n_jobs
        self.dtype = dtype
        super().__init__()


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths of as many channels each.

    Attributes
    ----------
    values : array (n, length, channels), or list of n arrays (length, channels)
        float32 or float64, one of them for all.
    times : array (n, length), list of n arrays (length,), or None
    """

    values: Arrays
    times: Arrays | None

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.values[0].shape[-1])

    @property
    def longest(self) -> int:
        """Points of the path that has most of them."""
        return max(map(len, self.values))

    def padded(self, length: int) -> tuple[Array, Array | None, Array | None]:
        """One array of at least ``length`` points, the paths' lengths if there is a shorter one, and the times."""
        lengths = np.array([len(one) for one in self.values], np.intp)
        length = max(length, int(lengths.max()))
        if isinstance(self.values, np.ndarray) and self.values.shape[1] == length:
            return self.values, None, self.times  # type: ignore[return-value]
        values = np.zeros((len(lengths), length, self.channels), self.values[0].dtype)
        times = None if self.times is None else np.zeros((len(lengths), length))
        for index, count in enumerate(lengths):
            values[index, :count] = self.values[index]
            if times is not None:
                times[index, :count] = self.times[index]  # type: ignore[index]
        return values, lengths, times


@dataclass(frozen=True)
class Learnt:
    """What is kept of the paths that were fitted.

    Attributes
    ----------
    channels : int
    longest : int
        Points of the longest path, that of ``basepoint`` included.
    counts : tuple of int, or None
        Number of windows for each pair of ``windows``, or of intervals; ``None`` for whole paths.
    """

    channels: int
    longest: int
    counts: tuple[int, ...] | None


def paths_of(values: Arrays, options: FeatureOptions, times: Arrays | None = None) -> Paths:
    """Paths of arrays of numbers; ``times`` are those of data frames, if ``options`` named them."""
    if len(channels := {one.shape[-1] for one in values}) > 1:
        raise ValueError(f"X: expected as many channels in all paths, got {' and '.join(map(str, sorted(channels)))}")
    if times is None and options.times is not None:
        values, times = _timed(values, options.times)
    if options.dtype is None:
        dtype = np.result_type(*{one.dtype for one in ([values] if isinstance(values, np.ndarray) else values)})
        dtype = dtype if dtype.name in DTYPES else np.dtype(np.float64)
    else:
        dtype = np.dtype(options.dtype)
        if dtype.name not in DTYPES:
            raise ValueError(f"dtype: expected None, {' or '.join(DTYPES)}, got {shown(options.dtype)}")
    if isinstance(values, np.ndarray):
        return Paths(values.astype(dtype, copy=False), times)
    return Paths([one.astype(dtype, copy=False) for one in values], times)


def _timed(values: Arrays, times: Any) -> tuple[Arrays, Arrays]:
    """The channels of the paths, and times that are one of them or the same for all."""
    if isinstance(times, str):
        raise ValueError(f"times: a name needs data frames, got {times!r}")
    if not isinstance(times, numbers.Integral):
        grid, longest = numbers_of("times", times), max(map(len, values))
        if grid.ndim != 1 or len(grid) < longest:
            raise ValueError(f"times: expected shape ({longest},), one for each point, got {grid.shape}")
        if isinstance(values, np.ndarray):
            return values, np.broadcast_to(grid[:longest], values.shape[:2])
        return values, [grid[: len(one)] for one in values]
    channels = values[0].shape[-1]
    if isinstance(times, bool) or not -channels <= times < channels:
        raise ValueError(f"times: expected a channel from {-channels} to {channels - 1}, got {times}")
    channel = int(times)
    others = _each(lambda one: np.delete(one, channel, -1), values)
    return others, _each(lambda one: one[..., channel].astype(np.float64), values)


def learn(options: FeatureOptions, paths: Paths) -> Learnt:
    """Check all options, and count the windows.

    Raises
    ------
    TypeError, ValueError
        For options that are none, and windows longer than every path.
    """
    how, times = _transform(options), _times(options, paths.times)
    longest = paths.longest + bool(options.basepoint)
    counts: list[int] | None = None
    if options.windows is not None or options.intervals is not None:
        counts = []
        for windows, parts in asked(options.windows, options.intervals, times):
            if times is not None and parts.durations is not None:
                counts.append(windows_within(max(float(one[-1] - one[0]) for one in times), parts.durations))
            elif windows is not None:
                size, stride = check_windows(windows)  # type: ignore[misc]
                counts.append(window_count(how.length(longest), size, stride))
            else:
                found = numbers_of("intervals", options.intervals)
                if found.ndim != 2:
                    raise ValueError(f"intervals: expected shape (W, 2), got {found.shape}")
                counts.append(len(found))
        if not all(counts):
            raise ValueError("windows, intervals: expected at least one that fits the longest path, got none")
    learnt = Learnt(paths.channels, longest, None if counts is None else tuple(counts))
    table(options, learnt, Paths(paths.values[:1], None if paths.times is None else paths.times[:1]))
    return learnt


def table(options: FeatureOptions, learnt: Learnt, paths: Paths) -> Array:
    """Log-signatures, ``(n, features)``; a row depends on its path and on ``learnt`` only."""
    if paths.channels != learnt.channels:
        raise ValueError(f"X: expected paths of {learnt.channels} channels, as in fit, got {paths.channels}")
    ready = _ready(options, paths)

    def call(values: Arrays, **others: Any) -> Array:
        found: Array = functional.log_sig(
            values, options.degree, time_aug=options.time_aug, lead_lag=options.lead_lag, end_time=options.end_time,
            missing="raise" if options.missing == "raise" else None, method=options.method, n_jobs=options.n_jobs,
            **others,
        )  # fmt: skip
        return found

    if learnt.counts is None:
        return call(ready.values, times=ready.times)
    values, lengths, times = ready.padded(learnt.longest)
    found = []
    each = asked(options.windows, options.intervals, times)
    for (windows, parts), count in zip(each, learnt.counts, strict=True):
        intervals = parts.intervals
        if parts.durations is not None:
            moments = check_times(times, values.shape[:1], values.shape[1], lengths)
            intervals = windows_of_time(parts.durations, moments, count)
        rows = call(values, lengths=lengths, times=times, windows=windows, intervals=intervals)
        found.append(rows[:, :count].reshape(len(rows), -1))
    return np.concatenate(found, axis=1)


def names(options: FeatureOptions, learnt: Learnt, channels: Sequence[str]) -> Iterator[str]:
    """The names of the columns: words or brackets of the channels' names, those of windows after ``w0:``, ``w1:``, …"""
    how = _transform(options)
    letters = list(channels)
    if how.count_observations:
        letters += [f"{name}_count" for name in channels]
    if how.lead_lag:
        letters = [f"{name}_{which}" for which in ("lag", "lead") for name in letters]
    if how.time_aug:
        letters.append(options.times if isinstance(options.times, str) else "time")
    basis = lyndon_basis(len(letters), options.degree)
    method = check_method(options.method)
    if method >= 2:
        coordinates = [basis.bracket(coordinate, letters) for coordinate in range(len(basis.words))]
    else:
        words = basis.words if method else functional.words(len(letters), options.degree)[1:]
        coordinates = [",".join(letters[letter] for letter in word) for word in words]
    if learnt.counts is None:
        yield from coordinates
    else:
        yield from (f"w{window}:{name}" for window in range(sum(learnt.counts)) for name in coordinates)


def _transform(options: FeatureOptions) -> Transform:
    return Transform(
        options.time_aug, options.lead_lag, options.end_time, options.missing, options.count_observations
    )  # fmt: skip


def _ready(options: FeatureOptions, paths: Paths) -> Paths:
    """The paths after what comes before lead-lag and time: missing values filled in, and a point of zeros."""
    values, times = paths.values, paths.times
    if options.missing in FILLING:
        fill: dict[str, Any] = {"missing": options.missing, "count_observations": options.count_observations}
        values = _each(
            lambda one, at=None: functional.transform_path(one, times=at, **fill),
            *((values,) if times is None else (values, times)),
        )
    if options.basepoint:
        values = _each(lambda one: np.concatenate([np.zeros_like(one[..., :1, :]), one], -2), values)
    return Paths(values, _times(options, times))


def _times(options: FeatureOptions, times: Arrays | None) -> Arrays | None:
    """Times of the points, that of ``basepoint`` among them."""
    return _each(_with_a_step_before, times) if options.basepoint and times is not None else times


def _each(change: Callable[..., Array], *arrays: Arrays) -> Arrays:
    """``change`` of all paths at once where they are one array, or else of each."""
    if isinstance(arrays[0], np.ndarray):
        return change(*arrays)
    return [change(*one) for one in zip(*arrays, strict=True)]


def _with_a_step_before(times: Array) -> Array:
    step = times[..., 1:2] - times[..., :1] if times.shape[-1] > 1 else 1.0
    return np.concatenate([times[..., :1] - step, times], -1)
