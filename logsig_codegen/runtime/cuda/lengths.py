"""Numbers of points of padded paths, beside the paths: how they get there, and how they are checked there."""

from __future__ import annotations

import torch
from torch import Tensor

from logsig_codegen.errors import UnsupportedError
from logsig_codegen.runtime.checks import dtype_name
from logsig_codegen.runtime.torch_ops import private


def to_device(numbers: Tensor, device: torch.device) -> Tensor:
    """Integers from the host; they travel in page-locked memory, and nothing waits for them.

    Raises
    ------
    UnsupportedError
        While a CUDA graph is captured: what it copies from the host would be read at every replay, from memory that is
        somebody else's by then.
    """
    numbers = numbers.to(torch.int64).contiguous()
    if device.type != "cuda":
        return numbers.to(device)
    if torch.cuda.is_current_stream_capturing():
        raise UnsupportedError(
            "lengths: expected a tensor on the device of the paths while a CUDA graph is captured, got one on the host"
        )
    return numbers.pin_memory().to(device, non_blocking=True)


def check_shape(lengths: Tensor, batch: tuple[int, ...]) -> None:
    """Check what can be seen without looking at the numbers.

    Raises
    ------
    TypeError, ValueError
        For anything but integers, and for a shape other than ``batch``.
    """
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths: expected integers, got dtype {dtype_name(lengths)}")
    if tuple(lengths.shape) != batch:
        raise ValueError(f"lengths: expected shape {batch}, that of the batch, got {tuple(lengths.shape)}")


def checked(lengths: Tensor, batch: tuple[int, ...], length: int) -> Tensor:
    """Numbers on the device, as int64; there they are compared with 0 and ``length``, as torch does with indices.

    Nothing waits for the comparison, which a CUDA graph repeats. Where it fails, the device stops, and the next call
    that waits for it raises torch's error.
    """
    check_shape(lengths, batch)
    lengths = lengths.detach().to(torch.int64).contiguous()
    within = (lengths.clamp(0, length) == lengths).all()
    private.assert_async(within, f"lengths: expected values from 0 to {length}")
    return lengths
