"""The targets: what a compiled problem can become. Whoever has one elsewhere registers it.

A package registers a target by ``register(MyTarget())``, or lets it be found by an entry point::

    [project.entry-points."logsig_codegen.targets"]
    mine = "my_package.target:MyTarget"

``CONTRIBUTING.md`` tells how to write one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from logsig_codegen.errors import shown
from logsig_codegen.targets.base import Target
from logsig_codegen.targets.c import C
from logsig_codegen.targets.cuda import CUDA
from logsig_codegen.targets.jax import JAX
from logsig_codegen.targets.torch import TORCH

__all__ = ["CUDA", "ENTRY_POINTS", "JAX", "TORCH", "C", "Target", "folders", "known", "named", "register"]

ENTRY_POINTS = "logsig_codegen.targets"
_targets: dict[str, Target] = {}
_searched: list[str] = []  # groups of entry points that were read


def register(target: Target) -> None:
    """Make a target known by its name in this process.

    Raises
    ------
    TypeError
        If it is not a :class:`Target`.
    ValueError
        If its name is not one word, or another target has it.
    """
    if not isinstance(target, Target):
        raise TypeError(f"target: expected a Target, got {type(target).__name__} {shown(target)}")
    if not target.name.isidentifier():
        raise ValueError(f"target: expected a name of letters, digits and underscores, got {target.name!r}")
    if type(_targets.get(target.name, target)) is not type(target):
        raise ValueError(f"target: there is a target {target.name!r} already")
    _targets[target.name] = target


def known() -> dict[str, Target]:
    """Every target by its name, those of other packages included; one that cannot be loaded is a warning."""
    if ENTRY_POINTS not in _searched:
        from importlib.metadata import entry_points

        _searched.append(ENTRY_POINTS)
        for point in entry_points(group=ENTRY_POINTS):
            try:
                register(point.load()())
            except Exception as error:
                warnings.warn(f"the target {point.value} cannot be used: {error}", RuntimeWarning, stacklevel=2)
    return _targets


def named(name: str) -> Target:
    """The target of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = known().get(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"target: expected one of {', '.join(sorted(known()))}, got {shown(name)}")
    return found


def folders(names: Sequence[str]) -> tuple[Target, ...]:
    """The targets that have a folder each when these are asked for, in order: none that another one extends."""
    chosen = [target for name, target in known().items() if name in names]
    extended = set()
    for target in chosen:
        while target.extends is not None:
            target = target.extends
            extended.add(target.name)
    return tuple(target for target in chosen if target.name not in extended)


for _target in (C, TORCH, JAX, CUDA):
    register(_target)
