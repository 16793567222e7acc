"""Calls of the products, join and combine, on whatever arrays came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logsig_codegen.runtime import arrays
from logsig_codegen.runtime.arrays import check_product, check_product_backprop, plain, wants_out
from logsig_codegen.runtime.checks import TORCH

if TYPE_CHECKING:
    from logsig_codegen.runtime.kernel import LogSigKernel


def product(kernel: LogSigKernel, operation: str, arguments: dict[str, Any], out: Any, threads: int) -> Any:
    """The product of two operands, named for messages; see :meth:`LogSigKernel.join`."""
    check_product(kernel.problem, arguments, out)
    first, second = arguments.values()
    functions = kernel.functions(operation)
    return arrays.product(kernel.problem, functions, plain(first), plain(second), threads, out)


def product_backprop(kernel: LogSigKernel, operation: str, arguments: dict[str, Any], out: Any, threads: int) -> Any:
    """The gradients of a product: ``d_out`` and its operands, named for messages."""
    check_product_backprop(kernel.problem, arguments, out)
    d_out, first, second = arguments.values()
    functions = kernel.functions(f"{operation}_backprop")
    return arrays.product_backprop(functions, (plain(d_out), plain(first), plain(second)), threads, out)


def product_of_tensors(kernel: LogSigKernel, operation: str, arguments: dict[str, Any], out: Any, n_jobs: Any) -> Any:
    """The same for torch tensors: a call of an operator."""
    from logsig_codegen.runtime.torch_ops import calls

    if out is not None:
        wants_out(TORCH, out)
    calls.provide(kernel)
    call = calls.product_backprop if "d_out" in arguments else calls.product
    return call(operation, arguments, kernel.dimension, kernel.degree, n_jobs)
