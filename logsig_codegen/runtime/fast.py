"""The ordinary call: plain, contiguous, aligned numpy arrays of one dtype and one batch shape.

One call on one small sample costs about as much as its checks. So the ordinary case is recognised by a few cheap tests
and called straight away; all else, wrong arguments included, is left to :mod:`logsig_codegen.runtime.arrays`. Where it
has been built, an extension in C does the same (:mod:`logsig_codegen.runtime.quick`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen.operations import WHOLE_STEPS, Operation
from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.quick import in_c

NO_MEMORY = "no memory for the work space of a log-signature kernel"
FastProduct: TypeAlias = Callable[[Any, Any, Any, int], Any]
FastGradient: TypeAlias = Callable[[Any, Any, Any, Any, int], Any]
FastLogSig: TypeAlias = Callable[[Any, Any, int], Any]
Products: TypeAlias = Callable[[Any], Any]
FastLogSigBackprop: TypeAlias = Callable[[Any, Any, Any, Any, int], Any]

READABLE = 0x1 | 0x100  # numpy's flags C_CONTIGUOUS and ALIGNED
_WRITABLE = READABLE | 0x400  # and WRITEABLE


def fast_product(problem: Problem, operation: Operation, functions: Mapping[str, Any]) -> FastProduct:
    """Make ``call(left, right, out, threads)``, which returns the product, or ``None`` if it is not for it."""
    size, columns = problem.size, operation.operand_inputs[1].columns(problem)
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, may_share, pointer = np.ndarray, np.empty, np.may_share_memory, ffi.from_buffer

    def call(left: Any, right: Any, out: Any, threads: int) -> Any:
        if type(left) is not ndarray or type(right) is not ndarray:
            return None
        dtype, shape = left.dtype, left.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or right.dtype is not dtype
            or not shape
            or shape[-1] != size
            or right.shape != (*shape[:-1], columns)
            or left.flags.num & right.flags.num & READABLE != READABLE
            or not (count := left.size)
        ):
            return None
        if out is None:
            out = empty(shape, dtype)
        elif (
            type(out) is not ndarray
            or out.dtype is not dtype
            or out.shape != shape
            or out.flags.num & _WRITABLE != _WRITABLE
            or may_share(out, left)
            or may_share(out, right)
        ):
            return None
        rows = count // size
        if function(pointer(left), size, pointer(right), columns, pointer(out), size, rows, threads):
            raise MemoryError(NO_MEMORY)
        return out

    return in_c("product", call, functions, size, columns)


def fast_gradient(problem: Problem, operation: Operation, functions: Mapping[str, Any]) -> FastGradient:
    """Make ``call(d_out, left, right, out, threads)``, which returns the gradients, or ``None``.

    ``operation`` is the gradient of a product.
    """
    size, columns = problem.size, operation.operand_inputs[2].columns(problem)
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, pointer = np.ndarray, np.empty, ffi.from_buffer

    def call(d_out: Any, left: Any, right: Any, out: Any, threads: int) -> Any:
        if type(d_out) is not ndarray or type(left) is not ndarray or type(right) is not ndarray:
            return None
        dtype, shape = left.dtype, left.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or right.dtype is not dtype
            or d_out.dtype is not dtype
            or not shape
            or shape[-1] != size
            or d_out.shape != shape
            or right.shape != (*shape[:-1], columns)
            or d_out.flags.num & left.flags.num & right.flags.num & READABLE != READABLE
            or not (count := left.size)
        ):
            return None
        if out is None:
            out = empty(shape, dtype), empty(right.shape, dtype)
        elif type(out) is not tuple or len(out) != 2 or not _can_receive(out, (left, right), (d_out, left, right)):
            return None
        inputs = pointer(d_out), size, pointer(left), size, pointer(right), columns
        outputs = pointer(out[0]), size, pointer(out[1]), columns
        if function(*inputs, *outputs, count // size, threads):
            raise MemoryError(NO_MEMORY)
        return out

    return in_c("gradient", call, functions, size, columns)


def _can_receive(out: Sequence[Any], like: Sequence[Any], inputs: Sequence[Any]) -> bool:
    """Whether each of ``out`` is a plain array of the shape and type of one in ``like``, in memory of its own."""
    may_share = np.may_share_memory
    for target, one in zip(out, like, strict=True):
        if (
            type(target) is not np.ndarray
            or target.dtype is not one.dtype
            or target.shape != one.shape
            or target.flags.num & _WRITABLE != _WRITABLE
        ):
            return False
    if len(out) > 1 and may_share(*out):
        return False
    return not any(may_share(target, array) for target in out for array in inputs)


def fast_log_sig(problem: Problem, functions: Mapping[str, Any], products: Products) -> FastLogSig:
    """Make ``call(path, out, threads)``, which returns the result, or ``None``.

    ``products`` gives what long paths of a dtype are cut with.
    """
    size, dimension = problem.size, problem.dimension
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, may_share, pointer, null = np.ndarray, np.empty, np.may_share_memory, ffi.from_buffer, ffi.NULL

    def call(path: Any, out: Any, threads: int) -> Any:
        if type(path) is not ndarray:
            return None
        dtype, shape = path.dtype, path.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or len(shape) < 2
            or shape[-1] != dimension
            or path.flags.num & READABLE != READABLE
            or not (count := path.size)
        ):
            return None
        if out is None:
            out = empty((*shape[:-2], size), dtype)
        elif (
            type(out) is not ndarray
            or out.dtype is not dtype
            or out.shape != (*shape[:-2], size)
            or out.flags.num & _WRITABLE != _WRITABLE
            or may_share(out, path)
        ):
            return None
        length = shape[-2]
        cut = null if length <= WHOLE_STEPS else products(dtype)
        row = length * dimension
        if function(pointer(path), row, length, null, null, cut, pointer(out), size, count // row, threads):
            raise MemoryError(NO_MEMORY)
        return out

    return in_c("log_sig", call, functions, size, dimension, WHOLE_STEPS)


def fast_log_sig_backprop(
    problem: Problem, forward: FastLogSig, functions: Mapping[str, Any], products: Products
) -> FastLogSigBackprop:
    """Make ``call(d_out, path, log_sig, out, threads)``, which returns the gradient, or ``None``.

    ``log_sig`` is the result of ``forward``, or ``None`` where it is not known.
    """
    size, dimension = problem.size, problem.dimension
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, pointer, null = np.ndarray, np.empty, ffi.from_buffer, ffi.NULL

    def call(d_out: Any, path: Any, log_sig: Any, out: Any, threads: int) -> Any:
        if (
            type(d_out) is not ndarray
            or type(path) is not ndarray
            or d_out.dtype is not path.dtype
            or d_out.shape != (*path.shape[:-2], size)
            or d_out.flags.num & READABLE != READABLE
            or not path.size
        ):
            return None
        if log_sig is None:
            log_sig = forward(path, None, threads)
            if log_sig is None:
                return None
        dtype, shape = path.dtype, path.shape
        function = by_dtype.get(dtype)
        if function is None:
            return None
        if out is None:
            out = empty(shape, dtype)
        elif not _can_receive((out,), (path,), (d_out, path, log_sig)):
            return None
        row = shape[-2] * dimension
        cut = null if shape[-2] <= WHOLE_STEPS else products(dtype)
        inputs = pointer(d_out), size, pointer(log_sig), size, pointer(path), row, shape[-2], null, null, cut
        if function(*inputs, pointer(out), row, path.size // row, threads):
            raise MemoryError(NO_MEMORY)
        return out

    return call
