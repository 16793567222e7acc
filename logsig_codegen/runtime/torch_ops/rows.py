"""CPU kernels of operations on rows: from tensors to the C functions, and their shapes and batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logsig_codegen.operations import OPERATIONS, Operation
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import arrays, checks
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.arrays import Array
from logsig_codegen.runtime.fast import NO_MEMORY
from logsig_codegen.runtime.registry import provider, watch
from logsig_codegen.runtime.threads import thread_count
from logsig_codegen.runtime.torch_ops.private import OWN

_NAMES = {torch.float32: "float32", torch.float64: "float64"}
_fast: dict[str, dict[tuple[int, int], Callable[..., Any]]] = {name: {} for name in OPERATIONS}


def _drop(key: tuple[int, int] | None) -> None:
    """Drop the quick calls of a problem, or all of them: another kernel serves it from now on."""
    for calls in _fast.values():
        if key is None:
            calls.clear()
        else:
            calls.pop(key, None)


watch(_drop)


@lru_cache(maxsize=256)
def problem_of(dimension: int, degree: int) -> Problem:
    """The problem of two arguments, checked."""
    return checks.check_problem(dimension, degree)


def threads_of(n_jobs: int) -> int:
    return 1 if n_jobs == 1 else thread_count(n_jobs)


def to_array(tensor: Tensor) -> Array:
    """The tensor's memory as an array of the same shape and strides (a pending negation is carried out first)."""
    array: Array = tensor.detach().resolve_neg().numpy()
    return array


def rows_kernel(operation: Operation) -> Callable[..., Any]:
    """The CPU kernel of an operation on rows: a result has the leading shape that all arguments broadcast to.

    A gradient has the shape of the argument it belongs to; what was broadcast is summed over.
    """
    count = len(operation.inputs)
    quick_calls = _fast[operation.name]

    def kernel(*args: Any) -> Any:
        tensors, numbers = args[:count], args[count : count + 2]
        threads = 1 if len(args) == count + 2 or args[-1] == 1 else thread_count(args[-1])
        quick = quick_calls.get(numbers)
        if quick is not None:
            result = quick(*tensors, threads)
            if result is not None:
                return result
        return _general(operation, tensors, problem_of(*numbers), threads)

    def kernel_of_two(left: Tensor, right: Tensor, dimension: int, degree: int, n_jobs: int = 1) -> Any:
        threads = 1 if n_jobs == 1 else thread_count(n_jobs)
        quick = quick_calls.get((dimension, degree))
        if quick is not None:
            result = quick(left, right, threads)
            if result is not None:
                return result
        return _general(operation, (left, right), problem_of(dimension, degree), threads)

    def kernel_of_three(
        d_out: Tensor, left: Tensor, right: Tensor, dimension: int, degree: int, n_jobs: int = 1
    ) -> Any:
        threads = 1 if n_jobs == 1 else thread_count(n_jobs)
        quick = quick_calls.get((dimension, degree))
        if quick is not None:
            result = quick(d_out, left, right, threads)
            if result is not None:
                return result
        return _general(operation, (d_out, left, right), problem_of(dimension, degree), threads)

    by_count: dict[int, Callable[..., Any]] = {2: kernel_of_two, 3: kernel_of_three}
    return by_count.get(count, kernel)


def _general(operation: Operation, tensors: Sequence[Tensor], problem: Problem, threads: int) -> Any:
    """Any layout, any broadcasting; checks everything."""
    checks.check_arguments(problem, dict(zip(operation.inputs, tensors, strict=True)))
    kernel = provider(problem.dimension, problem.degree)
    functions = kernel.functions(operation.name)
    key = (problem.dimension, problem.degree)
    if key not in _fast[operation.name]:
        make = {2: _make_fast_product, 3: _make_fast_gradient}.get(len(operation.inputs), _make_fast)
        _fast[operation.name][key] = make(operation, problem, functions)
    inputs = [to_array(one) for one in tensors]
    batch = np.broadcast_shapes(*(one.shape[:-1] for one in inputs))
    full = [np.empty((*batch, one.columns(problem)), inputs[0].dtype) for one in operation.operand_outputs]
    arrays.call_rows(arrays.function_for(functions, inputs[0].dtype), batch, inputs, full, threads)
    results = []
    for result, place in zip(full, operation.like or (None,), strict=True):
        if place is not None and result.shape != inputs[place].shape:
            summed = np.empty(inputs[place].shape, result.dtype)
            arrays.sum_to(result, summed)
            result = summed
        results.append(torch.from_numpy(result))
    return tuple(results) if operation.like else results[0]


