"""Registering operators with torch: schema, kernels, shapes, derivatives, batches, autocast.

An operator is described by :class:`~logsig_codegen.runtime.torch_ops.rules.Rules` and registered by :func:`register`.
One Python function answers for all of autograd (``Autograd`` dispatch key): reverse mode, forward mode, and the levels
of ``torch.func``. Where nothing but ordinary CPU tensors is involved, an :class:`Operator` calls that function's parts
itself instead of asking the dispatcher, which halves the time of a small call. Where torch lacks what this needs, its
public registration serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.compiler import is_compiling

from logsig_codegen.runtime.torch_ops import native, private
from logsig_codegen.runtime.torch_ops.autograd import autograd_kernel, public_autograd
from logsig_codegen.runtime.torch_ops.private import is_ordinary, nothing_intervenes
from logsig_codegen.runtime.torch_ops.rules import Rules

NAMESPACE = "logsig_codegen"
native.load()
library = torch.library.Library(NAMESPACE, "FRAGMENT")

RULES: dict[str, Rules] = {}
"""Every operator, by its name."""


def register(rules: Rules) -> Any:
    """Define an operator and return it.

    Where a C++ extension has defined it already, that one is returned (:class:`NativeOperator`). It gets the rule of
    ``vmap``, and under a name with an underscore an operator that stands in for it where its own derivatives end.
    """
    RULES[rules.name] = rules
    if not has_operator(rules.name):
        return _register_as(rules.name, rules)
    python = _register_as(f"_{rules.name}", rules)
    operator = overload(rules.name)
    _register_batch(rules.name, operator, rules)
    return NativeOperator(operator, python, rules.recorded)


def has_operator(name: str) -> bool:
    """Whether an operator of this name is defined, by whomever."""
    return private.has_operator(f"{NAMESPACE}::{name}")


def overload(name: str) -> Any:
    """An operator by its name."""
    return getattr(getattr(torch.ops, NAMESPACE), name).default


_PLAIN = frozenset({int, bool, float, str, list, type(None)})


class Operator:
    """An operator, called as torch calls it, or at once where the dispatcher would do nothing of use."""

    def __init__(self, overload: Any, rules: Rules, apply: Callable[..., Any]) -> None:
        arguments = overload._schema.arguments
        self.overload = overload
        self._cpu, self._apply = rules.cpu, apply
        self._count, self._tensors = len(arguments), sum("Tensor" in str(one.type) for one in arguments)
        self._defaults = tuple(one.default_value if one.has_default_value() else None for one in arguments)

    def __call__(self, *args: Any) -> Any:
        if is_compiling() or not nothing_intervenes():
            return self.overload(*args)
        recorded = False
        for one in args[: self._tensors]:
            if one is not None:
                if not is_ordinary(one):
                    return self.overload(*args)
                if one.requires_grad:
                    recorded = True
        if not _PLAIN.issuperset(map(type, args[self._tensors :])):  # the dispatcher converts, or says what is wrong
            return self.overload(*args)
        if len(args) < self._count:
            args += self._defaults[len(args) :]
        return self._apply(None, *args) if recorded and torch.is_grad_enabled() else self._cpu(*args)


class NativeOperator:
    """An operator in C++; what it refuses goes to the one in Python, for the same errors as without an extension."""

    def __init__(self, overload: Any, python: Any, recorded: Callable[[tuple[Any, ...]], None] | None) -> None:
        self.overload = overload
        self._call, self._python, self._recorded = private.direct(overload), python, recorded

    def __call__(self, *args: Any) -> Any:
        if is_compiling():
            return self.overload(*args)
        try:
            result = self._call(*args)
        except Exception:
            return self._python(*args)
        if self._recorded is not None and result.requires_grad:
            self._recorded(args)
        return result


def _register_as(name: str, rules: Rules) -> Any:
    qualified = f"{NAMESPACE}::{name}"
    library.define(name + rules.schema.removeprefix(rules.name), tags=(torch.Tag.pt2_compliant_tag,))
    operator = overload(name)
    library.impl(name, rules.cpu, "CPU")
    library.impl(name, rules.cuda, "CUDA")
    torch.library.register_fake(qualified, rules.fake, lib=library)
    found = operator
    if private.AUTOGRAD is None:
        setup, backward = public_autograd(operator, rules)
        torch.library.register_autograd(qualified, backward, setup_context=setup, lib=library)
    else:
        kernel, apply = autograd_kernel(operator, rules)
        library.impl(name, kernel, "Autograd", with_keyset=True)
        found = Operator(operator, rules, apply)
    _register_batch(name, operator, rules)
    for device in ("cpu", "cuda"):
        torch.library.register_autocast(qualified, device, torch.float32, lib=library)
    return found


def _register_batch(name: str, operator: Any, rules: Rules) -> None:
    def batch(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        return rules.batch(operator, info, in_dims, *args)

    torch.library.register_vmap(f"{NAMESPACE}::{name}", batch, lib=library)
