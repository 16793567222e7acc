"""Programs as they are compiled for a GPU, on an emulated one: values and derivatives, and what handlers refuse.

``tests/jax_on_gpu.py`` says what stands in for what. The truth is numpy's front, which uses the C kernels.
"""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from emulated import CXX, HEADERS
from jax_cases import CASES, DEGREE_ONE, ROUNDED, D, N
from processes import ROOT, RunPython
from shared import digest, once
from torch_extension import compile_driver, emulated_kernels

from logsig_codegen.build.jax_handlers import include_dir

OnHost = Callable[..., str]
SETUP = """
import jax_on_gpu
from jax_on_gpu import xla
import jax, jax.numpy as jnp, numpy as np, pytest
import logsig_codegen as lg
from jax_cases import CASES, DEGREE_ONE, D, M, N, ROUNDED
import test_jax_derivatives as derivatives
def random(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)
def close(found, expected, name=""):
    assert found.shape == expected.shape and found.dtype == expected.dtype, name
    rounding = dict(rtol=1e-4, atol=1e-5) if found.dtype == np.float32 else dict(rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found, expected, **rounding, err_msg=name)
def compare(name, dtype="float64"):
    case = {**CASES, **ROUNDED, **DEGREE_ONE}[name]
    arrays = case.arrays(dtype)
    close(jax.jit(case.function)(*map(jnp.asarray, arrays)), case.function(*arrays), name)
"""
END = """
assert xla.xla_allocations() and not xla.xla_kept()
"""
ELSEWHERE = (
    "log_sig, transformed",
    "log_sig, lengths of transformed",
    "log_sig, list",
    "intervals, lead-lag",
    "intervals of time",
    "times, lead-lag",
    "times and ends",
    "times of each path, and ends",
    "times of gaps",
    "missing, forward",
    "hall_windows",
    "logsig_windows",
)
"""Cases of another dimension or degree, for which there are no emulated kernels."""
REFUSED = ("missing, raise",)
NAMES = [name for name in {**CASES, **ROUNDED, **DEGREE_ONE} if name not in (*ELSEWHERE, *REFUSED)]
QUICK = (
    "join, broadcast",
    "join, prepended",
    "log_sig, crossed initial",
    "log_sig, state",
    "stream, initial",
    "windows, lengths",
    "intervals, each path",
)
PARTS = 12
"""Processes that share the derivatives of all cases: each compiles programs for half a minute."""


@pytest.fixture(scope="session")
def on_host_folder(session_cache: Path) -> Path:
    """A folder with ``libcuda.so.1`` and with XLA's side of calls on a GPU."""
    source = HEADERS / "xla_on_host.c"

    def make(folder: Path) -> None:
        compile_driver(folder)
        command = [CXX, "-shared", "-fPIC", "-xc", str(source), "-isystem", str(include_dir())]
        subprocess.run([*command, "-o", str(folder / "xla_on_host.so"), "-lpthread"], check=True)

    return once(f"jax_on_gpu/{digest((CXX, str(include_dir())), source.read_text(), (HEADERS,))}", make)


@pytest.fixture
def on_host(on_host_folder: Path, run_python: RunPython) -> OnHost:
    """Run Python where JAX's programs for GPUs run on the host; what it printed."""

    def run(code: str, **others: str) -> str:
        environment = {
            **others,
            "LD_LIBRARY_PATH": str(on_host_folder),
            "LOGSIG_XLA_ON_HOST": str(on_host_folder / "xla_on_host.so"),
            "LOGSIG_CODEGEN_PATH": str(emulated_kernels(D, N)),
            "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'tests' / 'jax_ops'}:{ROOT}",
        }
        return run_python(SETUP + textwrap.dedent(code) + END, env=environment, timeout=900).stdout

    return run


def test_values_and_derivatives(on_host: OnHost) -> None:
    on_host(
        f"""
        for name in {QUICK}: compare(name)
        compare("log_sig, initial", "float32")
        derivatives.test_gradients_of_paths_are_those_of_numpy({{"lengths": [4, 1, 0, 3]}})
        derivatives.test_every_way_to_a_derivative_leads_to_the_same("join, prepended")
        """
    )


