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
argument. Logarithms and exponentials are kernels of the generated library, the group ``conversions``; what is linear is
in :mod:`.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from logsig_codegen.algebra.basis_maps import SparseMap, expanded_to_words
from logsig_codegen.operations import OPERATIONS, WORDS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import registry
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.arrays import call_rows, function_for
from logsig_codegen.runtime.checks import broadcast_shapes
from logsig_codegen.runtime.coordinates import (
    chain_of,
    described,
    log_sig_size,
    scalar_terms,
    sig_size,
    skipped,
)
from logsig_codegen.runtime.fast import NO_MEMORY, READABLE
from logsig_codegen.runtime.paths import c_map
from logsig_codegen.runtime.rows import Array, check_width, transposed
from logsig_codegen.runtime.threads import thread_count

LOGARITHM, EXPONENTIAL = OPERATIONS["sig_to_log_sig"], OPERATIONS["logsig_to_sig"]


@dataclass(frozen=True, eq=False)
class Form:
    """One conversion in some coordinates, ready to be called.

    Attributes
    ----------
    functions : mapping
        The C functions by dtype.
    maps, n_maps : cdata, int
        The maps that they take.
    widths : mapping
        By the length of a row of the argument: that of the result, and what the C function takes as ``scalar_term``.
    kept : tuple
        What ``maps`` points to.
    """

    functions: Mapping[np.dtype[Any], Any]
    maps: Any
    n_maps: int
    widths: Mapping[int, tuple[int, int]]
    kept: tuple[Any, ...]


_forms: dict[tuple[str, int, int, int, bool], Form] = {}
registry.watch(lambda problem: _forms.clear())


def ordinary(
    operation: str,
    x: Any,
    derivs: Any,
    dimension: object,
    degree: object,
    method: object,
    scalar_term: object,
    n_jobs: object,
) -> Any:
    """The result of an ordinary call, contiguous arrays of one batch and plain arguments, or ``None``.

    A conversion that was never called is not ordinary yet. ``derivs`` is ``None`` except for gradients.
    """
    if (
        type(x) is not np.ndarray
        or type(dimension) is not int
        or type(degree) is not int
        or type(method) is not int
        or type(n_jobs) is not int
        or (scalar_term is not False and scalar_term is not True)
    ):
        return None
    form = _forms.get((operation, dimension, degree, method, scalar_term))
    return None if form is None else call_form(form, x, derivs, n_jobs)


def call_form(form: Form, x: Array, derivs: Any, n_jobs: int) -> Any:
    """The result of a call on contiguous arrays of one batch, or ``None``."""
    dtype, shape = x.dtype, x.shape
    function = form.functions.get(dtype)
    found = form.widths.get(shape[-1]) if shape else None
    if function is None or found is None or x.flags.num & READABLE != READABLE or not (count := x.size):
        return None
    width, (columns, scalar) = shape[-1], found
    threads = 1 if n_jobs == 1 else thread_count(n_jobs)
    pointer = ffi.from_buffer
    if derivs is None:
        out = np.empty((*shape[:-1], columns), dtype)
        operands = pointer(x), width, pointer(out), columns
    else:
        if (
            type(derivs) is not np.ndarray
            or derivs.dtype is not dtype
            or derivs.shape != (*shape[:-1], columns)
            or derivs.flags.num & READABLE != READABLE
        ):
            return None
        out = np.empty(shape, dtype)
        operands = pointer(derivs), columns, pointer(x), width, pointer(out), width  # type: ignore[assignment]
    if function(*operands, form.maps, form.n_maps, scalar, count // width, threads):
        raise MemoryError(NO_MEMORY)
    return out


def _form(operation: str, problem: Problem, method: int, scalar_term: bool) -> Form:
    key = (operation, problem.dimension, problem.degree, method, scalar_term)
    form = _forms.get(key)
    if form is None:
        functions = registry.obtain(problem.dimension, problem.degree).loaded.functions(operation)
        maps, kept = _maps(operation, problem, method)
        by_dtype = {np.dtype(name): function for name, function in functions.items()}
        widths = _widths(operation, problem, method, scalar_term)
        form = _forms[key] = Form(by_dtype, maps, len(kept), widths, kept)
    return form


def _widths(operation: str, problem: Problem, method: int, scalar_term: bool) -> dict[int, tuple[int, int]]:
    words = problem.words
    if method == 0:
        return {words: (words, 0), words + 1: (words + 1, 1)}
    if OPERATIONS[operation].operand_inputs[-1].width == WORDS:
        return {words: (problem.size, 0), words + 1: (problem.size, 1)}
    return {problem.size: (words + scalar_term, int(scalar_term))}


def maps_of(operation: str, problem: Problem, method: int) -> tuple[SparseMap, ...]:
    """The maps of a conversion, in the order in which the kernel takes them (see ``logsig_series.h``).

    The selection of the Lyndon words is to be handed over without coefficients.
    """
    described = OPERATIONS[operation]
    logarithm = described.operand_inputs[-1].width == WORDS
    chain = chain_of(problem, 0, method) if logarithm else chain_of(problem, method, 0)
    selection = expanded_to_words(problem.dimension, problem.degree)
    if not described.backward:
        return chain.maps
    if logarithm:
        return tuple(one if one is selection else transposed(one) for one in reversed(chain.maps))
    return (*chain.maps, *chain.transposed)


def _maps(operation: str, problem: Problem, method: int) -> tuple[Any, tuple[Any, ...]]:
    """The maps of a conversion in C, and what they point to."""
    maps = maps_of(operation, problem, method)
    made, kept = c_maps(maps)
    for place, one in enumerate(maps):
        if one is expanded_to_words(problem.dimension, problem.degree):
            made[place].coefficients = ffi.NULL
    return made, kept


def c_maps(maps: tuple[SparseMap, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Maps as an array in C, and what that points to."""
    kept = tuple(map(c_map, maps))
    return ffi.new("logsig_map[]", [one[0][0] for one in kept]) if kept else ffi.NULL, kept


def _run(form: Form, x: Array, threads: int, derivs: Array | None = None) -> Array:
    """The result for arrays of any layout; the leading shape of ``derivs`` broadcasts to that of ``x``."""
    batch, (columns, scalar) = x.shape[:-1], form.widths[x.shape[-1]]
    if derivs is not None and broadcast_shapes(derivs.shape[:-1], batch) != batch:
        raise ValueError(f"derivs: expected a leading shape that broadcasts to {batch}, got {derivs.shape[:-1]}")
    out = np.empty((*batch, columns) if derivs is None else x.shape, x.dtype)
    function = function_for({dtype.name: one for dtype, one in form.functions.items()}, x.dtype)

    def call(*arguments: Any) -> Any:
        return function(*arguments[:-2], form.maps, form.n_maps, scalar, *arguments[-2:])

    inputs = (x,) if derivs is None else (derivs.astype(x.dtype, copy=False), x)
    call_rows(call, batch, inputs, (out,), threads)
    return out


def sig_to_log_sig(sig: Array, problem: Problem, method: int, threads: int = 1) -> Array:
    """The logarithm of signatures.

    Parameters
    ----------
    sig : array (..., sig_size) or (..., sig_size + 1)
        Signatures, with or without scalar term. Methods 1, 2 and 3 read the coefficients of the logarithm on the
        Lyndon words, whether or not it is a Lie element.
    method : int
        Coordinates of the result. For method 0 it has a scalar term, 0, exactly if ``sig`` has one.
    threads : int

    Returns
    -------
    array (..., log_sig_size)
    """
    scalar_terms("sig", sig, problem)
    log_sig_size(problem, method)
    return _run(_form(LOGARITHM.name, problem, method, False), sig, threads)


def sig_to_log_sig_backprop(sig: Array, derivs: Array, problem: Problem, method: int, threads: int = 1) -> Array:
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
    width = log_sig_size(problem, method, bool(scalar))
    check_width("derivs", derivs, (width,), described(problem, method))
    return _run(_form(LOGARITHM.gradient, problem, method, False), sig, threads, derivs)


def logsig_to_sig(log_sig: Array, problem: Problem, method: int, scalar_term: bool = False, threads: int = 1) -> Array:
    """The exponential of log-signatures.

    Parameters
    ----------
    log_sig : array (..., log_sig_size)
        For method 0 with or without scalar term.
    method : int
        Coordinates of ``log_sig``.
    scalar_term : bool
        Whether the result has a scalar term, 1. For method 0 it has one exactly if ``log_sig`` has.
    threads : int

    Returns
    -------
    array (..., sig_size) or (..., sig_size + 1)
    """
    skipped("log_sig", log_sig, problem, method)
    return _run(_form(EXPONENTIAL.name, problem, method, bool(scalar_term)), log_sig, threads)


def logsig_to_sig_backprop(
    log_sig: Array, derivs: Array, problem: Problem, method: int, scalar_term: bool = False, threads: int = 1
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
    skip = skipped("log_sig", log_sig, problem, method)
    scalar = bool(scalar_term) if method else bool(skip)
    check_width("derivs", derivs, (sig_size(problem, scalar),), described(problem))
    return _run(_form(EXPONENTIAL.gradient, problem, method, bool(scalar_term)), log_sig, threads, derivs)
