"""Calls on torch tensors, differentiable once. It imports torch, so it is imported when the first tensor is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime import arrays

if TYPE_CHECKING:
    from logsig_codegen.runtime.kernel import LogSigKernel


def join(kernel: LogSigKernel, log_sig: torch.Tensor, displacement: torch.Tensor, threads: int) -> torch.Tensor:
    """The join of checked tensors, with a gradient for both."""
    apply: Callable[..., torch.Tensor] = _Join.apply
    return apply(log_sig, displacement, kernel, threads)


def join_backprop(
    kernel: LogSigKernel, d_out: torch.Tensor, log_sig: torch.Tensor, displacement: torch.Tensor, threads: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The join's backward on checked tensors; differentiating its results raises :class:`UnsupportedError`."""
    apply: Callable[..., tuple[torch.Tensor, torch.Tensor]] = _JoinBackprop.apply
    return apply(d_out, log_sig, displacement, kernel, threads)


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, log_sig: torch.Tensor, displacement: torch.Tensor, kernel: LogSigKernel, threads: int
    ) -> torch.Tensor:
        ctx.kernel, ctx.threads = kernel, threads
        ctx.save_for_backward(log_sig, displacement)
        inputs = _array(log_sig), _array(displacement)
        out = kernel.fast_join(*inputs, None, threads)
        if out is None:
            out = arrays.join(kernel.problem, kernel.functions("join"), *inputs, threads, None)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        log_sig, displacement = ctx.saved_tensors
        d_log_sig, d_displacement = join_backprop(ctx.kernel, d_out, log_sig, displacement, ctx.threads)
        return d_log_sig, d_displacement, None, None


class _JoinBackprop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        d_out: torch.Tensor,
        log_sig: torch.Tensor,
        displacement: torch.Tensor,
        kernel: LogSigKernel,
        threads: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = _array(d_out), _array(log_sig), _array(displacement)
        results = kernel.fast_backprop(*inputs, threads)
        if results is None:
            results = arrays.join_backprop(kernel.problem, kernel.functions("join_backprop"), inputs, threads, None)
        return torch.from_numpy(results[0]), torch.from_numpy(results[1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> None:
        # Saying nothing would make second derivatives silently zero or wrong.
        raise UnsupportedError(
            "log_sig_join is differentiable once: there is no kernel for the derivative of its backward"
        )


def _array(tensor: torch.Tensor) -> arrays.Array:
    """The tensor's memory as an array of the same shape and strides (a pending negation is carried out first)."""
    array: arrays.Array = tensor.detach().resolve_neg().numpy()
    return array
