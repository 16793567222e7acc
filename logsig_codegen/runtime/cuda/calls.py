"""Calls of kernels on torch tensors: one function per operation; forward and backward apart, without gradients.

Every function takes CUDA tensors of one device and dtype, checked before; broadcasts their leading axes; starts one
kernel on the current stream of that device; and returns new tensors. Nothing waits for the device, and nothing is
allocated but by torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.runtime.arrays import single_step

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

Tensor = torch.Tensor


def rows(kernel: LoadedKernel, operation: str, tensors: Sequence[Tensor]) -> Any:
    """An operation on rows.

    Parameters
    ----------
    operation : str
        Its name in :data:`~logsig_codegen.operations.OPERATIONS`.
    tensors : sequence of tensors (..., columns)
        Its inputs; leading axes broadcast; any strides.

    Returns
    -------
    tensor or tuple of tensors
        A result has the leading shape that all inputs broadcast to; gradients have the shapes of the inputs they belong
        to, and what was broadcast is summed over, in float64.
    """
    batch = np.broadcast_shapes(*(tuple(one.shape[:-1]) for one in tensors))
    described = OPERATIONS[operation]
    full = [tensors[0].new_empty((*batch, one.columns(kernel.problem))) for one in described.operand_outputs]
    start(kernel, operation, batch, tensors, full)
    if not described.like:
        return full[0]
    return tuple(summed_to(tensors[place].shape, one) for place, one in zip(described.like, full, strict=True))


def summed_to(shape: Sequence[int], full: Tensor) -> Tensor:
    """The sum over what was broadcast from ``shape``, in float64."""
    return full if tuple(full.shape) == tuple(shape) else full.double().sum_to_size(shape).to(full.dtype)


def product(kernel: LoadedKernel, operation: str, first: Tensor, second: Tensor) -> Tensor:
    """The ``join`` or ``combine`` of two operands."""
    return rows(kernel, operation, (first, second))  # type: ignore[no-any-return]


def product_backprop(
    kernel: LoadedKernel, operation: str, d_out: Tensor, first: Tensor, second: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`product`, of the shapes of its operands."""
    return rows(kernel, OPERATIONS[operation].gradient, (d_out, first, second))  # type: ignore[no-any-return]


def shape_of_both(first: Tensor, second: Tensor) -> tuple[int, ...]:
    """What the leading axes of two tensors broadcast to."""
    return np.broadcast_shapes(tuple(first.shape[:-1]), tuple(second.shape[:-1]))


def start(
    kernel: LoadedKernel,
    operation: str,
    batch: Sequence[int],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> None:
    """Start a kernel on rows; ``outputs`` are (..., columns) with a single distance between rows."""
    count = prod(batch)
    if not count:
        return
    arguments: list[int] = []
    alive = []
    for tensor in inputs:
        laid_out, stride = as_rows(tensor, batch)
        arguments += (laid_out.data_ptr(), stride)
        alive.append(laid_out)
    for tensor in outputs:
        stride_ = row_stride(tensor)
        assert stride_ is not None
        arguments += (tensor.data_ptr(), stride_)
    launch(kernel, operation, outputs[0], count, arguments)


def launch(kernel: LoadedKernel, operation: str, like: Tensor, count: int, arguments: Sequence[int]) -> None:
    """Start a kernel for ``count`` samples on the device of ``like``, in that device's current stream."""
    kernel.cuda.launcher(operation, dtype_name(like), ordinal_of(like))(count, arguments, stream_of(like))


def ordinal_of(tensor: Tensor) -> int:
    """Number of the device of a tensor."""
    return int(tensor.device.index)


def stream_of(tensor: Tensor) -> int:
    """The current stream of the device of a tensor."""
    return int(torch.cuda.current_stream(tensor.device).cuda_stream)


def dtype_name(tensor: Tensor) -> str:
    """``"float32"`` or ``"float64"``."""
    return "float64" if tensor.dtype == torch.float64 else "float32"


def as_rows(tensor: Tensor, batch: Sequence[int]) -> tuple[Tensor, int]:
    """The tensor, broadcast to ``batch``, as rows with one distance between them; copied if it must be."""
    tensor = tensor.detach().resolve_neg()
    if tensor.shape[:-1] != tuple(batch):
        tensor = tensor.expand(*batch, tensor.shape[-1])
    stride = row_stride(tensor)
    return (tensor.contiguous(), tensor.shape[-1]) if stride is None else (tensor, stride)


def row_stride(tensor: Tensor) -> int | None:
    """Numbers from one row to the next, or ``None`` if there is no single distance; 0 for one row for all."""
    shape, strides = tensor.shape, tensor.stride()
    if shape[-1] > 1 and strides[-1] != 1:
        return None
    return single_step(shape[:-1], strides[:-1], int(shape[-1]))
