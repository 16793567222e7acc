"""Derivatives of operators, as autograd calls them: by names of torch's own, or by its public registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from logsig_codegen.runtime.torch_ops import private
from logsig_codegen.runtime.torch_ops.private import at_once
from logsig_codegen.runtime.torch_ops.rules import Rules

_plain: dict[int, bool] = {}  # key set to whether nothing but a CPU kernel is below autograd


def public_autograd(operator: Any, rules: Rules) -> tuple[Callable[..., None], Callable[..., Any]]:
    """``setup_context`` and ``backward`` for ``torch.library.register_autograd``: reverse mode, of every order."""
    arguments = operator._schema.arguments
    count, tensors = len(arguments), sum("Tensor" in str(one.type) for one in arguments)

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        results = (output if isinstance(output, tuple) else (output,)) if rules.keeps_results else ()
        ctx.save_for_backward(*inputs[:tensors], *results)
        ctx.others = inputs[tensors:]

    def backward(ctx: Any, *cotangents: Any) -> Any:
        saved = ctx.saved_tensors
        gradients = rules.vjp((*saved[:tensors], *ctx.others), saved[tensors:], cotangents)
        return (*gradients, *(None,) * (count - tensors))

    return setup, backward


def autograd_kernel(operator: Any, rules: Rules) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The kernel of the ``Autograd`` key, and what records a call: for ordinary CPU tensors, ``None`` comes first."""
    assert private.AUTOGRAD is not None
    names = private.AUTOGRAD
    after, on_cpu, any_requires_grad = names.after_autograd, names.cpu, names.any_requires_grad
    arguments = operator._schema.arguments
    places = [index for index, one in enumerate(arguments) if "Tensor" in str(one.type)]
    defaults = tuple(one.default_value if one.has_default_value() else None for one in arguments)
    count, several = len(arguments), len(operator._schema.returns) > 1
    cpu, vjp, composite, keeps_results = rules.cpu, rules.vjp, rules.composite, rules.keeps_results
    cpu_vjp, recorded = rules.cpu_vjp, rules.recorded
    assert places == list(range(len(places))), "tensors come first"
    tensors, first_other = len(places), len(places) + 1
    plain_arguments = (None,) * (count - tensors)

    class Node(names.single_level_function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(keyset: Any, *args: Any) -> Any:
            if keyset is None:
                return cpu(*args)
            if private.transforms_active():
                # What is below may be another level, whose graph this level must not switch off.
                with torch.enable_grad(), names.set_fwd_grad_enabled(True):
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
            ctx.plain = inputs[0] is None
            if recorded is not None and ctx.plain:
                recorded(inputs[1:])

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            saved = ctx.saved_tensors
            if cpu_vjp is not None and ctx.plain and not torch.is_grad_enabled() and at_once(*cotangents, *saved):
                gradients = cpu_vjp(*cotangents, *saved, *ctx.others)
            else:
                gradients = vjp((*saved[:tensors], *ctx.others), saved[tensors:], cotangents)
            return (None, *gradients, *plain_arguments)

        @staticmethod
        def jvp(ctx: Any, _: Any, *tangents: Any) -> Any:
            if not private.transforms_active():
                return run_jvp(ctx.saved_tensors, ctx.others, tangents)
            saved = tuple(map(_without_tangent, ctx.saved_tensors))
            with torch.enable_grad(), names.set_fwd_grad_enabled(True):  # for the levels below
                return run_jvp(saved, ctx.others, tangents)

    def run_jvp(saved: Sequence[Any], others: Sequence[Any], tangents: Sequence[Any]) -> Any:
        assert rules.jvp is not None
        return rules.jvp((*saved[:tensors], *others), saved[tensors:], tangents[:tensors])

    Node.__name__ = Node.__qualname__ = "".join(part.capitalize() for part in rules.name.split("_"))
    apply: Callable[..., Any] = Node.apply

    def redispatch(keyset: Any, args: Sequence[Any]) -> Any:
        with names.below_autograd():
            return operator.redispatch(keyset, *args)

    def kernel(keyset: Any, *args: Any) -> Any:
        raw = keyset.raw_repr()
        plain = _plain.get(raw)
        if plain is None:
            plain = _plain[raw] = (keyset & after).highestPriorityTypeId() == on_cpu
        if len(args) < count:
            args += defaults[len(args) :]
        if forward_ad._current_level < 0:
            if not (torch.is_grad_enabled() and any_requires_grad(*args)):
                return cpu(*args) if plain else redispatch(keyset & after, args)
            if plain:
                return apply(None, *args)
        elif composite is not None and any(_has_tangent(one) for one in args):
            return composite(*args)
        if private.transforms_active():
            with names.enable_single_level_autograd_function():
                return apply(keyset & after, *args)
        return apply(keyset & after, *args)

    return kernel, apply


def _without_tangent(one: Tensor | None) -> Tensor | None:
    return None if one is None else forward_ad.unpack_dual(one, level=0).primal


def _has_tangent(one: Any) -> bool:
    return isinstance(one, Tensor) and forward_ad.unpack_dual(one, level=0).tangent is not None
