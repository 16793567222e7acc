"""Conversions: between signatures and log-signatures, and between the coordinates of log-signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen.functional._arguments import augmented_problem, non_negative
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime import changes, conversions
from logsig_codegen.runtime.arrays import plain
from logsig_codegen.runtime.checks import check_bool, check_types
from logsig_codegen.runtime.fronts import calls_of
from logsig_codegen.runtime.kernel import ArrayOrTensor
from logsig_codegen.runtime.request import check_method
from logsig_codegen.runtime.rows import check_width
from logsig_codegen.runtime.threads import check_jobs, thread_count


def sig_to_log_sig(
    sig: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """The logarithm of signatures.

    Parameters
    ----------
    sig : array, shape (..., sig_length(dimension, degree)), or one longer
        Signatures, without or with the scalar term.
    dimension, degree : int
        At least 1 each; the dimension before ``time_aug`` and ``lead_lag``.
    time_aug, lead_lag : bool
        Whether the paths had these transforms, which add channels.
    method : int
        Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    n_jobs : int
        Threads: 1 serial, -1 all processors. Calls on tensors and JAX arrays check it, and run in one thread.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree)), or the shape of sig for method 0
    """
    if time_aug is False and lead_lag is False:
        found = conversions.ordinary("sig_to_log_sig", sig, None, dimension, degree, method, False, n_jobs)
        if found is not None:
            return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    method = _check_plain(method, n_jobs)
    return _convert(
        "sig_to_log_sig",
        lambda x: conversions.sig_to_log_sig(x, problem, method, thread_count(n_jobs)),
        {"sig": sig},
        problem,
        method,
    )


def sig_to_log_sig_backprop(
    sig: ArrayOrTensor,
    log_sig_derivs: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Gradients with respect to ``sig``, of its shape, from those with respect to :func:`sig_to_log_sig`'s result."""
    if time_aug is False and lead_lag is False and log_sig_derivs is not None:
        found = conversions.ordinary(
            "sig_to_log_sig_backprop", sig, log_sig_derivs, dimension, degree, method, False, n_jobs
        )
        if found is not None:
            return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    method = _check_plain(method, n_jobs)
    return _convert(
        "sig_to_log_sig_backprop",
        lambda x, d_out: conversions.sig_to_log_sig_backprop(x, d_out, problem, method, thread_count(n_jobs)),
        {"sig": sig, "log_sig_derivs": log_sig_derivs},
        problem,
        method,
    )


def logsig_to_sig(
    log_sig: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """The exponential of log-signatures.

    Parameters
    ----------
    log_sig : array, shape (..., log_sig_length(dimension, degree))
        ``(..., sig_length(dimension, degree))`` for method 0; it may have a scalar term, and then the result has one.
    scalar_term : bool
        Whether the result begins with the coefficient of the empty word, 1.
    dimension, degree, time_aug, lead_lag, method, n_jobs
        As for :func:`sig_to_log_sig`; ``method`` tells the coordinates of ``log_sig``.

    Returns
    -------
    array, shape (..., sig_length(dimension, degree)), one longer with the scalar term
    """
    if time_aug is False and lead_lag is False:
        found = conversions.ordinary("logsig_to_sig", log_sig, None, dimension, degree, method, scalar_term, n_jobs)
        if found is not None:
            return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    method = _check_plain(method, n_jobs)
    scalar_term = check_bool("scalar_term", scalar_term)
    return _convert(
        "logsig_to_sig",
        lambda x: conversions.logsig_to_sig(x, problem, method, scalar_term, thread_count(n_jobs)),
        {"log_sig": log_sig},
        problem,
        method,
        scalar_term,
    )


def logsig_to_sig_backprop(
    log_sig: ArrayOrTensor,
    sig_derivs: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Gradients with respect to ``log_sig``, of its shape, from those with respect to :func:`logsig_to_sig`."""
    if time_aug is False and lead_lag is False and sig_derivs is not None:
        found = conversions.ordinary(
            "logsig_to_sig_backprop", log_sig, sig_derivs, dimension, degree, method, scalar_term, n_jobs
        )
        if found is not None:
            return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    method = _check_plain(method, n_jobs)
    scalar_term = check_bool("scalar_term", scalar_term)
    return _convert(
        "logsig_to_sig_backprop",
        lambda x, d_out: conversions.logsig_to_sig_backprop(
            x, d_out, problem, method, scalar_term, thread_count(n_jobs)
        ),
        {"log_sig": log_sig, "sig_derivs": sig_derivs},
        problem,
        method,
        scalar_term,
    )


def linear_log_sig(
    displacement: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """The log-signature of straight segments: the displacement, then zeros.

    Parameters
    ----------
    displacement : array, shape (..., dimension)
        End minus start.
    degree : int
        At least 0: of degree 0 there is nothing but the scalar term, if one is asked for.
    method : int
        Coordinates of the result, as for :func:`sig_to_log_sig`.
    scalar_term : bool
        Whether an expanded result begins with the coefficient of the empty word, 0.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree)), or (..., sig_length(dimension, degree)) for method 0
    """
    method = _check_plain(method, n_jobs)
    scalar_term = check_bool("scalar_term", scalar_term)
    if non_negative("degree", degree) == 0:
        return _of_degree_zero(  # type: ignore[no-any-return]
            "displacement",
            displacement,
            check_positive_integer("dimension", dimension),
            int(scalar_term and method == 0),
        )
    problem = augmented_problem(dimension, degree)
    return _convert(
        "linear_log_sig",
        lambda x: changes.linear_log_sig(x, problem, method, scalar_term),
        {"displacement": displacement},
        problem,
        method,
        scalar_term,
    )


def linear_log_sig_backprop(
    derivs: ArrayOrTensor,
    displacement: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Gradients with respect to ``displacement``, of its shape, from those with respect to :func:`linear_log_sig`'s."""
    method = _check_plain(method, n_jobs)
    scalar_term = check_bool("scalar_term", scalar_term)
    _check_arrays({"derivs": derivs, "displacement": displacement})
    if non_negative("degree", degree) == 0:
        width = int(scalar_term and method == 0)
        return _of_degree_zero("derivs", derivs, width, check_positive_integer("dimension", dimension))  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree)
    return _convert(
        "linear_log_sig_backprop",
        lambda d_out: changes.linear_log_sig_backprop(d_out, problem, method, scalar_term),
        {"derivs": derivs},
        problem,
        method,
        scalar_term,
    )


