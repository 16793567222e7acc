"""Values of JAX arrays are those of numpy's, bit for bit, and checks say the same; numpy's are tested elsewhere."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_cases import CASES, DEGREE_ONE, ROUNDED, D, M, N
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen import jax_api

ALL = {**CASES, **DEGREE_ONE}
ROUNDED_TWICE = ("sig_to_log_sig", "logsig_to_sig", "logsig_to_sig, brackets")


@pytest.mark.parametrize("name", ALL)
def test_values_are_those_of_numpy(name: str) -> None:
    case = ALL[name]
    arrays = case.arrays()
    expected = case.function(*arrays)
    found = jax.jit(case.function)(*map(jnp.asarray, arrays))
    assert isinstance(found, jax.Array)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ROUNDED)
def test_points_between_others_are_those_of_numpy_within_rounding(name: str) -> None:
    case = ROUNDED[name]
    arrays = case.arrays()
    found = jax.jit(case.function)(*map(jnp.asarray, arrays))
    np.testing.assert_allclose(found, case.function(*arrays), rtol=1e-12, atol=1e-13)


def test_single_precision(run_python: RunPython) -> None:
    """Without 64 bits, as JAX is by default: bit for bit but for conversions that round between their two parts."""
    run_python(
        f"""
        import sys; sys.path.insert(0, "tests")
        import jax, numpy as np
        from jax_cases import CASES
        for name, case in CASES.items():
            arrays = case.arrays("float32")
            expected = case.function(*arrays)
            found = jax.jit(case.function)(*map(jax.numpy.asarray, arrays))
            assert found.dtype == np.float32, name
            if name in {ROUNDED_TWICE!r}:
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(found, expected, err_msg=name)
        """
    )


def test_eager_calls_and_kernels() -> None:
    left, right = (np.random.default_rng(1).normal(size=shape) for shape in ((3, M), (3, D)))
    kernel = lg.load(D, N)
    path = np.random.default_rng(2).normal(size=(3, 6, D))
    np.testing.assert_array_equal(kernel.join(jnp.asarray(left), right), kernel.join(left, right))
    np.testing.assert_array_equal(kernel.join(left, jnp.asarray(right)), kernel.join(left, right))
    np.testing.assert_array_equal(kernel.log_sig(jnp.asarray(path)), kernel.log_sig(path))
    for found, expected in zip(
        kernel.join_backprop(jnp.asarray(left), left, right), kernel.join_backprop(left, left, right), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    with jax.disable_jit():
        np.testing.assert_array_equal(jax.jit(lambda x: lg.log_sig(x, N))(jnp.asarray(path)), lg.log_sig(path, N))


def test_long_paths_are_cut_as_elsewhere() -> None:
    path = np.random.default_rng(3).normal(size=(2, 700, D))
    for state in ("log_derivative", "signature"):
        expected = lg.log_sig(path, N, method=2, state=state)
        np.testing.assert_array_equal(lg.log_sig(jnp.asarray(path), N, method=2, state=state), expected)
        found = lg.log_sig_backprop(expected, jnp.asarray(path), N, method=2, state=state)
        np.testing.assert_allclose(found, lg.log_sig_backprop(expected, path, N, method=2, state=state), rtol=1e-9)


def test_threads_change_no_bit() -> None:
    path = jnp.asarray(np.random.default_rng(4).normal(size=(70, 9, D)))
    for jobs in (2, -1):
        np.testing.assert_array_equal(lg.log_sig(path, N, n_jobs=jobs), lg.log_sig(path, N))


BAD: dict[str, tuple[Any, ...]] = {
    "last axis": (lambda x: lg.log_sig_join(x((3, 4)), x((3, D)), D, N),),
    "batches": (lambda x: lg.log_sig_join(x((3, M)), x((4, D)), D, N),),
    "no axes": (lambda x: lg.log_sig(x(()), N),),
    "lengths": (lambda x: lg.log_sig(x((2, 3, D)), N, lengths=[4, 1]),),
    "windows": (lambda x: lg.log_sig(x((2, 3, D)), N, windows=(0, 1)),),
    "initial": (lambda x: lg.log_sig(x((2, 3, D)), N, initial=x((3, M))),),
    "method": (lambda x: lg.sig_to_log_sig(x((2, 14)), D, N, method=7),),
    "integers": (lambda x: lg.log_sig(x((2, 3, D)).astype(int), N),),
    "derivatives": (lambda x: lg.log_sig_backprop(x((2, 4)), x((2, 3, D)), N, method=2),),
    "intervals": (lambda x: lg.log_sig(x((2, 3, D)), N, intervals=[[0, 1], [2, 3]]),),
    "intervals with lengths": (lambda x: lg.log_sig(x((2, 3, D)), N, intervals=[[0, 3]], lengths=[3, 1]),),
    "intervals, shape": (lambda x: lg.log_sig(x((2, 3, D)), N, intervals=np.zeros((3, 1, 2), int)),),
    "intervals, beside initial": (lambda x: lg.log_sig(x((3, D)), N, intervals=[[0, 1]], initial=x((M,))),),
    "intervals, real": (lambda x: lg.log_sig(x((3, D)), N, intervals=[[0.5, 1.0]]),),
    "intervals of time": (lambda x: lg.log_sig(x((3, D)), N, intervals=[[0.5, 9.0]], times=[0, 1, 2.0]),),
    "times": (lambda x: lg.log_sig(x((2, 3, D)), N, times=[0.0, 2.0, 1.0], time_aug=True),),
    "times, shape": (lambda x: lg.transform_path(x((2, 3, D)), times=[0.0, 2.0], time_aug=True),),
    "times of a list": (lambda x: lg.log_sig([x((3, D)), x((2, D))], N, times=[[0, 1, 2.0], [0.0]]),),
    "windows of time": (lambda x: lg.log_sig(x((3, D)), N, times=[0, 1, 2.0], windows=(0.0, 1.0)),),
    "missing": (lambda x: lg.log_sig(x((3, D)), N, missing="linearly"),),
    "width": (lambda x: lg.logsig_to_sig(x((2, 4)), D, N),),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_are_those_of_numpy(name: str) -> None:
    (call,) = BAD[name]
    with pytest.raises((TypeError, ValueError)) as expected:
        call(np.zeros)
    for run in (call, lambda make: jax.jit(lambda: call(make))()):
        with pytest.raises(expected.type) as found:
            run(jnp.zeros)
        assert str(found.value) == str(expected.value).replace(" in native byte order", "")


def test_out_is_refused_and_mixtures_are_named() -> None:
    with pytest.raises(TypeError, match="out: expected None"):
        lg.log_sig_join(jnp.zeros(M), jnp.zeros(D), D, N, out=np.zeros(M))
    with pytest.raises(TypeError, match="displacement: expected a numpy array"):
        lg.log_sig_join(jnp.zeros(M), [0.0, 0.0], D, N)
    with pytest.raises(TypeError, match="expected one dtype for all"):
        lg.log_sig_join(jnp.zeros(M), jnp.zeros(D, jnp.float32), D, N)


def test_the_module_has_the_names_of_the_one_for_torch() -> None:
    from logsig_codegen import torch_api

    assert set(jax_api.__all__) == {*torch_api.__all__, "EXPORT_CHECKS", "prepare_on_gpu"}
    found = jax_api.log_sig_join([0.0] * M, np.ones(D), D, N, prepend=True)
    np.testing.assert_array_equal(found, lg.log_sig_join(np.zeros(M), np.ones(D), D, N))
    np.testing.assert_array_equal(jax_api.log_sig([np.eye(2)], 2, method=2), lg.log_sig([np.eye(2)], 2, method=2))


def test_jax_is_imported_only_when_its_arrays_come(run_python: RunPython) -> None:
    done = run_python(
        """
        import sys, numpy as np, logsig_codegen as lg
        lg.log_sig(np.zeros((3, 2)), 2)
        print("jax" in sys.modules, end=" ")
        import jax.numpy as jnp
        print("logsig_codegen.runtime.jax_ops" in sys.modules, end=" ")
        lg.log_sig(jnp.zeros((3, 2)), 2)
        print("logsig_codegen.runtime.jax_ops" in sys.modules, "torch" in sys.modules)
        """
    )
    assert done.stdout.split() == ["False", "False", "True", "False"]
