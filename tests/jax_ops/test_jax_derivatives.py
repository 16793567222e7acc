"""Derivatives of JAX arrays: gradients are numpy's, higher ones those of finite differences, in all orders of modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import tree_map
from jax_cases import CASES, DEGREE_ONE, ROUNDED, D, M, N

import logsig_codegen as lg

SMOOTH = {
    name: case
    for name, case in {**CASES, **ROUNDED, **DEGREE_ONE}.items()
    if "empty" not in name and "no points" not in name
}
QUICK = ("join, prepended", "log_sig, wide initial", "windows, lengths", "sig_to_log_sig", "stream, degree 1")


def dot(left: Any, right: Any) -> Any:
    return sum(jax.tree_util.tree_leaves(tree_map(lambda x, y: jnp.vdot(x, y), left, right)))


def close(left: Any, right: Any, tolerance: float) -> None:
    tree_map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), left, right)


def checked(name: str) -> dict[str, Any]:
    """Derivatives of a weighted sum of a case's results, by all ways, in one compiled program."""
    case = SMOOTH[name]
    source = np.random.default_rng(9)
    point = tuple(map(jnp.asarray, case.arrays()))
    weights = jnp.asarray(source.normal(size=case.function(*point).shape))
    t, s = (tuple(jnp.asarray(source.normal(size=one.shape)) for one in point) for _ in range(2))

    def value(x: Any) -> Any:
        return jnp.vdot(weights, case.function(*x))

    def along(function: Callable[..., Any], x: Any, step: Any) -> Any:
        return jax.jvp(function, (x,), (step,))[1]

    gradient = jax.grad(value)

    def hessian(x: Any) -> Any:
        return along(gradient, x, t)

    @jax.jit
    def program(x: Any) -> Any:
        return {
            "first": (dot(gradient(x), t), along(value, x, t), jax.linearize(value, x)[1](t)),
            "second": (
                hessian(x),
                jax.grad(lambda y: dot(gradient(y), t))(x),
                jax.grad(lambda y: along(value, y, t))(x),
            ),
            "second along": (along(lambda y: along(value, y, t), x, s), dot(hessian(x), s)),
            "third": (along(hessian, x, s), jax.grad(lambda y: dot(hessian(y), s))(x)),
        }

    found: dict[str, Any] = program(point)
    step = 1e-4
    functions = {"first": jax.jit(value), "second": jax.jit(gradient), "third": jax.jit(hessian)}
    for order, direction in (("first", t), ("second", t), ("third", s)):
        ends = (functions[order](tree_map(lambda x, y, h=h: x + h * y, point, direction)) for h in (step, -step))  # type: ignore[misc]
        found[f"{order}, differences"] = tree_map(lambda x, y: (x - y) / (2 * step), *ends)
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SMOOTH]
)
def test_every_way_to_a_derivative_leads_to_the_same(name: str) -> None:
    found = checked(name)
    for order in ("first", "second", "second along", "third"):
        way, *others = found[order]
        for other in others:
            close(way, other, 1e-9)
        if f"{order}, differences" in found:
            close(way, found[f"{order}, differences"], 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lengths": [4, 1, 0, 3]},
        {"stream": True},
        {"windows": (3, 1)},
        {"method": 0},
        {"intervals": [[0, 3], [2, 1], [1, 2]], "lengths": [4, 1, 0, 3]},
        {"times": [0.0, 0.3, 2.5, 3.0], "windows": (1.1, 0.7), "missing": "linear"},
    ],
    ids=str,
)
def test_gradients_of_paths_are_those_of_numpy(options: dict[str, Any]) -> None:
    source = np.random.default_rng(7)
    path = source.normal(size=(4, 4, D))
    if "missing" in options:
        path[0, 1:3, 0] = path[1, 0, 1] = path[2, :, 0] = np.nan
    d_out = source.normal(size=lg.log_sig(path, N, **options).shape)
    expected = lg.log_sig_backprop(d_out, path, N, **options)
    found = jax.vjp(lambda x: lg.log_sig(x, N, **options), jnp.asarray(path))[1](jnp.asarray(d_out))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(lg.log_sig_backprop(d_out, jnp.asarray(path), N, **options), found)
    if not {"windows", "intervals"} & set(options):
        before = source.normal(size=(4, M))
        expected = lg.log_sig_backprop(d_out, path, N, initial=before, **options)
        found = lg.log_sig_backprop(d_out, jnp.asarray(path), N, initial=jnp.asarray(before), **options)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_other_gradients_are_those_of_numpy() -> None:
    source = np.random.default_rng(8)

    def random(*shape: int) -> Any:
        return source.normal(size=shape)

    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (lambda d, x, y: lg.log_sig_join_backprop(d, x, y, D, N), (random(M), random(3, M), random(D))),
        (lambda d, x, y: lg.log_sig_join_backprop(d, x, y, D, N, prepend=True), (random(M), random(M), random(D))),
        (lambda d, x, y: lg.log_sig_combine_backprop(d, x, y, D, N), (random(3, M), random(3, M), random(M))),
        (lambda x, d: lg.sig_to_log_sig_backprop(x, d, D, N), (random(3, 14), random(M))),
        (lambda x, d: lg.logsig_to_sig_backprop(x, d, D, N, scalar_term=True), (random(3, M), random(15))),
        (lambda d, x: lg.linear_log_sig_backprop(d, x, D, N), (random(3, M), random(3, D))),
        (lambda d: lg.log_sig_change_method_backprop(d, D, N, 1, 0), (random(3, 14),)),
        (lambda d: lg.log_sig_to_hall_backprop(d, D, N), (random(3, M),)),
        (lambda d: lg.log_sig_from_hall_backprop(d, D, N), (random(3, M),)),
        (lambda d: lg.transform_path_backprop(d, time_aug=True, lead_lag=True), (random(3, 5, 5),)),
    ]
    for call, arrays in calls:
        expected, found = call(*arrays), call(*map(jnp.asarray, arrays))
        close(found, expected, 1e-11)


def test_a_gradient_is_one_call_of_a_kernel() -> None:
    """Reverse mode never computes the composition that tangents are made of."""
    path = jnp.zeros((2, 50, D))
    text = jax.jit(jax.grad(lambda x: lg.log_sig(x, N, method=2).sum())).lower(path).as_text()
    targets = [line.split("custom_call @")[1].split("(")[0] for line in text.splitlines() if "custom_call @" in line]
    assert targets == ["logsig_codegen.log_sig", "logsig_codegen.log_sig_backprop"]
    point = jnp.zeros(M)
    text = jax.jit(jax.hessian(lambda x: lg.log_sig_join(x, jnp.ones(D), D, N).sum())).lower(point).as_text()
    assert "bracket" not in text


def test_the_integers_have_no_derivative() -> None:
    path, lengths = jnp.ones((2, 4, D)), jnp.array([3, 4])
    gradient = jax.grad(lambda x, n: lg.log_sig(x, N, lengths=n).sum(), allow_int=True, argnums=(0, 1))(path, lengths)
    assert gradient[1].dtype == jax.dtypes.float0
    np.testing.assert_array_equal(gradient[0][0, 3], 0)
