"""The ordinary call: plain, contiguous, aligned numpy arrays of one dtype and one batch shape.

One call on one small sample costs about as much as its checks. So the ordinary case is recognised by a few cheap tests
and called straight away; all else, wrong arguments included, is left to :mod:`logsig_codegen.runtime.arrays`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen.operations import WHOLE_STEPS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi

NO_MEMORY = "no memory for the work space of a log-signature kernel"
FastJoin: TypeAlias = Callable[[Any, Any, Any, int], Any]
FastBackprop: TypeAlias = Callable[[Any, Any, Any, int], Any]
FastLogSig: TypeAlias = Callable[[Any, Any, int], Any]
Products: TypeAlias = Callable[[Any], Any]
FastLogSigBackprop: TypeAlias = Callable[[Any, Any, Any, int], Any]

_READABLE = 0x1 | 0x100  # numpy's flags C_CONTIGUOUS and ALIGNED
_WRITABLE = _READABLE | 0x400  # and WRITEABLE


def fast_join(problem: Problem, functions: Mapping[str, Any]) -> FastJoin:
    """Make ``call(log_sig, displacement, out, threads)``, which returns the result, or ``None`` if it is not for it."""
    size, dimension = problem.size, problem.dimension
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, may_share, pointer = np.ndarray, np.empty, np.may_share_memory, ffi.from_buffer

    def call(log_sig: Any, displacement: Any, out: Any, threads: int) -> Any:
        if type(log_sig) is not ndarray or type(displacement) is not ndarray:
            return None
        dtype, shape = log_sig.dtype, log_sig.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or displacement.dtype is not dtype
            or not shape
            or shape[-1] != size
            or displacement.shape != (*shape[:-1], dimension)
            or log_sig.flags.num & displacement.flags.num & _READABLE != _READABLE
            or not (count := log_sig.size)
        ):
            return None
        if out is None:
            out = empty(shape, dtype)
        elif (
            type(out) is not ndarray
            or out.dtype is not dtype
            or out.shape != shape
            or out.flags.num & _WRITABLE != _WRITABLE
            or may_share(out, log_sig)
            or may_share(out, displacement)
        ):
            return None
        rows = count // size
        if function(pointer(log_sig), size, pointer(displacement), dimension, pointer(out), size, rows, threads):
            raise MemoryError(NO_MEMORY)
        return out

    return call


def fast_backprop(problem: Problem, functions: Mapping[str, Any]) -> FastBackprop:
    """Make ``call(d_out, log_sig, displacement, threads)``, which returns the gradients, or ``None``."""
    size, dimension = problem.size, problem.dimension
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, pointer = np.ndarray, np.empty, ffi.from_buffer

    def call(d_out: Any, log_sig: Any, displacement: Any, threads: int) -> Any:
        if type(d_out) is not ndarray or type(log_sig) is not ndarray or type(displacement) is not ndarray:
            return None
        dtype, shape = log_sig.dtype, log_sig.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or displacement.dtype is not dtype
            or d_out.dtype is not dtype
            or not shape
            or shape[-1] != size
            or d_out.shape != shape
            or displacement.shape != (*shape[:-1], dimension)
            or d_out.flags.num & log_sig.flags.num & displacement.flags.num & _READABLE != _READABLE
            or not (count := log_sig.size)
        ):
            return None
        gradients = empty(shape, dtype), empty(displacement.shape, dtype)
        inputs = pointer(d_out), size, pointer(log_sig), size, pointer(displacement), dimension
        outputs = pointer(gradients[0]), size, pointer(gradients[1]), dimension
        if function(*inputs, *outputs, count // size, threads):
            raise MemoryError(NO_MEMORY)
        return gradients

    return call


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
            or path.flags.num & _READABLE != _READABLE
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

    return call


def fast_log_sig_backprop(
    problem: Problem, forward: FastLogSig, functions: Mapping[str, Any], products: Products
) -> FastLogSigBackprop:
    """Make ``call(d_out, path, log_sig, threads)``, which returns the gradient, or ``None``.

    ``log_sig`` is the result of ``forward``, or ``None`` where it is not known.
    """
    size, dimension = problem.size, problem.dimension
    by_dtype = {np.dtype(name): function for name, function in functions.items()}
    ndarray, empty, pointer, null = np.ndarray, np.empty, ffi.from_buffer, ffi.NULL

    def call(d_out: Any, path: Any, log_sig: Any, threads: int) -> Any:
        if (
            type(d_out) is not ndarray
            or type(path) is not ndarray
            or d_out.dtype is not path.dtype
            or d_out.shape != (*path.shape[:-2], size)
            or d_out.flags.num & _READABLE != _READABLE
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
        gradient = empty(shape, dtype)
        row = shape[-2] * dimension
        cut = null if shape[-2] <= WHOLE_STEPS else products(dtype)
        inputs = pointer(d_out), size, pointer(log_sig), size, pointer(path), row, shape[-2], null, null, cut
        if function(*inputs, pointer(gradient), row, path.size // row, threads):
            raise MemoryError(NO_MEMORY)
        return gradient

    return call
