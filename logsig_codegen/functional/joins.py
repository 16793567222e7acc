"""Many joins, one after the other, as one call along the path that the segments make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen.functional.paths import forward, log_sig_backprop
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import transforms
from logsig_codegen.runtime.arrays import sum_to
from logsig_codegen.runtime.checks import (
    broadcast,
    broadcast_shapes,
    check_bool,
    check_last_axis,
    check_problem,
    check_types,
    is_tensor,
)
from logsig_codegen.runtime.fronts import calls_of
from logsig_codegen.runtime.kernel import ArrayOrTensor
from logsig_codegen.runtime.request import PathOptions
from logsig_codegen.runtime.transforms import UNCHANGED


def log_sig_joins(
    log_sig: ArrayOrTensor,
    displacements: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    stream: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Extend log-signatures by many straight segments each, in one call, forward and backward.

    Equal to ``for k in range(steps): log_sig = log_sig_join(log_sig, displacements[..., k, :], dimension, degree)``,
    up to rounding: segments are summed up to a path, which :func:`log_sig` takes with ``initial=log_sig``.

    Parameters
    ----------
    log_sig : array, shape (..., log_sig_length(dimension, degree))
        Coordinates in the Lyndon bracket basis; leading axes broadcast.
    displacements : array, shape (..., steps, dimension)
        End minus start of the segments, in their order. No steps leave ``log_sig`` as it is.
    dimension, degree : int
        At least 1 each.
    stream : bool
        Whether all results are wanted, after the first segment, the second, and so on.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree))
        ``(..., steps, log_sig_length(dimension, degree))`` with ``stream``.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type, dtype, shape or value.
    """
    problem, shape = _check({"log_sig": log_sig, "displacements": displacements}, dimension, degree)
    options = PathOptions(stream, None, None, 2, n_jobs)  # type: ignore[arg-type]
    points = _points(displacements, shape, stream)
    return forward(points, problem.dimension, problem.degree, options, UNCHANGED, False, None, log_sig)  # type: ignore[no-any-return]


def log_sig_joins_backprop(
    d_out: ArrayOrTensor,
    log_sig: ArrayOrTensor,
    displacements: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    stream: bool = False,
    n_jobs: SupportsIndex = 1,
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Gradients with respect to the arguments of :func:`log_sig_joins`.

    Parameters
    ----------
    d_out : array
        Derivative of a scalar with respect to the result; broadcasts to its shape.
    log_sig, displacements, dimension, degree, stream, n_jobs
        As for :func:`log_sig_joins`.

    Returns
    -------
    d_log_sig, d_displacements : array, shapes of log_sig and displacements
    """
    arrays = {"d_out": d_out, "log_sig": log_sig, "displacements": displacements}
    problem, shape = _check(arrays, dimension, degree)
    if is_tensor(displacements):
        check_types(arrays)
    steps = displacements.shape[-2:-1] if check_bool("stream", stream) else ()
    expected = (*shape, *steps, problem.size)
    if broadcast_shapes(tuple(d_out.shape), expected) != expected:
        raise ValueError(f"d_out: expected a shape that broadcasts to {expected}, got {tuple(d_out.shape)}")
    calls = calls_of(displacements, log_sig)
    if calls is not None:

        def joins(start: Any, segments: Any) -> Any:
            return log_sig_joins(start, segments, dimension, degree, stream=stream, n_jobs=n_jobs)

        return calls.pulled_back(joins, d_out, log_sig, displacements)  # type: ignore[no-any-return]
    points = _points(displacements, shape, stream)
    d_points, d_log_sig = log_sig_backprop(
        d_out, points, problem.degree, method=2, initial=log_sig, stream=stream, n_jobs=n_jobs
    )
    d_displacements = np.empty(displacements.shape, displacements.dtype)
    sum_to(transforms.points_backprop(d_points), d_displacements)
    return d_log_sig, d_displacements  # type: ignore[return-value]


def _points(displacements: Any, shape: tuple[int, ...], stream: bool) -> Any:
    """The points of the paths that segments make, from the origin on; of a stream, a path for each log-signature."""
    calls = calls_of(displacements)
    lead = shape if stream else tuple(displacements.shape[:-2])
    return (transforms if calls is None else calls).points(displacements, lead)


def _check(arrays: Mapping[str, Any], dimension: Any, degree: Any) -> tuple[Problem, tuple[int, ...]]:
    """Check arrays by the names that they have here; return the problem and the leading shape of the result."""
    problem = check_problem(dimension, degree)
    log_sig, displacements = arrays["log_sig"], arrays["displacements"]
    calls = calls_of(displacements, log_sig)
    if calls is None:
        check_types(arrays)
        check_last_axis(problem, "log_sig", tuple(log_sig.shape))
    else:
        calls.check_rows(problem, arrays, "log_sig")
    shape = tuple(displacements.shape)
    if len(shape) < 2 or shape[-1] != problem.dimension:
        raise ValueError(f"displacements: expected shape (..., steps, {problem.dimension}), got {shape}")
    return problem, broadcast({"log_sig": tuple(log_sig.shape[:-1]), "displacements": shape[:-2]})
