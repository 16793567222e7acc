"""Conversions between signatures and log-signatures in all coordinates, with their derivatives, on numpy arrays.

Methods name coordinates as pySigLib does: 0 *expanded* (all words of length 1 … N by length, then lexicographically),
1 Lyndon words, 2 and 3 Lyndon brackets. A signature and an expanded log-signature may carry the coefficient of the
empty word in front, the *scalar term*; in an argument the last axis tells whether it does, and its value is ignored: it
is 1 for a signature and 0 for a logarithm.

Arguments are arrays ``(..., width)`` of float32 or float64 with any leading shape and any strides, results have the
first argument's dtype. Everything is computed in double precision and rounded once. A row's result does not depend, bit
for bit, on the other rows. Array types and dtypes are not checked here; a wrong last axis or method raises
``ValueError``.

A function named ``…_backprop`` applies the transposed derivative: from derivatives by the result to derivatives by the
argument.
"""

from __future__ import annotations

import numpy as np

from logsig_codegen.algebra.hall import brackets_to_hall, hall_to_brackets
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.coordinates import (
    Chain,
    RowMap,
    chain_of,
    change_method_backprop_map,
    change_method_map,
    described,
    log_sig_size,
    scalar_terms,
    scalars,
    sig_size,
    skipped,
)
from logsig_codegen.runtime.rows import (
    Array,
    apply_map,
    apply_transpose,
    by_rows,
    check_width,
    exponential,
    logarithm,
    pull_series,
    pull_series_on_lyndon_words,
    series,
    series_on_lyndon_words,
    series_work,
)


def sig_to_log_sig(sig: Array, problem: Problem, method: int) -> Array:
    """The logarithm of signatures.

    Parameters
    ----------
    sig : array (..., sig_size) or (..., sig_size + 1)
        Signatures, with or without scalar term. Methods 1, 2 and 3 read the coefficients of the logarithm on the
        Lyndon words, whether or not it is a Lie element.
    method : int
        Coordinates of the result. For method 0 it has a scalar term, 0, exactly if ``sig`` has one.

    Returns
    -------
    array (..., log_sig_size)
    """
    scalar = scalar_terms("sig", sig, problem)
    width = log_sig_size(problem, method, bool(scalar))
    chain, coefficients = chain_of(problem, 1, method), logarithm(problem.degree)

    def convert(x: Array) -> Array:
        if method == 0:
            return _with_scalar(series(problem, coefficients, x[:, scalar:])[0], 0, scalar, 0.0)
        return chain.apply(series_on_lyndon_words(problem, coefficients, x[:, scalar:]))

    return by_rows(convert, width, series_work(problem), sig)


def sig_to_log_sig_backprop(sig: Array, derivs: Array, problem: Problem, method: int) -> Array:
    """Derivatives by ``sig`` from derivatives by the result of :func:`sig_to_log_sig`.

    Parameters
    ----------
    sig : array (..., sig_size) or (..., sig_size + 1)
    derivs : array (..., log_sig_size)
        The leading shape broadcasts to that of ``sig``; with a scalar term for method 0 exactly if ``sig`` has one.

    Returns
    -------
    array of the shape of ``sig``; zero on the scalar term
    """
    scalar = scalar_terms("sig", sig, problem)
    width, skip = log_sig_size(problem, method, bool(scalar)), scalars(method, bool(scalar))
    check_width("derivs", derivs, (width,), described(problem, method))
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
    """The exponential of log-signatures.

    Parameters
    ----------
    log_sig : array (..., log_sig_size)
        For method 0 with or without scalar term.
    method : int
        Coordinates of ``log_sig``.
    scalar_term : bool
        Whether the result has a scalar term, 1. For method 0 it has one exactly if ``log_sig`` has.

    Returns
    -------
    array (..., sig_size) or (..., sig_size + 1)
    """
    skip, scalar = _formats(log_sig, problem, method, scalar_term)
    chain = chain_of(problem, method, 0)

    def convert(x: Array) -> Array:
        return _with_scalar(series(problem, exponential(problem.degree), chain.apply(x[:, skip:]))[0], 0, scalar, 1.0)

    return by_rows(convert, sig_size(problem, bool(scalar)), chain.work + series_work(problem), log_sig)


