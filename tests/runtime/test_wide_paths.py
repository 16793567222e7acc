"""Degree two with many letters: loops over the letters against exact rationals, pySigLib, and themselves."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import peer
import pytest
import together
from differences import numeric_gradient

import logsig_codegen as lg
from logsig_codegen.build.cpu import missing_features
from logsig_codegen.build.toolchain import describe, find_compiler
from logsig_codegen.compiler import WIDE_FROM, compile_problem, in_loops
from logsig_codegen.emit.c import c_sources
from logsig_codegen.operations import CONVERSION, MAP, OPERATIONS, STATES, WHOLE_STEPS
from logsig_codegen.problem import Problem

D = WIDE_FROM + 1
"""No multiple of anything: the last vector and the last tile are not full."""
PROCESSORS = ("native", *(pytest.param(one, marks=pytest.mark.slow) for one in ("x86-64", "x86-64-v3")))
RNG = np.random.default_rng(51)


def walk(*shape: int) -> Any:
    return RNG.normal(size=shape).cumsum(axis=-2) / np.sqrt(max(shape[-2], 1))


def kernel_for(march: str) -> Any:
    if missing_features(describe(find_compiler(), march).features):
        pytest.skip(f"this processor cannot run code for {march}")
    return together.load(D, 2) if march == "native" else lg.load(D, 2, march=march)


def areas(points: list[list[Fraction]]) -> list[Fraction]:
    """The log-signature of a path: its displacement, and the area that each pair of coordinates sweeps."""
    moved = [[x - y for x, y in zip(point, points[0], strict=True)] for point in points]
    pairs = list(pairwise(moved))
    swept = [
        sum((a[i] * b[j] - a[j] * b[i] for a, b in pairs), Fraction(0)) / 2 for i in range(D) for j in range(i + 1, D)
    ]
    return [*moved[-1], *swept]


@pytest.mark.parametrize("march", PROCESSORS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_paths_are_exact_up_to_rounding(march: str, dtype: type, tolerance: float) -> None:
    kernel = kernel_for(march)
    for length in (2, 3, 18):
        path = RNG.standard_normal((2, length, D), np.float32).astype(dtype)
        expected = [areas([[Fraction(float(x)) for x in point] for point in one]) for one in path]
        for state in STATES:
            found = kernel.log_sig(path, state=state)
            assert np.abs(found - np.array(expected, float)).max() <= tolerance * np.abs(found).max()


@pytest.mark.parametrize("state", STATES)
def test_forward_and_backward_are_pysiglib_s(state: str) -> None:
    kernel = together.load(D, 2)
    for length in (0, 1, 2, 17, WHOLE_STEPS + 1, 500):
        path = walk(5, length, D)
        found, d_out = kernel.log_sig(path, state=state), RNG.normal(size=(5, kernel.size))
        assert np.abs(found - peer.log_sig(path, 2)).max(initial=0) < 1e-12
        gradient = kernel.log_sig_backprop(d_out, path, state=state)
        if length > 1:
            expected = peer.log_sig_backprop(d_out, path, 2)
            assert np.abs(gradient - expected).max() < 1e-12 * np.abs(expected).max()
        else:
            assert gradient.shape == path.shape
            assert not gradient.any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_bit_depends_on_the_company(dtype: type) -> None:
    kernel = together.load(D, 2)
    points = [5, 0, 1, 2, 160, 17, 64, 450, 193, 3, *range(3, 30)]
    paths = [walk(n, D).astype(dtype) for n in points]
    padded = np.full((len(paths), max(points), D), np.nan, dtype)
    for row, path in zip(padded, paths, strict=True):
        row[: len(path)] = path
    d_out = RNG.normal(size=(len(paths), kernel.size)).astype(dtype)
    for n_jobs in (1, 2):
        found = kernel.log_sig(paths, n_jobs=n_jobs)
        by_lengths = kernel.log_sig(padded, lengths=points, n_jobs=n_jobs)
        gradients = kernel.log_sig_backprop(d_out, padded, lengths=points, n_jobs=n_jobs)
        for i, path in enumerate(paths):
            alone = kernel.log_sig(np.frombuffer(b"x" + path.tobytes(), np.uint8)[1:].view(dtype).reshape(path.shape))
            assert np.array_equal(alone, found[i])
            assert np.array_equal(alone, by_lengths[i])
            assert np.array_equal(kernel.log_sig_backprop(d_out[i], path), gradients[i, : len(path)])
            assert not gradients[i, len(path) :].any()


def test_windows_and_what_came_before() -> None:
    kernel, path = together.load(D, 2), walk(3, 30, D)
    windows = kernel.log_sig(path, windows=(6, 5))
    assert np.array_equal(windows[:, 2], kernel.log_sig(path[:, 10:16]))
    initial = kernel.log_sig(path[:, :11])
    rest, whole = kernel.log_sig(path[:, 10:], initial=initial), kernel.log_sig(path)
    np.testing.assert_allclose(rest, whole, rtol=0, atol=1e-13)
    d_out = RNG.normal(size=windows.shape)
    gradient = kernel.log_sig_backprop(d_out, path, windows=(6, 5))
    some = np.s_[:, ::7, ::11]

    def moved(part: Any) -> Any:
        other = path.copy()
        other[some] = part
        return kernel.log_sig(other, windows=(6, 5))

    np.testing.assert_allclose(gradient[some], numeric_gradient(moved, path[some], d_out), rtol=0, atol=1e-7)


def test_a_number_that_is_none_stays_in_its_path() -> None:
    kernel, path = together.load(D, 2), walk(4, 9, D)
    path[1, 4, 2], path[2, 0, 3] = np.nan, np.inf
    found = kernel.log_sig(path)
    assert np.isfinite(found[[0, 3]]).all()
    words = [{i} for i in range(D)] + [{i, j} for i in range(D) for j in range(i + 1, D)]
    for row, letter in ((1, 2), (2, 3)):
        assert np.array_equal(np.isfinite(found[row]), [letter not in word for word in words])


def test_the_kernel_is_short_and_depends_on_the_problem_only() -> None:
    wide = [name for name, one in OPERATIONS.items() if in_loops(Problem(D, 2), name) or one.kind in (CONVERSION, MAP)]
    assert wide == list(OPERATIONS)
    assert not any(in_loops(Problem(*numbers), name) for name in OPERATIONS for numbers in ((100, 1), (20, 2), (40, 3)))
    groups = ("join", "combine_backprop", "log_sig", "log_sig_backprop", "stream_backprop", "windows")
    texts = {unit.name: unit.text for unit in c_sources(compile_problem(Problem(D, 2), groups=groups))}
    for name in groups:
        assert len(texts[f"{name}.c"].splitlines()) < 120
