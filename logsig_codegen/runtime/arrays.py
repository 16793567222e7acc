"""Calls on numpy arrays of any layout: broadcasting, ``out=``, and the rows that the C functions walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.checks import NUMPY, broadcast, check_arguments, is_masked
from logsig_codegen.runtime.fast import NO_MEMORY

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Functions: TypeAlias = Mapping[str, Any]

_OVERLAP_WORK = 10_000  # candidates numpy may try when it decides whether two strided arrays share memory


def check_product(problem: Problem, arguments: Mapping[str, Any], out: object) -> str:
    """Check all array arguments of a join or combine; return what kind they are (see :func:`check_arguments`)."""
    kind = check_arguments(problem, arguments)
    if wants_out(kind, out):
        batch = broadcast({name: value.shape[:-1] for name, value in arguments.items()})
        check_out("out", out, (*batch, problem.size), arguments)
    return kind


def check_product_backprop(problem: Problem, arguments: Mapping[str, Any], out: object) -> str:
    """Check all array arguments of the backward of a join or combine; return what kind they are."""
    kind = check_arguments(problem, arguments)
    _, first, second = arguments
    if wants_out(kind, out):
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(f"out: expected a pair of arrays (d_{first}, d_{second}), got {type(out).__name__}")
        check_out("out[0]", out[0], arguments[first].shape, arguments)
        check_out("out[1]", out[1], arguments[second].shape, {**arguments, "out[0]": out[0]})
    return kind


def product(
    problem: Problem, functions: Functions, first: Array, second: Array, threads: int, out: Array | None
) -> Array:
    """Run a join or combine on arrays that were checked; see :meth:`LogSigKernel.join` for shapes.

    ``out``, if any, was checked as well (:func:`check_out`).
    """
    batch = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    function = function_for(functions, first.dtype)
    if out is None:
        out = np.empty((*batch, problem.size), first.dtype)
    call_rows(function, batch, (first, second), (out,), threads)
    return out


def product_backprop(
    functions: Functions,
    inputs: tuple[Array, Array, Array],
    threads: int,
    out: tuple[Array, Array] | None,
) -> tuple[Array, Array]:
    """Run the backward of a join or combine on checked ``(d_out, first, second)``.

    Gradients have the shapes of the two operands; where one of them was broadcast, its gradient is the sum over the
    samples that shared it. Sums of float32 are accumulated in float64.
    """
    _, first, second = inputs
    batch = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    function = function_for(functions, first.dtype)
    results = tuple(np.empty(x.shape, x.dtype) for x in (first, second)) if out is None else out
    full = tuple(
        result if result.shape[:-1] == batch else np.empty((*batch, result.shape[-1]), result.dtype)
        for result in results
    )
    call_rows(function, batch, inputs, full, threads)
    for result, gradients in zip(results, full, strict=True):
        if gradients is not result:
            sum_to(gradients, result)
    return results[0], results[1]


def check_out(name: str, out: object, shape: tuple[int, ...], inputs: Mapping[str, Array]) -> None:
    """Check an array that is to receive a result.

    Raises
    ------
    TypeError
        If it is not a numpy array, or its dtype is not that of the inputs.
    ValueError
        If its shape is not exactly ``shape``, it is read-only, or it shares memory with an input or with itself.
    """
    if not isinstance(out, np.ndarray) or is_masked(out):
        raise TypeError(f"{name}: expected a numpy array, got {type(out).__name__}")
    dtype = next(iter(inputs.values())).dtype
    if out.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name}: expected an array that can be written, got a read-only one")
    if _overlaps_itself(out):
        raise ValueError(f"{name}: expected every element in a place of its own, got an array that overlaps itself")
    check_apart(name, out, inputs)


def check_apart(name: str, out: Array, inputs: Mapping[str, Array]) -> None:
    """Raise ``ValueError`` if ``out`` shares memory with an input."""
    for other, array in inputs.items():
        if _share_memory(out, array):
            raise ValueError(f"{name}: expected memory of its own, got an array that overlaps {other}")


def wants_out(kind: str, out: object) -> bool:
    if kind != NUMPY:
        check_no_out(out)
    return out is not None


def check_no_out(out: object) -> None:
    """Raise ``TypeError`` for an ``out`` of a call on tensors."""
    if out is not None:
        raise TypeError("out: expected None, because only calls on numpy arrays take it, got " + type(out).__name__)


def plain(array: Array) -> Array:
    """The array without its subclass (``np.matrix``, ``np.memmap``, …), sharing its memory."""
    return array if type(array) is np.ndarray else np.asarray(array)


def function_for(functions: Functions, dtype: np.dtype[Any]) -> Any:
    try:
        return functions[dtype.name]
    except KeyError:
        raise TypeError(
            f"dtype: expected {', '.join(functions)} (all this folder was built for), got {dtype}"
        ) from None


def call_rows(
    function: Any, batch: tuple[int, ...], inputs: Sequence[Array], outputs: Sequence[Array], threads: int
) -> None:
    """Call a C function on the rows of its arguments; outputs it cannot walk are written through a temporary."""
    count = int(np.prod(batch, dtype=np.intp))
    if count == 0:
        return
    arguments: list[Any] = []
    alive = []
    for array in inputs:
        rows, stride = as_rows(array, batch)
        arguments += (address(rows), stride)
        alive.append(rows)
    copies: list[tuple[Array, Array]] = []
    for array in outputs:
        target, step = array, row_stride(array)
        if step is None:
            target, step = np.empty(array.shape, array.dtype), array.shape[-1]
            copies.append((array, target))
        arguments += (address(target), step)
        alive.append(target)
    if function(*arguments, count, threads):
        raise MemoryError(NO_MEMORY)
    for array, target in copies:
        array[...] = target


def as_rows(array: Array, batch: tuple[int, ...]) -> tuple[Array, int]:
    """The array, broadcast to ``batch``, as rows with one step in elements between them; copied if it must be."""
    if array.shape[:-1] != batch:
        array = np.broadcast_to(array, (*batch, array.shape[-1]))
    stride = row_stride(array)
    return (array.copy(order="C"), array.shape[-1]) if stride is None else (array, stride)


def row_stride(array: Array) -> int | None:
    """Step in elements between consecutive rows of an array that is not empty, or ``None`` if there is no single one.

    A row must be contiguous and aligned. The step is 0 for a row that is broadcast, and may be negative.
    """
    shape, strides, itemsize = array.shape, array.strides, array.itemsize
    if (shape[-1] > 1 and strides[-1] != itemsize) or not array.flags.aligned:
        return None
    step = single_step(shape[:-1], strides[:-1], shape[-1] * itemsize)
    return None if step is None or step % itemsize else step // itemsize


def single_step(lengths: Sequence[int], strides: Sequence[int], alone: int) -> int | None:
    """The step between neighbours of a batch, in the unit of ``strides``, or ``None`` if there is no single one.

    Where the batch has one member only it is ``alone``.
    """
    step: int | None = None
    extent = 0
    for length, stride in zip(reversed(lengths), reversed(strides), strict=True):
        if length == 1:
            continue
        if step is None:
            step, extent = stride, stride * length
        elif stride != extent:
            return None
        else:
            extent *= length
    return alone if step is None else step


def address(array: Array) -> Any:
    return ffi.cast("void *", array.__array_interface__["data"][0])


def sum_to(gradients: Array, result: Array) -> None:
    """Store in ``result`` the sum of ``gradients`` over the axes along which ``result`` was broadcast."""
    added = gradients.ndim - result.ndim
    kept = tuple(
        axis + added
        for axis, length in enumerate(result.shape[:-1])
        if length == 1 and gradients.shape[axis + added] != 1
    )
    with np.errstate(all="ignore"):  # infinities and NaN of a sample go through silently, as in the kernels
        total = np.add.reduce(gradients, axis=(*range(added), *kept), dtype=np.float64, keepdims=True)
        result[...] = total.reshape(result.shape)


def _overlaps_itself(array: Array) -> bool:
    """Whether two elements may lie in one place (never wrong about "no"; slices and transposes of arrays never do)."""
    if array.flags.c_contiguous or array.size == 0:
        return False
    reach = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (length - 1)
    return False


def _share_memory(first: Array, second: Array) -> bool:
    if not np.may_share_memory(first, second):
        return False
    try:
        return np.shares_memory(first, second, max_work=_OVERLAP_WORK)
    except RuntimeError:  # numpy's TooHardError, which lives in different places in numpy 1 and 2
        return True
