"""Exact sparse maps and truncated power series on the rows of numpy arrays.

Everything is computed in double precision and rounded once to the dtype of the first argument, a few rows at a time, so
that temporaries stay small. A row's result does not depend, bit for bit, on the other rows: no matrix products, and
sums over the coordinates of a row only, each in an order of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen.algebra.basis_maps import SparseMap, expanded_size, expanded_to_words
from logsig_codegen.algebra.tensor import exponential_coefficients, logarithm_coefficients
from logsig_codegen.problem import Problem

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_MANY_ROWS = 8  # so many rows at a time are worth a transposed copy
_SMALL_SIZE = 1200  # up to so many words, sums over the cuts of words are taken from tables
_WORK_BYTES = 1 << 20  # temporaries of one step over a few rows: small enough for a core's own cache


def apply_map(linear: SparseMap, x: Array) -> Array:
    """Apply an exact map to every row of ``x``: ``(..., columns) -> (..., rows)``.

    Raises
    ------
    ValueError
        If the last axis of ``x`` has another length than the map has columns.
    """
    check_width("x", x, (linear.columns,), "for this map")
    return by_rows(table(linear).apply, linear.rows, len(linear.indices), x)


def apply_transpose(linear: SparseMap, x: Array) -> Array:
    """Apply the transposed map to every row: ``(..., rows) -> (..., columns)``; the derivative of :func:`apply_map`."""
    return apply_map(transposed(linear), x)


def check_width(name: str, x: Any, widths: tuple[int, ...], where: str) -> None:
    """Raise ``ValueError`` unless the last axis of ``x`` has one of the lengths that are expected ``where`` it says."""
    if x.ndim == 0 or x.shape[-1] not in widths:
        came = str(x.shape[-1]) if x.ndim else "an array without axes"
        raise ValueError(f"{name}: expected last dimension {' or '.join(map(str, widths))} {where}, got {came}")


def by_rows(
    function: Callable[..., Array], width: int, work: int, argument: Array, derivs: Array | None = None
) -> Array:
    """Apply ``function`` to a few rows of double precision at a time.

    Parameters
    ----------
    function : callable
        Takes arrays of as many rows as its result has, one for each of the arguments below.
    width, work : int
        Length of a row of the result, and about how many numbers a row needs in temporaries.
    argument : array (..., any width)
        Decides the leading shape and the dtype of the result.
    derivs : array (..., any width), optional
        A second argument, whose leading shape broadcasts to that of the first.

    Returns
    -------
    array (..., width)

    Raises
    ------
    ValueError
        If the leading shape of ``derivs`` does not broadcast.
    """
    batch = argument.shape[:-1]
    rows = [argument.reshape(-1, argument.shape[-1])]
    if derivs is not None:
        try:
            full = np.broadcast_to(derivs, (*batch, derivs.shape[-1]))
        except ValueError:
            came = derivs.shape[:-1]
            raise ValueError(f"derivs: expected a leading shape that broadcasts to {batch}, got {came}") from None
        rows.append(full.reshape(-1, derivs.shape[-1]))
    result = np.empty((len(rows[0]), width), argument.dtype)
    step = max(2 * _MANY_ROWS, _WORK_BYTES // (8 * (work + width)))
    with np.errstate(all="ignore"):  # infinities and NaN of a row go through silently, as in the kernels
        for start in range(0, len(result), step):
            part = slice(start, start + step)
            result[part] = function(*(array[part].astype(np.float64, order="C") for array in rows))
    return result.reshape(*batch, width)


@dataclass(frozen=True, eq=False)
class Table:
    """A sparse map as arrays.

    ``starts`` are those of the rows with entries, whose numbers are ``filled`` (``None``: every row has some).
    """

    rows: int
    indices: Array
    coefficients: Array
    starts: Array
    filled: Array | None

    @classmethod
    def of(cls, rows: int, starts: Array, indices: Array, coefficients: Array) -> Table:
        """The table of a map in compressed rows, with ``rows + 1`` starts."""
        (filled,) = np.nonzero(np.diff(starts))
        return cls(rows, indices, coefficients, starts[filled], None if len(filled) == rows else filled)

    def apply(self, x: Array) -> Array:
        """Apply the map to rows of double precision; each sum has an order of its own, whatever the number of rows."""
        terms = np.take(x, self.indices, axis=1)
        terms *= self.coefficients
        return self.sums(terms)

    def sums(self, terms: Array) -> Array:
        """The sums of each row's terms, which are listed in C order."""
        sums = np.add.reduceat(terms, self.starts, axis=1) if len(self.starts) < len(self.indices) else terms
        if self.filled is None:
            return sums
        result = np.zeros((len(terms), self.rows))
        result[:, self.filled] = sums
        return result


@lru_cache(maxsize=64)
def table(linear: SparseMap) -> Table:
    """The arrays of a map, kept for the next call."""
    starts, indices = (np.array(numbers, np.intp) for numbers in (linear.starts, linear.indices))
    return Table.of(linear.rows, starts, indices, np.array(linear.coefficients, np.float64))


