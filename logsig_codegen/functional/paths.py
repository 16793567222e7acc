"""Log-signatures of whole paths, and the transforms of paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime import evaluation, loader, prepared, transforms
from logsig_codegen.runtime.arrays import check_no_out, plain
from logsig_codegen.runtime.checks import check_bool, check_types
from logsig_codegen.runtime.fronts import calls_of
from logsig_codegen.runtime.kernel import ArrayOrTensor, LogSigKernel
from logsig_codegen.runtime.parts import WHOLE, Parts, check_times, for_each, sum_over_each
from logsig_codegen.runtime.request import PathOptions, channels_of, path_request
from logsig_codegen.runtime.threads import check_jobs
from logsig_codegen.runtime.transforms import Transform


def log_sig(
    path: ArrayOrTensor | Sequence[ArrayOrTensor],
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: None = None,
    n_jobs: SupportsIndex = 1,
    lengths: Any = None,
    initial: ArrayOrTensor | None = None,
    stream: bool = False,
    windows: Any = None,
    intervals: Any = None,
    times: Any = None,
    missing: str | None = None,
    count_observations: bool = False,
    state: str | None = None,
    out: ArrayOrTensor | None = None,
) -> Any:
    """Log-signatures of piecewise linear paths; :meth:`LogSigKernel.log_sig` describes those from ``lengths`` on.

    The default basis is that of pySigLib, coordinates on Lyndon words (``method=1``). :meth:`LogSigKernel.log_sig`,
    joins and products have Lyndon brackets (``method=2``): other numbers of the same shape.

    Of degree 1 it is end minus start, and needs no kernel.

    Parameters
    ----------
    path : array, shape (..., length, dimension), or list of arrays of shape (length, dimension)
        Points of the paths.
    degree : int
        Truncation degree, at least 1.
    time_aug : bool
        Add time, from 0 to ``end_time``, as the last channel.
    lead_lag : bool
        Replace the path by its lead-lag transform, lag channels first.
    end_time : float
        Time of the last point, with ``time_aug``; not used where ``times`` are given, which are that channel then.
    method : int
        Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    scalar_term : bool
        Whether an expanded result begins with the coefficient of the empty word, 0.
    correction
        Only ``None``.
    n_jobs : int
        Threads: 1 serial, -1 all processors.
    lengths
        Counted in points of ``path``, before ``lead_lag``.
    windows
        ``(size, stride)``, counted in points of the transformed path: ``lead_lag`` makes ``2 length - 1`` points of
        ``length``, so that ``(2 size - 1, 2 stride)`` are windows of ``size`` points of ``path``.
    intervals
        Counted in such points as well; a point of ``lead_lag`` between two others is halfway between them in time.
    count_observations : bool
        With ``missing="linear"`` or ``"forward"``: double the channels of ``path``, before ``lead_lag``, by those that
        count how often each was observed so far.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree)), or (..., sig_length(dimension, degree)) for method 0

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type, dtype, shape or value.
    UnsupportedError
        For a ``correction``.
    """
    if lengths is initial is windows is intervals is times is missing is correction is None:
        known = _ordinary(path, degree, time_aug, lead_lag, scalar_term, count_observations, stream, end_time)
        if known is not None:
            result: Any = known.ordinary_log_sig(path, state, method, n_jobs, out)
            if result is not None:
                return result
    transform = Transform(time_aug, lead_lag, end_time, missing, count_observations)
    scalar_term = check_bool("scalar_term", scalar_term)
    _check_correction(correction)

    def call(windows: Any, parts: Parts) -> Any:
        options = PathOptions(stream, windows, state, method, n_jobs)  # type: ignore[arg-type]
        return forward(path, None, degree, options, transform, scalar_term, lengths, initial, parts, out)

    return for_each(windows, intervals, times, out, call)


def log_sig_backprop(
    d_out: ArrayOrTensor,
    path: ArrayOrTensor | Sequence[ArrayOrTensor],
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: None = None,
    n_jobs: SupportsIndex = 1,
    lengths: Any = None,
    initial: ArrayOrTensor | None = None,
    stream: bool = False,
    windows: Any = None,
    intervals: Any = None,
    times: Any = None,
    missing: str | None = None,
    count_observations: bool = False,
    state: str | None = None,
    out: ArrayOrTensor | tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
) -> Any:
    """Gradients with respect to the points of the paths of :func:`log_sig`.

    Parameters
    ----------
    d_out : array
        Derivative of a scalar with respect to the result; broadcasts to its shape.
    path, degree and all others
        The arguments of :func:`log_sig`.
    out : numpy array, or with ``initial`` a pair of them, optional
        Receives the result; see :meth:`LogSigKernel.log_sig_backprop`.

    Returns
    -------
    d_path : array of the shape of path, or list of them
        With ``initial``: the pair ``(d_path, d_initial)``.
    """
    if lengths is initial is windows is intervals is times is missing is correction is None:
        known = _ordinary(path, degree, time_aug, lead_lag, scalar_term, count_observations, stream, end_time)
        if known is not None:
            gradient: Any = known.ordinary_log_sig_backprop(d_out, path, state, method, n_jobs, out)
            if gradient is not None:
                return gradient
    calls = calls_of(path, initial, d_out, lengths, intervals, times)
    transform = Transform(time_aug, lead_lag, end_time, missing, count_observations)
    scalar_term = check_bool("scalar_term", scalar_term)
    _check_correction(correction)

    def call(d_out: Any, windows: Any, parts: Parts) -> Any:
        options = PathOptions(stream, windows, state, method, n_jobs)  # type: ignore[arg-type]
        others: dict[str, Any] = {
            "lengths": lengths,
            "initial": initial,
            "transform": transform,
            "scalar_term": scalar_term,
            "parts": parts,
        }
        if calls is not None:
            check_no_out(out)
            return calls.log_sig_backprop(d_out, path, None, degree, options, **others)
        request = path_request(path, None, degree, options, d_out=d_out, **others)
        kernel = loader.obtain(request.problem.dimension, request.problem.degree)
        return evaluation.backward(kernel, request, d_out, path, initial, out)

    return sum_over_each(d_out, windows, intervals, times, out, call)


def _ordinary(
    path: Any,
    degree: Any,
    time_aug: Any,
    lead_lag: Any,
    scalar_term: Any,
    count_observations: Any,
    stream: Any,
    end_time: Any,
) -> LogSigKernel | None:
    """The kernel for an array of paths, if it has been made before and this is a call without a transform or stream."""
    plain = time_aug is lead_lag is scalar_term is count_observations is stream is False
    return loader.made(path, degree) if plain and type(end_time) is float and type(path) is np.ndarray else None


def forward(
    path: Any,
    dimension: int | None,
    degree: Any,
    options: PathOptions,
    transform: Transform,
    scalar_term: bool,
    lengths: Any,
    initial: Any,
    parts: Parts = WHOLE,
    out: Any = None,
) -> Any:
    """:func:`log_sig` of options in normal form; ``dimension``: what the paths must have, ``None`` if nobody says."""
    others: dict[str, Any] = {
        "lengths": lengths,
        "initial": initial,
        "transform": transform,
        "scalar_term": scalar_term,
        "parts": parts,
    }
    calls = calls_of(path, initial, lengths, parts.intervals, parts.times)
    if calls is not None:
        check_no_out(out)
        return calls.log_sig(path, dimension, degree, options, **others)
    request = path_request(path, dimension, degree, options, **others)
    kernel = loader.obtain(request.problem.dimension, request.problem.degree)
    return evaluation.forward(kernel, request, path, initial, out)


def transform_path(
    path: ArrayOrTensor,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    times: Any = None,
    missing: str | None = None,
    count_observations: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Add time as the last channel of paths, and double their channels by the lead-lag transform (lag first).

    Parameters
    ----------
    path : array, shape (..., length, dimension)
    time_aug, lead_lag, end_time, times, missing, count_observations
        As for :func:`log_sig`.
    n_jobs : int
        Checked, and not needed: this is a copy.

    Returns
    -------
    array, shape (..., new length, new dimension)
        ``lead_lag`` makes ``2 length - 1`` points of ``2 dimension`` channels, ``time_aug`` one channel more.
    """
    check_jobs(n_jobs)
    how = Transform(time_aug, lead_lag, end_time, missing, count_observations)
    calls = calls_of(path, times)
    if calls is not None:
        return calls.transform_path(path, how, times=times)  # type: ignore[no-any-return]
    check_types({"path": path})
    channels_of("path", path)
    if times is not None:
        times = check_times(times, path.shape[:-2], path.shape[-2])
    return prepared.transformed(plain(path), how, None, times)[0]  # type: ignore[arg-type, return-value]


def transform_path_backprop(
    derivs: ArrayOrTensor,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Gradients with respect to the path of :func:`transform_path`, of the path's shape.

    Parameters
    ----------
    derivs : array, shape (..., new length, new dimension)
        Derivative of a scalar with respect to the transformed path.
    time_aug, lead_lag, end_time, n_jobs
        The arguments of :func:`transform_path`.
    """
    check_jobs(n_jobs)
    how = Transform(time_aug, lead_lag, end_time)
    calls = calls_of(derivs)
    if calls is not None:
        return calls.transform_path_backprop(derivs, how)  # type: ignore[no-any-return]
    check_types({"derivs": derivs})
    channels_of("derivs", derivs)
    return transforms.transform_backprop(plain(derivs), how)  # type: ignore[arg-type, return-value]


def _check_correction(correction: None) -> None:
    if correction is not None:
        raise UnsupportedError("correction: there are no kernels for corrected log-signatures; expected None")
