"""What JAX runs on a GPU: every function against numpy's front, in programs, with captured launches, on two devices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_cases import CASES, DEGREE_ONE, ROUNDED, D, M, N
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen.runtime.jax_ops import gpu

DEVICES = gpu.ordinals()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not DEVICES, reason="no NVIDIA GPU that JAX sees")]
ROUNDING = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-10, "atol": 1e-11}}
ALL = {name: case for name, case in {**CASES, **ROUNDED, **DEGREE_ONE}.items() if name != "missing, raise"}


@pytest.fixture(autouse=True, scope="module")
def double_precision() -> Any:
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def there(*arrays: Any) -> tuple[Any, ...]:
    return tuple(jax.device_put(one, jax.devices("cuda")[0]) for one in arrays)


def random(*shape: int, dtype: str = "float64") -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", ALL)
def test_values(name: str, dtype: str) -> None:
    case = ALL[name]
    arrays = case.arrays(dtype)
    found = jax.jit(case.function)(*there(*arrays))
    assert {one.platform for one in found.devices()} == {"gpu"}
    np.testing.assert_allclose(found, case.function(*arrays), **ROUNDING[dtype])


@pytest.mark.parametrize("name", [name for name in ALL if "empty" not in name and "no points" not in name])
def test_gradients_are_those_of_differences(name: str) -> None:
    case, step = ALL[name], 1e-5
    arrays = case.arrays()
    directions = [random(*one.shape) for one in arrays]
    weights = random(*case.function(*arrays).shape)
    gradients = jax.jit(jax.grad(lambda *x: jnp.vdot(weights, case.function(*x)), tuple(range(len(arrays)))))
    found = sum(np.vdot(d, t) for d, t in zip(gradients(*there(*arrays)), directions, strict=True))
    ends = [case.function(*(x + h * t for x, t in zip(arrays, directions, strict=True))) for h in (step, -step)]
    np.testing.assert_allclose(found, np.vdot(weights, ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("problem", [(5, 3), (5, 4), (10, 3), (2, 8)], ids=str)
@pytest.mark.parametrize("options", [{}, {"state": "signature"}, {"stream": True}, {"windows": (300, 100)}], ids=str)
def test_larger_problems(problem: tuple[int, int], options: dict[str, Any]) -> None:
    dimension, degree = problem
    path = 0.1 * random(70, 600, dimension)
    expected = lg.log_sig(path, degree, method=2, n_jobs=-1, **options)
    found, pull = jax.vjp(lambda x: lg.log_sig(x, degree, method=2, **options), *there(path))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    d_out = random(*expected.shape)
    truth = lg.log_sig_backprop(d_out, path, degree, method=2, n_jobs=-1, **options)
    np.testing.assert_allclose(pull(*there(d_out))[0], truth, rtol=1e-8, atol=1e-8)


def test_second_derivatives_and_vmap() -> None:
    left, right = random(M), random(7, D)

    def energy(state: Any, step: Any) -> Any:
        return jnp.square(lg.log_sig_join(state, step, D, N)).sum()

    on_cpu = jax.devices("cpu")[0]
    function = jax.jit(jax.vmap(jax.hessian(energy), (None, 0)))
    expected = function(*(jax.device_put(one, on_cpu) for one in (left, right)))
    np.testing.assert_allclose(function(*there(left, right)), expected, rtol=1e-10, atol=1e-11)


def test_wrong_lengths_are_no_numbers() -> None:
    path, lengths = random(3, 5, D), np.array([5, 6, -1])
    found = jax.jit(lambda x, n: lg.log_sig(x, N, method=2, lengths=n))(*there(path, lengths))
    np.testing.assert_allclose(found[0], lg.log_sig(path[0], N, method=2), rtol=1e-11)
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("flags", ["", "--xla_gpu_enable_command_buffer=+CUSTOM_CALL --xla_gpu_graph_min_graph_size=1"])
def test_a_scan_of_joins(flags: str, run_python: RunPython) -> None:
    """Captured by command buffers and not: the same bits."""
    run_python(
        f"""
        import jax, jax.numpy as jnp, numpy as np, logsig_codegen as lg
        steps = np.random.default_rng(0).normal(size=(50, 32, {D})).astype(np.float32)
        start = jnp.zeros((32, {M}), jnp.float32)
        def scanned(start, steps):
            return jax.lax.scan(lambda x, y: (lg.log_sig_join(x, y, {D}, {N}), None), start, steps)[0]
        run, expected = jax.jit(scanned), np.zeros((32, {M}), np.float32)
        for step in steps:
            expected = lg.log_sig_join(expected, step, {D}, {N})
        for _ in range(3):
            np.testing.assert_array_equal(run(start, steps), expected)
        """,
        env={"XLA_FLAGS": flags, "JAX_PLATFORMS": "cuda,cpu"},
    )


@pytest.mark.skipif(len(DEVICES) < 2, reason="fewer than two GPUs")
def test_two_devices() -> None:
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices("cuda")[:2])
    spec = jax.sharding.PartitionSpec("x")
    path = random(4, 300, D)
    run = jax.jit(jax.shard_map(lambda x: lg.log_sig(x, N, method=2), mesh=mesh, in_specs=spec, out_specs=spec))
    np.testing.assert_allclose(run(path), lg.log_sig(path, N, method=2), rtol=1e-9, atol=1e-10)
