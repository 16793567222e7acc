"""The functions of :mod:`logsig_codegen.torch_api` that take tensors, and nothing but tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, SupportsIndex, TypeVar

import torch

from logsig_codegen import functional
from logsig_codegen.runtime.torch_ops import calls as _operators

assert _operators  # imported for what it registers

Function = TypeVar("Function", bound=Callable[..., Any])


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name}: expected a torch tensor, got {type(value).__name__}")


def log_sig_join(
    log_sig: torch.Tensor,
    displacement: torch.Tensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    prepend: bool = False,
    n_jobs: SupportsIndex = 1,
) -> torch.Tensor:
    """:func:`logsig_codegen.log_sig_join` for tensors, without ``out``; gradients flow to both."""
    _check_tensor("log_sig", log_sig)
    _check_tensor("displacement", displacement)
    return functional.log_sig_join(log_sig, displacement, dimension, degree, prepend=prepend, n_jobs=n_jobs)


def _for_tensors(function: Function, *arrays: str) -> Function:
    """The same function, for tensors only; ``arrays`` are the names of its array arguments.

    A ``path`` may be a list of them. What is left out, or ``None``, is for the function to judge.
    """
    places = {name: place for place, name in enumerate(signature(function).parameters) if name in arrays}

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for name, place in places.items():
            value = args[place] if place < len(args) else options.get(name)
            for one in value if name == "path" and isinstance(value, (list, tuple)) else (value,):
                if one is not None:
                    _check_tensor(name, one)
        return function(*args, **options)

    call.__module__ = "logsig_codegen.torch_api"  # where pickle finds it
    return call  # type: ignore[return-value]


log_sig = _for_tensors(functional.log_sig, "path", "initial")
log_sig_joins = _for_tensors(functional.log_sig_joins, "log_sig", "displacements")
log_sig_combine = _for_tensors(functional.log_sig_combine, "log_sig1", "log_sig2")
log_sig_change_method = _for_tensors(functional.log_sig_change_method, "log_sig")
log_sig_to_hall = _for_tensors(functional.log_sig_to_hall, "log_sig")
log_sig_from_hall = _for_tensors(functional.log_sig_from_hall, "log_sig")
sig_to_log_sig = _for_tensors(functional.sig_to_log_sig, "sig")
logsig_to_sig = _for_tensors(functional.logsig_to_sig, "log_sig")
linear_log_sig = _for_tensors(functional.linear_log_sig, "displacement")
logsig_windows = _for_tensors(functional.logsig_windows, "x")
hall_windows = _for_tensors(functional.hall_windows, "data")
transform_path = _for_tensors(functional.transform_path, "path")
log_sig_join.__module__ = "logsig_codegen.torch_api"
