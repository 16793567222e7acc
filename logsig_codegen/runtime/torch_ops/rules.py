"""What an operator of torch is described by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

Gradients: TypeAlias = "Sequence[Tensor | None]"


@dataclass(frozen=True)
class Rules:
    """One operator.

    Attributes
    ----------
    schema : str
        Name, arguments, results; tensors come first, then plain numbers, flags and texts.
    cpu : callable
        Kernel for CPU tensors; takes all arguments.
    fake : callable
        Results without data: their shapes and dtypes; raises what the kernel would raise.
    vjp : callable
        ``vjp(arguments, results, cotangents)``: a gradient, or ``None``, for each tensor argument.
    batch : callable
        The rule of ``torch.vmap``: ``batch(operator, info, in_dims, *arguments)``.
    cuda : callable
        Kernel for tensors on a GPU, like ``cpu``: it stays on the device, in its current stream.
    keeps_results : bool
        Whether ``vjp`` or ``jvp`` reads ``results``; otherwise they are not kept, and what is handed over is empty.
    jvp : callable, optional
        ``jvp(arguments, results, tangents)``: the tangents of the results, from those of the tensor arguments.
    cpu_vjp : callable, optional
        ``cpu_vjp(cotangent, *arguments)``: the same as ``vjp`` by one kernel for CPU tensors, for one result.
    composite : callable, optional
        The same function composed of other operators; stands in for the kernel where tangents go through it and there
        is no ``jvp``.
    recorded : callable, optional
        Called with all arguments after a call on CPU tensors of which one requires a gradient.
    """

    schema: str
    cpu: Callable[..., Any]
    fake: Callable[..., Any]
    vjp: Callable[[Sequence[Any], Sequence[Tensor], Sequence[Tensor]], Gradients]
    batch: Callable[..., Any]
    cuda: Callable[..., Any]
    jvp: Callable[[Sequence[Any], Sequence[Tensor], Gradients], Any] | None = None
    cpu_vjp: Callable[..., Gradients] | None = None
    composite: Callable[..., Any] | None = None
    keeps_results: bool = False
    recorded: Callable[[tuple[Any, ...]], None] | None = None

    @property
    def name(self) -> str:
        return self.schema.split("(")[0]


def with_tangent(value: Tensor, tangent: Tensor | None) -> tuple[Tensor, Tensor]:
    """A value and its tangent, which is zero where there is none."""
    return value, torch.zeros_like(value) if tangent is None else tangent


def front(one: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    """A tensor with the axis of ``vmap`` in front."""
    if one is None:
        return None
    return one.expand(size, *one.shape) if dim is None else one.movedim(dim, 0)


def ranked(one: Tensor | None, rank: int) -> Tensor | None:
    """A tensor whose first axis is that of ``vmap``, with ``rank`` axes after it."""
    return one if one is None else one.reshape(one.shape[0], *(1,) * (rank - one.ndim + 1), *one.shape[1:])


def vector_jacobian(function: Callable[..., Any], *primals: Any) -> Callable[..., Any]:
    """What takes cotangents of ``function(*primals)`` to gradients; it can be differentiated in its turn."""
    found: Any = torch.func.vjp(function, *primals)
    pull: Callable[..., Any] = found[1]
    return pull
