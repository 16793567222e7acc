"""Missing values, and the functions that other libraries' users know.

Trusts the rules as written here with numpy's interpolation, difference quotients, and pySigLib on slices of paths.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import peer
import pytest
import torch

import logsig_codegen as lg
from logsig_codegen.algebra.hall import hall_basis

D, N, M = 2, 3, 5
RNG = np.random.default_rng(8)
LENGTHS = np.array([9, 6, 0])


def paths_with_gaps() -> Any:
    path = RNG.normal(size=(3, 9, D))
    path[RNG.random(path.shape) < 0.3] = np.nan
    path[0, :2, 0] = path[0, 7:, 1] = path[1, :, 1] = np.nan  # at both ends, and everywhere
    path[0, 4] = 1
    return path


PATH = paths_with_gaps()
TIMES = np.cumsum(RNG.uniform(0.1, 1, 9))


def filled(path: Any, kind: str, times: Any) -> Any:
    """Channel by channel, what ``missing`` is to mean."""
    result = np.zeros_like(path)
    for k in np.ndindex(path.shape[:-2]):
        for c in range(path.shape[-1]):
            there = np.flatnonzero(~np.isnan(path[k][:, c]))
            for t in range(path.shape[-2]) if len(there) else ():
                before = there[there <= t]
                if kind == "linear":
                    result[k][t, c] = np.interp(times[t], times[there], path[k][there, c])
                else:
                    result[k][t, c] = path[k][before[-1] if len(before) else there[0], c]
    return result


def cut(path: Any, lengths: Any) -> Any:
    counts = (np.arange(path.shape[-2]) < lengths[:, None])[..., None]
    return np.where(counts, path, np.nan)


@pytest.mark.parametrize("kind", ["linear", "forward"])
@pytest.mark.parametrize("times", [None, TIMES], ids=["points", "times"])
def test_values_are_filled_in(kind: str, times: Any) -> None:
    expected = filled(PATH, kind, np.arange(9.0) if times is None else times)
    np.testing.assert_allclose(lg.transform_path(PATH, missing=kind, times=times), expected, atol=1e-14)
    seen = lg.transform_path(PATH, missing=kind, times=times)
    assert np.array_equal(seen[~np.isnan(PATH)], PATH[~np.isnan(PATH)])
    np.testing.assert_allclose(
        lg.log_sig(PATH, N, missing=kind, times=times), lg.log_sig(expected, N), atol=1e-12
    )  # fmt: skip
    counted = np.concatenate([expected, (~np.isnan(PATH)).cumsum(-2)], -1)
    found = lg.transform_path(PATH, missing=kind, times=times, count_observations=True)
    np.testing.assert_allclose(found, counted, atol=1e-14)
    options: dict[str, Any] = {"missing": kind, "times": times, "count_observations": True, "lead_lag": True}
    np.testing.assert_allclose(
        lg.log_sig(PATH, 2, **options), lg.log_sig(counted, 2, lead_lag=True), atol=1e-12
    )  # fmt: skip
    single = lg.transform_path(PATH.astype(np.float32), missing=kind, times=times)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "forward"])
def test_only_points_that_count_are_observed(kind: str) -> None:
    expected = filled(cut(PATH, LENGTHS), kind, TIMES)
    options: dict[str, Any] = {"missing": kind, "times": TIMES, "windows": (0.8, 0.5)}
    found = lg.log_sig(PATH, N, lengths=LENGTHS, **options)
    options["missing"] = None
    np.testing.assert_allclose(found, lg.log_sig(expected, N, lengths=LENGTHS, **options), atol=1e-12)
    listed = [row[:n] for row, n in zip(PATH, LENGTHS, strict=True)]
    times = [TIMES[:n] for n in LENGTHS]
    options["missing"] = kind
    assert np.array_equal(lg.log_sig(listed, N, **{**options, "times": times}), found)
    tensors = [torch.from_numpy(one) for one in listed]
    again = lg.log_sig(tensors, N, **{**options, "times": [torch.from_numpy(one) for one in times]})
    np.testing.assert_allclose(again, found, atol=1e-12)


def test_nothing_is_missing_by_default() -> None:
    assert np.isnan(lg.log_sig(PATH, N)).any()
    whole = np.nan_to_num(PATH)
    for kind in ("raise", "linear", "forward"):
        assert np.array_equal(lg.log_sig(whole, N, missing=kind), lg.log_sig(whole, N))


@pytest.mark.parametrize("kind", ["linear", "forward"])
@pytest.mark.parametrize("options", [{}, {"count_observations": True, "time_aug": True}], ids=str)
def test_gradients_by_observed_values(kind: str, options: dict[str, Any]) -> None:
    there = ~np.isnan(PATH)

    def call(values: Any) -> Any:
        path = np.full_like(PATH, np.nan)
        path[there] = values
        return lg.log_sig(path, 2, missing=kind, times=TIMES, windows=(1.1, 0.6), **options)

    values = PATH[there]
    d_out = RNG.normal(size=call(values).shape)
    gradient = lg.log_sig_backprop(
        d_out, PATH, 2, missing=kind, times=TIMES, windows=(1.1, 0.6), **options
    )  # fmt: skip
    assert not gradient[~there].any()
    step = 1e-5
    numeric = np.array(
        [((call(values + step * e) - call(values - step * e)) * d_out).sum() / (2 * step) for e in np.eye(len(values))]
    )
    np.testing.assert_allclose(gradient[there], numeric, atol=1e-7)


def test_errors() -> None:
    first = ", ".join(map(str, np.argwhere(np.isnan(PATH))[0]))
    for path in (PATH, torch.from_numpy(PATH)):
        with pytest.raises(ValueError, match=rf"path: expected numbers with missing='raise', got nan at \[{first}\]"):
            lg.log_sig(path, N, missing="raise")
    lg.log_sig(PATH[:, :4] * 0 + np.nan, N, missing="raise", lengths=[0, 0, 0])
    with pytest.raises(ValueError, match="missing: expected None, 'raise', 'linear' or 'forward', got 'mean'"):
        lg.log_sig(PATH, N, missing="mean")
    with pytest.raises(ValueError, match="count_observations: expected missing='linear' or 'forward', got None"):
        lg.log_sig(PATH, N, count_observations=True)


# -- other libraries' functions -------------------------------------------------------------------------------------


def log_ode_windows(path: Any, times: Any, length: float) -> Any:
    """torchcde's ``logsig_windows``, as its documentation and its results say, by pySigLib on one window at a time."""
    x = filled(path, "linear", times)
    count = int(np.ceil((times[-1] - times[0]) / length - 1e-9))
    edges = np.minimum(times[0] + length * np.arange(count + 1), times[-1])
    rows = [np.concatenate([x[..., 0, :], np.zeros((*x.shape[:-2], M - D))], -1)]
    for begin, end in pairwise(edges):
        at = np.concatenate([[begin], times[(times > begin) & (times < end)], [end]])
        window = np.stack([[[np.interp(t, times, c) for c in one.T] for t in at] for one in x])
        rows.append(peer.log_sig(window, N, method=1))
    return np.stack(rows, -2).cumsum(-2)


