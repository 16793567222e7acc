"""Intervals, times and windows of time of arrays.

Trusts the truncated tensor algebra over fractions, the same call on a slice of a path, numpy's interpolation,
difference quotients, and that a point on a straight line changes nothing.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from differences import numeric_gradient
from hypothesis import given, settings
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.algebra.tensor import join_oracle
from logsig_codegen.operations import WHOLE_STEPS

D, N, M = 2, 3, 5
RNG = np.random.default_rng(7)
PAIRS = np.array([[0, 9], [3, 2], [4, 4], [8, 9], [2, 7], [2, 8], [0, -1], [10, 9], [0, 9], [5, 6]])


def walk(*shape: int) -> Any:
    return RNG.normal(size=shape).cumsum(axis=-2)


def slices(path: Any, pairs: Any) -> Any:
    """Log-signatures of the points of each interval, one call each."""
    return np.stack([lg.log_sig(path[..., a : b + 1, :], N, method=2) for a, b in pairs], axis=-2)


# -- intervals of points --------------------------------------------------------------------------------------------


def test_exactly() -> None:
    numbers = [[Fraction(k * k % 7 - 3), Fraction(k * 5 % 11 - 4)] for k in range(10)]
    expected = []
    for first, last in PAIRS:
        state = [Fraction(0)] * M
        for start, end in pairwise(numbers[first : last + 1]):
            state = join_oracle(D, N, state, [b - a for a, b in zip(start, end, strict=True)])
        expected.append([float(x) for x in state])
    found = lg.log_sig(np.array(numbers, float), N, method=2, intervals=PAIRS)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("length", [10, 600])
def test_intervals_are_slices(length: int) -> None:
    kernel, path = lg.load(D, N), walk(3, length, D)
    pairs = PAIRS if length == 10 else np.sort(RNG.integers(0, length, (50, 2)))
    found, alone = kernel.log_sig(path, intervals=pairs), slices(path, pairs)
    walked = pairs[:, 1] - pairs[:, 0] < WHOLE_STEPS  # others are products; see test_long_intervals.py
    assert np.array_equal(found[:, walked], alone[:, walked])
    np.testing.assert_allclose(found, alone, rtol=1e-13, atol=1e-13 * np.abs(alone).max())
    each = np.stack([pairs, pairs[::-1], pairs])
    assert np.array_equal(kernel.log_sig(path, intervals=each)[1], found[1, ::-1])
    assert np.array_equal(kernel.log_sig(path, intervals=pairs.tolist()), found)
    assert np.array_equal(kernel.log_sig(path[0], intervals=pairs), found[0])
    assert kernel.log_sig(path, intervals=pairs[:0]).shape == (3, 0, M)
    assert not kernel.log_sig(path[:, :0], intervals=[[0, -1]]).any()
    for method in (0, 1):
        whole = lg.log_sig_change_method(found, D, N, 2, method)
        assert np.array_equal(kernel.log_sig(path, intervals=pairs, method=method), whole)
    windows = np.stack([np.arange(0, length - 3, 2), np.arange(3, length, 2)], -1)
    assert np.array_equal(kernel.log_sig(path, intervals=windows), kernel.log_sig(path, windows=(4, 2)))
    single = kernel.log_sig(path.astype(np.float32), intervals=pairs)
    assert np.abs(single - found).max() < 1e-5 * np.abs(found).max()


@pytest.mark.parametrize("state", ["log_derivative", "signature"])
def test_gradients_add_up_in_one_order(state: str) -> None:
    kernel, path = lg.load(D, N), walk(3, 400, D)
    pairs = np.concatenate([np.sort(RNG.integers(0, WHOLE_STEPS, (30, 2))) + 200, [[5, 4], [0, 191], [7, 7]]])
    d_out = RNG.normal(size=(3, len(pairs), M))
    gradient = kernel.log_sig_backprop(d_out, path, intervals=pairs, state=state)
    expected = np.zeros_like(path)
    for k, (a, b) in enumerate(pairs):
        if b >= a:
            expected[:, a : b + 1] += kernel.log_sig_backprop(d_out[:, k], path[:, a : b + 1], state=state)
    assert np.array_equal(gradient, expected)
    assert np.array_equal(kernel.log_sig_backprop(d_out, path, intervals=pairs, state=state, n_jobs=2), gradient)
    alone = kernel.log_sig_backprop(d_out[1], path[1], intervals=pairs, state=state)
    assert np.array_equal(alone, gradient[1])


@pytest.mark.parametrize("options", [{}, {"method": 0}, {"method": 1}, {"lengths": np.array([10, 6])}], ids=str)
def test_gradients_are_difference_quotients(options: dict[str, Any]) -> None:
    kernel, path = lg.load(D, N), walk(2, 10, D)
    for pairs in (PAIRS, np.stack([PAIRS, PAIRS[::-1]])):
        d_out = RNG.normal(size=kernel.log_sig(path, intervals=pairs, **options).shape)
        gradient = kernel.log_sig_backprop(d_out, path, intervals=pairs, **options)
        numeric = numeric_gradient(lambda x, p=pairs: kernel.log_sig(x, intervals=p, **options), path, d_out)
        np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_shorter_paths_have_no_points_beyond_their_end() -> None:
    kernel, lengths = lg.load(D, N), np.array([10, 6, 1, 0])
    padded = np.full((4, 10, D), np.nan)
    paths = [walk(n, D) for n in lengths]
    for row, path in zip(padded, paths, strict=True):
        row[: len(path)] = path
    found = kernel.log_sig(padded, lengths=lengths, intervals=PAIRS)
    for row, path in zip(found, paths, strict=True):
        assert np.array_equal(row, slices(path, PAIRS))
    assert np.array_equal(kernel.log_sig(paths, intervals=PAIRS), found)
    d_out = RNG.normal(size=found.shape)
    gradient = kernel.log_sig_backprop(d_out, padded, lengths=lengths, intervals=PAIRS)
    listed = kernel.log_sig_backprop(d_out, paths, intervals=PAIRS)
    for row, one, path in zip(gradient, listed, paths, strict=True):
        assert np.array_equal(row[: len(path)], one)
        assert not row[len(path) :].any()


def test_degree_one_and_transforms() -> None:
    path = walk(2, 10, D)
    ends = np.stack([path[:, max(b, a)] - path[:, a] for a, b in np.minimum(PAIRS, 9)], 1)
    np.testing.assert_allclose(lg.log_sig(path, 1, intervals=PAIRS), ends, atol=1e-14)
    d_out = RNG.normal(size=ends.shape)
    numeric = numeric_gradient(lambda x: lg.log_sig(x, 1, intervals=PAIRS), path, d_out)
    np.testing.assert_allclose(lg.log_sig_backprop(d_out, path, 1, intervals=PAIRS), numeric, atol=1e-8)
    options: dict[str, Any] = {"lead_lag": True, "time_aug": True}
    changed = lg.transform_path(path, **options)
    expected = lg.log_sig(changed, 2, intervals=PAIRS)
    assert np.array_equal(lg.log_sig(path, 2, intervals=PAIRS, **options), expected)


ERRORS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ([[0, 1], [2, 10]], {}, ValueError, r"intervals\[1\]: .* 0 <= first <= last <= 9.* \(2, 10\)"),
    ([[-1, 1]], {}, ValueError, r"intervals\[0\]: .* got \(-1, 1\)"),
    ([[0, 1], [0, 1], [5, 3]], {}, ValueError, r"intervals\[2\]: .*or last = first - 1 for an empty one, got \(5, 3\)"),
    ([[[0, 1]], [[0, 10]]], {}, ValueError, r"intervals\[1, 0\]: "),
    ([[0, 1, 2]], {}, ValueError, r"intervals: expected shape \(W, 2\), or \(2, W, 2\) for one set for each path, got"),
    ([0, 1], {}, ValueError, "intervals: expected shape"),
    (np.zeros((3, 4, 2), int), {}, ValueError, "intervals: expected shape"),
    ([[0.0, 1.0]], {}, TypeError, "intervals: expected integers, .* got dtype float64; real numbers need times"),
    ([[0, 1j]], {}, TypeError, "intervals: expected integers"),
    ([[0, 1]], {"windows": (2, 1)}, ValueError, "windows: expected None with intervals"),
    ([[0, 1]], {"stream": True}, ValueError, "intervals: expected None with stream"),
    ([[0, 1]], {"initial": np.zeros(M)}, ValueError, "initial: expected None with windows or intervals"),
    ([[0.0, 20.0]], {"times": np.arange(10)}, ValueError, r"intervals\[0\]: .* <= end <= 9.0, .* \(0.0, 20.0\)"),
    ([[0, 1.0], [3.0, np.nan]], {"times": np.arange(10)}, ValueError, r"intervals\[1\]: .* got \(3.0, nan\)"),
    ([[2.0, 1.0]], {"times": np.arange(10)}, ValueError, r"intervals\[0\]"),
    ([[0, 20]], {"times": np.arange(10)}, ValueError, "with times, integers are still numbers of points"),
    (None, {"times": [0, 1, 2]}, ValueError, r"times: expected shape \(10,\), or \(2, 10\) .*, got \(3,\)"),
    (None, {"times": [0, 1, 2, 3, 3, 4, 5, 6, 7, 8]}, ValueError, r"times\[4\]: expected a number above the .* 3.0"),
    (None, {"times": [np.nan, *range(9)]}, ValueError, r"times\[0\]: expected a finite number, got nan"),
    (None, {"times": [*range(9), np.inf]}, ValueError, r"times\[9\]: expected a finite number, got inf"),
    (None, {"times": ["a"] * 10}, TypeError, "times: expected an array of numbers"),
    (None, {"times": np.arange(10), "windows": (0.0, 1)}, ValueError, r"windows\[0\]: expected a positive number"),
    (None, {"times": np.arange(10), "windows": (1.0, "x")}, TypeError, r"windows\[1\]: expected a real number"),
    (None, {"windows": []}, ValueError, "windows: expected at least one pair"),
    (None, {"windows": [(2, 1), (3, 0)]}, ValueError, r"windows\[1\]: expected at least 1"),
    (None, {"windows": [(2, 1)], "out": np.zeros(3)}, ValueError, "out: expected None with a list of windows"),
]  # fmt: skip


@pytest.mark.parametrize(("intervals", "options", "error", "message"), ERRORS, ids=str)
def test_errors(intervals: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    path = walk(2, 10, D)
    with pytest.raises(error, match=message):
        lg.load(D, N).log_sig(path, intervals=intervals, **options)
    if "initial" not in options:
        with pytest.raises(error, match=message):
            lg.log_sig(path, N, intervals=intervals, time_aug=True, **options)


# -- time -----------------------------------------------------------------------------------------------------------


def between(path: Any, times: Any, begin: float, end: float) -> Any:
    """The points of an interval of time, by numpy's interpolation."""
    inside = path[(times > begin) & (times < end)]
    ends = [np.array([[np.interp(t, times, channel) for channel in path.T]]) for t in (begin, end)]
    return np.concatenate([ends[0], inside, ends[1]])