@pytest.mark.slow
def test_values_of_every_case(on_host: OnHost) -> None:
    on_host(
        f"""
        for name in {NAMES}:
            for dtype in ("float32", "float64"): compare(name, dtype)
        long = random(3, 700, D)
        windows = {{"windows": (300, 100)}}, {{"windows": (60, 2), "lengths": [700, 200, 3]}}
        for options in ({{}}, {{"state": "signature"}}, {{"lengths": [700, 200, 3]}}, *windows):
            close(lg.log_sig(jnp.asarray(long), N, **options), lg.log_sig(long, N, **options))
        weights = random(*lg.log_sig(long, N, **windows[1]).shape)
        along = jax.grad(lambda path: (lg.log_sig(path, N, **windows[1]) * weights).sum())
        close(along(jnp.asarray(long)), lg.log_sig_backprop(weights, long, N, **windows[1]))
        """
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_derivatives_of_every_case(on_host: OnHost, part: int) -> None:
    on_host(
        f"""
        for name in [name for name in derivatives.SMOOTH if name in {NAMES}][{part}::{PARTS}]:
            print(name)
            derivatives.test_every_way_to_a_derivative_leads_to_the_same(name)
        """
    )


@pytest.mark.slow
def test_gradients_are_those_of_numpy(on_host: OnHost) -> None:
    on_host(
        """
        for options in ({}, {"stream": True}, {"windows": (3, 1)}, {"method": 0}):
            derivatives.test_gradients_of_paths_are_those_of_numpy(options)
        derivatives.test_other_gradients_are_those_of_numpy()
        """
    )


@pytest.mark.slow
def test_transformations(on_host: OnHost) -> None:
    on_host(
        """
        import test_jax_transformations as changed
        from jax.sharding import PartitionSpec as P
        for name in changed.BATCHED:
            if name not in ("times only", "ends only"):  # of another dimension
                changed.test_vmap_is_a_loop_and_so_are_its_gradients(name)
        for test in (changed.test_nested_vmap, changed.test_jacobians_of_paths, changed.test_hessians,
                     changed.test_control_flow, changed.test_linearize_donation_and_ahead_of_time,
                     changed.test_python_threads_share_kernels):
            test()
        path, before = jnp.asarray(random(4, 5, D)), jnp.asarray(random(M))
        mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
        lengths = jnp.array([5, 2, 3, 1])
        for options in ({}, {"stream": True}):
            def features(path, before, counts):
                return lg.log_sig(path, N, initial=before, lengths=counts, **options)
            sharded = jax.shard_map(features, mesh=mesh, in_specs=(P("x"), P(), P("x")), out_specs=P("x"))
            gradients = [jax.jit(jax.grad(lambda x, y, run=run: (run(x, y, lengths) ** 2).sum(), (0, 1)))(path, before)
                         for run in (sharded, features)]
            for found, expected in zip(*gradients): close(found, expected)
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )


def test_what_handlers_refuse(on_host: OnHost) -> None:
    """Nothing is left allocated, and what was refused works afterwards."""
    on_host(
        """
        from logsig_codegen.runtime.jax_ops import handlers
        def raw(target, shape, *arrays, **attributes):
            result = jax.ShapeDtypeStruct(shape, arrays[0].dtype)
            numbers = {name: np.int64(value) for name, value in attributes.items()}
            return jax.block_until_ready(jax.ffi.ffi_call(handlers.PREFIX + target, result)(*arrays, **numbers))
        def refused(match, call, *args, **options):
            with pytest.raises(Exception, match=match):
                jax.block_until_ready(call(*args, **options))
        problem = {"dimension": D, "degree": N}
        along = {**problem, "state": 1, "n_jobs": 1}
        rows, path = random(2, M), random(2, 4, D)
        missing = r'loaded on this GPU for this program: call logsig_codegen.jax_api.prepare_on_gpu\\(2, 3, "%s"\\)'
        for call, names in ((lambda: raw("log_sig", (2, M), path, **along), ("arrange", "log_sig")),
                            (lambda: raw("combine", (2, M), rows, rows, **problem), ("combine",))):
            for name in names:
                refused(missing % name, call)
                lg.jax_api.prepare_on_gpu(D, N, name)
        close(raw("combine", (2, M), rows, rows, **problem), lg.log_sig_combine(rows, rows, D, N))
        close(raw("log_sig", (2, M), path, **along), lg.log_sig(path, N, method=2))

        for wrong in (lambda: raw("combine", (2, M), rows, rows[:, 1:], **problem),
                      lambda: raw("combine", (2, M), rows, rows.astype(np.float32), **problem),
                      lambda: raw("combine", (4, M), rows, rows, **problem),
                      lambda: raw("combine", (2, 2, M), rows, rows, **problem),
                      lambda: raw("log_sig", (2, M), path[..., 1:], **along),
                      lambda: raw("log_sig", (3, M), path, **along),
                      lambda: raw("log_sig", (2, M + 1), path, **along),
                      lambda: raw("log_sig", (2, 1, M), path, **along, window=3),
                      lambda: raw("log_sig", (2, M), path, rows, **along, given=2)):
            refused("Wrong shapes or types of operands", wrong)
        refused("Wrong number of operands", raw, "combine", (2, M), rows, **problem)
        refused("no such state", raw, "log_sig", (2, M), path, **{**along, "state": 7})

        log_sig = jax.jit(lambda x: lg.log_sig(x, N, method=2))
        xla.xla_refuse(1)
        refused("the device is full", log_sig, path)
        xla.xla_refuse(0)
        xla.xla_stream(None)
        for call, arrays in ((log_sig, (path,)), (lambda x: lg.log_sig_combine(x, x, D, N), (jnp.asarray(rows),))):
            refused("cuLaunchKernel: CUDA_ERROR_UNKNOWN", call, *arrays)
        assert not xla.xla_kept()
        xla.xla_stream(0x5740)
        xla.xla_device(5)
        refused("loaded on this GPU", log_sig, path)
        xla.xla_device(1)
        close(log_sig(path), lg.log_sig(path, N, method=2))

        lengths = jnp.array([4, 5])
        found = jax.jit(lambda x, n: lg.log_sig(x, N, method=2, lengths=n))(path, lengths)
        close(found[0], lg.log_sig(path[0], N, method=2))
        assert np.isnan(found[1]).all()
        captured = {name for name, number in jax_on_gpu.numbers.items() if xla.xla_traits(number) == 1}
        assert set(jax_on_gpu.numbers) - captured == {handlers.PREFIX + one for one in ("log_sig", "log_sig_backprop")}
        """
    )
