"""The torch module; values, gradients and errors of its one operation are tested with the other entry points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from processes import RunPython

import logsig_codegen.torch_api as lt


def test_only_tensors() -> None:
    for log_sig, displacement in (
        (np.zeros(3), np.zeros(2)),
        (torch.zeros(3), np.zeros(2)),
        ([0.0] * 3, torch.zeros(2)),
    ):
        with pytest.raises(TypeError, match="expected a torch tensor, got"):
            lt.log_sig_join(log_sig, displacement, 2, 2)  # type: ignore[arg-type]


def test_threads_are_used_in_the_backward_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from logsig_codegen.runtime import arrays, threads

    used = []
    original = arrays.product_backprop

    def record(*args: object) -> object:
        used.append(args[2])
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(threads, "usable_processors", lambda: 2)
    monkeypatch.setattr(arrays, "product_backprop", record)
    log_sig = torch.zeros(4, 3, requires_grad=True)
    lt.log_sig_join(log_sig, torch.ones(4, 2), 2, 2, n_jobs=-1).sum().backward()
    assert used == [2]
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