def moments(times: Any, count: int) -> Any:
    """Intervals of time: some that begin or end at points, a point, the whole."""
    found = np.sort(RNG.uniform(times[0], times[-1], (count, 2)))
    found[0] = times[0], times[-1]
    found[1] = times[2], times[-2]
    found[2] = found[2, 0], found[2, 0]
    found[3, 0] = times[1]
    return found


def test_ends_between_points() -> None:
    kernel, path, times = lg.load(D, N), walk(3, 30, D), np.cumsum(RNG.uniform(0.1, 1, 30)) + 1e3
    intervals = moments(times, 12)
    found = kernel.log_sig(path, times=times, intervals=intervals)
    for row, points in zip(found, path, strict=True):
        expected = [kernel.log_sig(between(points, times, *pair)) for pair in intervals]
        np.testing.assert_allclose(row, expected, atol=1e-11)
    each = np.stack([times, times * 2, np.arange(30.0)])
    ends = np.stack([intervals, intervals * 2, moments(each[2], 12)])
    own = kernel.log_sig(path, times=each, intervals=ends)
    np.testing.assert_allclose(own[:2], found[:2], atol=1e-9)
    np.testing.assert_allclose(own[2, 5], kernel.log_sig(between(path[2], each[2], *ends[2, 5])), atol=1e-11)
    at_points = np.array([[2, 9], [0, 29]])
    assert np.array_equal(
        kernel.log_sig(path, times=times, intervals=times[at_points]), kernel.log_sig(path, intervals=at_points)
    )
    assert np.array_equal(
        kernel.log_sig(path, times=times, intervals=at_points), kernel.log_sig(path, intervals=at_points)
    )


