"""Calls of the products, join and combine, on whatever arrays came: checks, then numpy or torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logsig_codegen.runtime import arrays
from logsig_codegen.runtime.arrays import check_product, check_product_backprop, plain
from logsig_codegen.runtime.checks import NUMPY

if TYPE_CHECKING:
    from logsig_codegen.runtime.kernel import LogSigKernel


def product(kernel: LogSigKernel, operation: str, arguments: dict[str, Any], out: Any, threads: int) -> Any:
    """The product of two operands, named for messages; see :meth:`LogSigKernel.join`."""
    kind = check_product(kernel.problem, arguments, out)
    first, second = arguments.values()
    if kind == NUMPY:
        functions = kernel.functions(operation)
        return arrays.product(kernel.problem, functions, plain(first), plain(second), threads, out)
    from logsig_codegen.runtime import tensors

    return tensors.product(kernel, operation, first, second, threads)


def product_backprop(kernel: LogSigKernel, operation: str, arguments: dict[str, Any], out: Any, threads: int) -> Any:
    """The gradients of a product: ``d_out`` and its operands, named for messages."""
    kind = check_product_backprop(kernel.problem, arguments, out)
    d_out, first, second = arguments.values()
    if kind == NUMPY:
        functions = kernel.functions(f"{operation}_backprop")
        return arrays.product_backprop(functions, (plain(d_out), plain(first), plain(second)), threads, out)
    from logsig_codegen.runtime import tensors

    return tensors.product_backprop(kernel, operation, d_out, first, second, threads)