def log_sig_change_method(
    log_sig: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex, source: int, target: int
) -> ArrayOrTensor:
    """Log-signatures in the coordinates of another method.

    Parameters
    ----------
    log_sig : array, shape (..., log_sig_length(dimension, degree))
        ``(..., sig_length(dimension, degree))`` for source 0.
    source, target : int
        0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets. Of expanded coordinates only those on Lyndon words are
        read: a Lie element is determined by them.

    Returns
    -------
    array, shape as for log_sig, for target
    """
    found = changes.ordinary_change("log_sig_change_method", log_sig, dimension, degree, source, target)
    if found is not None:
        return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree)
    source, target = check_method(source, "source"), check_method(target, "target")
    return _convert(
        "log_sig_change_method",
        lambda x: changes.change_method(x, problem, source, target),
        {"log_sig": log_sig},
        problem,
        source,
        target,
    )


def log_sig_change_method_backprop(
    derivs: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex, source: int, target: int
) -> ArrayOrTensor:
    """Gradients with respect to the argument of :func:`log_sig_change_method`, from those of its result."""
    found = changes.ordinary_change("log_sig_change_method_backprop", derivs, dimension, degree, source, target)
    if found is not None:
        return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree)
    source, target = check_method(source, "source"), check_method(target, "target")
    return _convert(
        "log_sig_change_method_backprop",
        lambda d_out: changes.change_method_backprop(d_out, problem, source, target),
        {"derivs": derivs},
        problem,
        source,
        target,
    )


def log_sig_to_hall(log_sig: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex) -> ArrayOrTensor:
    """From Lyndon brackets to the Hall basis of iisignature and RoughPy, ``(..., m) -> (..., m)``."""
    return _hall("log_sig_to_hall", "log_sig", log_sig, dimension, degree)


def log_sig_to_hall_backprop(derivs: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex) -> ArrayOrTensor:
    """Gradients with respect to Lyndon brackets, from those with respect to the Hall basis."""
    return _hall("log_sig_to_hall_backprop", "derivs", derivs, dimension, degree)


def log_sig_from_hall(log_sig: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex) -> ArrayOrTensor:
    """From the Hall basis to Lyndon brackets; the inverse of :func:`log_sig_to_hall`."""
    return _hall("log_sig_from_hall", "log_sig", log_sig, dimension, degree)


def log_sig_from_hall_backprop(derivs: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex) -> ArrayOrTensor:
    """Gradients with respect to the Hall basis, from those with respect to Lyndon brackets."""
    return _hall("log_sig_from_hall_backprop", "derivs", derivs, dimension, degree)


def _hall(
    operation: str, name: str, x: ArrayOrTensor, dimension: SupportsIndex, degree: SupportsIndex
) -> ArrayOrTensor:
    found = changes.ordinary_change(operation, x, dimension, degree, *changes.NO_METHODS)
    if found is not None:
        return found  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree)
    return _convert(operation, lambda rows: changes.change_hall(operation, rows, problem), {name: x}, problem)


def _of_degree_zero(name: str, x: Any, columns: int, width: int) -> Any:
    """Rows of ``width`` zeros for rows of ``columns`` numbers, which are not read."""
    calls = calls_of(x)
    if calls is None:
        _check_arrays({name: x})
    else:
        calls.check_arrays({name: x})
    check_width(name, x, (columns,), "for degree 0")
    return np.zeros((*x.shape[:-1], width), x.dtype) if calls is None else calls.zeros(x, width)


def _check_plain(method: int, n_jobs: SupportsIndex) -> int:
    check_jobs(n_jobs)
    return check_method(method)


def _check_arrays(arguments: dict[str, Any]) -> None:
    check_types(arguments)
    for name, value in arguments.items():
        if value.ndim < 1:
            raise ValueError(f"{name}: expected at least one axis, got an array without axes")


def _convert(
    name: str,
    function: Callable[..., Any],
    arguments: dict[str, ArrayOrTensor],
    problem: Problem,
    *others: Any,
) -> ArrayOrTensor:
    """Apply ``function`` to arrays, or, to tensors and JAX arrays, the operator that stands for it."""
    values: Any = tuple(arguments.values())
    calls = calls_of(*values)
    if calls is not None:
        return calls.convert(name, arguments, problem.dimension, problem.degree, *others)  # type: ignore[no-any-return]
    _check_arrays(arguments)
    return function(*map(plain, values))  # type: ignore[no-any-return]