@lru_cache(maxsize=64)
def transposed(linear: SparseMap) -> SparseMap:
    """The transposed map, kept for the next call."""
    return linear.transpose()


@lru_cache(maxsize=32)
def exponential(degree: int) -> tuple[float, ...]:
    """Taylor coefficients of ``exp(x)`` up to ``x**degree``."""
    return tuple(float(c) for c in exponential_coefficients(degree))


@lru_cache(maxsize=32)
def logarithm(degree: int) -> tuple[float, ...]:
    """Taylor coefficients of ``log(1 + x)`` up to ``x**degree``."""
    return tuple(float(c) for c in logarithm_coefficients(degree))


@dataclass(frozen=True, eq=False)
class Splits:
    """A set of words, ordered by length, and all ways to cut them in two.

    Attributes
    ----------
    places : array
        Expanded coordinates of the words.
    cuts : tuple
        For heads of length 1, 2, …: number of the first word that is longer, and the expanded coordinates of heads and
        tails from that word on.
    heads, tails : pair of arrays and a :class:`Table`
        The same cuts, sorted by head (by tail): the words, the coordinates of the other part, and the sums of all cuts
        with one head (tail).
    """

    places: Array
    cuts: tuple[tuple[int, Array, Array], ...]
    heads: tuple[Array, Array, Table]
    tails: tuple[Array, Array, Table]


@lru_cache(maxsize=32)
def lyndon_splits(problem: Problem) -> Splits:
    """The cuts of the Lyndon words of a problem, kept for the next call."""
    places = np.array(expanded_to_words(problem.dimension, problem.degree).indices, np.intp)
    return _splits(problem.dimension, problem.degree, places)


@lru_cache(maxsize=128)
def word_splits(dimension: int, degree: int) -> Splits:
    """The cuts of all words, kept for the next call."""
    return _splits(dimension, degree, np.arange(expanded_size(dimension, degree), dtype=np.intp))


def _splits(d: int, degree: int, places: Array) -> Splits:
    starts = np.array([expanded_size(d, k) for k in range(degree + 1)], np.intp)  # of words of length k + 1
    lengths = np.searchsorted(starts, places, side="right")
    within = places - starts[lengths - 1]
    cuts = []
    for k in range(1, degree):
        first = int(np.searchsorted(lengths, k, side="right"))
        rest = d ** (lengths[first:] - k)
        head = starts[k - 1] + within[first:] // rest
        tail = starts[lengths[first:] - k - 1] + within[first:] % rest
        cuts.append((first, head, tail))
    words = np.concatenate([np.arange(first, len(places)) for first, _, _ in cuts] or [places[:0]])
    heads, tails = (np.concatenate([cut[side] for cut in cuts] or [places[:0]]) for side in (1, 2))
    size = int(starts[-1])
    return Splits(places, tuple(cuts), _sorted_by(heads, words, tails, size), _sorted_by(tails, words, heads, size))


def _sorted_by(key: Array, words: Array, others: Array, size: int) -> tuple[Array, Array, Table]:
    order = np.argsort(key, kind="stable")
    filled, starts = np.unique(key[order], return_index=True)
    sums = Table(size, order, np.ones(len(order)), starts, filled)
    return words[order], others[order], sums


def series(problem: Problem, coefficients: Sequence[float], x: Array, first: int = 0) -> list[Array]:
    """Horner's stages ``s_k = x (c_{k+1} + s_{k+1})`` of the power series ``s_0`` of ``x``, without its constant part.

    Stage ``k`` is multiplied by ``x`` another ``k`` times and is kept up to length ``degree - k``. All are expanded,
    without scalar term; the last one, ``s_N``, is empty. Stages before the ``first`` are left out.

    Memory is in Fortran's order where there are enough rows, so that numpy's inner loops go over the rows; few rows of
    a small problem take as few calls of numpy as possible. Neither changes a bit: every product is added by itself, in
    the order of the cuts.
    """
    few = len(x) < _MANY_ROWS and _is_small(problem)
    if len(x) >= _MANY_ROWS:
        x = np.asfortranarray(x)
    stages = [x[:, :0]]
    for k in range(problem.degree - 1, first - 1, -1):
        stage = coefficients[k + 1] * x[:, : expanded_size(problem.dimension, problem.degree - k)]
        if few:
            for start, head, tail in word_splits(problem.dimension, problem.degree - k).cuts:
                stage[:, start:] += x.take(head, axis=1) * stages[-1].take(tail, axis=1)
            stages.append(stage)
            continue
        inner, outer = _levels(problem, stages[-1]), _levels(problem, stage)
        for i, left in enumerate(_levels(problem, x)):
            for j, right in enumerate(inner[: max(len(outer) - i - 1, 0)]):
                target = outer[i + j + 1].reshape(len(x), left.shape[1], right.shape[1])
                target += left[:, :, None] * right[:, None, :]
        stages.append(stage)
    return stages[::-1]


