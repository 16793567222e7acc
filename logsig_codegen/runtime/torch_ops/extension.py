"""Serving a C++ extension that was loaded first: it asks here for kernels of problems it does not have."""

from __future__ import annotations

from typing import Any

from logsig_codegen.operations import default_state
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.torch_ops.define import has_operator, library, overload
from logsig_codegen.runtime.torch_ops.rows import problem_of, provider

_kept: list[Any] = []  # kernels whose functions the extension has; they must outlive it


def load_kernels(dimension: int, degree: int, operation: str) -> None:
    """Hand the functions of an operation to the extension."""
    add = overload("_add_kernel")
    if operation == "default_state":
        add(dimension, degree, operation, default_state(problem_of(dimension, degree)), 0)
        return
    kernel = provider(dimension, degree)
    _kept.append(kernel)
    for dtype, function in kernel.functions(operation).items():
        add(dimension, degree, operation, dtype, int(ffi.cast("intptr_t", function)))


if has_operator("_add_kernel"):
    library.define("_load_kernels(int dimension, int degree, str operation) -> ()")
    library.impl("_load_kernels", load_kernels, "CompositeExplicitAutograd")
