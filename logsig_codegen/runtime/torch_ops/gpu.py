"""What operators do with tensors on a GPU: start kernels there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.runtime import checks
from logsig_codegen.runtime.request import PathRequest
from logsig_codegen.runtime.torch_ops.rows import problem_of, provider


def composed(name: str) -> Callable[..., Tensor]:
    """The bracket or the coadjoint action by torch's operators, on any device."""

    def composite(first: Tensor, second: Tensor, dimension: int, degree: int, n_jobs: int) -> Tensor:
        from logsig_codegen.runtime.cuda import brackets

        make = brackets.bracket if name == "bracket" else brackets.coadjoint
        return make(problem_of(dimension, degree), first, second)

    return composite


def rows_kernel(name: str, like: Sequence[int] = (), otherwise: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The kernel of an operation on rows.

    ``like``: for each result the argument whose shape it has, as for CPU tensors. ``otherwise``: what stands in for the
    kernel, with all arguments, where the problem is too large for one; without it, that is an error.
    """
    names = OPERATIONS[name].inputs

    def kernel(*args: Any) -> Any:
        from logsig_codegen.runtime.cuda import calls
        from logsig_codegen.runtime.cuda.driver import NoKernelError

        tensors, (dimension, degree) = args[: len(names)], args[len(names) : len(names) + 2]
        checks.check_arguments(problem_of(dimension, degree), dict(zip(names, tensors, strict=True)))
        try:
            return calls.rows(provider(dimension, degree), name, tensors, like)
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


def log_sig_backprop(
    request: PathRequest, d_out: Tensor, result: Tensor | None, inputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Gradients of :func:`log_sig` with respect to ``inputs``; ``result``, if given, spares a forward pass."""
    from logsig_codegen.runtime.cuda.paths import PathCall

    problem = request.problem
    return PathCall(provider(problem.dimension, problem.degree), request, 1).backward(d_out, result, *inputs)
