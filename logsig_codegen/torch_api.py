"""The functions of :mod:`logsig_codegen.functional` for torch tensors, differentiable once.

The functions at top level take tensors too, with the same gradients; these names exist so that code written for
``pysiglib.torch_api`` runs after a change of its import. Only importing this module imports torch.
"""

from __future__ import annotations

from typing import SupportsIndex

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

__all__ = [
    "clear_cache",
    "idx_to_word",
    "is_lyndon",
    "log_sig_join",
    "log_sig_length",
    "lyndon_words",
    "lyndon_words_of_length",
    "prepare_log_sig",
    "set_cache_dir",
    "sig_length",
    "word_to_idx",
    "words",
    "words_of_length",
]


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