def _make_fast(operation: Operation, problem: Problem, functions: Any) -> Callable[..., Any]:
    """Make the quick call for contiguous rows of one batch shape, which returns ``None`` for everything else."""
    by_dtype = {dtype: functions[name] for dtype, name in _NAMES.items() if name in functions}
    widths, out_widths = (
        tuple(one.columns(problem) for one in some) for some in (operation.operand_inputs, operation.operand_outputs)
    )
    pointer_type, cast = ffi.typeof("void *"), ffi.cast
    one = len(out_widths) == 1

    def call(*args: Any) -> Any:
        tensors, threads = args[:-1], args[-1]
        first = tensors[0]
        dtype = first.dtype
        function = by_dtype.get(dtype)
        lead = first.shape[:-1]
        if function is None:
            return None
        arguments = []
        for tensor, columns in zip(tensors, widths, strict=True):
            shape = tensor.shape
            if (
                type(tensor) not in OWN
                or tensor.dtype is not dtype
                or not shape
                or shape[-1] != columns
                or shape[:-1] != lead
                or not tensor.is_contiguous()
            ):
                return None
            arguments.append(cast(pointer_type, tensor.data_ptr()))
            arguments.append(columns)
        count = first.numel() // widths[0]
        if not count:
            return None
        results = []
        for columns in out_widths:
            result = torch.empty(lead + (columns,), dtype=dtype)  # noqa: RUF005 - torch.Size is quicker so
            arguments.append(cast(pointer_type, result.data_ptr()))
            arguments.append(columns)
            results.append(result)
        if function(*arguments, count, threads):
            raise MemoryError(NO_MEMORY)
        return results[0] if one else tuple(results)

    return call


def _make_fast_product(operation: Operation, problem: Problem, functions: Any) -> Callable[..., Any]:
    """The same for two operands, of which the first has the result's length."""
    by_dtype = {dtype: functions[name] for dtype, name in _NAMES.items() if name in functions}
    size, columns = problem.size, operation.operand_inputs[1].columns(problem)
    pointer_type, cast, own, empty_like = ffi.typeof("void *"), ffi.cast, OWN, torch.empty_like

    def call(left: Tensor, right: Tensor, threads: int) -> Any:
        dtype, shape, other = left.dtype, left.shape, right.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or right.dtype is not dtype
            or not shape
            or len(shape) != len(other)
            or shape[-1] != size
            or other[-1] != columns
            or (len(shape) > 1 and shape[:-1] != other[:-1])
            or type(left) not in own
            or type(right) not in own
            or not left.is_contiguous()
            or not (count := left.numel())
        ):
            return None
        step = columns
        if not right.is_contiguous():
            if len(other) != 2 or right.stride(1) != 1:
                return None
            step = right.stride(0)  # rows of a longer array, such as path[:, k]
        out = empty_like(left)
        if function(
            cast(pointer_type, left.data_ptr()), size, cast(pointer_type, right.data_ptr()), step,
            cast(pointer_type, out.data_ptr()), size, count // size, threads,
        ):  # fmt: skip
            raise MemoryError(NO_MEMORY)
        return out

    return call


