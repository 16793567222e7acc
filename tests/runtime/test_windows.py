"""Windows that overlap so much that they are computed from what they have in common.

Trusts pySigLib on windows that are copied out, and identities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import peer
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import logsig_codegen as lg
from logsig_codegen.operations import STATES
from logsig_codegen.problem import Problem
from logsig_codegen.sliding import slides

RNG = np.random.default_rng(14)
CASES = [
    # problem, points, window, step
    ((2, 3), 120, 30, 1),
    ((2, 3), 1_300, 900, 1),  # longer than a unit
    ((2, 3), 400, 60, 7),
    ((3, 2), 400, 250, 20),
    pytest.param((1, 3), 90, 40, 2, marks=pytest.mark.slow),
    pytest.param((7, 2), 300, 60, 1, marks=pytest.mark.slow),
    pytest.param((5, 3), 900, 300, 1, marks=pytest.mark.slow),
    pytest.param((2, 7), 200, 70, 1, marks=pytest.mark.slow),
]


def walk(*shape: int) -> Any:
    return RNG.normal(size=shape).cumsum(axis=-2) / np.sqrt(shape[-2])


def relative(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def copied(path: Any, window: int, step: int) -> Any:
    """The windows, as paths of their own."""
    return np.ascontiguousarray(sliding_window_view(path, window, axis=-2)[..., ::step, :, :].swapaxes(-1, -2))


@pytest.mark.parametrize(("problem", "points", "window", "step"), CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_windows_are_pysiglib_s(problem: tuple[int, int], points: int, window: int, step: int, dtype: str) -> None:
    assert slides(Problem(*problem), window, step)
    kernel, tolerance = lg.load(*problem), 1e-13 if dtype == "float64" else 1e-5
    path = walk(2, points, problem[0]).astype(dtype)
    parts = copied(path, window, step)
    found = kernel.log_sig(path, windows=(window, step))
    assert found.dtype == path.dtype
    assert relative(found, peer.log_sig(parts, problem[1])) < tolerance
    d_out = RNG.normal(size=found.shape).astype(dtype)
    d_path = kernel.log_sig_backprop(d_out, path, windows=(window, step))
    expected, d_parts = np.zeros(path.shape), peer.log_sig_backprop(d_out, parts, problem[1])
    for k in range(parts.shape[1]):
        expected[:, k * step : k * step + window] += d_parts[:, k]
    assert relative(d_path, expected) < 5 * tolerance


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("window", "step"), [(40, 1), (700, 2), (60, 3), (200, 12)])
def test_no_bit_depends_on_the_company(state: str, window: int, step: int) -> None:
    kernel = lg.load(2, 3)
    options: dict[str, Any] = {"windows": (window, step), "state": state, "method": 1}
    path = walk(5, 900, 2)
    found = kernel.log_sig(path, **options)
    d_out = RNG.normal(size=found.shape)
    gradient = kernel.log_sig_backprop(d_out, path, **options)
    assert np.array_equal(kernel.log_sig(path, **options, n_jobs=3), found)
    assert np.array_equal(kernel.log_sig_backprop(d_out, path, **options, n_jobs=3), gradient)
    for one in (slice(3, 4), slice(1, 3)):
        assert np.array_equal(kernel.log_sig(path[one], **options), found[one])
        assert np.array_equal(kernel.log_sig_backprop(d_out[one], path[one], **options), gradient[one])
    longer = np.concatenate([path, walk(5, 333, 2)], axis=1)
    assert np.array_equal(kernel.log_sig(longer, **options)[:, : found.shape[1]], found)


@pytest.mark.parametrize(("window", "step"), [(40, 1), (60, 3), (200, 12)])
def test_paths_of_different_lengths(window: int, step: int) -> None:
    kernel, lengths = lg.load(2, 3), np.array([300, 131, 1, 0])
    path = walk(4, 300, 2)
    path[np.arange(300) >= lengths[:, None]] = np.nan
    still = path.copy()
    still[1, 131:], still[2, 1:], still[3] = still[1, 130], still[2, 0], 0
    found = kernel.log_sig(path, windows=(window, step), lengths=lengths)
    d_out = RNG.normal(size=found.shape)
    assert np.array_equal(found, kernel.log_sig(still, windows=(window, step)))
    gradient = kernel.log_sig_backprop(d_out, path, windows=(window, step), lengths=lengths)
    whole = kernel.log_sig_backprop(d_out, still, windows=(window, step))
    assert np.array_equal(gradient[:, :130], whole[:, :130] * (lengths[:, None, None] > 1))
    np.testing.assert_allclose(gradient[1, 130], whole[1, 130:].sum(axis=0), atol=1e-11)
    assert not gradient[1, 131:].any()
    ragged = kernel.log_sig([path[0], path[1, :131]], windows=(window, step))
    assert np.array_equal(ragged, found[:2])


@pytest.mark.parametrize(("window", "step"), [(40, 1), (60, 3), (200, 12)])
def test_nan_stays_in_the_windows_that_have_it(window: int, step: int) -> None:
    kernel, path = lg.load(2, 3), walk(500, 2)
    path[217] = np.nan
    found = kernel.log_sig(path, windows=(window, step))
    first = np.arange(len(found)) * step
    assert np.array_equal(np.isnan(found).any(axis=1), (first <= 217) & (217 < first + window))
    gradient = kernel.log_sig_backprop(np.ones(found.shape), path, windows=(window, step))
    within = copied(np.arange(500.0)[:, None], window, step)[..., 0].astype(int)
    reached = np.unique(within[(within == 217).any(axis=1)])
    assert np.isfinite(np.delete(gradient, reached, axis=0)).all()


@pytest.mark.parametrize(("window", "step"), [(12, 12), (9, 14), (1, 3)])
@pytest.mark.parametrize("ragged", [False, True])
def test_windows_without_a_common_point(window: int, step: int, ragged: bool) -> None:
    """Their gradients are written where they belong; every other point gets zero."""
    kernel, path, lengths = lg.load(2, 3), walk(3, 100, 2), np.array([100, 61, 40]) if ragged else None
    still = path.copy()
    for b, length in enumerate(lengths if lengths is not None else ()):
        still[b, length:] = path[b, length - 1]
        path[b, length:] = np.nan
    parts = copied(still, window, step)
    d_out = RNG.normal(size=(*parts.shape[:2], kernel.size))
    truth, d_parts = np.zeros(path.shape), peer.log_sig_backprop(d_out, parts, 3) if window > 1 else 0 * parts
    for k in range(parts.shape[1]):
        truth[:, k * step : k * step + window] = d_parts[:, k]
    for b, length in enumerate(lengths if lengths is not None else ()):  # points that stand still are one point
        end = (length - 1) // step * step + window
        truth[b, length - 1] += truth[b, length:end].sum(axis=0)
        truth[b, length:] = 0
    found = np.full(path.shape, np.nan)
    kernel.log_sig_backprop(d_out, path, windows=(window, step), lengths=lengths, out=found)
    np.testing.assert_allclose(found, truth, atol=1e-12)
    apart = np.full((3, 120, 2), np.nan)[:, :100]  # rows of another distance than the path's
    kernel.log_sig_backprop(d_out, path, windows=(window, step), lengths=lengths, out=apart)
    assert np.array_equal(apart, found)


@pytest.mark.parametrize(
    ("batch", "points", "windows"),
    [(70, 1_024, (256, 256)), (70, 1_000, (11, 12)), (900, 90, None), (1_100, 128, None)],  # 4,096 bytes apart, or not
    ids=str,
)
def test_paths_beyond_the_cache_have_the_same_bits(batch: int, points: int, windows: Any) -> None:
    """Which paths share a block there depends on how many there are; no bit does."""
    kernel, path = lg.load(2, 3), walk(batch, points, 2)
    assert path.nbytes > 1 << 20
    found = kernel.log_sig(path, windows=windows)
    d_out = RNG.normal(size=found.shape)
    gradient = kernel.log_sig_backprop(d_out, path, windows=windows)
    for part in (slice(0, 1), slice(batch // 2, batch // 2 + 9), slice(batch - 1, batch)):
        assert np.array_equal(kernel.log_sig(path[part], windows=windows), found[part])
        assert np.array_equal(kernel.log_sig_backprop(d_out[part], path[part], windows=windows), gradient[part])
    assert np.array_equal(kernel.log_sig(path, windows=windows, n_jobs=2), found)
    assert np.array_equal(kernel.log_sig_backprop(d_out, path, windows=windows, n_jobs=2), gradient)


@pytest.mark.parametrize("seed", range(5))
def test_a_window_is_the_product_of_its_halves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(15, 500, 2)
    kernel, path = lg.load(3, 2), walk(1_200, 3)
    whole = kernel.log_sig(path, windows=(int(first + second - 1), 1))
    left, right = (kernel.log_sig(path, windows=(int(size), 1)) for size in (first, second))
    halves = kernel.combine(left[: len(whole)], right[first - 1 :][: len(whole)])
    assert relative(halves, whole) < 1e-13


def test_what_does_not_slide_needs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, asked = lg.load(2, 3), []
    path_call = kernel.loaded.path_call

    def noted(*given: Any, **options: Any) -> Any:
        found = path_call(*given, **options)
        asked.append(bool(found.functions.windows))
        return found

    monkeypatch.setattr(kernel.loaded, "path_call", noted)
    for window in (10, 11):
        kernel.log_sig(walk(40, 2), windows=(window, 1))
    assert asked == [slides(kernel.problem, window, 1) for window in (10, 11)] == [False, True]
