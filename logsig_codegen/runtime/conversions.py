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

from dataclasses import dataclass

import numpy as np

from logsig_codegen.algebra.basis_maps import (
    SparseMap,
    brackets_to_expanded,
    brackets_to_words,
    expanded_size,
    expanded_to_words,
    words_to_brackets,
)
from logsig_codegen.algebra.hall import brackets_to_hall, hall_to_brackets
from logsig_codegen.problem import Problem
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
    table,
    transposed,
)

METHODS = (0, 1, 2, 3)


def sig_size(problem: Problem, scalar_term: bool = False) -> int:
    """Number of coordinates of a signature, or of an expanded log-signature."""
    return expanded_size(problem.dimension, problem.degree) + int(scalar_term)


def log_sig_size(problem: Problem, method: int, scalar_term: bool = False) -> int:
    """Number of coordinates of a log-signature; ``scalar_term`` counts for method 0 only.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    return problem.size if _check_method(method) else sig_size(problem, scalar_term)


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
    scalar = _scalar_term("sig", sig, problem)
    width = log_sig_size(problem, method, bool(scalar))
    chain, coefficients = _chain(problem, 1, method), logarithm(problem.degree)

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
    scalar = _scalar_term("sig", sig, problem)
    width, skip = log_sig_size(problem, method, bool(scalar)), _scalars(method, bool(scalar))
    check_width("derivs", derivs, (width,), _described(problem, method))
    chain, coefficients = _chain(problem, 1, method), logarithm(problem.degree)

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
    chain = _chain(problem, method, 0)

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
    check_width("derivs", derivs, (sig_size(problem, bool(scalar)),), _described(problem))
    chain = _chain(problem, method, 0)

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
    width, skip = log_sig_size(problem, method, scalar_term), _scalars(method, scalar_term)
    check_width("displacement", displacement, (problem.dimension,), _described(problem))
    result = np.zeros((*displacement.shape[:-1], width), displacement.dtype)
    result[..., skip : skip + problem.dimension] = displacement
    return result


def linear_log_sig_backprop(derivs: Array, problem: Problem, method: int, scalar_term: bool = False) -> Array:
    """Derivatives by the displacement from derivatives by the result of :func:`linear_log_sig`: a new array."""
    width, skip = log_sig_size(problem, method, scalar_term), _scalars(method, scalar_term)
    check_width("derivs", derivs, (width,), _described(problem, method))
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
    skip = _skipped("log_sig", log_sig, problem, source)
    width, scalar = log_sig_size(problem, target, scalar_term), _scalars(target, scalar_term)
    chain = _chain(problem, source, target)

    def convert(x: Array) -> Array:
        return _with_scalar(chain.apply(x[:, skip:]), target, scalar, 0.0)

    return by_rows(convert, width, chain.work, log_sig)


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
    skip = _skipped("derivs", derivs, problem, target)
    width, scalar = log_sig_size(problem, source, scalar_term), _scalars(source, scalar_term)
    chain = _chain(problem, source, target)

    def pull(form: Array) -> Array:
        return _with_scalar(chain.pull(form[:, skip:]), source, scalar, 0.0)

    return by_rows(pull, width, chain.work, derivs)


def to_hall(log_sig: Array, problem: Problem) -> Array:
    """From Lyndon brackets (method 2 or 3) to the Hall basis of iisignature and RoughPy: ``(..., m) -> (..., m)``."""
    check_width("log_sig", log_sig, (problem.size,), _described(problem))
    return apply_map(brackets_to_hall(problem.dimension, problem.degree), log_sig)


def to_hall_backprop(derivs: Array, problem: Problem) -> Array:
    """Derivatives by Lyndon bracket coordinates from derivatives by Hall coordinates."""
    check_width("derivs", derivs, (problem.size,), _described(problem))
    return apply_transpose(brackets_to_hall(problem.dimension, problem.degree), derivs)


def from_hall(log_sig: Array, problem: Problem) -> Array:
    """From the Hall basis to Lyndon brackets (method 2 or 3); the inverse of :func:`to_hall`."""
    check_width("log_sig", log_sig, (problem.size,), _described(problem))
    return apply_map(hall_to_brackets(problem.dimension, problem.degree), log_sig)


def from_hall_backprop(derivs: Array, problem: Problem) -> Array:
    """Derivatives by Hall coordinates from derivatives by Lyndon bracket coordinates."""
    check_width("derivs", derivs, (problem.size,), _described(problem))
    return apply_transpose(hall_to_brackets(problem.dimension, problem.degree), derivs)


@dataclass(frozen=True)
class _Chain:
    """Maps that are applied one after the other."""

    maps: tuple[SparseMap, ...]

    @property
    def work(self) -> int:
        """Numbers a row needs in temporaries, about."""
        return sum(len(linear.indices) for linear in self.maps)

    def apply(self, x: Array) -> Array:
        for linear in self.maps:
            x = table(linear).apply(x)
        return x

    def pull(self, form: Array) -> Array:
        for linear in reversed(self.maps):
            form = table(transposed(linear)).apply(form)
        return form


def _chain(problem: Problem, source: int, target: int) -> _Chain:
    """The maps from the coordinates of one method to those of another."""
    d, n = problem.dimension, problem.degree
    source, target = min(source, 2), min(target, 2)
    if source == target:
        return _Chain(())
    if source == 0:
        select = expanded_to_words(d, n)
        return _Chain((select,) if target == 1 else (select, words_to_brackets(d, n)))
    if source == 1:
        solve = words_to_brackets(d, n)
        return _Chain((solve,) if target == 2 else (solve, brackets_to_expanded(d, n)))
    return _Chain((brackets_to_words(d, n),) if target == 1 else (brackets_to_expanded(d, n),))


def _with_scalar(x: Array, method: int, scalar: int, value: float) -> Array:
    """``x`` with a scalar term in front, for expanded coordinates that are to have one."""
    if not scalar or method:
        return x
    result = np.empty((len(x), x.shape[1] + 1))
    result[:, 0] = value
    result[:, 1:] = x
    return result


def _scalars(method: int, scalar_term: bool) -> int:
    """Number of scalar terms, 0 or 1, of a log-signature that has one if it can."""
    return int(bool(scalar_term) and method == 0)


def _formats(log_sig: Array, problem: Problem, method: int, scalar_term: bool) -> tuple[int, int]:
    """Number of scalar terms, 0 or 1, of a log-signature and of its exponential."""
    skip = _skipped("log_sig", log_sig, problem, method)
    return skip, int(bool(scalar_term)) if method else skip


def _skipped(name: str, log_sig: Array, problem: Problem, method: int) -> int:
    """Number of scalar terms, 0 or 1, of a log-signature."""
    if _check_method(method) == 0:
        return _scalar_term(name, log_sig, problem)
    check_width(name, log_sig, (problem.size,), _described(problem, method))
    return 0


def _scalar_term(name: str, x: Array, problem: Problem) -> int:
    width = sig_size(problem)
    check_width(name, x, (width, width + 1), _described(problem))
    return int(x.shape[-1] - width)


def _described(problem: Problem, method: int | None = None) -> str:
    last = "" if method is None else f", method={method}"
    return f"for (dimension={problem.dimension}, degree={problem.degree}{last})"


def _check_method(method: int) -> int:
    if method not in METHODS:
        raise ValueError(f"method: expected 0, 1, 2 or 3, got {method!r}")
    return method
