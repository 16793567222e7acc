"""Calls on torch tensors, differentiable once. It imports torch, so it is imported when the first tensor is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime import arrays
from logsig_codegen.runtime.paths import Call, Options

if TYPE_CHECKING:
    from logsig_codegen.runtime.kernel import LogSigKernel


def product(
    kernel: LogSigKernel, operation: str, first: torch.Tensor, second: torch.Tensor, threads: int
) -> torch.Tensor:
    """The join or combine of checked tensors, with a gradient for both."""
    apply: Callable[..., torch.Tensor] = _Product.apply
    return apply(first, second, kernel, operation, threads)


def product_backprop(
    kernel: LogSigKernel,
    operation: str,
    d_out: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    threads: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The backward of a join or combine; differentiating its results raises :class:`UnsupportedError`."""
    apply: Callable[..., tuple[torch.Tensor, torch.Tensor]] = _ProductBackprop.apply
    return apply(d_out, first, second, kernel, operation, threads)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, first: torch.Tensor, second: torch.Tensor, kernel: LogSigKernel, operation: str, threads: int
    ) -> torch.Tensor:
        ctx.kernel, ctx.operation, ctx.threads = kernel, operation, threads
        ctx.save_for_backward(first, second)
        if first.is_cuda:
            from logsig_codegen.runtime.cuda import calls

            return calls.product(kernel, operation, first, second)
        inputs = to_array(first), to_array(second)
        out = kernel.loaded.join(*inputs, None, threads) if operation == "join" else None
        if out is None:
            out = arrays.product(kernel.problem, kernel.functions(operation), *inputs, threads, None)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        first, second = ctx.saved_tensors
        gradients = product_backprop(ctx.kernel, ctx.operation, d_out, first, second, ctx.threads)
        return *gradients, None, None, None


class _ProductBackprop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        d_out: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        kernel: LogSigKernel,
        operation: str,
        threads: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.operation = operation
        if first.is_cuda:
            from logsig_codegen.runtime.cuda import calls

            return calls.product_backprop(kernel, operation, d_out, first, second)
        inputs = to_array(d_out), to_array(first), to_array(second)
        results = kernel.loaded.join_backprop(*inputs, threads) if operation == "join" else None
        if results is None:
            results = arrays.product_backprop(kernel.functions(f"{operation}_backprop"), inputs, threads, None)
        return torch.from_numpy(results[0]), torch.from_numpy(results[1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> None:
        _refuse_second_derivatives(f"log_sig_{ctx.operation}")


def log_sig(
    kernel: LogSigKernel, options: Options, paths: Sequence[torch.Tensor], initial: torch.Tensor | None
) -> torch.Tensor:
    """Log-signatures of checked paths, with gradients for them and for ``initial``."""
    call = _path_call(kernel, options, paths)
    inputs = paths if initial is None else (*paths, initial)
    return differentiable("log_sig", call.forward, call.backward, *inputs)


def log_sig_backprop(
    kernel: LogSigKernel,
    options: Options,
    d_out: torch.Tensor,
    paths: Sequence[torch.Tensor],
    initial: torch.Tensor | None,
) -> tuple[torch.Tensor, ...]:
    """The backward of :func:`log_sig`; differentiating its results raises :class:`UnsupportedError`."""
    call = _path_call(kernel, options, paths)
    inputs = paths if initial is None else (*paths, initial)
    apply: Callable[..., tuple[torch.Tensor, ...]] = _DifferentiableBackward.apply
    return apply("log_sig", call.backward_alone, d_out, *inputs)


def _path_call(kernel: LogSigKernel, options: Options, paths: Sequence[torch.Tensor]) -> Any:
    """Forward and backward on what :func:`_given` makes of tensors on the device of ``paths``."""
    if not paths[0].is_cuda:
        return _PathCall(kernel, options, len(paths))
    from logsig_codegen.runtime.cuda.paths import PathCall

    return PathCall(kernel, options, len(paths))


class _PathCall:
    """The functions of arrays behind a call on tensors: paths, then ``initial`` if there is one."""

    def __init__(self, kernel: LogSigKernel, options: Options, count: int) -> None:
        self.kernel, self.options, self.count = kernel, options, count

    def call(self, inputs: Sequence[arrays.Array]) -> Call:
        initial = inputs[self.count] if len(inputs) > self.count else None
        return Call(self.kernel, self.options, inputs[: self.count], initial)

    def forward(self, *inputs: arrays.Array) -> arrays.Array:
        return self.call(inputs).forward()

    def backward(
        self, d_out: arrays.Array, result: arrays.Array | None, *inputs: arrays.Array
    ) -> tuple[arrays.Array, ...]:
        return self.call(inputs).backward(d_out, result)

    def backward_alone(self, d_out: arrays.Array, *inputs: arrays.Array) -> tuple[arrays.Array, ...]:
        return self.backward(d_out, None, *inputs)


def on_arrays(name: str, function: Callable[..., arrays.Array], *inputs: torch.Tensor) -> torch.Tensor:
    """Call a function of arrays on tensors; differentiating its result raises :class:`UnsupportedError`."""
    apply: Callable[..., tuple[torch.Tensor, ...]] = _DifferentiableBackward.apply
    (result,) = apply(name, lambda *given: (function(*given),), *inputs)
    return result


def differentiable(
    name: str,
    forward: Callable[..., arrays.Array],
    backward: Callable[..., tuple[arrays.Array | None, ...]],
    *inputs: torch.Tensor,
) -> torch.Tensor:
    """Make a differentiable call of two functions on arrays.

    ``forward(*inputs)`` gives the result, ``backward(d_out, result, *inputs)`` one gradient per input, or ``None``.
    """
    apply: Callable[..., torch.Tensor] = _Differentiable.apply
    return apply(name, forward, backward, *inputs)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, name: str, forward: Any, backward: Any, *inputs: torch.Tensor) -> torch.Tensor:
        result = _taken(forward(*_given(forward, inputs)), inputs[0])
        ctx.name, ctx.run = name, backward
        ctx.save_for_backward(result, *inputs)
        return result

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor) -> tuple[Any, ...]:
        result, *inputs = ctx.saved_tensors
        apply: Callable[..., tuple[Any, ...]] = _DifferentiableBackward.apply
        return None, None, None, *apply(ctx.name, ctx.run, d_out, result, *inputs)


class _DifferentiableBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, name: str, run: Any, *inputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        ctx.name = name
        gradients = run(*_given(run, inputs))
        return tuple(None if gradient is None else _taken(gradient, inputs[0]) for gradient in gradients)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> None:
        _refuse_second_derivatives(ctx.name)


def _refuse_second_derivatives(name: str) -> None:
    # Saying nothing would make second derivatives silently zero or wrong.
    raise UnsupportedError(f"{name} is differentiable once: there is no kernel for the derivative of its backward")


def _given(function: Any, inputs: Sequence[torch.Tensor]) -> Sequence[Any]:
    """Tensors as ``function`` takes them: itself a method of the GPU's calls, or a function of arrays."""
    if getattr(getattr(function, "__self__", None), "takes_tensors", False):
        return inputs
    return [to_array(tensor.cpu()) for tensor in inputs]


def _taken(result: Any, like: torch.Tensor) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else torch.from_numpy(result).to(like.device)


def to_array(tensor: torch.Tensor) -> arrays.Array:
    """The tensor's memory as an array of the same shape and strides (a pending negation is carried out first)."""
    array: arrays.Array = tensor.detach().resolve_neg().numpy()
    return array
