"""Log-signatures in other coordinates, and those of straight lines, with their derivatives, on numpy arrays.

All are linear. Methods name coordinates as in :mod:`.conversions`, which also says what arrays are taken and how they
are computed. Changes of coordinates are a kernel of the generated library, in the group ``conversions``: exact sparse
maps come with the call, so that it serves all of them, their transposes included.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from logsig_codegen.problem import Problem
from logsig_codegen.runtime import registry
from logsig_codegen.runtime.arrays import call_rows, function_for
from logsig_codegen.runtime.conversions import Form, c_maps, call_form
from logsig_codegen.runtime.coordinates import (
    RowMap,
    change_method_backprop_map,
    change_method_map,
    described,
    hall_map,
    log_sig_size,
    scalars,
)
from logsig_codegen.runtime.rows import Array, check_width

CHANGE = "change_coordinates"
"""The operation that changes coordinates, by whatever maps."""
NO_METHODS = (2, 2)
"""Stands for the methods of conversions from and to Hall coordinates, which have names of their own."""

_changes: dict[tuple[str, int, int, int, int], Form] = {}
registry.watch(lambda problem: _changes.clear())


def ordinary_change(name: str, x: Any, dimension: object, degree: object, source: object, target: object) -> Any:
    """The result of an ordinary call, as :func:`.conversions.ordinary`, of a change of coordinates, forth or back."""
    if (
        type(x) is not np.ndarray
        or type(dimension) is not int
        or type(degree) is not int
        or type(source) is not int
        or type(target) is not int
    ):
        return None
    form = _changes.get((name, dimension, degree, source, target))
    return None if form is None else call_form(form, x, None, 1)


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
    plan = change_method_map(log_sig, problem, source, target, scalar_term)
    return _change("log_sig_change_method", problem, (source, target), plan, log_sig, kept=not scalar_term)


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
    plan = change_method_backprop_map(derivs, problem, source, target, scalar_term)
    return _change("log_sig_change_method_backprop", problem, (source, target), plan, derivs, kept=not scalar_term)


def _change(
    name: str, problem: Problem, numbers: tuple[int, int], plan: RowMap, x: Array, *, kept: bool = True
) -> Array:
    """Rows through maps; ``kept``: whether :func:`ordinary_change` is to know them by ``numbers`` from now on."""
    out = np.empty((*x.shape[:-1], plan.width), x.dtype)
    if not plan.maps or problem.degree == 1:  # letters are the same in all coordinates
        out[..., : plan.front] = 0
        out[..., plan.front :] = x[..., plan.skip :]
        return out
    functions = registry.obtain(problem.dimension, problem.degree).loaded.functions(CHANGE)
    maps, alive = c_maps(plan.maps)
    scalar = plan.skip | plan.front << 1
    if kept:
        by_dtype = {np.dtype(one): function for one, function in functions.items()}
        key = (name, problem.dimension, problem.degree, *numbers)
        _changes[key] = Form(by_dtype, maps, len(alive), {x.shape[-1]: (plan.width, scalar)}, alive)
    function = function_for(functions, x.dtype)

    def call(*arguments: Any) -> Any:
        return function(*arguments[:-2], maps, len(alive), scalar, *arguments[-2:])

    call_rows(call, x.shape[:-1], (x,), (out,), 1)
    return out


def change_hall(operation: str, x: Array, problem: Problem) -> Array:
    """A conversion from or to Hall coordinates (:data:`.HALL`), or its derivative: ``(..., m) -> (..., m)``."""
    return _change(operation, problem, NO_METHODS, hall_map(operation, x, problem), x)
