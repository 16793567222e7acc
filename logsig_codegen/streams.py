"""Streams: paths that grow point by point, and the log-signatures of their intervals and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen import functional
from logsig_codegen.errors import shown
from logsig_codegen.functional.paths import forward
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.arrays import plain
from logsig_codegen.runtime.checks import (
    JAX,
    NUMPY,
    TORCH,
    check_integer,
    check_problem,
    check_types,
    is_tensor,
    namespace,
)
from logsig_codegen.runtime.parts import WHOLE, Parts
from logsig_codegen.runtime.request import PathOptions
from logsig_codegen.runtime.storage import ArrayStorage, PiecesStorage, as_jax, make_storage
from logsig_codegen.runtime.transforms import UNCHANGED

Interval = tuple[int, int]


class _Points:
    """The points of a stream, copied as they come; those of tensors and of JAX keep their gradients."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.batch: tuple[int, ...] | None = None
        self._like: tuple[str, str] | None = None  # kind, dtype and device of the first points
        self._rows: ArrayStorage | PiecesStorage | None = None

    @property
    def count(self) -> int:
        """Number of points here."""
        return 0 if self._rows is None else len(self._rows)

    def push(self, point: Any) -> bool:
        """Append one point to each path if it is an ordinary numpy array like those before it; whether it was."""
        return type(self._rows) is ArrayStorage and self._rows.push(point)

    def append(self, name: str, points: Any) -> None:
        """Append points of shape ``(..., n, dimension)``; ``name`` stands in messages. No points decide nothing."""
        kind = self._check(name, points)
        if not points.shape[-2]:
            return
        if self._rows is None:
            self._rows = make_storage(kind, points)
        self._rows.append(plain(points) if kind == NUMPY else points)

    def _check(self, name: str, points: Any) -> str:
        kind = check_types({name: points})
        shape = tuple(points.shape)
        if len(shape) < 2 or shape[-1] != self.dimension:
            raise ValueError(f"{name}: expected last dimension {self.dimension}, got shape {shape}")
        like = (kind, f"{points.dtype} on {points.device}" if kind == TORCH else str(points.dtype))
        if self._like is None:
            if shape[-2]:
                self._like, self.batch = like, shape[:-2]
        elif like != self._like:
            raise TypeError(
                f"{name}: expected a {self._like[0]} of {self._like[1]} as before, got {like[0]} of {like[1]}"
            )
        elif shape[:-2] != self.batch:
            raise ValueError(f"{name}: expected batch shape {self.batch}, that of the first push, got {shape[:-2]}")
        return kind

    def get(self, start: int, stop: int) -> Any:
        """Points ``start`` to ``stop - 1``, counted from the oldest one here."""
        assert self._rows is not None
        return self._rows.get(start, stop)

    def result(self, rows: Any) -> Any:
        """What was computed from points, as an array of their kind."""
        return as_jax(rows) if self._like is not None and self._like[0] == JAX else rows

    def drop(self, number: int) -> None:
        """Forget the oldest points, and their memory before long."""
        if self._rows is not None:
            self._rows.drop(number)


class _Stream:
    def __init__(self, dimension: SupportsIndex, degree: SupportsIndex, method: int, n_jobs: SupportsIndex) -> None:
        self._problem: Problem = check_problem(dimension, degree)
        self._options = PathOptions(method=method, n_jobs=n_jobs)  # type: ignore[arg-type]
        self._points = _Points(self._problem.dimension)

    @property
    def batch_shape(self) -> tuple[int, ...] | None:
        """Shape of the batch of paths, fixed by the first point; ``None`` before it."""
        return self._points.batch

    def push(self, point: Any) -> None:
        """Append one point to each path.

        Parameters
        ----------
        point : array, shape (..., dimension)
            Copied. All pushes of a stream have one kind, dtype and batch shape.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        if self._points.push(point):
            self._grown()
            return
        check_types({"point": point})
        expected = self._problem.dimension
        if point.ndim < 1 or point.shape[-1] != expected:
            raise ValueError(f"point: expected last dimension {expected}, got shape {tuple(point.shape)}")
        self._append("point", point[..., None, :])

    def push_batch(self, points: Any) -> None:
        """Append several points to each path.

        Parameters
        ----------
        points : array, shape (..., number of points, dimension)
            Copied; as for :meth:`push`. With no points nothing happens.
        """
        self._append("points", points)

    def _append(self, name: str, points: Any) -> None:
        self._points.append(name, points)
        self._grown()

    def _grown(self) -> None:
        """Called when points have come."""

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: the numbers of tensors, without their gradients."""
        return {name: _detached(value) for name, value in vars(self).items()}

    def _log_sig(self, path: Any, *, initial: Any = None, parts: Parts = WHOLE, **options: Any) -> Any:
        """Log-signatures in Lyndon brackets."""
        wanted = replace(self._options, method=2, **options)
        problem = self._problem
        return forward(path, problem.dimension, problem.degree, wanted, UNCHANGED, False, None, initial, parts)

    def _converted(self, log_sigs: Any) -> Any:
        """Log-signatures in the coordinates and of the kind that are handed out."""
        method, problem = self._options.method, self._problem
        if method < 2:
            log_sigs = functional.log_sig_change_method(log_sigs, problem.dimension, problem.degree, 2, method)
        return self._points.result(log_sigs)


