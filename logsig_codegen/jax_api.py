"""The functions of :mod:`logsig_codegen.functional` for JAX arrays, under every transformation of JAX.

The functions at top level take JAX arrays too; these names exist so that code written for ``pysiglib.jax_api`` runs
after a change of its import. Numbers, lists and numpy's arrays become JAX arrays, as in JAX's own functions. Importing
this module imports JAX and registers what XLA calls: programs made by ``jax.export`` need nothing else, once their
kernels are loaded (``docs/jax.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

import jax.numpy as jnp
from jax.export import DisabledSafetyCheck

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
from logsig_codegen.runtime.jax_ops import calls as _calls
from logsig_codegen.runtime.jax_ops.gpu import prepare_on_gpu
from logsig_codegen.runtime.jax_ops.handlers import PREFIX, TARGETS
from logsig_codegen.streams import LogSigStream, LogSigWindowStream

__all__ = [
    "EXPORT_CHECKS",
    "LogSigStream",
    "LogSigWindowStream",
    "clear_cache",
    "hall_windows",
    "idx_to_word",
    "is_lyndon",
    "linear_log_sig",
    "log_sig",
    "log_sig_change_method",
    "log_sig_combine",
    "log_sig_from_hall",
    "log_sig_join",
    "log_sig_joins",
    "log_sig_length",
    "log_sig_to_hall",
    "logsig_to_sig",
    "logsig_windows",
    "lyndon_words",
    "lyndon_words_of_length",
    "prepare_log_sig",
    "prepare_on_gpu",
    "set_cache_dir",
    "sig_length",
    "sig_to_log_sig",
    "transform_path",
    "word_to_idx",
    "words",
    "words_of_length",
]

assert _calls  # imported for what it registers
EXPORT_CHECKS = tuple(DisabledSafetyCheck.custom_call(PREFIX + name) for name in TARGETS)
"""``disabled_checks`` of ``jax.export.export``, which vouches for JAX's own custom calls only."""
Function = TypeVar("Function", bound=Callable[..., Any])


def _for_jax(function: Function, *arrays: str) -> Function:
    """The same function, for JAX arrays; ``arrays`` are the names of its array arguments.

    A ``path`` may be a list of arrays.
    """
    places = {name: place for place, name in enumerate(signature(function).parameters) if name in arrays}

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        positional = list(args)
        for name, place in places.items():
            if place < len(args):
                positional[place] = _as_jax(name, args[place])
            elif options.get(name) is not None:
                options[name] = _as_jax(name, options[name])
        return function(*positional, **options)

    call.__module__ = __name__  # where pickle finds it
    return call  # type: ignore[return-value]


def _as_jax(name: str, value: Any) -> Any:
    if name == "path" and isinstance(value, (list, tuple)):
        return [_as_jax("path[…]", one) for one in value]
    return jnp.asarray(value)


log_sig = _for_jax(functional.log_sig, "path", "initial")
log_sig_join = _for_jax(functional.log_sig_join, "log_sig", "displacement")
log_sig_joins = _for_jax(functional.log_sig_joins, "log_sig", "displacements")
log_sig_combine = _for_jax(functional.log_sig_combine, "log_sig1", "log_sig2")
log_sig_change_method = _for_jax(functional.log_sig_change_method, "log_sig")
log_sig_to_hall = _for_jax(functional.log_sig_to_hall, "log_sig")
log_sig_from_hall = _for_jax(functional.log_sig_from_hall, "log_sig")
sig_to_log_sig = _for_jax(functional.sig_to_log_sig, "sig")
logsig_to_sig = _for_jax(functional.logsig_to_sig, "log_sig")
linear_log_sig = _for_jax(functional.linear_log_sig, "displacement")
logsig_windows = _for_jax(functional.logsig_windows, "x")
hall_windows = _for_jax(functional.hall_windows, "data")
transform_path = _for_jax(functional.transform_path, "path")
