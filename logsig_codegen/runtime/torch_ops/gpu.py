"""What operators do with tensors on a GPU: start kernels there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from logsig_codegen.operations import Operation
from logsig_codegen.runtime import checks
from logsig_codegen.runtime.registry import provider
from logsig_codegen.runtime.request import PathRequest
from logsig_codegen.runtime.torch_ops.rows import problem_of


def composed_bracket(left: Tensor, right: Tensor, dimension: int, degree: int, n_jobs: int) -> Tensor:
    """The bracket by torch's operators, on any device."""
    from logsig_codegen.runtime.cuda import brackets

    return brackets.bracket(problem_of(dimension, degree), left, right)


def composed_coadjoint(actor: Tensor, form: Tensor, dimension: int, degree: int, n_jobs: int) -> Tensor:
    """The coadjoint action by torch's operators, on any device."""
    from logsig_codegen.runtime.cuda import brackets

    return brackets.coadjoint(problem_of(dimension, degree), actor, form)


def rows_kernel(operation: Operation, otherwise: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The kernel of an operation on rows.

    ``otherwise`` stands in for the kernel, with all arguments, where the problem is too large for one; without it, that
    is an error.
    """
    names = operation.inputs

    def kernel(*args: Any) -> Any:
        from logsig_codegen.runtime.cuda import calls
        from logsig_codegen.runtime.cuda.driver import NoKernelError

        tensors, (dimension, degree) = args[: len(names)], args[len(names) : len(names) + 2]
        checks.check_arguments(problem_of(dimension, degree), dict(zip(names, tensors, strict=True)))
        try:
            return calls.rows(provider(dimension, degree), operation.name, tensors)
        except NoKernelError:
            if otherwise is None:
                raise
        return otherwise(*tensors, dimension, degree, 1)

    return kernel


def with_lengths(request: PathRequest, path: Tensor) -> PathRequest:
    """The call with lengths that are on the device, and are checked there."""
    from logsig_codegen.runtime.cuda import lengths as on_device

    numbers = on_device.checked(request.lengths, tuple(path.shape[:-2]), path.shape[-2])
    return replace(request, lengths=numbers, given_lengths=numbers)


def log_sig(request: PathRequest, inputs: Sequence[Tensor]) -> Tensor:
    """Log-signatures of paths: ``inputs`` are the path and, if there is one, ``initial``."""
    from logsig_codegen.runtime.cuda.paths import PathCall

    problem = request.problem
    return PathCall(provider(problem.dimension, problem.degree), request, 1).forward(*inputs)


def log_sig_intervals(request: PathRequest, path: Tensor) -> Tensor:
    """Log-signatures of intervals of paths."""
    from logsig_codegen.runtime.cuda import intervals

    problem = request.problem
    return intervals.log_sig(provider(problem.dimension, problem.degree), request, path)


def log_sig_intervals_backprop(request: PathRequest, d_out: Tensor, result: Tensor | None, path: Tensor) -> Tensor:
    """The gradient of :func:`log_sig_intervals`."""
    from logsig_codegen.runtime.cuda import intervals

    problem = request.problem
    return intervals.log_sig_backprop(provider(problem.dimension, problem.degree), request, d_out, result, path)


def log_sig_backprop(
    request: PathRequest, d_out: Tensor, result: Tensor | None, inputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Gradients of :func:`log_sig` with respect to ``inputs``; ``result``, if given, spares a forward pass."""
    from logsig_codegen.runtime.cuda.paths import PathCall

    problem = request.problem
    return PathCall(provider(problem.dimension, problem.degree), request, 1).backward(d_out, result, *inputs)
