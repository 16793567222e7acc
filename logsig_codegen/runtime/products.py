"""Calls of products on arrays of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.runtime import arrays
from logsig_codegen.runtime.arrays import check_no_out, check_product, check_product_backprop, plain

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel


def product(kernel: LoadedKernel, operation: str, operands: tuple[Any, ...], out: Any, threads: int) -> Any:
    """The product of two operands; see :meth:`LogSigKernel.join`."""
    arguments = dict(zip(OPERATIONS[operation].inputs, operands, strict=True))
    check_product(kernel.problem, arguments, out)
    first, second = arguments.values()
    functions = kernel.functions(operation)
    return arrays.product(kernel.problem, functions, plain(first), plain(second), threads, out)


def product_backprop(kernel: LoadedKernel, operation: str, operands: tuple[Any, ...], out: Any, threads: int) -> Any:
    """The gradients of a product; ``operation`` is the one that computes them, from ``d_out`` and the two operands."""
    arguments = dict(zip(OPERATIONS[operation].inputs, operands, strict=True))
    check_product_backprop(kernel.problem, arguments, out)
    d_out, first, second = arguments.values()
    functions = kernel.functions(operation)
    return arrays.product_backprop(functions, (plain(d_out), plain(first), plain(second)), threads, out)


def product_elsewhere(
    calls: Any, kernel: LoadedKernel, operation: str, arrays: tuple[Any, ...], out: Any, n_jobs: Any
) -> Any:
    """A product of tensors or JAX arrays, or its gradient: a call of an operator."""
    if out is not None:
        check_no_out(out)
    calls.provide(kernel)
    return calls.rows(operation, arrays, kernel.dimension, kernel.degree, n_jobs)
