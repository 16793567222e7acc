"""The torch module: tensors only, and gradients of every function; values are tested with the other entry points."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from processes import RunPython

import logsig_codegen.torch_api as lt
from logsig_codegen import functional

D, N, M = 2, 3, 5
S = 2 + 4 + 8
GENERATOR = torch.Generator().manual_seed(3)


def tensor(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


PROBLEM = {"dimension": D, "degree": N}
CALLS: dict[str, tuple[dict[str, torch.Tensor], dict[str, Any]]] = {
    "log_sig_join": ({"log_sig": tensor(3, M), "displacement": tensor(D)}, PROBLEM),
    "log_sig_joins": ({"log_sig": tensor(3, M), "displacements": tensor(3, 4, D)}, PROBLEM),
    "log_sig_combine": ({"log_sig1": tensor(3, M), "log_sig2": tensor(M)}, PROBLEM),
    "log_sig": ({"path": tensor(3, 4, D), "initial": tensor(3, M)}, {"degree": N}),
    "log_sig_change_method": ({"log_sig": tensor(3, M)}, {**PROBLEM, "source": 2, "target": 0}),
    "log_sig_to_hall": ({"log_sig": tensor(3, M)}, PROBLEM),
    "log_sig_from_hall": ({"log_sig": tensor(3, M)}, PROBLEM),
    "sig_to_log_sig": ({"sig": tensor(3, S)}, PROBLEM),
    "logsig_to_sig": ({"log_sig": tensor(3, M)}, {**PROBLEM, "method": 2}),
    "linear_log_sig": ({"displacement": tensor(3, D)}, PROBLEM),
    "logsig_windows": ({"x": tensor(3, 6, D)}, {"depth": N, "window_length": 1.5}),
    "hall_windows": ({"data": tensor(3, 6, D)}, {"stepsize": 4, "depth": N}),
    "transform_path": ({"path": tensor(3, 4, D)}, {"time_aug": True, "lead_lag": True}),
}
"""Every function of arrays: its tensors, and its other arguments."""


def test_every_function_of_arrays_is_called_below() -> None:
    of_words = {"is_lyndon", "idx_to_word", "word_to_idx", "sig_length", "log_sig_length"}
    others = {name for name in lt.__all__ if "words" in name or "cache" in name} | {"prepare_log_sig"} | of_words
    assert set(CALLS) == set(lt.__all__) - others - {"LogSigStream", "LogSigWindowStream"}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_flow_to_every_tensor(name: str) -> None:
    tensors, options = CALLS[name]

    def call(*given: torch.Tensor) -> Any:
        return getattr(lt, name)(**dict(zip(tensors, given, strict=True)), **options)

    assert torch.autograd.gradcheck(call, [one.clone().requires_grad_() for one in tensors.values()])


@pytest.mark.parametrize("name", CALLS)
def test_anything_but_a_tensor_is_refused(name: str) -> None:
    tensors, options = CALLS[name]
    for argument, one in tensors.items():
        for wrong in (one.numpy(), one.tolist(), 1.0):
            with pytest.raises(TypeError, match=f"^{argument}: expected a torch tensor, got"):
                getattr(lt, name)(**{**tensors, argument: wrong}, **options)
    first, *others = tensors.values()
    with pytest.raises(TypeError, match=f"^{next(iter(tensors))}: expected a torch tensor, got ndarray"):
        getattr(lt, name)(first.numpy(), *(others if name != "log_sig" else ()), **options)


def test_lists_of_tensors_are_paths() -> None:
    ragged = [tensor(4, D).requires_grad_(), tensor(2, D).requires_grad_()]
    result = lt.log_sig(ragged, N)
    for row, path in zip(result, ragged, strict=True):
        torch.testing.assert_close(row, lt.log_sig(path=path, degree=N))
    result.sum().backward()
    assert all(path.grad is not None for path in ragged)
    with pytest.raises(TypeError, match="path: expected a torch tensor, got ndarray"):
        lt.log_sig([ragged[0], np.zeros((2, D))], N)
    with pytest.raises(TypeError, match="log_sig1: expected a torch tensor, got list"):
        lt.log_sig_combine([tensor(M)], tensor(M), D, N)


@pytest.mark.parametrize("name", CALLS)
def test_functions_are_those_of_this_module(name: str) -> None:
    function = getattr(lt, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert function is not getattr(functional, name)
    assert function.__doc__
    with pytest.raises(TypeError, match=f"{name}\\(\\) missing"):
        function()


def test_threads_are_used_in_the_backward_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from logsig_codegen.runtime import arrays, threads

    used = []
    original = arrays.call_rows

    def record(*args: object) -> object:
        used.append(args[-1])
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(threads, "usable_processors", lambda: 2)
    monkeypatch.setattr(arrays, "call_rows", record)
    log_sig = torch.zeros(4, 3, requires_grad=True)
    lt.log_sig_join(log_sig, torch.ones(2), 2, 2, n_jobs=-1).sum().backward()
    assert used == [2, 2]
    with pytest.raises(ValueError, match="n_jobs"):
        lt.log_sig_join(log_sig, torch.ones(4, 2), 2, 2, n_jobs=0)


def test_a_forgotten_kernel_still_has_its_backward() -> None:
    log_sig = torch.zeros(3, requires_grad=True)
    result = lt.log_sig_join(log_sig, torch.ones(2), 2, 2)
    lt.clear_cache()
    result.sum().backward()
    assert log_sig.grad is not None
    assert log_sig.grad.tolist() == [1.5, 0.5, 1.0]  # z2 = l2 + (l0 v1 - l1 v0) / 2


def test_only_this_module_imports_torch(run_python: RunPython) -> None:
    run_python(
        """
        import sys, numpy as np, logsig_codegen as lg
        lg.log_sig_join(np.zeros(3), np.zeros(2), 2, 2)
        assert "torch" not in sys.modules
        import logsig_codegen.torch_api
        assert "torch" in sys.modules
        """
    )
