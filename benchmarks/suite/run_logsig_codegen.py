#!/usr/bin/env python3
"""logsig-codegen in the public suite pySigLib-Benchmarks: log-signatures of batches of paths, and their pullbacks.

To be copied to ``adapters/python/`` of the suite; README.md beside this file has the other two steps.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import numpy as np
from common import BenchmarkAdapter


class LogsigCodegenAdapter(BenchmarkAdapter):
    """Native batches of torch tensors on the CPU, float32, in Lyndon brackets; ``n_jobs`` as in pySigLib's adapter."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        import torch

        import logsig_codegen

        self.torch = torch
        self.n_jobs = int(config.get("n_jobs", 1))
        self.kernel = logsig_codegen.load(self.d, self.m)

    def tensor(self, path: np.ndarray[Any, Any], *, requires_grad: bool) -> Any:
        """The paths as a tensor, made outside the timed region."""
        tensor = self.torch.as_tensor(np.ascontiguousarray(path, dtype=np.float32))
        return tensor.clone().requires_grad_() if requires_grad else tensor

    def run_logsignature(self, path: np.ndarray[Any, Any], d: int, m: int) -> Callable[[], Any]:
        """The log-signatures of all paths."""
        del d, m
        paths = self.tensor(path, requires_grad=False)
        return lambda: self.kernel.log_sig(paths, n_jobs=self.n_jobs)

    def run_logsignature_backprop(self, path: np.ndarray[Any, Any], d: int, m: int) -> Callable[[], Any]:
        """The pullback of a random cotangent; the forward pass is outside, as for other libraries."""
        del d, m
        paths = self.tensor(path, requires_grad=True)
        output = self.kernel.log_sig(paths, n_jobs=self.n_jobs)
        cotangent = self.torch.as_tensor(self.random_cotangent(tuple(output.shape)))
        return lambda: self.torch.autograd.grad(output, paths, cotangent, retain_graph=True)

    def _run_benchmark(self) -> dict[str, Any] | None:
        makers = {"logsignature": self.run_logsignature, "logsignature_backprop": self.run_logsignature_backprop}
        if self.operation not in makers or self.backend not in ("", "cpu"):
            return None
        kernel = makers[self.operation](self.make_path_input(), self.d, self.m)
        t_ms, alloc_bytes, samples_ms = self.manual_timing_loop(kernel)
        return self.output_result(
            t_ms=t_ms,
            alloc_bytes=alloc_bytes,
            samples_ms=samples_ms,
            library="logsig-codegen",
            method="log_sig" if self.operation == "logsignature" else "log_sig.backward(random_cotangent)",
            path_type="torch.Tensor",
            language="python",
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: run_logsig_codegen.py '<json_config>'")
    LogsigCodegenAdapter(json.loads(sys.argv[1])).run()
