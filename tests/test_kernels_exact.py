"""Compiled kernels: as close to the exact results as their format allows, and the same bits wherever a row stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from exact import TOLERANCE, Case, case, error

import logsig_codegen as lg
from logsig_codegen.build.cpu import missing_features
from logsig_codegen.build.toolchain import describe, find_compiler
from logsig_codegen.runtime.kernel import LogSigKernel

PROBLEMS = [
    *((1, 1), (1, 4), (3, 1), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (2, 7)),
    *((3, 5), (4, 3), (5, 3), (6, 3), (7, 2), (10, 3)),
]
OTHER_PROCESSORS = [
    *(("x86-64", *problem) for problem in ((1, 1), (2, 2), (2, 5), (3, 5), (7, 2))),
    *(("x86-64-v3", *problem) for problem in ((2, 1), (2, 6), (4, 3), (5, 3))),
]
DTYPES = list(TOLERANCE)
BATCHES = (*range(1, 21), 70, 130, 300)
ROWS = max(BATCHES)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Alone:
    """Rows of arguments, and the results of each row computed alone."""

    d_out: Array
    log_sig: Array
    displacement: Array
    out: Array
    d_log_sig: Array
    d_displacement: Array


def rows_alone(kernel: LogSigKernel, known: Case, dtype: np.dtype[Any]) -> Alone:
    d_out, log_sig, displacement = (x.astype(dtype) for x in (known.d_out, known.log_sig, known.displacement))
    out, d_log_sig, d_displacement = np.empty_like(log_sig), np.empty_like(log_sig), np.empty_like(displacement)
    for row in range(ROWS):
        out[row] = kernel.join(log_sig[row], displacement[row])
        d_log_sig[row], d_displacement[row] = kernel.join_backprop(d_out[row], log_sig[row], displacement[row])
    return Alone(d_out, log_sig, displacement, out, d_log_sig, d_displacement)


def check_accuracy(alone: Alone, known: Case) -> None:
    tolerance = TOLERANCE[alone.out.dtype]
    count = len(known.out)
    assert error(alone.out[:count], known.out, known.problem) <= tolerance
    assert error(alone.d_log_sig[:count], known.d_log_sig, known.problem) <= tolerance
    assert error(alone.d_displacement[:count], known.d_displacement, known.problem) <= tolerance


def check_batches(kernel: LogSigKernel, alone: Alone) -> None:
    for batch in BATCHES:
        # Not only the first rows: each batch size meets other neighbours.
        first = (ROWS - batch) * batch // ROWS
        rows = slice(first, first + batch)
        out = kernel.join(alone.log_sig[rows], alone.displacement[rows])
        gradients = kernel.join_backprop(alone.d_out[rows], alone.log_sig[rows], alone.displacement[rows])
        np.testing.assert_array_equal(out, alone.out[rows])
        np.testing.assert_array_equal(gradients[0], alone.d_log_sig[rows])
        np.testing.assert_array_equal(gradients[1], alone.d_displacement[rows])


def laid_out(array: Array, width: int, offset: int) -> tuple[Array, Array]:
    """A copy whose rows lie ``width`` numbers apart, backwards if negative, and the room around it, full of NaN.

    The lowest row begins ``offset`` numbers after a cache line.
    """
    rows, columns = array.shape
    room = np.full(abs(width) * rows + columns + offset + 64, np.nan, array.dtype)
    start = -room.ctypes.data // room.itemsize % (64 // room.itemsize) + offset
    if width < 0:
        start += (rows - 1) * -width
    view = np.lib.stride_tricks.as_strided(room[start:], array.shape, (width * room.itemsize, room.itemsize))
    view[:] = array
    return view, room


def check_layouts(kernel: LogSigKernel, alone: Alone) -> None:
    """Distances between rows of any kind, odd addresses, outputs that leave what is between their rows alone."""
    size, dimension = kernel.size, kernel.dimension
    for batch, wider, offset in ((5, 0, 1), (23, 1, 0), (70, 3, 5), (130, 0, 3), (130, 8, 0), (300, 5, 2), (41, -3, 7)):
        sign, more = (-1, -wider) if wider < 0 else (1, wider)
        rows = slice(0, batch)
        log_sig, _ = laid_out(alone.log_sig[rows], sign * (size + more), offset)
        displacement, _ = laid_out(alone.displacement[rows], sign * (dimension + more), offset + 1)
        d_out, _ = laid_out(alone.d_out[rows], sign * (size + 2 * more), offset + 2)
        out, room = laid_out(np.zeros_like(alone.out[rows]), size + more, offset + 3)
        assert kernel.join(log_sig, displacement, out=out) is out
        np.testing.assert_array_equal(out, alone.out[rows])
        out[:] = np.nan
        assert np.isnan(room).all()
        d_log_sig, room_left = laid_out(np.zeros_like(alone.d_log_sig[rows]), size + more, offset)
        d_displacement, room_right = laid_out(np.zeros_like(alone.d_displacement[rows]), dimension + more, offset)
        kernel.join_backprop(d_out, log_sig, displacement, out=(d_log_sig, d_displacement))
        np.testing.assert_array_equal(d_log_sig, alone.d_log_sig[rows])
        np.testing.assert_array_equal(d_displacement, alone.d_displacement[rows])
        d_log_sig[:], d_displacement[:] = np.nan, np.nan
        assert np.isnan(room_left).all()
        assert np.isnan(room_right).all()


def check_threads(kernel: LogSigKernel, alone: Alone) -> None:
    for batch in (1, 7, 16, 70, 130, 300):
        rows = slice(ROWS - batch, ROWS)
        out = kernel.join(alone.log_sig[rows], alone.displacement[rows], n_jobs=2)
        gradients = kernel.join_backprop(alone.d_out[rows], alone.log_sig[rows], alone.displacement[rows], n_jobs=2)
        np.testing.assert_array_equal(out, alone.out[rows])
        np.testing.assert_array_equal(gradients[0], alone.d_log_sig[rows])
        np.testing.assert_array_equal(gradients[1], alone.d_displacement[rows])


def check_neighbours(kernel: LogSigKernel, alone: Alone) -> None:
    """What a row holds is nobody else's business: not even infinities and NaN."""
    d_out, log_sig, displacement = alone.d_out.copy(), alone.log_sig.copy(), alone.displacement.copy()
    bad = np.arange(ROWS) % 7 == 3
    d_out[bad], log_sig[bad], displacement[bad] = np.nan, np.inf, -np.inf
    with np.errstate(all="ignore"):
        out = kernel.join(log_sig, displacement)
        gradients = kernel.join_backprop(d_out, log_sig, displacement)
    np.testing.assert_array_equal(out[~bad], alone.out[~bad])
    np.testing.assert_array_equal(gradients[0][~bad], alone.d_log_sig[~bad])
    np.testing.assert_array_equal(gradients[1][~bad], alone.d_displacement[~bad])