class LogSigStream(_Stream):
    """A path, or a batch of paths, that grows; log-signatures of any of its intervals.

    Points are kept, and an interval is computed from its points: it is as accurate as the log-signature of that path
    alone, which the product ``(-L(0, start)) L(0, end)`` of cumulative ones is not when what came before is long, and
    for some thousands of points it takes no longer. Points have indices that count from the first one ever pushed.

    Parameters
    ----------
    dimension, degree : int
        At least 1 each.
    method : int
        Coordinates of results: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Examples
    --------
    >>> import numpy as np
    >>> stream = LogSigStream(2, 2)
    >>> stream.push_batch(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    >>> stream.sig(0, 2)
    array([1. , 1. , 0.5])
    """

    def __init__(
        self, dimension: SupportsIndex, degree: SupportsIndex, *, method: int = 2, n_jobs: SupportsIndex = 1
    ) -> None:
        super().__init__(dimension, degree, method, n_jobs)
        self._start = 0
        self._before: Any = None  # log-signature of what was popped

    @property
    def size(self) -> int:
        """Number of points in the stream."""
        return self._points.count

    def __len__(self) -> int:
        return self.size

    @property
    def start_index(self) -> int:
        """Index of the oldest point in the stream."""
        return self._start

    @property
    def end_index(self) -> int:
        """Index of the newest point."""
        return self._start + self.size - 1

    def pop_front(self) -> None:
        """Forget the oldest point; the others keep their indices.

        Raises
        ------
        ValueError
            If there is only one point left, or none.
        """
        if self.size <= 1:
            raise ValueError(f"pop_front: expected a stream of at least 2 points, got {self.size}")
        problem = self._problem
        if self._before is None or problem.degree == 1:  # of degree one without a kernel
            self._before = self._log_sig(self._points.get(0, 2), initial=self._before)
        else:
            displacement = self._points.get(1, 2)[..., 0, :] - self._points.get(0, 1)[..., 0, :]
            self._before = functional.log_sig_join(self._before, displacement, problem.dimension, problem.degree)
        self._points.drop(1)
        self._start += 1

    def sig(self, start: SupportsIndex, end: SupportsIndex) -> Any:
        """Log-signature of the interval between two points.

        Parameters
        ----------
        start, end : int
            Indices of the first and the last point, both included.

        Returns
        -------
        array, shape (..., log_sig_length)

        Raises
        ------
        IndexError
            For an index that is negative or not in the stream.
        ValueError
            If the interval ends before it starts.
        """
        first, last = self._interval(start, end)
        return self._converted(self._log_sig(self._points.get(first - self._start, last - self._start + 1)))

    def _interval(self, start: SupportsIndex, end: SupportsIndex) -> Interval:
        first, last = self._index("start", start), self._index("end", end)
        if first > last:
            raise ValueError(f"start, end: expected start <= end, got {first} and {last}")
        return first, last

    def sig_batch(self, intervals: Sequence[Interval]) -> Any:
        """Log-signatures of several intervals, ``(number of intervals, ..., log_sig_length)``; see :meth:`sig`.

        They may overlap, and come in any order.
        """
        try:
            pairs = [tuple(interval) for interval in intervals]
        except TypeError:
            raise TypeError(f"intervals: expected pairs (start, end), got {shown(intervals)}") from None
        if not pairs:
            raise ValueError("intervals: expected at least one pair (start, end), got none")
        for index, pair in enumerate(pairs):
            if len(pair) != 2:
                raise ValueError(f"intervals[{index}]: expected a pair (start, end), got {len(pair)} numbers")
        chosen = np.array([self._interval(start, end) for start, end in pairs], np.intp)
        first, last = int(chosen.min()), int(chosen.max())
        path = self._points.get(first - self._start, last - self._start + 1)
        return self._converted(_time_first(self._log_sig(path, parts=Parts(chosen - first))))

    def sig_all(self) -> Any:
        """The expanding log-signatures: from the first point ever pushed to each point in the stream.

        Returns
        -------
        array, shape (size, ..., log_sig_length)
            The first one is zero unless points were popped.
        """
        if not self.size:
            raise ValueError("sig_all: expected a stream of at least 1 point, got 0")
        path = self._points.get(0, self.size)
        first = self._before if self._before is not None else self._log_sig(path[..., :1, :])
        rows = _time_first(self._log_sig(path, stream=True, initial=first))
        return self._converted(_join([first[None], rows]))

    def _index(self, name: str, value: SupportsIndex) -> int:
        index = check_integer(name, value)
        if not self._start <= index <= self.end_index:
            held = f"{self._start} to {self.end_index}" if self.size else "none, for nothing was pushed"
            raise IndexError(f"{name}: expected the index of a point in the stream ({held}), got {index}")
        return index


