"""``lengths`` of calls on tensors: beside the paths, and checked where they can be looked at without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime.request import check_lengths
from logsig_codegen.runtime.torch_ops import private


def as_lengths(path: Tensor, lengths: Any) -> Tensor | None:
    """Numbers of points as a tensor on the device of ``path``; numbers that are no tensor are checked."""
    if lengths is None:
        return None
    if not isinstance(lengths, Tensor):
        batch, length = tuple(path.shape[:-2]), int(path.shape[-2])
        lengths = torch.from_numpy(check_lengths(lengths, batch, length))
    else:
        check_numbers("lengths", path, lengths)
    return beside(path, lengths)


def check_numbers(name: str, path: Tensor, numbers: Tensor) -> None:
    """Raise for a tensor beside ``path`` whose numbers cannot be had."""
    if numbers.is_nested or numbers.is_quantized:
        raise TypeError(f"{name}: expected a dense tensor, got a {'nested' if numbers.is_nested else 'quantized'} one")
    if is_traced(numbers):
        return
    if numbers.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got layout {numbers.layout}")
    if numbers.is_meta and not path.is_meta:
        raise ValueError(f"{name}: expected numbers, got a tensor without any, on the device meta")


def beside(path: Tensor, lengths: Tensor | None) -> Tensor | None:
    """The same numbers on the device of ``path``."""
    if lengths is None or lengths.device == path.device:
        return lengths
    if path.device.type != "cuda" or is_traced(lengths):
        return lengths.to(path.device)
    from logsig_codegen.runtime.cuda.lengths import to_device

    return to_device(lengths, path.device)


def on_host(lengths: Tensor) -> bool:
    """Whether the host may look at them without waiting."""
    return lengths.device.type == "cpu"


def only_lengths_there(path: Tensor, lengths: Tensor | None) -> bool:
    """Whether a call came to a GPU for its lengths only."""
    return lengths is not None and path.device.type == "cpu" and lengths.device.type != "cpu"


def of_list(paths: Sequence[Tensor]) -> Tensor:
    """Numbers of points of each path of a list."""
    numbers, device = [one.shape[0] for one in paths], paths[0].device
    if device.type != "cuda" or is_traced(paths[0]):
        return torch.tensor(numbers, device=device)
    if torch.cuda.is_current_stream_capturing():  # a kernel each: nothing may be copied from the host
        return torch.stack([torch.full((), number, device=device) for number in numbers])
    return beside(paths[0], torch.tensor(numbers))  # type: ignore[return-value]


def is_traced(tensor: Tensor) -> bool:
    """Whether ``tensor`` is no plain one, so that its memory must be left alone."""
    return (
        torch.compiler.is_compiling()
        or private.transforms_active()
        or private.fakes_active()
        or type(tensor) not in private.OWN
    )
