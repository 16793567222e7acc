"""Log-signatures of Dask arrays, lazily, in chunks along the batch and along time. Only importing this imports Dask.

>>> import dask.array as da
>>> from logsig_codegen.dask import log_sig
>>> log_sig(da.zeros((1000, 50000, 3), chunks=(100, 10000, 3)), 2).numblocks
(10, 1)

Paths in one chunk along time are handed to :func:`logsig_codegen.log_sig`. Of those in several, each chunk gives the
log-signatures of its pieces of what is asked for, and these are multiplied in a tree.
"""

from __future__ import annotations

import math
from typing import Any, SupportsIndex

import dask.array as da
import numpy as np
from dask.base import is_dask_collection

from logsig_codegen._lazy import Call, Chunked, Lazy, Whole
from logsig_codegen._lazy_stream import Streamed
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime.parts import Parts, for_each, sum_over_each
from logsig_codegen.runtime.request import PathOptions, path_request
from logsig_codegen.runtime.transforms import Transform

__all__ = ["log_sig", "log_sig_backprop"]


def log_sig(
    path: Lazy,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: SupportsIndex = 1,
    lengths: Any = None,
    initial: Any = None,
    stream: bool = False,
    windows: Any = None,
    intervals: Any = None,
    times: Any = None,
    missing: str | None = None,
    count_observations: bool = False,
    state: str | None = None,
) -> Any:
    """Log-signatures of the paths in a Dask array; nothing is computed before the result is asked for.

    Parameters
    ----------
    path : dask.array.Array, shape (..., length, dimension)
        In chunks along all axes but the last, which is put into one chunk.
    degree : int
        Truncation degree, at least 1.
    n_jobs : int
        Threads of each task.
    initial : array or dask.array.Array, shape (..., log_sig_length), optional
        Its leading shape broadcasts to that of ``path``.
    lengths, windows, intervals, times and all others
        As for :func:`logsig_codegen.log_sig`: numbers in memory, not Dask arrays.

    Returns
    -------
    dask.array.Array, or for a list of windows a list of them
        Shape and coordinates as of :func:`logsig_codegen.log_sig`. In chunks along the batch as ``path`` is; windows
        are in chunks by the chunk of ``path`` that they begin in, where there are several, and steps of a stream too.

    Raises
    ------
    TypeError, ValueError
        At once, for arguments of the wrong type, dtype, shape or value.
    UnsupportedError
        For what needs each path in one chunk along time (``path.rechunk({-2: -1})``): ``missing``, parts in units of
        time where each path has times of its own, and ``time_aug`` with ``lengths``, without ``times``, to an
        ``end_time`` that is not positive. For Dask arrays where numbers in memory are needed, and for an ``initial``
        that the paths would be repeated for.
    """
    how = Transform(time_aug, lead_lag, end_time, missing, count_observations)
    _check_numbers(lengths=lengths, intervals=intervals, times=times)

    def call(windows: Any, parts: Parts) -> Lazy:
        options = PathOptions(stream, windows, state, method, n_jobs)  # type: ignore[arg-type]
        return _call(path, degree, options, how, scalar_term, lengths, initial, parts).forward()

    return for_each(windows, intervals, times, None, call)


def log_sig_backprop(
    d_out: Any,
    path: Lazy,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: SupportsIndex = 1,
    lengths: Any = None,
    initial: Any = None,
    stream: bool = False,
    windows: Any = None,
    intervals: Any = None,
    times: Any = None,
    missing: str | None = None,
    count_observations: bool = False,
    state: str | None = None,
) -> Any:
    """Gradients with respect to the points of the paths of :func:`log_sig`.

    Parameters
    ----------
    d_out : array or dask.array.Array
        Derivative of a scalar with respect to the result; broadcasts to its shape. For a list of windows a list.
    path, degree and all others
        The arguments of :func:`log_sig`.

    Returns
    -------
    d_path : dask.array.Array
        Of the shape of ``path``, in chunks as it is. With ``initial``: the pair ``(d_path, d_initial)``.
    """
    how = Transform(time_aug, lead_lag, end_time, missing, count_observations)
    _check_numbers(lengths=lengths, intervals=intervals, times=times)

    def call(d_out: Any, windows: Any, parts: Parts) -> Any:
        options = PathOptions(stream, windows, state, method, n_jobs)  # type: ignore[arg-type]
        made = _call(path, degree, options, how, scalar_term, lengths, initial, parts, d_out)
        d_path, d_initial = made.backward(d_out)
        d_path = d_path.rechunk(path.chunks)
        return d_path if initial is None else (d_path, d_initial)

    return sum_over_each(d_out, windows, intervals, times, None, call)


def _call(
    path: Lazy,
    degree: Any,
    options: PathOptions,
    how: Transform,
    scalar_term: bool,
    lengths: Any,
    initial: Any,
    parts: Parts,
    d_out: Any = None,
) -> Whole | Chunked:
    """A call, checked."""
    if not isinstance(path, da.Array):
        raise TypeError(f"path: expected a Dask array, got {type(path).__name__}; logsig_codegen.log_sig takes others")
    if any(map(math.isnan, path.shape)):
        raise ValueError("path: expected chunks of known sizes; path.compute_chunk_sizes() finds them")
    request = path_request(
        _shape("path", path), None, degree, options, lengths=lengths, initial=_shape("initial", initial),
        d_out=_shape("d_out", d_out), transform=how, scalar_term=scalar_term, parts=parts,
    )  # fmt: skip
    if initial is not None and request.shape[: len(request.batch)] != request.batch:
        raise UnsupportedError(f"initial: expected a leading shape that broadcasts to {request.batch}, that of path")
    path = path.rechunk((*(tuple(filter(None, sizes)) or (0,) for sizes in path.chunks[:-1]), -1))
    kind: type[Call] = Whole if path.numblocks[-2] == 1 else Streamed if options.stream else Chunked
    return kind(path, request, parts, initial)  # type: ignore[return-value]


def _shape(name: str, array: Any) -> Any:
    """A numpy array of the shape and dtype of an array, in the memory of one number: what checks look at."""
    if array is None:
        return None
    if not isinstance(array, (da.Array, np.ndarray)):
        raise TypeError(f"{name}: expected a Dask array or a numpy array, got {type(array).__name__}")
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _check_numbers(**arguments: Any) -> None:
    for name, numbers in arguments.items():
        if is_dask_collection(numbers):
            raise UnsupportedError(f"{name}: tasks depend on these numbers; expected them in memory, as by .compute()")
