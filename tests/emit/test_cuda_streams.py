"""Kernels of streams on an emulated grid, against the C kernels and against exact rationals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated import NUMPY, Emulation
from exact import error

import logsig_codegen as lg
from logsig_codegen.algebra.tensor import join_oracle, join_vjp_oracle
from logsig_codegen.compiler import compile_problem
from logsig_codegen.gpu import planner

Array = np.ndarray[Any, np.dtype[Any]]
GROUPS = ("stream", "stream_backprop")
QUICK = ((1, 1), (2, 3), (5, 3), *(pytest.param(more, marks=pytest.mark.slow) for more in ((1, 3), (3, 3))))
SLOW = ((2, 1), (2, 5), (20, 1), (2, 4), (7, 2), (2, 6), (3, 4), (3, 5), (5, 4), (10, 3), (20, 2))
BLOCKS = (pytest.param((2, 3), marks=pytest.mark.slow), (3, 3))
SLOW_BLOCKS = ((1, 2), (2, 1), (2, 5), (2, 7), (3, 4), (4, 4), (5, 4), (5, 5))
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


@dataclass
class Layout:
    """How a call's operands lie in memory.

    Attributes
    ----------
    batch, length : int
    lengths : str
        ``""``: all paths have ``length`` points; else their own: ``"padded"``, or ``"ragged"``, one after the other.
    initial : str
        ``""``, ``"rows"``, ``"apart"`` or ``"one for all"``.
    gap : int
        Numbers between one path's rows and the next one's, in every operand.
    """

    batch: int
    length: int
    lengths: str = ""
    initial: str = ""
    gap: int = 0


LAYOUTS = (
    Layout(33, 12),
    Layout(64, 7, initial="rows"),
    Layout(40, 23, "padded", "apart", gap=3),
    Layout(35, 14, "ragged", "one for all", gap=1),
    Layout(70, 37, "ragged"),
    Layout(3, 1, initial="rows"),
    Layout(5, 2, "padded", initial="rows", gap=2),
    Layout(2, 0, initial="rows"),
)


def with_gaps(rows: Array, gap: int) -> tuple[Array, int]:
    """Rows with something that is no number behind each, and the distance between them."""
    flat = rows.reshape(len(rows), -1)
    wide = np.full((len(flat), flat.shape[1] + gap), np.nan, flat.dtype)
    wide[:, : flat.shape[1]] = flat
    return wide, wide.shape[1]


def run(emulation: Emulation, kernel: lg.LogSigKernel, dtype: str, layout: Layout, *, bits: bool) -> None:
    """Forward and backward, against the C kernels; where nothing is written nothing must change."""
    d, size, real = kernel.dimension, kernel.size, NUMPY[dtype]
    numbers = np.random.default_rng([d, size, layout.batch, layout.length])
    batch, length, gap, steps = layout.batch, layout.length, layout.gap, max(layout.length - 1, 0)
    points = np.full(batch, length) if not layout.lengths else numbers.integers(0, length + 1, batch)
    points[-1] = length
    full = (0.3 * numbers.standard_normal((batch, length, d))).astype(real)
    for path, count in zip(full, points, strict=True):
        path[count:] = np.nan
    starts = None
    if layout.lengths == "ragged":
        data = np.concatenate([path[:count].reshape(-1) for path, count in zip(full, points, strict=True)])
        starts, stride = (np.cumsum(points) - points) * d, 0
    else:
        data, stride = with_gaps(full, gap)
    lengths = points if layout.lengths else None
    initial = numbers.standard_normal((batch, size)).astype(real) if layout.initial else None
    given, initial_stride = initial, size
    if initial is not None and layout.initial == "apart":
        given, initial_stride = with_gaps(initial, 5)
    elif initial is not None and layout.initial == "one for all":
        initial[:] = initial[:1]
        given, initial_stride = initial[:1].copy(), 0

    options = {"lengths": points, "initial": initial, "stream": True}
    truth = kernel.log_sig(full, **options)
    d_out = numbers.standard_normal((batch, steps, size)).astype(real)
    gradients = kernel.log_sig_backprop(d_out, full, **options)
    d_truth, d_initial_truth = (gradients, None) if initial is None else gradients

    along = (data, stride, length, lengths, starts)
    out = np.full((batch + 1, steps * size + gap), np.nan, real)
    emulation.kernel("stream", dtype)([*along, given, initial_stride, out, out.shape[1], batch], warps=2, blocks=2)
    rows = out[:batch, : steps * size].reshape(batch, steps, size)
    assert np.isnan(out[batch]).all()
    assert np.isnan(out[:, steps * size :]).all()
    same(rows, truth, dtype, bits=bits)

    back, back_stride = with_gaps(d_out, gap)
    known, known_stride = with_gaps(truth, 2 * gap)
    d_path = np.full_like(data, 7)
    d_initial = None if initial is None else np.full((batch + 1, size + gap), np.nan, real)
    arguments = (back, back_stride, known, known_stride, *along, given, initial_stride, d_path, stride)
    emulation.kernel("stream_backprop", dtype)([*arguments, d_initial, size + gap, batch], warps=2, blocks=2)
    for b, count in enumerate(points):
        begin = b * stride if starts is None else int(starts[b])
        own = d_path.reshape(-1)[begin : begin + count * d].reshape(count, d)
        same(own, d_truth[b, :count], dtype, bits=False)
        if starts is None:
            assert (d_path[b, count * d :] == 7).all()
    if d_initial is not None:
        assert d_initial_truth is not None
        assert np.isnan(d_initial[batch]).all()
        assert np.isnan(d_initial[:, size:]).all()
        expected = d_initial_truth if steps else np.zeros_like(d_initial[:batch, :size])
        same(d_initial[:batch, :size], expected, dtype, bits=False)


def same(found: Array, expected: Array, dtype: str, *, bits: bool) -> None:
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    if bits:
        assert np.array_equal(found, expected)
    else:
        scale = max(float(np.linalg.norm(expected)), 1e-3)
        assert float(np.linalg.norm(found - expected)) <= 10 * TOLERANCE[dtype] * scale


def exactly(path: Array, d_out: Array, initial: Array) -> tuple[list[Any], ...]:
    """Rows, and gradients with respect to points and ``initial``, of one path, in fractions."""
    dimension = path.shape[1]
    degree = next(n for n in range(1, 9) if lg.Problem(dimension, n).size == initial.size)
    points, forms = ([[Fraction(x) for x in row] for row in array.tolist()] for array in (path, d_out))
    steps = [[y - x for x, y in zip(*pair, strict=True)] for pair in pairwise(points)]
    before = [[Fraction(x) for x in initial.tolist()]]
    for step in steps:
        before.append(join_oracle(dimension, degree, before[-1], step))
    form, d_points = [Fraction(0)] * initial.size, [[Fraction(0)] * dimension for _ in points]
    for t in reversed(range(len(steps))):
        form = [x + y for x, y in zip(form, forms[t], strict=True)]
        form, d_step = join_vjp_oracle(dimension, degree, form, before[t], steps[t])
        d_points[t + 1] = [x + y for x, y in zip(d_points[t + 1], d_step, strict=True)]
        d_points[t] = [x - y for x, y in zip(d_points[t], d_step, strict=True)]
    return before[1:], d_points, [form]


@pytest.mark.parametrize(
    ("problem", "form"),
    [
        ((2, 4), "block"),
        ((3, 3), "thread"),
        pytest.param((2, 4), "thread", marks=pytest.mark.slow),
        pytest.param((3, 3), "block", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_exactly(problem: tuple[int, int], form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if form == "block":
        monkeypatch.setattr(planner, "THREAD_OPERATIONS", -1)
    described, batch, length = lg.Problem(*problem), 3, 5
    emulation = Emulation(tmp_path, compile_problem(described, groups=GROUPS))
    d, size, steps = problem[0], described.size, length - 1
    numbers = np.random.default_rng(problem)
    shapes = ((batch, length, d), (batch, steps, size), (batch, size))
    for dtype in ("float32", "float64"):
        path, d_out, initial = (numbers.standard_normal(shape).astype(NUMPY[dtype]) for shape in shapes)
        out, d_path, d_initial = (np.full_like(array, np.nan) for array in (d_out, path, initial))
        given = (path, length * d, length, None, None, initial, size)
        emulation.kernel("stream", dtype)([*given, out, steps * size, batch])
        back = [d_out, steps * size, out, steps * size, *given, d_path, length * d, d_initial, size, batch]
        emulation.kernel("stream_backprop", dtype)(back)
        for b in range(batch):
            rows, d_points, d_before = exactly(path[b], d_out[b], initial[b])
            assert error(out[b], rows, described) <= 10 * TOLERANCE[dtype]
            assert error(d_path[b], d_points, described) <= 10 * TOLERANCE[dtype]
            assert error(d_initial[b : b + 1], d_before, described) <= 10 * TOLERANCE[dtype]


def check(folder: Path, problem: tuple[int, int], form: str, layouts: tuple[Layout, ...] = LAYOUTS) -> None:
    emulation = Emulation(folder, compile_problem(lg.Problem(*problem), groups=GROUPS))
    forms = {(described.operation, described.form) for described in emulation.sources.operations}
    assert forms == {(group, form) for group in GROUPS}
    kernel = lg.load(*problem)
    bits = form == "thread" and problem[1] > 1  # of degree 1, the processor subtracts points
    for dtype in ("float32", "float64"):
        for layout in layouts:
            run(emulation, kernel, dtype, layout, bits=bits)


@pytest.mark.parametrize("problem", QUICK, ids=str)
def test_threads(problem: tuple[int, int], tmp_path: Path) -> None:
    check(tmp_path, problem, "thread")


def test_spilled_values(tmp_path: Path) -> None:
    """Values that exceed the registers of a thread are in shared memory; nothing else changes."""
    emulation = Emulation(tmp_path, compile_problem(lg.Problem(3, 5), groups=GROUPS))
    found = emulation.kernel("stream_backprop", "float64").kernel
    assert (found.form, found.source) == ("thread", "stream_backprop_f64.cu")
    assert "logsig_row s = logsig_slots<" in emulation.unit(found.source).text
    for layout in LAYOUTS[1:5]:
        run(emulation, lg.load(3, 5), "float64", layout, bits=True)


@pytest.mark.slow
@pytest.mark.parametrize("problem", SLOW, ids=str)
def test_threads_of_larger_problems(problem: tuple[int, int], tmp_path: Path) -> None:
    check(tmp_path, problem, "thread", LAYOUTS[1:5])


@pytest.mark.parametrize("problem", BLOCKS, ids=str)
def test_blocks(problem: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "THREAD_OPERATIONS", -1)
    check(tmp_path, problem, "block")


@pytest.mark.slow
@pytest.mark.parametrize("problem", SLOW_BLOCKS, ids=str)
def test_blocks_of_larger_problems(problem: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "THREAD_OPERATIONS", -1)
    check(tmp_path, problem, "block", LAYOUTS[2:4])