def logsig_to_sig_backprop(
    log_sig: Array, derivs: Array, problem: Problem, method: int, scalar_term: bool = False
) -> Array:
    """Derivatives by ``log_sig`` from derivatives by the result of :func:`logsig_to_sig`.

    Parameters
    ----------
    log_sig : array (..., log_sig_size)
    derivs : array (..., sig_size) or (..., sig_size + 1)
        Formatted like the result of the forward call; the leading shape broadcasts to that of ``log_sig``.

    Returns
    -------
    array of the shape of ``log_sig``; zero on the scalar term
    """
    skip, scalar = _formats(log_sig, problem, method, scalar_term)
    check_width("derivs", derivs, (sig_size(problem, bool(scalar)),), described(problem))
    chain = chain_of(problem, method, 0)

    def pull(x: Array, form: Array) -> Array:
        form = pull_series(problem, exponential(problem.degree), chain.apply(x[:, skip:]), form[:, scalar:])
        return _with_scalar(chain.pull(form), method, skip, 0.0)

    return by_rows(pull, log_sig.shape[-1], chain.work + series_work(problem), log_sig, derivs)


def linear_log_sig(displacement: Array, problem: Problem, method: int, scalar_term: bool = False) -> Array:
    """The log-signature of a straight line: the displacement, then zeros.

    Parameters
    ----------
    displacement : array (..., dimension)
    scalar_term : bool
        For method 0, whether the result starts with a 0; ignored otherwise.

    Returns
    -------
    array (..., log_sig_size)
    """
    width, skip = log_sig_size(problem, method, scalar_term), scalars(method, scalar_term)
    check_width("displacement", displacement, (problem.dimension,), described(problem))
    result = np.zeros((*displacement.shape[:-1], width), displacement.dtype)
    result[..., skip : skip + problem.dimension] = displacement
    return result


def linear_log_sig_backprop(derivs: Array, problem: Problem, method: int, scalar_term: bool = False) -> Array:
    """Derivatives by the displacement from derivatives by the result of :func:`linear_log_sig`: a new array."""
    width, skip = log_sig_size(problem, method, scalar_term), scalars(method, scalar_term)
    check_width("derivs", derivs, (width,), described(problem, method))
    return np.array(derivs[..., skip : skip + problem.dimension], order="C")


def change_method(log_sig: Array, problem: Problem, source: int, target: int, scalar_term: bool = False) -> Array:
    """Log-signatures in other coordinates.

    Parameters
    ----------
    log_sig : array (..., log_sig_size)
        Coordinates of method ``source``; for method 0 with or without scalar term. Of expanded coordinates only those
        on the Lyndon words are read, unless ``target`` is 0 as well.
    scalar_term : bool
        For ``target`` 0, whether the result starts with a 0; ignored otherwise.

    Returns
    -------
    array (..., log_sig_size)
    """
    return _on_rows(change_method_map(log_sig, problem, source, target, scalar_term), log_sig)


def change_method_backprop(
    derivs: Array, problem: Problem, source: int, target: int, scalar_term: bool = False
) -> Array:
    """Derivatives by ``log_sig`` from derivatives by the result of :func:`change_method`.

    Parameters
    ----------
    derivs : array (..., log_sig_size)
        Derivatives by coordinates of method ``target``; for method 0 with or without scalar term.
    scalar_term : bool
        For ``source`` 0, whether ``log_sig`` had a scalar term, and so the result (zero on it) has; ignored otherwise.

    Returns
    -------
    array (..., log_sig_size)
    """
    return _on_rows(change_method_backprop_map(derivs, problem, source, target, scalar_term), derivs)


def _on_rows(plan: RowMap, x: Array) -> Array:
    """Apply a map whose result has its ``width``, but for the zeros before it."""

    def convert(part: Array) -> Array:
        return _with_scalar(Chain(plan.maps).apply(part[:, plan.skip :]), 0, plan.front, 0.0)

    return by_rows(convert, plan.width, Chain(plan.maps).work, x)


def to_hall(log_sig: Array, problem: Problem) -> Array:
    """From Lyndon brackets (method 2 or 3) to the Hall basis of iisignature and RoughPy: ``(..., m) -> (..., m)``."""
    check_width("log_sig", log_sig, (problem.size,), described(problem))
    return apply_map(brackets_to_hall(problem.dimension, problem.degree), log_sig)


def to_hall_backprop(derivs: Array, problem: Problem) -> Array:
    """Derivatives by Lyndon bracket coordinates from derivatives by Hall coordinates."""
    check_width("derivs", derivs, (problem.size,), described(problem))
    return apply_transpose(brackets_to_hall(problem.dimension, problem.degree), derivs)


def from_hall(log_sig: Array, problem: Problem) -> Array:
    """From the Hall basis to Lyndon brackets (method 2 or 3); the inverse of :func:`to_hall`."""
    check_width("log_sig", log_sig, (problem.size,), described(problem))
    return apply_map(hall_to_brackets(problem.dimension, problem.degree), log_sig)


def from_hall_backprop(derivs: Array, problem: Problem) -> Array:
    """Derivatives by Hall coordinates from derivatives by Lyndon bracket coordinates."""
    check_width("derivs", derivs, (problem.size,), described(problem))
    return apply_transpose(hall_to_brackets(problem.dimension, problem.degree), derivs)


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
