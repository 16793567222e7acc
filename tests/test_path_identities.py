"""What every log-signature of a path satisfies, whatever computed it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.operations import STATES, WHOLE_STEPS

CASES = [(2, 4), (3, 3), (5, 2)]
SETTINGS = settings(deadline=None, max_examples=40)

pytestmark = pytest.mark.parametrize("state", STATES)


@st.composite
def paths(draw: st.DrawFn, least: int = 2, most: int = 150) -> tuple[Any, Any]:
    """A kernel and a path for it."""
    dimension, degree = draw(st.sampled_from(CASES))
    length = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return lg.load(dimension, degree), rng.normal(size=(length, dimension)).cumsum(axis=0) / 4


def close(found: Any, expected: Any, scale: Any = 1.0) -> None:
    size = max(float(np.abs(expected).max()), float(np.abs(scale).max()), 1.0)
    np.testing.assert_allclose(found, expected, atol=1e-10 * size, rtol=1e-9)


def with_repeated_points(data: st.DataObject, path: Any, most: int) -> Any:
    """The path with up to so many of its points repeated, some of them several times."""
    drawn = data.draw(st.lists(st.integers(0, len(path) - 1), max_size=min(most, 12)))
    repeats = np.sort(np.array(drawn, int))
    return np.insert(path, repeats, path[repeats], axis=0)


@SETTINGS
@given(st.data())
def test_chen(state: str, data: st.DataObject) -> None:
    kernel, path = data.draw(paths(most=600))
    cut = data.draw(st.integers(1, len(path)))
    first, second = (kernel.log_sig(part, state=state) for part in (path[:cut], path[cut - 1 :]))
    close(kernel.combine(first, second), kernel.log_sig(path, state=state), first)


@SETTINGS
@given(paths(most=400))
def test_the_reversed_path_is_the_inverse(state: str, given_path: tuple[Any, Any]) -> None:
    kernel, path = given_path
    found = kernel.log_sig(path, state=state)
    back = kernel.log_sig(path[::-1], state=state)
    close(back, -found)
    close(kernel.combine(found, back), 0 * found, found)


@SETTINGS
@given(paths())
def test_translation_changes_nothing(state: str, given_path: tuple[Any, Any]) -> None:
    kernel, path = given_path
    path = np.round(path * 2**20) / 2**20  # so that the translation is exact
    shifted = kernel.log_sig(path + 4.0, state=state)
    assert np.array_equal(shifted, kernel.log_sig(path, state=state))


@SETTINGS
@given(st.data())
def test_a_repeated_point_changes_no_bit(state: str, data: st.DataObject) -> None:
    """As long as the path is not cut, with the points repeated: up to ``WHOLE_STEPS - 1`` steps."""
    kernel, path = data.draw(paths(most=WHOLE_STEPS))
    slower = with_repeated_points(data, path, WHOLE_STEPS - len(path))
    assert np.array_equal(kernel.log_sig(slower, state=state), kernel.log_sig(path, state=state))


@SETTINGS
@given(st.data())
def test_a_repeated_point_in_a_long_path_changes_last_digits_only(state: str, data: st.DataObject) -> None:
    kernel, path = data.draw(paths(least=WHOLE_STEPS - 4, most=900))
    slower = with_repeated_points(data, path, 40)
    close(kernel.log_sig(slower, state=state), kernel.log_sig(path, state=state))


def test_the_longest_path_that_is_not_cut(state: str) -> None:
    path = np.random.default_rng(3).normal(size=(WHOLE_STEPS - 1, 3)).cumsum(axis=0) / 8
    kernel, slower = lg.load(3, 3), np.insert(path, 7, path[7], axis=0)
    assert len(slower) - 1 == WHOLE_STEPS - 1
    assert np.array_equal(kernel.log_sig(slower, state=state), kernel.log_sig(path, state=state))


@SETTINGS
@given(paths(), st.sampled_from([0.5, 2.0, -1.0, 4.0]))
def test_degrees_scale_by_powers(state: str, given_path: tuple[Any, Any], factor: float) -> None:
    kernel, path = given_path
    powers = np.array([factor ** len(word) for word in kernel.words])
    close(kernel.log_sig(factor * path, state=state), powers * kernel.log_sig(path, state=state))


@SETTINGS
@given(paths())
def test_one_degree_more_leaves_the_lower_ones(state: str, given_path: tuple[Any, Any]) -> None:
    kernel, path = given_path
    more = lg.load(kernel.dimension, kernel.degree + 1).log_sig(path, state=state)
    close(more[: kernel.size], kernel.log_sig(path, state=state))


@SETTINGS
@given(st.sampled_from(CASES), st.integers(0, 2**32 - 1))
def test_combine_is_associative(state: str, problem: tuple[int, int], seed: int) -> None:
    del state
    kernel = lg.load(*problem)
    a, b, c = np.random.default_rng(seed).normal(size=(3, kernel.size))
    left, right = kernel.combine(kernel.combine(a, b), c), kernel.combine(a, kernel.combine(b, c))
    close(left, right, left)
    segment = np.zeros(kernel.size)
    segment[: kernel.dimension] = b[: kernel.dimension]
    close(kernel.combine(a, segment), kernel.join(a, b[: kernel.dimension]), a)
    close(kernel.combine(a, -a), 0 * a, a)
