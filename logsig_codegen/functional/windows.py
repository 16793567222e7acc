"""Windows as other libraries' users know them: the log-ODE transform of torchcde, and what log-NCDE code stores."""

from __future__ import annotations

import math
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen.functional.conversions import log_sig_to_hall
from logsig_codegen.functional.paths import log_sig, transform_path
from logsig_codegen.problem import check_positive_integer
from logsig_codegen.runtime.checks import check_types, is_tensor, is_traced, known, namespace
from logsig_codegen.runtime.kernel import ArrayOrTensor
from logsig_codegen.runtime.parts import SLACK, known_times, numbers_of, within
from logsig_codegen.runtime.request import channels_of
from logsig_codegen.runtime.transforms import finite_number


def logsig_windows(x: ArrayOrTensor, depth: SupportsIndex, window_length: float, t: Any = None) -> ArrayOrTensor:
    """The path that the log-ODE method is driven by, as torchcde's function of this name makes it.

    The path is cut into windows that take ``window_length`` each, the last one what is left. Row 0 of the result is the
    first point, followed by zeros; the others add the log-signatures of the windows to it, one after the other, so that
    their differences are these log-signatures.

    Parameters
    ----------
    x : array, shape (..., length, dimension)
        NaN is a value that is missing, filled in by ``missing="linear"``.
    depth : int
        Truncation degree.
    window_length : float
        In the unit of ``t``.
    t : array, shape (length,), optional
        Increasing; 0, 1, … by default. Gradients of tensors and JAX arrays flow to it.

    Returns
    -------
    array, shape (..., number of windows + 1, log_sig_length)
        Coordinates on Lyndon words.
    """
    check_types({"x": x})
    dimension = channels_of("x", x)
    window_length = finite_number("window_length", window_length)
    if window_length <= 0:
        raise ValueError(f"window_length: expected a positive number, got {window_length}")
    times = _times(x, t)
    rows = log_sig(x, depth, method=1, times=times, missing="linear", intervals=_edges(times, window_length))
    first = transform_path(x, times=times, missing="linear")[..., :1, :]
    first = _concatenate([first, _zeros(first, (*first.shape[:-1], rows.shape[-1] - dimension))], -1)
    return _concatenate([first, rows], -2).cumsum(-2)  # type: ignore[no-any-return]


def _times(x: Any, t: Any) -> Any:
    length = x.shape[-2] if x.ndim > 1 else 0
    if t is None:
        return np.arange(length, dtype=np.float64)
    if is_tensor(t) and not isinstance(t, (list, tuple)):
        from logsig_codegen.runtime.torch_ops.lengths import check_numbers

        check_numbers("t", x if is_tensor(x) else t, t)
    elif not is_traced(t):
        t = numbers_of("t", t)
    if tuple(t.shape) != (length,):
        raise ValueError(f"t: expected shape ({length},), got {tuple(t.shape)}")
    return t


def _edges(times: Any, window_length: float) -> Any:
    """Beginning and end of each window, ``(number of windows, 2)``."""
    if not is_tensor(times):
        times = namespace(times).asarray(times, float) if is_traced(times) else np.asarray(known(times), np.float64)
        count = _count(known_times("t", times), window_length)
        edges = within(times[:1] + window_length * np.arange(count + 1), -np.inf, times[-1:])
        return namespace(times).stack([edges[:-1], edges[1:]], -1)
    import torch

    times = times.double()
    steps = torch.arange(_count(times.detach(), window_length) + 1, dtype=times.dtype, device=times.device)
    edges = (times[:1] + window_length * steps).clamp(max=times[-1:])
    return torch.stack([edges[:-1], edges[1:]], -1)


def _count(times: Any, window_length: float) -> int:
    span = float(times[-1] - times[0]) if len(times) else 0.0
    return max(math.ceil(span / window_length - SLACK), 0)


def hall_windows(data: ArrayOrTensor, stepsize: SupportsIndex, depth: SupportsIndex) -> ArrayOrTensor:
    """Log-signatures of windows as code of log-neural CDEs stores them: Hall coordinates, each row after a zero.

    The path begins at 0, before its first point. Its points, that one included, are dealt out in groups of
    ``stepsize``, the last one what is left, and a window goes from the last point of a group to the last of the next.

    Parameters
    ----------
    data : array, shape (..., length, dimension)
    stepsize : int
        Points of a group, at least 1.
    depth : int
        Truncation degree.

    Returns
    -------
    array, shape (..., ceil((length + 1) / stepsize), 1 + log_sig_length)
    """
    check_types({"data": data})
    dimension, size = channels_of("data", data), check_positive_integer("stepsize", stepsize)
    path = _concatenate([_zeros(data, (*data.shape[:-2], 1, dimension)), data], -2)
    length = path.shape[-2]
    last = np.minimum(np.arange(size - 1, length + size - 1, size), length - 1)
    pairs = np.stack([np.concatenate([[0], last[:-1]]), last], -1)
    rows = log_sig(path, depth, method=2, intervals=pairs)
    return _concatenate([_zeros(rows, (*rows.shape[:-1], 1)), log_sig_to_hall(rows, dimension, depth)], -1)  # type: ignore[no-any-return]


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    return like.new_zeros(shape) if is_tensor(like) else namespace(like).zeros(shape, like.dtype)


def _concatenate(parts: list[Any], axis: int) -> Any:
    if not is_tensor(parts[0]):
        return namespace(*parts).concatenate(parts, axis)
    import torch

    return torch.cat(parts, axis)
