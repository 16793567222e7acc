"""Logarithms, exponentials and their gradients where there is no compiler: numpy code in place of the C library.

The functions take rows as the kernels do; ``runtime/conversions.py`` describes arguments and results. Everything is
computed in double precision and rounded once. A row's result does not depend, bit for bit, on the other rows.
"""

from __future__ import annotations

import numpy as np

from logsig_codegen.problem import Problem
from logsig_codegen.runtime.coordinates import chain_of, log_sig_size, scalar_terms, scalars, sig_size, skipped
from logsig_codegen.runtime.rows import (
    Array,
    by_rows,
    exponential,
    logarithm,
    pull_series,
    pull_series_on_lyndon_words,
    series,
    series_on_lyndon_words,
    series_work,
)


def sig_to_log_sig(sig: Array, problem: Problem, method: int) -> Array:
    """The logarithm of signatures."""
    scalar = scalar_terms("sig", sig, problem)
    width = log_sig_size(problem, method, bool(scalar))
    chain, coefficients = chain_of(problem, 1, method), logarithm(problem.degree)

    def convert(x: Array) -> Array:
        if method == 0:
            return _with_scalar(series(problem, coefficients, x[:, scalar:])[0], 0, scalar, 0.0)
        return chain.apply(series_on_lyndon_words(problem, coefficients, x[:, scalar:]))

    return by_rows(convert, width, series_work(problem), sig)


def sig_to_log_sig_backprop(sig: Array, derivs: Array, problem: Problem, method: int) -> Array:
    """Derivatives by ``sig`` from derivatives by the result of :func:`sig_to_log_sig`."""
    scalar = scalar_terms("sig", sig, problem)
    skip = scalars(method, bool(scalar))
    chain, coefficients = chain_of(problem, 1, method), logarithm(problem.degree)

    def pull(x: Array, form: Array) -> Array:
        x = x[:, scalar:]
        if method == 0:
            pulled = pull_series(problem, coefficients, x, form[:, skip:])
        else:
            pulled = pull_series_on_lyndon_words(problem, coefficients, x, chain.pull(form))
        return _with_scalar(pulled, 0, scalar, 0.0)

    return by_rows(pull, sig.shape[-1], series_work(problem), sig, derivs)


def logsig_to_sig(log_sig: Array, problem: Problem, method: int, scalar_term: bool = False) -> Array:
    """The exponential of log-signatures."""
    skip, scalar = _formats(log_sig, problem, method, scalar_term)
    chain = chain_of(problem, method, 0)

    def convert(x: Array) -> Array:
        return _with_scalar(series(problem, exponential(problem.degree), chain.apply(x[:, skip:]))[0], 0, scalar, 1.0)

    return by_rows(convert, sig_size(problem, bool(scalar)), chain.work + series_work(problem), log_sig)


def logsig_to_sig_backprop(
    log_sig: Array, derivs: Array, problem: Problem, method: int, scalar_term: bool = False
) -> Array:
    """Derivatives by ``log_sig`` from derivatives by the result of :func:`logsig_to_sig`."""
    skip, scalar = _formats(log_sig, problem, method, scalar_term)
    chain = chain_of(problem, method, 0)

    def pull(x: Array, form: Array) -> Array:
        form = pull_series(problem, exponential(problem.degree), chain.apply(x[:, skip:]), form[:, scalar:])
        return _with_scalar(chain.pull(form), method, skip, 0.0)

    return by_rows(pull, log_sig.shape[-1], chain.work + series_work(problem), log_sig, derivs)


def _with_scalar(x: Array, method: int, scalar: int, value: float) -> Array:
    """``x`` with a scalar term in front, for expanded coordinates that are to have one."""
    if not scalar or method:
        return x
    result = np.empty((len(x), x.shape[1] + 1))
    result[:, 0] = value
    result[:, 1:] = x
    return result


def _formats(log_sig: Array, problem: Problem, method: int, scalar_term: bool) -> tuple[int, int]:
    """Number of scalar terms, 0 or 1, of a log-signature and of its exponential."""
    skip = skipped("log_sig", log_sig, problem, method)
    return skip, int(bool(scalar_term)) if method else skip