def pull_series(problem: Problem, coefficients: Sequence[float], x: Array, form: Array) -> Array:
    """The form on ``x`` that ``form`` on its power series induces: Horner's scheme backwards.

    For ``z = x (c + s)``, word by word, the form on ``x_u`` is ``c form_u + sum of form_uv s_v`` and the form on
    ``s_v`` is the sum of ``x_u form_uv``.
    """
    return _pull_stages(problem, coefficients, x, form, 0, np.zeros_like(x))


def series_on_lyndon_words(problem: Problem, coefficients: Sequence[float], x: Array) -> Array:
    """The coefficients of the power series of ``x`` on the Lyndon words: those of :func:`series`, bit by bit.

    The last of Horner's stages, which is most of the work, is computed on these words only.
    """
    splits = lyndon_splits(problem)
    tails = series(problem, coefficients, x, 1)[0]
    if len(x) >= _MANY_ROWS:
        x = np.asfortranarray(x)
    total = coefficients[1] * _columns(x, splits.places)
    for first, head, tail in splits.cuts:
        total[:, first:] += _columns(x, head) * _columns(tails, tail)
    return total


def pull_series_on_lyndon_words(problem: Problem, coefficients: Sequence[float], x: Array, form: Array) -> Array:
    """The form on ``x`` that ``form`` on :func:`series_on_lyndon_words` induces."""
    splits = lyndon_splits(problem)
    total = _sums_of_cuts(form, splits.heads, series(problem, coefficients, x, 1)[0])
    total[:, splits.places] += coefficients[1] * form
    if problem.degree == 1:
        return total
    below = _sums_of_cuts(form, splits.tails, x)[:, : expanded_size(problem.dimension, problem.degree - 1)]
    return _pull_stages(problem, coefficients, x, below, 1, total)


def _sums_of_cuts(form: Array, sides: tuple[Array, Array, Table], factors: Array) -> Array:
    words, others, table = sides
    return table.sums(form.take(words, axis=1) * factors.take(others, axis=1))


def _is_small(problem: Problem) -> bool:
    return expanded_size(problem.dimension, problem.degree) <= _SMALL_SIZE


def _columns(x: Array, places: Array) -> Array:
    """Columns of an array, in its order of memory."""
    return x.T.take(places, axis=0).T if x.flags.f_contiguous else x.take(places, axis=1)


def _pull_stages(
    problem: Problem, coefficients: Sequence[float], x: Array, form: Array, first: int, total: Array
) -> Array:
    """``total`` and the form on ``x`` that ``form`` on stage ``first`` induces.

    How sums are formed depends on the problem only.
    """
    if _is_small(problem):
        for k, stage in enumerate(series(problem, coefficients, x, first + 1), start=first):
            splits = word_splits(problem.dimension, problem.degree - k)
            total[:, : form.shape[1]] += coefficients[k + 1] * form
            if not stage.shape[1]:
                break
            total[:, : form.shape[1]] += _sums_of_cuts(form, splits.heads, stage)
            form = _sums_of_cuts(form, splits.tails, x)[:, : stage.shape[1]]
        return total
    # In Fortran's order and with two rows or more, numpy adds along words one by one; a single row it adds in blocks.
    if len(x) == 1:
        x, form, total = (np.repeat(array, 2, axis=0) for array in (x, form, total))
        return _pull_stages(problem, coefficients, x, form, first, total)[:1]
    x, form, total = (np.asfortranarray(array) for array in (x, form, total))
    letters, pulled = _levels(problem, x), _levels(problem, total)
    for k, stage in enumerate(series(problem, coefficients, x, first + 1), start=first):
        total[:, : form.shape[1]] += coefficients[k + 1] * form
        inner, outer, below = _levels(problem, stage), _levels(problem, form), np.zeros_like(stage, order="F")
        for j, (right, pulled_right) in enumerate(zip(inner, _levels(problem, below), strict=True)):
            for i in range(len(inner) - j):
                cut = outer[i + j + 1].reshape(len(x), letters[i].shape[1], right.shape[1])
                pulled[i] += np.add.reduce(cut * right[:, None, :], axis=2)
                pulled_right += np.add.reduce(cut * letters[i][:, :, None], axis=1)
        form = below
    return total


def series_work(problem: Problem) -> int:
    """Numbers a row needs in temporaries, about: stages of decreasing length, and products at the top."""
    return 4 * expanded_size(problem.dimension, problem.degree)


def _levels(problem: Problem, x: Array) -> list[Array]:
    """Views of the coordinates on words of length 1, 2, …, as far as ``x`` reaches."""
    levels: list[Array] = []
    start = 0
    while start < x.shape[1]:
        stop = start + problem.dimension ** (len(levels) + 1)
        levels.append(x[:, start:stop])
        start = stop
    return levels
