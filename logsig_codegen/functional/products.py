"""Products of log-signatures: with one segment, and with each other."""

from __future__ import annotations

from typing import Any, SupportsIndex

from logsig_codegen.functional._arguments import augmented, augmented_problem
from logsig_codegen.runtime import loader
from logsig_codegen.runtime.arrays import check_no_out, check_product, check_product_backprop
from logsig_codegen.runtime.checks import check_problem, join_operation
from logsig_codegen.runtime.fronts import calls_of
from logsig_codegen.runtime.kernel import COMBINE, ArrayOrTensor
from logsig_codegen.runtime.threads import check_jobs


def log_sig_join(
    log_sig: ArrayOrTensor,
    displacement: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    prepend: bool = False,
    n_jobs: SupportsIndex = 1,
    out: ArrayOrTensor | None = None,
) -> ArrayOrTensor:
    """Extend log-signatures by one straight segment each; :meth:`LogSigKernel.join` describes arrays and errors.

    Parameters
    ----------
    log_sig : array, shape (..., log_sig_length(dimension, degree))
        Coordinates in the Lyndon bracket basis.
    displacement : array, shape (..., dimension)
        End minus start of the segments.
    dimension, degree : int
        At least 1 each. Their kernel is loaded, or built, on first use.
    prepend : bool
        Whether the segments precede the paths: ``log(exp(displacement) exp(log_sig))``.
    n_jobs : int
        Threads: 1 serial, -1 all processors.
    out : numpy array, optional
        Receives the result.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree))
    """
    operation = join_operation(prepend)
    calls = calls_of(log_sig, displacement)
    if calls is not None:
        return _elsewhere(calls, operation.name, (log_sig, displacement), dimension, degree, n_jobs, out)  # type: ignore[no-any-return]
    kernel = loader.loaded(dimension, degree)
    if kernel is None:
        problem = check_problem(dimension, degree)
        check_jobs(n_jobs)
        check_product(problem, {"log_sig": log_sig, "displacement": displacement}, out)
        kernel = loader.load(dimension, degree)
    return kernel.join(log_sig, displacement, prepend=prepend, n_jobs=n_jobs, out=out)


def log_sig_join_backprop(
    d_out: ArrayOrTensor,
    log_sig: ArrayOrTensor,
    displacement: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    prepend: bool = False,
    n_jobs: SupportsIndex = 1,
    out: tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Gradients with respect to the arguments of :func:`log_sig_join`; see :meth:`LogSigKernel.join_backprop`.

    Parameters
    ----------
    d_out : array, shape (..., log_sig_length(dimension, degree))
        Derivative of a scalar with respect to the result of the join.
    log_sig, displacement, dimension, degree, prepend, n_jobs
        As for :func:`log_sig_join`.
    out : pair of numpy arrays, optional
        Receives the gradients.

    Returns
    -------
    d_log_sig, d_displacement : array, shapes of log_sig and displacement
    """
    operation = join_operation(prepend)
    calls = calls_of(log_sig, displacement, d_out)
    if calls is not None:
        arrays = (d_out, log_sig, displacement)
        return _elsewhere(calls, operation.gradient, arrays, dimension, degree, n_jobs, out)  # type: ignore[no-any-return]
    kernel = loader.loaded(dimension, degree)
    if kernel is None:
        problem = check_problem(dimension, degree)
        check_jobs(n_jobs)
        check_product_backprop(problem, {"d_out": d_out, "log_sig": log_sig, "displacement": displacement}, out)
        kernel = loader.load(dimension, degree)
    return kernel.join_backprop(d_out, log_sig, displacement, prepend=prepend, n_jobs=n_jobs, out=out)


def log_sig_combine(
    log_sig1: ArrayOrTensor,
    log_sig2: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """The log-signature of one path after another, ``log(exp(log_sig1) exp(log_sig2))``.

    Parameters
    ----------
    log_sig1, log_sig2 : array, shape (..., log_sig_length(dimension, degree))
        Coordinates in the Lyndon bracket basis; leading axes broadcast.
    dimension, degree : int
        At least 1 each; the dimension before ``time_aug`` and ``lead_lag``.
    time_aug, lead_lag : bool
        Whether the paths had these transforms, which add channels.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree))
    """
    calls = calls_of(log_sig1, log_sig2)
    if calls is not None:
        channels = augmented(dimension, time_aug, lead_lag)  # type: ignore[arg-type]
        return calls.rows(COMBINE.name, (log_sig1, log_sig2), channels, degree, n_jobs)  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    check_jobs(n_jobs)
    check_product(problem, {"log_sig1": log_sig1, "log_sig2": log_sig2}, None)
    return loader.obtain(problem.dimension, problem.degree).combine(log_sig1, log_sig2, n_jobs=n_jobs)


def log_sig_combine_backprop(
    deriv: ArrayOrTensor,
    ls1: ArrayOrTensor,
    ls2: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    n_jobs: SupportsIndex = 1,
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Gradients with respect to the log-signatures of :func:`log_sig_combine`.

    Parameters
    ----------
    deriv : array, shape (..., log_sig_length(dimension, degree))
        Derivative of a scalar with respect to the result.
    ls1, ls2, dimension, degree, time_aug, lead_lag, n_jobs
        As for :func:`log_sig_combine`.

    Returns
    -------
    d_ls1, d_ls2 : array, shapes of ls1 and ls2
    """
    calls = calls_of(ls1, ls2, deriv)
    if calls is not None:
        channels = augmented(dimension, time_aug, lead_lag)  # type: ignore[arg-type]
        return calls.rows(COMBINE.gradient, (deriv, ls1, ls2), channels, degree, n_jobs)  # type: ignore[no-any-return]
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    check_jobs(n_jobs)
    check_product_backprop(problem, {"d_out": deriv, "log_sig1": ls1, "log_sig2": ls2}, None)
    return loader.obtain(problem.dimension, problem.degree).combine_backprop(deriv, ls1, ls2, n_jobs=n_jobs)


def _elsewhere(
    calls: Any, operation: str, arrays: tuple[Any, ...], dimension: Any, degree: Any, n_jobs: Any, out: object
) -> Any:
    """A product of tensors or JAX arrays, or its gradient."""
    if out is not None:
        check_no_out(out)
    return calls.rows(operation, arrays, dimension, degree, n_jobs)
