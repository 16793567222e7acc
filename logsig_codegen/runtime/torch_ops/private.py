"""Names of torch that nobody promised, each with a public way that serves where it is missing.

They save time, or answer questions that have no public answer. Everything of the kind that the package uses is here.
Tested with the release of torch that the ``test`` extra pins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def attribute(path: str) -> Any:
    """What a dotted name below ``torch`` stands for, or ``None``."""
    found: Any = torch
    for name in path.split("."):
        found = getattr(found, name, None)
        if found is None:
            return None
    return found


def has_operator(name: str) -> bool:
    """Whether an operator with a qualified name is defined, by whomever."""
    known = attribute("_C._dispatch_has_kernel")
    if known is not None:
        return bool(known(name))
    namespace, _, plain = name.partition("::")
    return hasattr(getattr(torch.ops, namespace), plain)


def direct(operator: Any) -> Any:
    """What an operator's ``__call__`` does, without a call of Python's in between."""
    return getattr(operator, "_op", operator)


@dataclass(frozen=True)
class AutogradNames:
    """What one Python function needs to answer for all of autograd."""

    single_level_function: Any
    enable_single_level_autograd_function: Any
    after_autograd: Any
    below_autograd: Any
    any_requires_grad: Any
    set_fwd_grad_enabled: Any
    cpu: Any


def _autograd_names() -> AutogradNames | None:
    found = [
        attribute(name)
        for name in (
            "autograd.function._SingleLevelFunction",
            "_functorch.utils.enable_single_level_autograd_function",
            "_C._after_autograd_keyset",
            "_C._AutoDispatchBelowAutograd",
            "_C._any_requires_grad",
            "autograd.forward_ad._set_fwd_grad_enabled",
            "_C.DispatchKey.CPU",
        )
    ]
    needed = (attribute("_C._are_functorch_transforms_active"), attribute("autograd.forward_ad._current_level"))
    return None if any(one is None for one in (*found, *needed)) else AutogradNames(*found)


AUTOGRAD = _autograd_names()
"""``None`` where torch lacks one of them: then its public registration serves.

That is slower, and has neither forward mode nor gradients under ``torch.func``.
"""


def transforms_active() -> bool:
    """Whether a transform of ``torch.func`` is being applied."""
    known = attribute("_C._are_functorch_transforms_active")
    return False if known is None else bool(known())


def fakes_active() -> bool:
    """Whether tensors have no data, as while a compiler traces."""
    mode, key = attribute("_C._get_dispatch_mode"), attribute("_C._TorchDispatchModeKey")
    if mode is None or key is None:
        return False
    return mode(key.FAKE) is not None


def assert_async(condition: Tensor, message: str) -> None:
    """Let the device fail where ``condition`` is false, without waiting for it where torch can do that."""
    known = attribute("_assert_async")
    if known is not None:
        known(condition, message)
    elif not bool(condition):
        raise RuntimeError(message)


_busy = tuple(
    attribute(name)
    for name in (
        "_C._len_torch_dispatch_stack",  # something intercepts calls of operators, or traces them
        "_C._are_functorch_transforms_active",
        "_C._get_tracing_state",  # torch.jit.trace
        "_C._autograd._profiler_enabled",
    )
)
_dispatch_keys: Any = attribute("_C._dispatch_keys")
_known = all(one is not None for one in (*_busy, _dispatch_keys)) and hasattr(forward_ad, "_current_level")
_ORDINARY = _dispatch_keys(torch.empty(1)).raw_repr() if _known else None
OWN = frozenset({Tensor, torch.nn.Parameter})
"""The types of tensors that are torch's own: no subclass of anybody else."""
_DTYPES = (torch.float32, torch.float64)  # what autocast leaves alone


def nothing_intervenes() -> bool:
    """Whether nothing traces, transforms, profiles or intercepts calls; ``False`` where that cannot be told."""
    if not _known or forward_ad._current_level >= 0:
        return False
    modes, transforms, traced, profiled = _busy
    return not (modes() or transforms() or traced() is not None or profiled())


def at_once(*tensors: Any) -> bool:
    """Whether a CPU kernel may be called on these: :func:`is_ordinary`, where :func:`nothing_intervenes`."""
    return nothing_intervenes() and all(map(is_ordinary, tensors))


def is_ordinary(tensor: Any) -> bool:
    """Whether a value is a dense CPU tensor with data of its own: no subclass, no batch, no pending negation.

    Where :func:`nothing_intervenes`, the dispatcher would do no more for it than call autograd and a CPU kernel.
    """
    return type(tensor) in OWN and tensor.dtype in _DTYPES and bool(_dispatch_keys(tensor).raw_repr() == _ORDINARY)
