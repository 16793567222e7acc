"""Checks of calls on paths; nothing is allocated, compiled or loaded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from logsig_codegen.operations import STATES, default_state
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.arrays import check_out, wants_out
from logsig_codegen.runtime.checks import check_last_axis, check_types
from logsig_codegen.runtime.coordinates import log_sig_size
from logsig_codegen.runtime.paths import Indices, Options, window_count


@dataclass(frozen=True)
class Checked:
    """Arguments that make sense together.

    Attributes
    ----------
    kind : str
        ``NUMPY`` or ``TORCH``.
    options : Options
    paths : list of arrays or tensors
    shape : tuple of int
        Shape of the result.
    out : tuple of arrays, or None
        Where the result goes, or the gradients with respect to ``path`` and ``initial``.
    """

    kind: str
    options: Options
    paths: list[Any]
    shape: tuple[int, ...]
    out: tuple[Any, ...] | None = None


def is_plain(lengths: Any, initial: Any, stream: Any, windows: Any, method: Any) -> bool:
    """Whether a call on paths asks for nothing but log-signatures in Lyndon brackets."""
    return (
        type(method) is int
        and method in (2, 3)
        and stream is False
        and lengths is None
        and initial is None
        and windows is None
    )


def check_call(
    problem: Problem,
    path: Any,
    *,
    lengths: Any,
    initial: Any,
    stream: Any,
    windows: Any,
    state: Any,
    method: Any,
    threads: int,
    d_out: Any = None,
    out: Any = None,
) -> Checked:
    """Check the arguments of :meth:`LogSigKernel.log_sig`, or, with ``d_out``, of its backward.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected, and what came.
    """
    ragged = isinstance(path, (list, tuple))
    paths = list(path) if ragged else [path]
    arrays = {f"path[{index}]" if ragged else "path": value for index, value in enumerate(paths)}
    others = {"initial": initial, "d_out": d_out}
    arrays.update({name: value for name, value in others.items() if value is not None})
    if not arrays:
        raise ValueError("path: expected at least one path, got an empty list")
    kind = check_types(arrays)
    _check_flags(stream, windows, state, method)
    options = Options(
        lengths=None,
        stream=stream,
        windows=check_windows(windows),
        state=default_state(problem) if state is None else state,
        method=method,
        threads=threads,
        ragged=ragged,
    )
    batch, length = _check_paths(problem, arrays, paths, ragged)
    if lengths is not None:
        if ragged:
            raise ValueError("lengths: expected None with a list of paths, which have lengths of their own")
        options = Options(**{**vars(options), "lengths": check_lengths(lengths, batch, length)})
    shape = _result_shape(problem, options, batch, length, initial)
    if d_out is not None:
        _check_d_out(tuple(d_out.shape), shape)
    if not wants_out(kind, out):
        return Checked(kind, options, paths, shape)
    inputs = {**arrays, "lengths": lengths} if isinstance(lengths, np.ndarray) else arrays
    if d_out is not None:
        return Checked(kind, options, paths, shape, check_out_backward(out, path, initial, inputs))
    check_out("out", out, shape, inputs)
    return Checked(kind, options, paths, shape, (out,))


def check_out_backward(out: Any, path: Any, initial: Any, inputs: dict[str, Any]) -> tuple[Any, ...]:
    """The arrays that are to receive the gradients with respect to ``path`` and ``initial``, if there is one.

    Raises
    ------
    TypeError, ValueError
        For a list of paths, and as :func:`~logsig_codegen.runtime.arrays.check_out`.
    """
    if isinstance(path, (list, tuple)):
        raise ValueError("out: expected None with a list of paths, whose gradients have shapes of their own")
    if initial is None:
        check_out("out", out, path.shape, inputs)
        return (out,)
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"out: expected a pair of arrays (d_path, d_initial), got {type(out).__name__}")
    check_out("out[0]", out[0], path.shape, inputs)
    check_out("out[1]", out[1], initial.shape, {**inputs, "out[0]": out[0]})
    return out


def _check_flags(stream: Any, windows: Any, state: Any, method: Any) -> None:
    if not isinstance(stream, bool):
        raise TypeError(f"stream: expected a bool, got {type(stream).__name__} {stream!r}")
    if stream and windows is not None:
        raise ValueError("windows: expected None with stream=True, which gives all expanding log-signatures")
    if state is not None and state not in STATES:
        raise ValueError(f"state: expected None or one of {', '.join(STATES)}, got {state!r}")
    check_method(method)


def check_method(method: Any) -> int:
    """Return ``method`` if it is 0, 1, 2 or 3."""
    if isinstance(method, bool) or not isinstance(method, (int, np.integer)):
        raise TypeError(f"method: expected an integer, got {type(method).__name__} {method!r}")
    if not 0 <= method <= 3:
        raise ValueError(f"method: expected 0, 1, 2 or 3, got {method}")
    return int(method)


def check_windows(windows: Any) -> tuple[int, int] | None:
    """Return a pair of sizes as integers."""
    if windows is None:
        return None
    if not isinstance(windows, tuple) or len(windows) != 2:
        raise TypeError(f"windows: expected a pair (size, stride), got {type(windows).__name__} {windows!r}")
    size, stride = windows
    return check_positive_integer("windows[0]", size), check_positive_integer("windows[1]", stride)


def check_lengths(lengths: Any, batch: tuple[int, ...], length: int) -> Indices:
    """The numbers of points of a padded batch, of the batch's shape."""
    numbers = np.asarray(lengths)
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got dtype {numbers.dtype}")
    if numbers.shape != batch:
        raise ValueError(f"lengths: expected shape {batch}, that of the batch, got {numbers.shape}")
    if numbers.size and not (int(numbers.min()) >= 0 and int(numbers.max()) <= length):
        raise ValueError(f"lengths: expected values from 0 to {length}, got {numbers.min()} to {numbers.max()}")
    return np.ascontiguousarray(numbers, np.intp)