@pytest.mark.parametrize(("length", "times"), [(4, None), (2.5, None), (0.7, TIMES), (100.0, TIMES)], ids=str)
def test_torchcde_s_windows(length: float, times: Any) -> None:
    expected = log_ode_windows(PATH, np.arange(9.0) if times is None else times, length)
    np.testing.assert_allclose(lg.logsig_windows(PATH, N, length, times), expected, atol=1e-12)
    tensor = torch.from_numpy(PATH)
    clock = None if times is None else torch.tensor(times, requires_grad=True)
    found = lg.logsig_windows(tensor, N, length, clock)
    np.testing.assert_allclose(found.detach(), expected, atol=1e-12)
    if clock is not None and length < 1:
        found.square().sum().backward()
        assert clock.grad is not None
        assert clock.grad.any()


def test_few_points_for_torchcde_s_windows() -> None:
    for length in (0, 1):
        found = lg.logsig_windows(np.ones((2, length, D)), N, 2.0)
        assert np.array_equal(found, np.concatenate([np.ones((2, length, D)), np.zeros((2, length, M - D))], -1))
    with pytest.raises(ValueError, match="window_length: expected a positive number, got 0"):
        lg.logsig_windows(PATH, N, 0)


def expand(nested: Any, d: int) -> dict[tuple[int, ...], int]:
    """The words of a bracket."""
    if isinstance(nested, int):
        return {(nested,): 1}
    left, right = (expand(one, d) for one in nested)
    result: dict[tuple[int, ...], int] = {}
    for u, x in left.items():
        for v, y in right.items():
            result[u + v] = result.get(u + v, 0) + x * y
            result[v + u] = result.get(v + u, 0) - x * y
    return result


@pytest.mark.parametrize("size", [1, 4, 5, 50])
def test_rows_of_log_neural_cdes(size: int) -> None:
    """Groups of points, of a path that begins at 0; what a row means: a sum of brackets, which is the log-signature."""
    path = RNG.normal(size=(3, 9, D))
    whole = np.concatenate([np.zeros((3, 1, D)), path], 1)
    groups = np.split(np.arange(10), np.arange(size, 10, size))
    rows = [np.arange(0 if k == 0 else groups[k - 1][-1], group[-1] + 1) for k, group in enumerate(groups)]
    found = lg.hall_windows(path, size, N)
    assert found.shape == (3, len(rows), 1 + M)
    assert not found[..., 0].any()
    basis, words = hall_basis(D, N), [word for word in lg.words(D, N) if word]
    matrix = np.zeros((M, len(words)))
    for k in range(M):
        for word, c in expand(basis.nested(k), D).items():
            matrix[k, words.index(word)] = c
    for k, places in enumerate(rows):
        expected = peer.log_sig(whole[:, places], N, method=0) if len(places) > 1 else 0
        np.testing.assert_allclose(found[:, k, 1:] @ matrix, expected, atol=1e-12)
    np.testing.assert_allclose(lg.hall_windows(torch.from_numpy(path), size, N), found, atol=1e-14)
    assert lg.hall_windows(path[:, :0], size, N).shape == (3, 1, 1 + M)


def test_hall_words_and_brackets() -> None:
    kernel = lg.load(3, 3)
    assert kernel.hall_words[:7] == ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 0, 1))
    assert kernel.hall_brackets[3:8] == ("[0,1]", "[0,2]", "[1,2]", "[0,[0,1]]", "[0,[0,2]]")
    assert len(kernel.hall_words) == len(set(kernel.hall_brackets)) == kernel.size
    for word, bracket in zip(kernel.hall_words, kernel.hall_brackets, strict=True):
        assert "".join(map(str, word)) == "".join(c for c in bracket if c.isdigit())
