"""Calls of kernels on torch tensors: one function per operation; forward and backward apart, without gradients.

Every function takes CUDA tensors of one device and dtype, checked before; broadcasts their leading axes; starts one
kernel on the current stream of that device; and returns new tensors. Nothing waits for the device, and nothing is
allocated but by torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch

from logsig_codegen.runtime.arrays import single_step

if TYPE_CHECKING:
    from logsig_codegen.runtime.kernel import LogSigKernel

Tensor = torch.Tensor


def product(kernel: LogSigKernel, operation: str, first: Tensor, second: Tensor) -> Tensor:
    """The ``join`` or ``combine`` of two operands.

    Parameters
    ----------
    first, second : tensor (..., columns)
        Leading axes broadcast; any strides.

    Returns
    -------
    tensor (..., size)
    """
    batch = shape_of_both(first, second)
    out = first.new_empty((*batch, kernel.size))
    start(kernel, operation, batch, (first, second), (out,))
    return out


def product_backprop(
    kernel: LogSigKernel, operation: str, d_out: Tensor, first: Tensor, second: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`product`, of the shapes of its operands; what was broadcast is summed over, in float64."""
    batch = shape_of_both(first, second)
    full = [x.new_empty((*batch, x.shape[-1])) for x in (first, second)]
    start(kernel, f"{operation}_backprop", batch, (d_out, first, second), full)
    results = [
        gradient if gradient.shape == x.shape else gradient.double().sum_to_size(x.shape).to(x.dtype)
        for gradient, x in zip(full, (first, second), strict=True)
    ]
    return results[0], results[1]


def shape_of_both(first: Tensor, second: Tensor) -> tuple[int, ...]:
    """What the leading axes of two tensors broadcast to."""
    return np.broadcast_shapes(tuple(first.shape[:-1]), tuple(second.shape[:-1]))


def start(
    kernel: LogSigKernel,
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
        rows, stride = as_rows(tensor, batch)
        arguments += (rows.data_ptr(), stride)
        alive.append(rows)
    for tensor in outputs:
        stride_ = row_stride(tensor)
        assert stride_ is not None
        arguments += (tensor.data_ptr(), stride_)
    launch(kernel, operation, outputs[0], count, arguments)


def launch(kernel: LogSigKernel, operation: str, like: Tensor, count: int, arguments: Sequence[int]) -> None:
    """Start a kernel for ``count`` samples on the device of ``like``, in that device's current stream."""
    launcher = kernel.cuda.launcher(operation, dtype_name(like), like.device.index)
    launcher(count, arguments, torch.cuda.current_stream(like.device).cuda_stream)


def available(kernel: LogSigKernel, operation: str, like: Tensor) -> bool:
    """Whether an operation has a kernel on the device of ``like``; it is loaded if it has."""
    return kernel.cuda.has(operation, dtype_name(like), like.device.index)


def launch_along(
    kernel: LogSigKernel, state: str, like: Tensor, count: int, arguments: Sequence[int], *, backward: bool = False
) -> None:
    """The same for a kernel along paths that carries ``state``."""
    launcher = kernel.cuda.along_paths(state, dtype_name(like), like.device.index, backward=backward)
    launcher(count, arguments, torch.cuda.current_stream(like.device).cuda_stream)


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
