"""Logarithms, exponentials, their gradients and linear maps where there is no compiler: numpy in place of C.

The functions take rows and maps as the kernels do (``logsig_series.h``, ``logsig_maps.h``); results are those that
``runtime/conversions.py`` describes. Everything is computed in double precision and rounded once. A row's result does
not depend, bit for bit, on the other rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.interpreted.memory import numbers, strided
from logsig_codegen.runtime.rows import (
    Array,
    Table,
    by_rows,
    exponential,
    logarithm,
    pull_series,
    pull_series_on_lyndon_words,
    series,
    series_on_lyndon_words,
    series_work,
)

Maps = tuple[Table, ...]


def maps_at(pointer: Any, count: int) -> Maps:
    """The maps behind a pointer, copied; one without coefficients selects."""
    return tuple(_map(pointer[place]) for place in range(count))


def _map(given: Any) -> Table:
    starts = numbers(given.starts, given.rows + 1)
    assert starts is not None
    indices, entries = numbers(given.indices, int(starts[-1])), (int(starts[-1]),)
    if given.coefficients == ffi.NULL:
        coefficients = np.ones(entries)
    else:
        coefficients = strided(given.coefficients, entries, (1,), np.dtype(np.float64)).copy()
    return Table.of(given.rows, starts, np.asarray(indices), coefficients)


def change_coordinates(problem: Problem, maps: Maps, scalar: int, x: Array) -> Array:
    """Rows through maps, one or more; ``scalar``: 1: ``x`` has scalar terms, 2: the result has, 3: both have."""
    del problem
    front = scalar >> 1

    def convert(part: Array) -> Array:
        return _with_scalar(_through(maps, part[:, scalar & 1 :]), front, 0.0)

    return by_rows(convert, front + maps[-1].rows, sum(len(one.indices) for one in maps), x)


def sig_to_log_sig(problem: Problem, maps: Maps, scalar: int, sig: Array) -> Array:
    """The logarithm of signatures; maps begin with the selection of the Lyndon words."""
    coefficients = logarithm(problem.degree)

    def convert(x: Array) -> Array:
        x = x[:, scalar:]
        if not maps:
            return _with_scalar(series(problem, coefficients, x)[0], scalar, 0.0)
        return _through(maps[1:], series_on_lyndon_words(problem, coefficients, x))

    return by_rows(convert, maps[-1].rows if maps else problem.words + scalar, series_work(problem), sig)


def sig_to_log_sig_backprop(problem: Problem, maps: Maps, scalar: int, derivs: Array, sig: Array) -> Array:
    """Derivatives by ``sig``; maps end with the selection of the Lyndon words, which is to be transposed."""
    coefficients = logarithm(problem.degree)

    def pull(x: Array, form: Array) -> Array:
        x = x[:, scalar:]
        if not maps:
            pulled = pull_series(problem, coefficients, x, form[:, scalar:])
        else:
            pulled = pull_series_on_lyndon_words(problem, coefficients, x, _through(maps[:-1], form))
        return _with_scalar(pulled, scalar, 0.0)

    return by_rows(pull, problem.words + scalar, series_work(problem), sig, derivs)


def logsig_to_sig(problem: Problem, maps: Maps, scalar: int, log_sig: Array) -> Array:
    """The exponential of log-signatures, which maps expand."""
    skip = 0 if maps else scalar

    def convert(x: Array) -> Array:
        found = series(problem, exponential(problem.degree), _through(maps, x[:, skip:]))[0]
        return _with_scalar(found, scalar, 1.0)

    return by_rows(convert, problem.words + scalar, series_work(problem), log_sig)


def logsig_to_sig_backprop(problem: Problem, maps: Maps, scalar: int, derivs: Array, log_sig: Array) -> Array:
    """Derivatives by ``log_sig``; the second half of the maps are the transposes of the first, in the order of use."""
    skip, half = 0 if maps else scalar, len(maps) // 2

    def pull(x: Array, form: Array) -> Array:
        x = _through(maps[:half], x[:, skip:])
        form = pull_series(problem, exponential(problem.degree), x, form[:, scalar:])
        return _with_scalar(_through(maps[half:], form), skip, 0.0)

    return by_rows(pull, log_sig.shape[-1], series_work(problem), log_sig, derivs)


def _through(maps: Maps, x: Array) -> Array:
    for one in maps:
        x = one.apply(x)
    return x


def _with_scalar(x: Array, scalar: int, value: float) -> Array:
    """``x``, with a scalar term in front if it is to have one."""
    if not scalar:
        return x
    result = np.empty((len(x), x.shape[1] + 1))
    result[:, 0] = value
    result[:, 1:] = x
    return result
