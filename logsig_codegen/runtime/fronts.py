"""Where calls on tensors and JAX arrays go: modules of one interface, imported when such an array is first seen."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from logsig_codegen.runtime.checks import is_jax, is_tensor

_of_type: dict[type, Any] = {}


def calls_of(*arrays: object) -> Any:
    """``torch_ops.calls`` if the first array is a tensor, ``jax_ops.calls`` if any is one of JAX, else ``None``.

    Either module has ``rows``, ``convert``, ``check_arrays``, ``check_rows``, ``zeros``, ``transform_path``,
    ``transform_path_backprop``, ``points``, ``pulled_back``, ``log_sig``, ``log_sig_backprop`` and ``provide``. A list
    of arrays stands for its first one.
    """
    kind = type(arrays[0])
    found = _of_type.get(kind)
    if found is not None:
        return found
    if kind is not np.ndarray and "torch" in sys.modules and is_tensor(arrays[0]):
        from logsig_codegen.runtime.torch_ops import calls

        if kind is sys.modules["torch"].Tensor:
            _of_type[kind] = calls  # the next one is found at once
        return calls
    if "jax" in sys.modules and any(map(is_jax, arrays)):
        from logsig_codegen.runtime.jax_ops import calls as calls_of_jax

        return calls_of_jax
    return None
