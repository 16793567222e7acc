"""Calls of products on arrays, and of everything a kernel has on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.runtime import arrays
from logsig_codegen.runtime.arrays import check_no_out, check_product, check_product_backprop, plain, wants_out
from logsig_codegen.runtime.checks import TORCH

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


def product_of_tensors(kernel: LoadedKernel, operation: str, tensors: tuple[Any, ...], out: Any, n_jobs: Any) -> Any:
    """A product of torch tensors, or its gradient: a call of an operator."""
    from logsig_codegen.runtime.torch_ops import calls

    if out is not None:
        wants_out(TORCH, out)
    calls.provide(kernel)
    return calls.rows(operation, tensors, kernel.dimension, kernel.degree, n_jobs)


def operators_of(kernel: LoadedKernel, out: Any) -> Any:
    """The calls on torch tensors, whose operators use ``kernel`` from now on; they take no ``out``."""
    from logsig_codegen.runtime.torch_ops import calls

    check_no_out(out)
    calls.provide(kernel)
    return calls