def test_windows_of_time() -> None:
    kernel, path = lg.load(D, N), walk(2, 21, D)
    times = np.arange(21) * 0.1  # of which 2.0 - 0.3 is not seventeen steps, in floating point
    assert np.allclose(kernel.log_sig(path, times=times, windows=(0.3, 0.1)), kernel.log_sig(path, windows=(4, 1)))
    assert np.allclose(kernel.log_sig(path, times=times, windows=(1.0, 0.5)), kernel.log_sig(path, windows=(11, 5)))
    irregular = np.cumsum(RNG.uniform(0.1, 1, 21))
    begin = irregular[0] + 0.7 * np.arange(int((irregular[-1] - irregular[0] - 2) / 0.7) + 1)
    expected = kernel.log_sig(path, times=irregular, intervals=np.stack([begin, begin + 2], -1))
    np.testing.assert_allclose(kernel.log_sig(path, times=irregular, windows=(2, 0.7)), expected, atol=1e-12)
    assert kernel.log_sig(path, times=irregular, windows=(1000, 1)).shape == (2, 0, M)
    each = np.stack([irregular, irregular / 2])  # the second one is over in half of the time: windows are cut
    found = kernel.log_sig(path, times=each, windows=(2, 0.7))
    np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
    last = each[1, -1]
    cut = [kernel.log_sig(between(path[1], each[1], min(b, last), min(b + 2, last))) for b in begin - irregular[0] / 2]
    np.testing.assert_allclose(found[1], cut, atol=1e-11)