def _make_fast_gradient(operation: Operation, problem: Problem, functions: Any) -> Callable[..., Any]:
    """The same for the gradient of a product: the results have the shapes of the two operands."""
    by_dtype = {dtype: functions[name] for dtype, name in _NAMES.items() if name in functions}
    size, columns = problem.size, operation.operand_inputs[2].columns(problem)
    pointer_type, cast, own = ffi.typeof("void *"), ffi.cast, OWN
    empty_like = torch.empty_like

    def call(d_out: Tensor, left: Tensor, right: Tensor, threads: int) -> Any:
        dtype, shape, other = left.dtype, left.shape, right.shape
        function = by_dtype.get(dtype)
        if (
            function is None
            or right.dtype is not dtype
            or d_out.dtype is not dtype
            or not shape
            or d_out.shape != shape
            or len(shape) != len(other)
            or shape[-1] != size
            or other[-1] != columns
            or (len(shape) > 1 and shape[:-1] != other[:-1])
            or type(d_out) not in own
            or type(left) not in own
            or type(right) not in own
            or not left.is_contiguous()
            or not (count := left.numel())
        ):
            return None
        step = columns
        if not right.is_contiguous():
            if len(other) != 2 or right.stride(1) != 1:
                return None
            step = right.stride(0)  # rows of a longer array, such as path[:, k]
        d_out = d_out.contiguous()  # the gradient of a sum is one number, expanded
        d_left, d_right = empty_like(left), right.new_empty(other)  # not as right is laid out
        if function(
            cast(pointer_type, d_out.data_ptr()), size, cast(pointer_type, left.data_ptr()), size,
            cast(pointer_type, right.data_ptr()), step, cast(pointer_type, d_left.data_ptr()), size,
            cast(pointer_type, d_right.data_ptr()), columns, count // size, threads,
        ):  # fmt: skip
            raise MemoryError(NO_MEMORY)
        return d_left, d_right

    return call


def rows_fake(operation: Operation) -> Callable[..., Any]:
    """Shapes of :func:`rows_kernel`."""
    count, like = len(operation.inputs), operation.like

    def fake(*args: Any) -> Any:
        tensors = args[:count]
        problem = problem_of(args[count], args[count + 1])
        check_fakes(dict(zip(operation.inputs, tensors, strict=True)))
        for operand, tensor in zip(operation.inputs, tensors, strict=True):
            checks.check_last_axis(problem, operand, tuple(tensor.shape))
        if like:
            return tuple(tensors[place].new_empty(tensors[place].shape) for place in like)
        batch = torch.broadcast_shapes(*(tensor.shape[:-1] for tensor in tensors))
        return tensors[0].new_empty((*batch, operation.operand_outputs[0].columns(problem)))

    return fake


def check_fakes(arguments: dict[str, Tensor]) -> None:
    """Check number types and devices of tensors without data."""
    first = next(iter(arguments.values()))
    for name, tensor in arguments.items():
        if tensor.dtype not in _NAMES:
            raise TypeError(checks.wrong_dtype(name, checks.dtype_name(tensor)))
        if tensor.dtype != first.dtype:
            raise TypeError(f"{name}: expected dtype {first.dtype}, that of the other arguments, got {tensor.dtype}")
        if tensor.device != first.device:
            raise TypeError(f"{name}: expected device {first.device}, that of the others, got {tensor.device}")


def rows_batch(operation: Operation) -> Callable[..., Any]:
    """The rule of ``vmap`` for an operation on rows: one more leading axis."""
    count, like = len(operation.inputs), operation.like

    def batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        size = info.batch_size
        rank = max(one.ndim - (dim is not None) for one, dim in zip(args[:count], in_dims, strict=False))
        moved, shapes = [], []
        for place, (one, dim) in enumerate(zip(args[:count], in_dims, strict=False)):
            front = one.unsqueeze(0) if dim is None else one.movedim(dim, 0)
            if dim is None and place in like:  # each sample has a gradient of its own
                front = front.expand(size, *one.shape)
            shapes.append(front.shape[1:])
            moved.append(front.reshape(front.shape[0], *(1,) * (rank - front.ndim + 1), *front.shape[1:]))
        results = operator(*moved, *args[count:])
        if not like:
            return results, 0
        shaped = tuple(one.reshape(size, *shapes[place]) for one, place in zip(results, like, strict=True))
        return shaped, (0,) * len(shaped)

    return batch
