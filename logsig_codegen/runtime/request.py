"""What a call along paths asks for: one frozen value, made by one function from what users of any front write.

:func:`path_request` checks every argument of a call, and computes the shape of its result; nobody asks again after it.
It looks at shapes and types only (and at ``lengths``, if they are in the host's memory), so that it serves arrays,
tensors, and tensors without data alike, whose sizes may be symbols. Nothing is allocated, compiled or loaded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import numpy as np

from logsig_codegen.errors import ProblemTooLargeError, shown
from logsig_codegen.operations import STATES, default_state, path_operation
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.checks import (
    broadcast_shapes,
    check_bool,
    check_integer,
    check_last_axis,
    check_problem,
    check_types,
    dtype_name,
    is_traced,
)
from logsig_codegen.runtime.coordinates import log_sig_size
from logsig_codegen.runtime.parts import (
    WHOLE,
    Parts,
    check_intervals,
    check_real_intervals,
    check_times,
    check_windows,
    is_real,
    numbers_of,
    padded_times,
    windows_of_time,
)
from logsig_codegen.runtime.threads import check_jobs, thread_count
from logsig_codegen.runtime.transforms import UNCHANGED, Transform

Shape = tuple[int, ...]


@dataclass(frozen=True)
class PathOptions:
    """The plain options of a call along paths, in normal form; hashable.

    The fields, their order, types and defaults are those of the torch operators, whose schema is made of them.

    Attributes
    ----------
    stream : bool
        All expanding log-signatures.
    windows : (size, stride) or None
        Both in points of the path that the kernel gets: of the transformed path, where there is a transform.
    state : str or None
        One of :data:`~logsig_codegen.operations.STATES`; ``None`` leaves it to the problem.
    method : int
        Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Raises
    ------
    TypeError, ValueError
        For options of a wrong type or value; what means the same (``np.True_``, numpy's integers, a list of two sizes)
        is accepted.
    """

    stream: bool = field(default=False, metadata={"schema": "bool"})
    windows: tuple[int, int] | None = field(default=None, metadata={"schema": "int[]?"})
    state: str | None = field(default=None, metadata={"schema": "str?"})
    method: int = field(default=2, metadata={"schema": "int"})
    n_jobs: int = field(default=1, metadata={"schema": "int"})

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "stream", check_bool("stream", self.stream))
        put(self, "windows", check_windows(self.windows))
        put(self, "state", check_state(self.state))
        put(self, "method", check_method(self.method))
        put(self, "n_jobs", check_jobs(self.n_jobs))
        if self.stream and self.windows is not None:
            raise ValueError("windows: expected None with stream=True, which gives all expanding log-signatures")

    @property
    def plain(self) -> bool:
        """Whether they ask for nothing but log-signatures in Lyndon brackets."""
        return self.method >= 2 and not self.stream and self.windows is None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The values in the order of the fields, as the torch operators take them."""
        return self.stream, self.windows, self.state, self.method, self.n_jobs

    @staticmethod
    def schema() -> str:
        """The options as arguments of a torch operator: types, names and defaults."""
        return ", ".join(f"{one.metadata['schema']} {one.name}={one.default}" for one in fields(PathOptions))


@dataclass(frozen=True)
class PathRequest:
    """A call along paths, checked and in normal form; the arrays themselves travel beside it.

    Attributes
    ----------
    problem : Problem
        That of the paths after their transform.
    options : PathOptions
    transform : Transform
        What is done to the paths first.
    scalar_term : bool
        Whether each row of the result begins with the coefficient of the empty word, 0; with method 0 only.
    ragged : bool
        The paths came as a list of ``batch[0]`` paths, which may have different lengths.
    batch : tuple of int
        Leading shape of the paths.
    length : int
        Points of a path after the transform; the largest number of them, where they differ.
    lengths : array of intp of shape ``batch``, or None
        How many points of each path count, after the transform. For tensors on a GPU a tensor of int64 there, for
        tensors without data one without data.
    given_lengths : the same, or None
        Before the transform.
    intervals : array of shape (W, 2) or (*batch, W, 2), or None
        Of intp: first and last point after the transform, both included, for all paths or each; beyond ``lengths`` they
        do not count. Of double precision: beginning and end in the unit of ``times``. For tensors without data, or on a
        GPU, as they came.
    times : array of double precision, shape (points,) or (*batch, points), or None
        Of the points before the transform.
    rows : tuple of int
        Shape of the log-signatures along the paths, without the last axis, before ``initial`` is multiplied on.
    shape : tuple of int
        Shape of the result.
    """

    problem: Problem
    options: PathOptions
    transform: Transform
    scalar_term: bool
    ragged: bool
    batch: Shape
    length: int
    lengths: Any
    given_lengths: Any
    intervals: Any
    times: Any
    rows: Shape
    shape: Shape

    @property
    def state(self) -> str:
        """What paths are carried in."""
        return default_state(self.problem) if self.options.state is None else self.options.state

    @property
    def threads(self) -> int:
        """Threads that a call may use now."""
        return thread_count(self.options.n_jobs)

    def operation(self, *, backward: bool = False) -> str:
        """The whole-path operation that computes it, or its gradient."""
        if self.options.stream:
            return "stream_backprop" if backward else "stream"
        return path_operation(self.state, backward=backward)


def path_request(
    path: Any,
    dimension: int | None,
    degree: Any,
    options: PathOptions,
    *,
    lengths: Any = None,
    initial: Any = None,
    d_out: Any = None,
    transform: Transform = UNCHANGED,
    scalar_term: bool = False,
    parts: Parts = WHOLE,
    look: bool = True,
) -> PathRequest:
    """Check the arguments of a call along paths, or, with ``d_out``, of its gradient.

    Parameters
    ----------
    path : array or tensor, shape (..., length, dimension), or list of them of shape (length, dimension)
    dimension : int or None
        Channels of the paths before the transform; ``None``: those that ``path`` has.
    degree : int
    options, transform, scalar_term
        In normal form.
    lengths, initial, d_out
        As :meth:`LogSigKernel.log_sig_backprop` takes them.
    parts : Parts
        Intervals and times; windows in points are options.
    look : bool
        Whether numbers in the host's memory may be looked at; those of tensors without data are not there.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected, and what came.
    """
    arrays = named_paths(path)
    if not arrays:
        raise ValueError("path: expected at least one path, got an empty list")
    others = {"initial": initial, "d_out": d_out}
    check_types({**arrays, **{name: value for name, value in others.items() if value is not None}})
    ragged = isinstance(path, (list, tuple))
    if dimension is None:
        dimension = channels_of(*next(iter(arrays.items())))
    batch, points = check_paths(dimension, arrays, ragged)
    try:
        problem = problem_of(transform.channels(dimension), check_positive_integer("degree", degree))
    except ProblemTooLargeError as error:
        raise too_large(error, points, dimension) from None
    given = None
    if lengths is not None:
        if ragged:
            raise ValueError("lengths: expected None with a list of paths, which have lengths of their own")
        given = check_lengths(lengths, batch, points, look=look)
    length = transform.length(points)
    intervals, times = _placed(parts, path, given, batch, points, length, look) if parts else (None, None)
    check_alone(options, initial, intervals)
    rows = _rows(options, batch, length, intervals)
    full = rows if initial is None else _with_initial(problem, options, rows, initial)
    scalar_term = scalar_term and options.method == 0
    shape = (*full, log_sig_size(problem, options.method, scalar_term))
    if d_out is not None:
        _check_d_out(tuple(d_out.shape), shape)
    counted = None if given is None else transform.lengths(given)
    return PathRequest(
        problem, options, transform, scalar_term, ragged, batch, length, counted, given, intervals, times, rows, shape
    )  # fmt: skip


def _placed(parts: Parts, path: Any, given: Any, batch: Shape, points: int, length: int, look: bool) -> tuple[Any, Any]:
    """Intervals and times, checked; windows of time as intervals."""
    times, intervals, counts = parts.times, parts.intervals, given
    if times is not None:
        if isinstance(path, (list, tuple)):
            counts, times = np.array([len(one) for one in path], np.intp), padded_times(times, path)
        times = check_times(times, batch, points, counts)
    if parts.durations is not None:
        intervals = windows_of_time(parts.durations, times)
    elif intervals is not None and times is not None and is_real(numbers_of("intervals", intervals)):
        intervals = check_real_intervals(intervals, batch, times, counts)
    elif intervals is not None:
        intervals = check_intervals(intervals, batch, length, timed=times is not None, look=look)
    return intervals, times


@lru_cache(maxsize=256)
def problem_of(dimension: Any, degree: Any) -> Problem:
    """The problem of two arguments, checked."""
    return check_problem(dimension, degree)


def too_large(error: ProblemTooLargeError, points: int, channels: int) -> ProblemTooLargeError:
    """The same error; where a path has more channels than points, it says that the axes may have been swapped."""
    if channels <= points:
        return error
    return ProblemTooLargeError(
        f"{error}. The path has {points} points of {channels} channels: if its axes are swapped, pass "
        "np.swapaxes(path, -1, -2)"
    )


def named_paths(path: Any) -> Mapping[str, Any]:
    """The paths of a call by the names that they have in messages."""
    if isinstance(path, (list, tuple)):
        return {f"path[{index}]": one for index, one in enumerate(path)}
    return {"path": path}


def channels_of(name: str, path: Any) -> int:
    """Length of the last axis of a path, or of a batch of them."""
    if len(path.shape) < 2:
        raise ValueError(f"{name}: expected shape (..., length, dimension), got {tuple(path.shape)}")
    return check_positive_integer(f"{name}: last dimension", path.shape[-1])


def window_count(length: int, size: int, stride: int) -> Any:
    """Number of windows of ``size`` points, ``stride`` apart, that fit a path of ``length`` points."""
    return _at_least_zero((length - size) // stride + 1)


def in_brackets(method: object) -> bool:
    """Whether ``method`` is a plain integer that stands for Lyndon brackets; never an error."""
    return type(method) is int and method in (2, 3)


def check_method(method: Any, name: str = "method") -> int:
    """Return ``method`` if it is 0, 1, 2 or 3."""
    number = check_integer(name, method)
    if not 0 <= number <= 3:
        what = "" if name == "method" else "a method, "
        raise ValueError(f"{name}: expected {what}0, 1, 2 or 3, got {number}")
    return number


def check_state(state: Any) -> str | None:
    """Return ``state`` if there is one of this name, or it is ``None``."""
    if state is None:
        return None
    if not isinstance(state, str) or state not in STATES:
        raise ValueError(f"state: expected None or one of {', '.join(STATES)}, got {shown(state)}")
    return str(state)


def check_lengths(lengths: Any, batch: Shape, length: int, *, look: bool = True) -> Any:
    """The numbers of points of a padded batch, of the batch's shape, as an array of intp.

    Where the host cannot ``look`` at the numbers (they are on a GPU, or there are none), their shape and type are
    checked, and they are returned as they came.
    """
    look = look and not is_traced(lengths) and getattr(getattr(lengths, "device", None), "type", "cpu") == "cpu"
    numbers = _as_array(lengths) if look else lengths
    dtype = dtype_name(numbers)
    if numbers.dtype.kind not in "iu" if look else not dtype.startswith(("int", "uint")):
        raise TypeError(f"lengths: expected integers, got dtype {dtype}; convert them, as by .astype(int)")
    if tuple(numbers.shape) != batch:
        raise ValueError(f"lengths: expected shape {batch}, that of the batch, got {tuple(numbers.shape)}")
    if not look:
        return numbers
    if numbers.size and not (int(numbers.min()) >= 0 and int(numbers.max()) <= length):
        raise ValueError(f"lengths: expected values from 0 to {length}, got {numbers.min()} to {numbers.max()}")
    return np.asarray(numbers, np.intp, order="C")


def _as_array(lengths: Any) -> Any:
    try:
        numbers = np.asarray(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"lengths: expected integers, got {type(lengths).__name__}: {error}") from error
    return numbers if numbers.size else numbers.astype(np.intp)  # [] is of floats


def _at_least_zero(number: Any) -> Any:
    """``max(number, 0)``, of a number that torch may be tracing."""
    return max(number, 0) if isinstance(number, int) else number.__sym_max__(0)


def check_paths(dimension: int, arrays: Mapping[str, Any], ragged: bool) -> tuple[Shape, int]:
    """Batch shape and number of points of paths, all of which have ``dimension`` channels."""
    shapes = {name: tuple(value.shape) for name, value in arrays.items()}
    for name, shape in shapes.items():
        if len(shape) < 2 or (ragged and len(shape) != 2):
            lead = "" if ragged else "..., "
            raise ValueError(f"{name}: expected shape ({lead}length, {dimension}), got {shape}")
        if shape[-1] != dimension:
            raise ValueError(f"{name}: expected last dimension {dimension}, got {shape[-1]}")
    if ragged:
        return (len(shapes),), max(shape[0] for shape in shapes.values())
    shape = shapes["path"]
    return shape[:-2], shape[-2]


def _rows(options: PathOptions, batch: Shape, length: int, intervals: Any) -> Shape:
    if intervals is not None:
        return (*batch, intervals.shape[-2])
    if options.stream:
        return (*batch, _at_least_zero(length - 1))
    if options.windows is not None:
        return (*batch, window_count(length, *options.windows))
    return batch


def check_alone(options: PathOptions, initial: Any, intervals: Any) -> None:
    """Raise ``ValueError`` for ways to ask for parts of a path that exclude one another."""
    if intervals is not None and (options.stream or options.windows is not None):
        raise ValueError("intervals: expected None with stream=True or windows")
    if initial is not None and (options.windows is not None or intervals is not None):
        raise ValueError("initial: expected None with windows or intervals, which begin in the middle of a path")


def _with_initial(problem: Problem, options: PathOptions, rows: Shape, initial: Any) -> Shape:
    """Leading shape of the result where something came before."""
    batch = rows[:-1] if options.stream else rows
    check_last_axis(problem, "initial", tuple(initial.shape))
    before = tuple(initial.shape[:-1])
    full = broadcast_shapes(before, batch)
    if full is None or (options.stream and full != batch):
        raise ValueError(f"initial: expected a leading shape that broadcasts to {batch}, that of path, got {before}")
    return rows if options.stream else full


def _check_d_out(shape: Shape, result: Sequence[int]) -> None:
    if shape[-1:] != result[-1:] or broadcast_shapes(shape, tuple(result)) != result:
        raise ValueError(
            f"d_out: expected shape {tuple(result)}, that of the result, or one that broadcasts to it, got {shape}"
        )