class LogSigWindowStream(_Stream):
    """Windows of a path, or a batch of paths, that grows: one more whenever enough points have come.

    Of the points only those that a future window needs are kept; with ``keep``, so many of the latest windows, which
    bounds the memory of a stream that never ends.

    Parameters
    ----------
    dimension, degree : int
        At least 1 each.
    window_size : int
        Points of a window.
    stride : int
        Points from the start of one window to the start of the next.
    method, n_jobs
        As for :class:`LogSigStream`.
    keep : int, optional
        How many of the latest windows are kept; all by default.
    """

    def __init__(
        self,
        dimension: SupportsIndex,
        degree: SupportsIndex,
        window_size: SupportsIndex,
        *,
        stride: SupportsIndex = 1,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
        keep: SupportsIndex | None = None,
    ) -> None:
        super().__init__(dimension, degree, method, n_jobs)
        self._window = check_positive_integer("window_size", window_size)
        self._stride = check_positive_integer("stride", stride)
        self._keep = None if keep is None else check_positive_integer("keep", keep)
        self._skip = 0  # points between windows that are still to come
        self._emitted = 0
        self._windows: list[Any] = []

    @property
    def num_windows(self) -> int:
        """Number of windows that have been completed so far."""
        return self._emitted

    def sig(self) -> Any:
        """The log-signatures of all complete windows that are kept, ``(number of windows, ..., log_sig_length)``.

        Raises
        ------
        ValueError
            If no window is complete yet.
        """
        if not self._windows:
            raise ValueError(f"sig: expected a complete window of {self._window} points; there is none yet")
        if len(self._windows) > 1:
            self._windows = [_join(self._windows)]
        return self._converted(self._windows[0])

    def _grown(self) -> None:
        dropped = min(self._skip, self._points.count)
        self._points.drop(dropped)
        self._skip -= dropped
        count = self._points.count
        if count < self._window:
            return
        windows = (count - self._window) // self._stride + 1
        path = self._points.get(0, count)
        self._windows.append(_time_first(self._log_sig(path, windows=(self._window, self._stride))))
        self._emitted += windows
        used = windows * self._stride
        self._points.drop(min(used, count))
        self._skip = max(used - count, 0)
        if self._keep is not None:
            self._windows = [_latest(_join(self._windows), self._keep)]


def _time_first(rows: Any) -> Any:
    """From ``(..., n, size)`` to ``(n, ..., size)``."""
    return rows.movedim(-2, 0) if is_tensor(rows) else namespace(rows).moveaxis(rows, -2, 0)


def _join(parts: Sequence[Any]) -> Any:
    """Concatenate along the first axis."""
    if not is_tensor(parts[0]):
        return namespace(*parts).concatenate(parts)
    import torch

    return torch.cat(list(parts))


def _detached(value: Any) -> Any:
    if isinstance(value, list):
        return [_detached(one) for one in value]
    return value.detach() if hasattr(value, "requires_grad") else value


def _latest(rows: Any, number: int) -> Any:
    """The last rows, in memory of their own."""
    rows = rows[-number:]
    return rows.clone() if is_tensor(rows) else rows.copy()