def check_shared_rows(kernel: LogSigKernel, alone: Alone) -> None:
    """One row for the whole batch, without copies: a distance of zero between rows."""
    batch = 37
    one = kernel.join(np.broadcast_to(alone.log_sig[0], (batch, kernel.size)), alone.displacement[:batch])
    many = kernel.join(np.tile(alone.log_sig[0], (batch, 1)), alone.displacement[:batch])
    np.testing.assert_array_equal(one, many)
    np.testing.assert_array_equal(one[0], alone.out[0])


def check_everything(kernel: LogSigKernel) -> None:
    known = case(kernel.dimension, kernel.degree)
    for dtype in DTYPES:
        alone = rows_alone(kernel, known, dtype)
        check_accuracy(alone, known)
        check_batches(kernel, alone)
        check_layouts(kernel, alone)
        check_threads(kernel, alone)
        check_neighbours(kernel, alone)
        check_shared_rows(kernel, alone)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_this_processor(dimension: int, degree: int) -> None:
    check_everything(lg.load(dimension, degree))


@pytest.mark.parametrize(("march", "dimension", "degree"), OTHER_PROCESSORS)
def test_other_processors(march: str, dimension: int, degree: int) -> None:
    """The same sources for narrower vectors, with and without fused multiply-adds."""
    missing = missing_features(describe(find_compiler(), march).features)
    if missing:
        pytest.skip(f"this processor lacks {', '.join(missing)}")
    check_everything(lg.load(dimension, degree, march=march))


def test_double_precision_is_used_throughout() -> None:
    """The tolerance would notice single precision anywhere, and single precision meets its own."""
    known = case(3, 5)
    kernel = lg.load(3, 5)
    count = len(known.out)
    single = kernel.join(known.log_sig[:count].astype(np.float32), known.displacement[:count].astype(np.float32))
    assert 1e-13 < error(single.astype(np.float64), known.out, known.problem) < 1e-5