def _check_paths(
    problem: Problem, arrays: dict[str, Any], paths: Sequence[Any], ragged: bool
) -> tuple[tuple[int, ...], int]:
    """Batch shape and number of points."""
    for name, value in zip(arrays, paths, strict=False):
        shape = tuple(value.shape)
        if ragged and len(shape) != 2:
            raise ValueError(f"{name}: expected shape (length, {problem.dimension}), got {shape}")
        if len(shape) < 2:
            raise ValueError(f"{name}: expected shape (..., length, {problem.dimension}), got {shape}")
        if shape[-1] != problem.dimension:
            raise ValueError(f"{name}: expected last dimension {problem.dimension}, got {shape[-1]}")
    if ragged:
        return (len(paths),), max(int(value.shape[0]) for value in paths)
    return tuple(paths[0].shape[:-2]), int(paths[0].shape[-2])


def _result_shape(
    problem: Problem, options: Options, batch: tuple[int, ...], length: int, initial: Any
) -> tuple[int, ...]:
    size = log_sig_size(problem, options.method)
    if options.windows is not None:
        if initial is not None:
            raise ValueError("initial: expected None with windows, which begin in the middle of a path")
        return (*batch, window_count(length, *options.windows), size)
    if initial is not None:
        check_last_axis(problem, "initial", tuple(initial.shape))
        before = tuple(initial.shape[:-1])
        try:
            full = np.broadcast_shapes(before, batch)
        except ValueError:
            full = None
        if full is None or (options.stream and full != batch):
            raise ValueError(
                f"initial: expected a leading shape that broadcasts to {batch}, that of path, got {before}"
            )
        batch = full
    return (*batch, max(length - 1, 0), size) if options.stream else (*batch, size)


def _check_d_out(shape: tuple[int, ...], result: tuple[int, ...]) -> None:
    try:
        fits = shape[-1:] == result[-1:] and np.broadcast_shapes(shape, result) == result
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"d_out: expected shape {result}, that of the result, or one that broadcasts to it, got {shape}"
        )
