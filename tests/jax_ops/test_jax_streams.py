"""Streams of JAX arrays: what streams of numpy's arrays give, with derivatives; their own tests are elsewhere."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_cases import D, N

import logsig_codegen as lg
from logsig_codegen import jax_api

POINTS = np.random.default_rng(6).normal(size=(2, 9, D))


def grown(points: Any, method: int = 2) -> Any:
    """A stream that points were pushed to, and popped from."""
    stream = lg.LogSigStream(D, N, method=method)
    stream.push_batch(points[..., :4, :])
    for k in range(4, 7):
        stream.push(points[..., k, :])
    stream.pop_front()
    stream.pop_front()
    stream.push_batch(points[..., 7:, :])
    return stream


def results(points: Any, method: int = 2) -> tuple[Any, ...]:
    """All that streams can be asked for."""
    stream = grown(points, method)
    windows = lg.LogSigWindowStream(D, N, 3, stride=2, method=method, keep=2)
    for k in range(points.shape[-2]):
        windows.push(points[..., k, :])
    return stream.sig(3, 6), stream.sig_batch([(2, 8), (4, 4), (3, 5)]), stream.sig_all(), windows.sig()


@pytest.mark.parametrize("method", [0, 2])
def test_values_are_those_of_numpy(method: int) -> None:
    for shape in ((2, 9, D), (9, D)):
        points = POINTS[: shape[0]] if len(shape) == 3 else POINTS[0]
        for dtype in (np.float64, np.float32):
            expected, found = results(points.astype(dtype), method), results(jnp.asarray(points, dtype), method)
            for one, other in zip(found, expected, strict=True):
                assert isinstance(one, jax.Array)
                assert one.dtype == dtype
                np.testing.assert_array_equal(one, other)


def test_gradients_are_those_of_whole_paths() -> None:
    """Of intervals, of windows, and of what begins with points that were popped."""

    def streamed(points: Any) -> Any:
        stream, windows = lg.LogSigStream(D, N), lg.LogSigWindowStream(D, N, 3, keep=2)
        stream.push_batch(points[:, :3])
        stream.pop_front()
        stream.push(points[:, 3])
        windows.push_batch(points)
        return stream.sig(1, 3), stream.sig_batch([(2, 3), (1, 3)]), stream.sig_all(), windows.sig()

    def whole(points: Any) -> Any:
        several = lg.log_sig(points, N, method=2, intervals=[(2, 3), (1, 3)])
        everything = lg.log_sig(points, N, method=2, stream=True)
        windows = lg.log_sig(points, N, method=2, windows=(3, 1))[:, -2:]
        return several[:, 1], *(jnp.moveaxis(one, 1, 0) for one in (several, everything, windows))

    points = jnp.asarray(POINTS[:, :4])
    found, pull = jax.vjp(jax.jit(streamed), points)
    expected, pull_whole = jax.vjp(jax.jit(whole), points)
    forms = tuple(jnp.asarray(np.random.default_rng(1).normal(size=one.shape)) for one in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(pull(forms)[0], pull_whole(forms)[0], rtol=1e-11, atol=1e-12)


def test_known_points_stay_known_beside_traced_ones() -> None:
    """A stream of numbers that traced points are pushed to, in a copy that the program makes."""
    stream = grown(jnp.asarray(POINTS))

    def extended(point: Any) -> Any:
        longer = copy.deepcopy(stream)
        longer.push(point)
        return longer.sig(5, 9).sum()

    def whole(point: Any) -> Any:
        return lg.log_sig(jnp.concatenate([POINTS[:, 5:], point[:, None]], 1), N, method=2).sum()

    point = jnp.ones((2, D))
    np.testing.assert_allclose(jax.grad(extended)(point), jax.grad(whole)(point), rtol=1e-12)
    assert stream.end_index == 8


def test_streams_of_numbers_compile_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """XLA would compile a program for each number of points."""
    stream = grown(jnp.asarray(POINTS[:, :8]))
    points = jnp.zeros((3, 2, D)), jnp.ones((3, 2, D))
    rows = [jnp.zeros((2, D)), jnp.ones((2, D))]
    with jax.log_compiles():
        jnp.concatenate(points)[:5, 1]
        assert "Compiling" in caplog.text
        caplog.clear()
        for row in rows:
            stream.push_batch(row[None].reshape(2, 1, D))
        caplog.clear()
        found = [stream.sig(start, 8) for start in range(2, 8)]
    assert len(found) == 6
    assert "Compiling" not in caplog.text


def test_pickles_and_errors() -> None:
    stream = grown(jnp.asarray(POINTS))
    again = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(again.sig_all(), stream.sig_all())
    assert isinstance(again.sig_all(), jax.Array)
    with pytest.raises(TypeError, match="point: expected a JAX array of float64 as before, got numpy array of float64"):
        stream.push(np.zeros((2, D)))
    with pytest.raises(TypeError, match="got JAX array of float32"):
        stream.push(jnp.zeros((2, D), jnp.float32))
    with pytest.raises(ValueError, match="expected batch shape"):
        stream.push(jnp.zeros((3, D)))
    with pytest.raises(IndexError, match="start: expected the index of a point"):
        stream.sig(0, 4)


def test_the_names_are_there_for_code_of_other_libraries() -> None:
    stream = jax_api.LogSigStream(D, N)
    stream.push_batch(jnp.asarray(POINTS))
    np.testing.assert_array_equal(stream.sig(0, 8), lg.log_sig(POINTS, N, method=2))