def test_ragged_paths_have_times_of_their_own() -> None:
    lengths = np.array([12, 5, 1, 0])
    times = [np.cumsum(RNG.uniform(0.1, 1, n)) for n in lengths]
    paths = [walk(n, D) for n in lengths]
    padded, clock = np.full((4, 12, D), np.nan), np.full((4, 12), np.nan)
    for k, n in enumerate(lengths):
        padded[k, :n], clock[k, :n] = paths[k], times[k]
    options: dict[str, Any] = {"windows": (0.9, 0.4), "time_aug": True}
    found = lg.log_sig(padded, 2, lengths=lengths, times=clock, **options)
    assert np.array_equal(lg.log_sig(paths, 2, times=times, **options), found)
    d_out = RNG.normal(size=found.shape)
    gradient = lg.log_sig_backprop(d_out, padded, 2, lengths=lengths, times=clock, **options)
    listed = lg.log_sig_backprop(d_out, paths, 2, times=times, **options)
    longest = lg.log_sig_backprop(d_out[0], paths[0], 2, times=times[0], **options)
    np.testing.assert_allclose(gradient[0], longest, atol=1e-12)
    for k, n in enumerate(lengths):
        assert np.array_equal(listed[k], gradient[k, :n])
        assert not gradient[k, n:].any()
        if n > 1:
            one = lg.log_sig(paths[k], 2, times=times[k], **options)
            np.testing.assert_allclose(found[k, : len(one)], one, atol=1e-12)
    assert not found[2:].any()


@pytest.mark.parametrize(
    "options", [{}, {"time_aug": True}, {"lead_lag": True}, {"lead_lag": True, "time_aug": True}], ids=str
)
def test_gradients_with_times(options: dict[str, Any]) -> None:
    path, times = walk(2, 8, D), np.cumsum(RNG.uniform(0.1, 1, 8))

    def call(x: Any) -> Any:
        return lg.log_sig(x, 2, times=times, intervals=intervals, **options)

    intervals = moments(times, 6)
    d_out = RNG.normal(size=call(path).shape)
    gradient = lg.log_sig_backprop(d_out, path, 2, times=times, intervals=intervals, **options)
    np.testing.assert_allclose(gradient, numeric_gradient(call, path, d_out), atol=1e-7)


