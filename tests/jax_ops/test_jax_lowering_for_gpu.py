"""Programs lowered for NVIDIA GPUs where there is none: what they call, and what is an error before anything runs."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax_cases import CASES, D, M, N
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen import jax_api
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime.cuda.driver import NoKernelError
from logsig_codegen.runtime.cuda.programs import CudaPrograms
from logsig_codegen.runtime.jax_ops import gpu, handlers
from logsig_codegen.runtime.jax_ops.paths import PATHS

CALL = re.compile(r"custom_call @logsig_codegen\.(\w+)\(.*?mhlo\.backend_config = (\{.*?\})")
OURS = re.compile(r"custom_call @(\S+?)\(")


def lowered(function: Any, *arrays: Any, platform: str = "cuda") -> str:
    return jax.jit(function).trace(*arrays).lower(lowering_platforms=(platform,)).as_text()


def calls(text: str) -> list[tuple[str, str]]:
    """What is called, with its attributes."""
    return CALL.findall(text)


@pytest.mark.parametrize("name", ["join", "join, prepended", "combine", "log_sig", "stream", "windows"])
def test_calls_are_those_of_cpus(name: str) -> None:
    case = CASES[name]
    arrays = tuple(map(jnp.asarray, case.arrays()))

    def gradient(*operands: Any) -> Any:
        return jax.grad(lambda *x: case.function(*x).sum(), tuple(range(len(operands))))(*operands)

    for function in (case.function, gradient):
        found = calls(lowered(function, *arrays))
        assert found
        assert found == calls(lowered(function, *arrays, platform="cpu"))


def test_nothing_goes_to_the_host() -> None:
    for name in ("log_sig, words", "log_sig, lengths", "sig_to_log_sig", "logsig_to_sig, brackets", "to_hall"):
        case = CASES[name]
        arrays = tuple(map(jnp.asarray, case.arrays()))
        text = lowered(jax.grad(lambda *x, case=case: case.function(*x).sum()), *arrays)
        assert "callback" not in text
        assert {one.removeprefix(handlers.PREFIX) for one in OURS.findall(text)} <= set(handlers.TARGETS_ON_GPU)


def test_one_exported_program_serves_both() -> None:
    path = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, D)))
    function = jax.jit(lambda x: lg.log_sig(x, N, method=0, lengths=jnp.array([5, 2, 1])))
    program = jax.export.export(function, platforms=("cpu", "cuda"), disabled_checks=jax_api.EXPORT_CHECKS)(path)
    np.testing.assert_array_equal(program.call(path), function(path))


def test_single_precision_without_64_bits(run_python: RunPython) -> None:
    done = run_python(
        f"""
        import jax, jax.numpy as jnp, logsig_codegen as lg
        def function(x, n):
            return lg.logsig_to_sig(lg.log_sig(x, {N}, lengths=n, method=0), {D}, {N}, method=0)
        arrays = jnp.zeros((2, 4, {D})), jnp.array([4, 2])
        print(jax.jit(function).trace(*arrays).lower(lowering_platforms=("cuda",)).as_text())
        """
    )
    assert "logsig_codegen.log_sig" in done.stdout
    assert "f64" not in re.sub(r"mhlo\.backend_config = \{.*?\}", "", done.stdout)


def test_without_a_gpu_nothing_can_be_prepared() -> None:
    assert gpu.ordinals() == ()
    with pytest.raises(UnsupportedError, match="not available for JAX on a GPU: JAX sees no NVIDIA GPU"):
        jax_api.prepare_on_gpu(D, N, "join")
    with pytest.raises(ValueError, match=r"operations: expected names out of arrange, .*got 'series'"):
        jax_api.prepare_on_gpu(D, N, "series")


def test_what_is_too_large_for_a_gpu_is_an_error_when_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise NoKernelError("join: there is no kernel for a GPU: it is too large")

    monkeypatch.setattr(gpu, "ordinals", lambda: (0,))
    for name in ("launcher", "along_paths"):
        monkeypatch.setattr(CudaPrograms, name, none)
    message = "not available for JAX on a GPU: join: there is no kernel"
    with pytest.raises(UnsupportedError, match=message):
        lowered(lambda x: lg.log_sig_join(x, jnp.ones(D), D, N), jnp.zeros(M))
    with pytest.raises(UnsupportedError, match=message):
        lowered(lambda x: lg.log_sig(x, N), jnp.zeros((3, D)))


def test_operands_that_gpus_do_not_take_are_named() -> None:
    def strange(path: Any, other: Any) -> Any:
        return PATHS.value.bind(
            path,
            other,
            dimension=D,
            degree=N,
            given=("others",),
            state="signature",
            stream=False,
            windows=None,
            longest=None,
            n_jobs=1,
        )

    with pytest.raises(UnsupportedError, match="not available for JAX on a GPU: others"):
        lowered(strange, jnp.zeros((3, D)), jnp.zeros(()))
    with pytest.raises(UnsupportedError, match="not available for JAX on a GPU: missing='raise' of traced paths"):
        lowered(lambda x: lg.log_sig(x, N, missing="raise"), jnp.zeros((3, D)))


def test_devices_of_other_makers_are_an_error_that_says_so() -> None:
    with pytest.raises(UnsupportedError, match="JAX: there are no kernels for rocm"):
        lowered(lambda x: lg.log_sig(x, N), jnp.zeros((3, D)), platform="rocm")
