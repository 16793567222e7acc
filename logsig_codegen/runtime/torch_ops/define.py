"""Registering operators with torch: schema, kernels, shapes, derivatives, batches, autocast.

An operator is described by :class:`Rules` and registered by :func:`register`. One Python function answers for all of
autograd (``Autograd`` dispatch key): reverse mode, forward mode, and the levels of ``torch.func``. Where nothing but
plain CPU tensors is involved it calls the kernel itself instead of asking the dispatcher again, which halves the time
of a small call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

NAMESPACE = "logsig_codegen"
library = torch.library.Library(NAMESPACE, "FRAGMENT")

Gradients: TypeAlias = "Sequence[Tensor | None]"
_BELOW = torch._C._after_autograd_keyset
_CPU = torch._C.DispatchKey.CPU
_grad_enabled, _any_requires_grad = torch._C.is_grad_enabled, torch._C._any_requires_grad
_plain: dict[int, bool] = {}  # key set to whether nothing but a CPU kernel is below autograd
_functorch_active = torch._C._are_functorch_transforms_active


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
    composite : callable, optional
        The same function composed of other operators; stands in for the kernel where tangents go through it and there
        is no ``jvp``.
    """

    schema: str
    cpu: Callable[..., Any]
    fake: Callable[..., Any]
    vjp: Callable[[Sequence[Any], Sequence[Tensor], Sequence[Tensor]], Gradients]
    batch: Callable[..., Any]
    cuda: Callable[..., Any]
    jvp: Callable[[Sequence[Any], Sequence[Tensor], Gradients], Any] | None = None
    composite: Callable[..., Any] | None = None
    keeps_results: bool = False

    @property
    def name(self) -> str:
        return self.schema.split("(")[0]


RULES: dict[str, Rules] = {}
"""Every operator, by its name."""


def register(rules: Rules) -> Any:
    """Define an operator and return it.

    Where a C++ extension has defined it already, that one is returned. It gets the rule of ``vmap``, and under a name
    with an underscore an operator that stands in for it where its own derivatives end.
    """
    RULES[rules.name] = rules
    if not has_operator(rules.name):
        return _register_as(rules.name, rules)
    _register_as(f"_{rules.name}", rules)
    operator = overload(rules.name)
    _register_batch(rules.name, operator, rules)
    return operator


def has_operator(name: str) -> bool:
    """Whether an operator of this name is defined, by whomever."""
    return bool(torch._C._dispatch_has_kernel(f"{NAMESPACE}::{name}"))


def overload(name: str) -> Any:
    """An operator by its name."""
    return getattr(getattr(torch.ops, NAMESPACE), name).default


def _register_as(name: str, rules: Rules) -> Any:
    qualified = f"{NAMESPACE}::{name}"
    library.define(name + rules.schema.removeprefix(rules.name), tags=(torch.Tag.pt2_compliant_tag,))
    operator = overload(name)
    library.impl(name, rules.cpu, "CPU")
    library.impl(name, rules.cuda, "CUDA")
    library.impl(name, _autograd_kernel(operator, rules), "Autograd", with_keyset=True)
    torch.library.register_fake(qualified, rules.fake, lib=library)
    _register_batch(name, operator, rules)
    for device in ("cpu", "cuda"):
        torch.library.register_autocast(qualified, device, torch.float32, lib=library)
    return operator


def _register_batch(name: str, operator: Any, rules: Rules) -> None:
    def batch(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        return rules.batch(operator, info, in_dims, *args)

    torch.library.register_vmap(f"{NAMESPACE}::{name}", batch, lib=library)


def _autograd_kernel(operator: Any, rules: Rules) -> Callable[..., Any]:
    arguments = operator._schema.arguments
    places = [index for index, one in enumerate(arguments) if "Tensor" in str(one.type)]
    defaults = tuple(one.default_value if one.has_default_value() else None for one in arguments)
    count, several = len(arguments), len(operator._schema.returns) > 1
    cpu, composite, keeps_results = rules.cpu, rules.composite, rules.keeps_results
    assert places == list(range(len(places))), "tensors come first"
    first_other = len(places) + 1

    class Node(_SingleLevelFunction):
        @staticmethod
        def forward(keyset: Any, *args: Any) -> Any:
            if keyset is None:
                return cpu(*args)
            if _functorch_active():
                # What is below may be another level, whose graph this level must not switch off.
                with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
                    return redispatch(keyset, args)
            return redispatch(keyset, args)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            saved = inputs[1:first_other]
            if keeps_results:
                saved = (*saved, *output) if several else (*saved, output)
            ctx.save_for_backward(*saved)
            if forward_ad._current_level >= 0:
                ctx.save_for_forward(*saved)
            ctx.others = inputs[first_other:]

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            saved = ctx.saved_tensors
            given = (*saved[: len(places)], *ctx.others)
            gradients = rules.vjp(given, saved[len(places) :], cotangents)
            return (None, *gradients, *(None,) * (count - len(places)))

        @staticmethod
        def jvp(ctx: Any, _: Any, *tangents: Any) -> Any:
            if not _functorch_active():
                return run_jvp(ctx.saved_tensors, ctx.others, tangents)
            saved = tuple(map(_without_tangent, ctx.saved_tensors))
            with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):  # for the levels below
                return run_jvp(saved, ctx.others, tangents)

    def run_jvp(saved: Sequence[Any], others: Sequence[Any], tangents: Sequence[Any]) -> Any:
        assert rules.jvp is not None
        split = len(places)
        return rules.jvp((*saved[:split], *others), saved[split:], tangents[:split])

    Node.__name__ = Node.__qualname__ = "".join(part.capitalize() for part in rules.name.split("_"))
    apply: Callable[..., Any] = Node.apply  # type: ignore[attr-defined]

    def redispatch(keyset: Any, args: Sequence[Any]) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return operator.redispatch(keyset, *args)

    def kernel(keyset: Any, *args: Any) -> Any:
        raw = keyset.raw_repr()
        plain = _plain.get(raw)
        if plain is None:
            plain = _plain[raw] = (keyset & _BELOW).highestPriorityTypeId() == _CPU
        if len(args) < count:
            args += defaults[len(args) :]
        if forward_ad._current_level < 0:
            if not (_grad_enabled() and _any_requires_grad(*args)):
                return cpu(*args) if plain else redispatch(keyset & _BELOW, args)
            if plain:
                return apply(None, *args)
        elif composite is not None and any(_has_tangent(one) for one in args):
            return composite(*args)
        if _functorch_active():
            with enable_single_level_autograd_function():
                return apply(keyset & _BELOW, *args)
        return apply(keyset & _BELOW, *args)

    return kernel


def vector_jacobian(function: Callable[..., Any], *primals: Any) -> Callable[..., Any]:
    """What takes cotangents of ``function(*primals)`` to gradients; it can be differentiated in its turn."""
    found: Any = torch.func.vjp(function, *primals)
    pull: Callable[..., Any] = found[1]
    return pull


def _without_tangent(one: Tensor | None) -> Tensor | None:
    return None if one is None else forward_ad.unpack_dual(one, level=0).primal


def _has_tangent(one: Any) -> bool:
    return isinstance(one, Tensor) and forward_ad.unpack_dual(one, level=0).tangent is not None