def test_time_is_the_channel_that_was_given() -> None:
    path, times = walk(2, 9, D), np.cumsum(RNG.uniform(0.1, 1, 9)) + 5
    timed = np.concatenate([path, np.broadcast_to(times, (2, 9))[..., None]], -1)
    assert np.array_equal(lg.transform_path(path, time_aug=True, times=times), timed)
    np.testing.assert_allclose(lg.log_sig(path, N, time_aug=True, times=times), lg.log_sig(timed, N), atol=1e-11)
    steps = np.linspace(0, 3, 9)
    np.testing.assert_allclose(
        lg.log_sig(path, 2, time_aug=True, lead_lag=True, times=steps),
        lg.log_sig(path, 2, time_aug=True, lead_lag=True, end_time=3.0), atol=1e-12,
    )  # fmt: skip
    epoch = 1.7e9 + steps  # seconds that single precision cannot tell from one another
    single = lg.log_sig(path.astype(np.float32), N, time_aug=True, times=epoch)
    np.testing.assert_allclose(single, lg.log_sig(path, N, time_aug=True, times=steps), rtol=1e-4, atol=1e-4)


points = st.floats(-2, 2).map(lambda x: round(x, 3))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(points, points), min_size=2, max_size=8), st.data())
def test_identities(path: list[tuple[float, float]], data: st.DataObject) -> None:
    """Splitting an interval, shifting time, and points on the straight line change nothing."""
    kernel, x = lg.load(D, N), np.array(path)
    gaps = data.draw(st.lists(st.floats(0.1, 2), min_size=len(x), max_size=len(x)))
    times = np.cumsum(gaps)
    parts = np.sort(data.draw(st.lists(st.floats(0, 1), min_size=3, max_size=3)))
    a, b, c = times[0] + parts * (times[-1] - times[0])
    a, b, c = (min(max(t, times[0]), times[-1]) for t in (a, b, c))
    first, second, both = kernel.log_sig(x, times=times, intervals=[[a, b], [b, c], [a, c]])
    np.testing.assert_allclose(kernel.combine(first, second), both, atol=1e-11)
    shifted = kernel.log_sig(x, times=times + 8, intervals=np.array([[a, c]]) + 8)
    np.testing.assert_allclose(shifted[0], both, atol=1e-11)
    more = np.unique(np.concatenate([times, [a, b, c]]))
    finer = np.stack([np.interp(more, times, channel) for channel in x.T], -1)
    np.testing.assert_allclose(kernel.log_sig(finer, times=more, intervals=[[a, c]])[0], both, atol=1e-11)
    assert np.allclose(kernel.log_sig(finer), kernel.log_sig(x), atol=1e-11)


# -- several windows ------------------------------------------------------------------------------------------------


def test_a_list_of_windows() -> None:
    kernel, path, several = lg.load(D, N), walk(2, 40, D), [(16, 8), (5, 3)]
    found = kernel.log_sig(path, windows=several)
    each = [kernel.log_sig(path, windows=one) for one in several]
    assert all(np.array_equal(x, y) for x, y in zip(found, each, strict=True))
    assert np.array_equal(lg.log_sig(path, N, windows=np.array(several))[1], lg.log_sig(path, N, windows=(5, 3)))
    d_out = [RNG.normal(size=one.shape) for one in each]
    expected = sum(kernel.log_sig_backprop(d, path, windows=one) for d, one in zip(d_out, several, strict=True))
    assert np.array_equal(kernel.log_sig_backprop(d_out, path, windows=several), expected)
    listed = kernel.log_sig_backprop(d_out, list(path), windows=several)
    np.testing.assert_allclose(np.stack(listed), expected, atol=1e-12)
    times = np.arange(40.0)
    timed = kernel.log_sig(path, windows=[(15, 8), (4.0, 3)], times=times)
    np.testing.assert_allclose(timed[0], found[0], atol=1e-12)
    np.testing.assert_allclose(timed[1], found[1], atol=1e-12)
    with pytest.raises(ValueError, match="d_out: expected a list of 2 arrays"):
        kernel.log_sig_backprop(d_out[0], path, windows=several)
