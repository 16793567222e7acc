"""The functions of :mod:`logsig_codegen.functional` for torch tensors, differentiable once.

The functions at top level take tensors too, with the same gradients; these names exist so that code written for
``pysiglib.torch_api`` runs after a change of its import. Only importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, SupportsIndex, TypeVar

import torch

from logsig_codegen import functional
from logsig_codegen.functional import (
    clear_cache,
    idx_to_word,
    is_lyndon,
    log_sig_length,
    lyndon_words,
    lyndon_words_of_length,
    prepare_log_sig,
    set_cache_dir,
    sig_length,
    word_to_idx,
    words,
    words_of_length,
)
from logsig_codegen.streams import LogSigStream, LogSigWindowStream

__all__ = [
    "LogSigStream",
    "LogSigWindowStream",
    "clear_cache",
    "idx_to_word",
    "is_lyndon",
    "linear_log_sig",
    "log_sig",
    "log_sig_change_method",
    "log_sig_combine",
    "log_sig_from_hall",
    "log_sig_join",
    "log_sig_length",
    "log_sig_to_hall",
    "logsig_to_sig",
    "lyndon_words",
    "lyndon_words_of_length",
    "prepare_log_sig",
    "set_cache_dir",
    "sig_length",
    "sig_to_log_sig",
    "transform_path",
    "word_to_idx",
    "words",
    "words_of_length",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def log_sig_join(
    log_sig: torch.Tensor,
    displacement: torch.Tensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    n_jobs: SupportsIndex = 1,
) -> torch.Tensor:
    """Extend log-signatures by one straight segment each; gradients flow to both tensors.

    Parameters
    ----------
    log_sig : tensor, shape (..., log_sig_length(dimension, degree))
        Coordinates in the Lyndon bracket basis; float32 or float64, on the CPU.
    displacement : tensor, shape (..., dimension)
        End minus start of the segments. Leading axes broadcast.
    dimension, degree : int
        At least 1 each.
    n_jobs : int
        Threads, in the backward too.

    Returns
    -------
    tensor, shape (..., log_sig_length(dimension, degree))

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type, dtype, shape or value.
    UnsupportedError
        When a second derivative is asked for.
    """
    for name, value in (("log_sig", log_sig), ("displacement", displacement)):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name}: expected a torch tensor, got {type(value).__name__}")
    return functional.log_sig_join(log_sig, displacement, dimension, degree, n_jobs=n_jobs)


def _for_tensors(function: Function, *arrays: str) -> Function:
    """The same function, for tensors only; ``arrays`` are the names of its array arguments."""
    described = signature(function)

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = described.bind(*args, **options).arguments
        for name in arrays:
            value = given.get(name)
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if one is not None and not isinstance(one, torch.Tensor):
                    raise TypeError(f"{name}: expected a torch tensor, got {type(one).__name__}")
        return function(*args, **options)

    return call  # type: ignore[return-value]


log_sig = _for_tensors(functional.log_sig, "path", "initial")
log_sig_combine = _for_tensors(functional.log_sig_combine, "log_sig1", "log_sig2")
log_sig_change_method = _for_tensors(functional.log_sig_change_method, "log_sig")
log_sig_to_hall = _for_tensors(functional.log_sig_to_hall, "log_sig")
log_sig_from_hall = _for_tensors(functional.log_sig_from_hall, "log_sig")
sig_to_log_sig = _for_tensors(functional.sig_to_log_sig, "sig")
logsig_to_sig = _for_tensors(functional.logsig_to_sig, "log_sig")
linear_log_sig = _for_tensors(functional.linear_log_sig, "displacement")
transform_path = _for_tensors(functional.transform_path, "path")
