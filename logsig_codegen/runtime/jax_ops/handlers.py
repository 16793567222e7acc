"""The handlers that XLA calls: the library is loaded once, its functions registered, and kernels handed to it."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir

from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.build.jax_handlers import obtain_handlers
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.operations import CALLS, CONVERSION, OPERATIONS, ROWS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import library
from logsig_codegen.runtime.registry import provider

TARGETS = (
    *(name for name, one in OPERATIONS.items() if one.kind in (ROWS, CONVERSION)),
    "log_sig",
    "log_sig_backprop",
    "map",
    "observed",
)
"""What XLA can call; in programs the names begin with :data:`PREFIX`."""
TARGETS_ON_GPU = (*(name for name, one in OPERATIONS.items() if one.kind == ROWS), "log_sig", "log_sig_backprop")
"""What XLA can call on an NVIDIA GPU."""
PREFIX = "logsig_codegen."
VARIABLE = "LOGSIG_CODEGEN_PATH"
BITS = {"float32": 32, "float64": 64}
_providing = threading.Lock()
PLACES = {name: place for place, name in enumerate((*OPERATIONS, *CALLS))}


@lru_cache(maxsize=1)
def opened() -> ctypes.CDLL:
    """The library, with its functions registered in this process."""
    found = ctypes.CDLL(str(obtain_handlers(_folders())))
    found.logsig_jax_provide.argtypes = [ctypes.c_int64] * 2 + [ctypes.c_int] * 2 + [ctypes.c_void_p, ctypes.c_int]
    found.logsig_jax_use_processors(usable_processors())
    found.logsig_jax_provide_kernel.argtypes = [
        *[ctypes.c_int64] * 3, *[ctypes.c_int] * 3, ctypes.c_void_p,
    ]  # fmt: skip
    found.logsig_jax_provide_problem.argtypes = [ctypes.c_int, ctypes.c_void_p]
    found.logsig_jax_use_launcher.argtypes = [ctypes.c_void_p] * 3
    for names, suffix, platform in ((TARGETS, "", "cpu"), (TARGETS_ON_GPU, "_on_gpu", "CUDA")):
        for name in names:
            function = jax.ffi.pycapsule(found[f"logsig_jax_{name}{suffix}"])
            jax.ffi.register_ffi_target(PREFIX + name, function, platform=platform)
    os.register_at_fork(after_in_child=lambda: found.logsig_jax_use_processors(1))
    return found


def _folders() -> list[Path]:
    given = [Path(one) for one in os.environ.get(VARIABLE, "").split(os.pathsep) if one]
    return [place for folder in given for place in (folder, *folder.glob("*_jax"))]


def _hand_over(problem: Problem, loaded: library.Library, *, replace: bool = False) -> None:
    """Let programs call the functions of a library of kernels."""
    provide = opened().logsig_jax_provide
    for name, functions in loaded.functions.items():
        for dtype, function in functions.items():
            place = PLACES[name], BITS[dtype], library.address_of(function)
            with _providing:
                if provide(problem.dimension, problem.degree, *place, replace):
                    raise MemoryError("there is no room for a table of kernels")


def register() -> None:
    """Load the handlers, and hand over all kernels that are loaded, now and later: exported programs find them."""
    opened()
    library.watch(_hand_over)


def serve(dimension: int, degree: int, load: Callable[[Any], object]) -> None:
    """Hand over what ``load(kernel)`` makes the kernel load, in place of what another kernel of the problem has."""
    kernel = provider(dimension, degree)
    load(kernel)
    for loaded in kernel.loaded.libraries():
        _hand_over(kernel.problem, loaded, replace=True)


def lowering(
    target: str, attributes: Callable[..., dict[str, Any]], prepare: Callable[..., None] | None = None
) -> Callable[..., Any]:
    """The rule that makes a primitive a call of a handler.

    Parameters
    ----------
    target : str
        One of :data:`TARGETS`.
    attributes : callable
        From the primitive's parameters to the attributes of the call: integers, tuples of them, and arrays of float64.
    prepare : callable, optional
        Called with the operands' abstract values and the parameters: loads the kernels.
    """
    rule = jax.ffi.ffi_lowering(PREFIX + target)

    def lower(ctx: Any, *operands: Any, **params: Any) -> Any:
        if prepare is not None:
            prepare(ctx.avals_in, **params)
        return rule(ctx, *operands, **{name: _attribute(one) for name, one in attributes(**params).items()})

    return lower


def _attribute(value: Any) -> Any:
    if isinstance(value, int):
        return mlir.i64_attr(int(value))
    if isinstance(value, np.ndarray):
        return mlir.ir.DenseF64ArrayAttr.get(value.tolist())
    return mlir.ir.DenseI64ArrayAttr.get(list(value))


def no_lowering(ctx: Any, *operands: Any, **params: Any) -> Any:
    """Stands for the rule of devices without kernels."""
    del operands, params
    platforms = ", ".join(ctx.module_context.platforms)
    raise UnsupportedError(f"JAX: there are no kernels for {platforms}; move the arrays to the CPU by jax.device_put")


register()
