"""Coordinates of log-signatures: how many there are, and the linear maps between them.

A map is described here as exact sparse maps, and computed elsewhere: on arrays in :mod:`.conversions`, on tensors in
``cuda/maps.py``. Methods name coordinates as in :mod:`.conversions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from logsig_codegen.runtime.rows import Array, check_width, table, transposed

METHODS = (0, 1, 2, 3)


@dataclass(frozen=True)
class RowMap:
    """A linear map of rows, whatever computes it: arrays here, tensors in ``cuda/maps.py``.

    Attributes
    ----------
    maps : tuple of SparseMap
        Applied one after the other, to what follows the first ``skip`` numbers of a row.
    skip : int
    front : int
        Zeros before the result; behind it zeros fill its ``width``, or what goes beyond is left out.
    width : int
    """

    maps: tuple[SparseMap, ...]
    skip: int
    front: int
    width: int


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


def change_method_map(log_sig: Any, problem: Problem, source: int, target: int, scalar_term: bool = False) -> RowMap:
    """What :func:`change_method` does to rows like those of ``log_sig``, which has a shape and need not be an array."""
    skip = skipped("log_sig", log_sig, problem, source)
    width, front = log_sig_size(problem, target, scalar_term), scalars(target, scalar_term)
    return RowMap(chain_of(problem, source, target).maps, skip, front, width)


def change_method_backprop_map(
    derivs: Any, problem: Problem, source: int, target: int, scalar_term: bool = False
) -> RowMap:
    """The same for :func:`change_method_backprop`."""
    skip = skipped("derivs", derivs, problem, target)
    width, front = log_sig_size(problem, source, scalar_term), scalars(source, scalar_term)
    return RowMap(chain_of(problem, source, target).transposed, skip, front, width)


def linear_log_sig_map(displacement: Any, problem: Problem, method: int, scalar_term: bool = False) -> RowMap:
    """The same for :func:`linear_log_sig`."""
    check_width("displacement", displacement, (problem.dimension,), described(problem))
    return RowMap((), 0, scalars(method, scalar_term), log_sig_size(problem, method, scalar_term))


def linear_log_sig_backprop_map(derivs: Any, problem: Problem, method: int, scalar_term: bool = False) -> RowMap:
    """The same for :func:`linear_log_sig_backprop`."""
    check_width("derivs", derivs, (log_sig_size(problem, method, scalar_term),), described(problem, method))
    return RowMap((), scalars(method, scalar_term), 0, problem.dimension)


HALL = {
    "log_sig_to_hall": (True, False),
    "log_sig_to_hall_backprop": (True, True),
    "log_sig_from_hall": (False, False),
    "log_sig_from_hall_backprop": (False, True),
}
"""Conversions from Lyndon brackets to the Hall basis of iisignature and RoughPy, or back: whether to it, and whether of
derivatives."""


def hall_map(operation: str, x: Any, problem: Problem) -> RowMap:
    """The same for a conversion of :data:`HALL`."""
    forth, backprop = HALL[operation]
    check_width("derivs" if backprop else "log_sig", x, (problem.size,), described(problem))
    make = brackets_to_hall if forth else hall_to_brackets
    linear = make(problem.dimension, problem.degree)
    return RowMap((transposed(linear) if backprop else linear,), 0, 0, problem.size)


@dataclass(frozen=True)
class Chain:
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

    @property
    def transposed(self) -> tuple[SparseMap, ...]:
        """The maps that pull forms back."""
        return tuple(transposed(linear) for linear in reversed(self.maps))

    def pull(self, form: Array) -> Array:
        return Chain(self.transposed).apply(form)


def chain_of(problem: Problem, source: int, target: int) -> Chain:
    """The maps from the coordinates of one method to those of another."""
    d, n = problem.dimension, problem.degree
    source, target = min(source, 2), min(target, 2)
    if source == target:
        return Chain(())
    if source == 0:
        select = expanded_to_words(d, n)
        return Chain((select,) if target == 1 else (select, words_to_brackets(d, n)))
    if source == 1:
        solve = words_to_brackets(d, n)
        return Chain((solve,) if target == 2 else (solve, brackets_to_expanded(d, n)))
    return Chain((brackets_to_words(d, n),) if target == 1 else (brackets_to_expanded(d, n),))


def scalars(method: int, scalar_term: bool) -> int:
    """Number of scalar terms, 0 or 1, of a log-signature that has one if it can."""
    return int(bool(scalar_term) and method == 0)


def skipped(name: str, log_sig: Array, problem: Problem, method: int) -> int:
    """Number of scalar terms, 0 or 1, of a log-signature."""
    if _check_method(method) == 0:
        return scalar_terms(name, log_sig, problem)
    check_width(name, log_sig, (problem.size,), described(problem, method))
    return 0


def scalar_terms(name: str, x: Array, problem: Problem) -> int:
    width = sig_size(problem)
    check_width(name, x, (width, width + 1), described(problem))
    return int(x.shape[-1] - width)


def described(problem: Problem, method: int | None = None) -> str:
    last = "" if method is None else f", method={method}"
    return f"for (dimension={problem.dimension}, degree={problem.degree}{last})"


def _check_method(method: int) -> int:
    if method not in METHODS:
        raise ValueError(f"method: expected 0, 1, 2 or 3, got {method!r}")
    return method
