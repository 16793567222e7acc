"""JAX programs as they are compiled for a GPU, run on the host: XLA for CPUs calls the handlers for GPUs.

Rules of lowering and handlers change places: what is registered for ``cuda`` serves CPUs. A library between XLA and the
handlers provides stream, device and allocator (``emulation/xla_on_host.c``); kernels and the driver are those of
``tests/torch_extension.py``, on an emulated grid. Import this, before anything of the package, in a process of its own.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import jax
from jax.interpreters import mlir

VARIABLE = "LOGSIG_XLA_ON_HOST"
CUDA, CPU = "cuda", "cpu"
xla = ctypes.CDLL(os.environ[VARIABLE])
xla.xla_kept.restype = xla.xla_allocations.restype = ctypes.c_int64
numbers: dict[str, int] = {}
"""Numbers of the handlers, by what XLA calls them."""

_capsule, _register_target, _register_lowering = jax.ffi.pycapsule, jax.ffi.register_ffi_target, mlir.register_lowering


def _target(name: str, function: Any, platform: str = CPU, **options: Any) -> None:
    if platform.lower() != CUDA:
        return
    numbers[name] = number = len(numbers)
    xla.xla_take(number, function)
    _register_target(name, _capsule(getattr(xla, f"xla_handler_{number}")), platform=CPU, **options)


def _lowering(made: Any, rule: Any, platform: str | None = None, **options: Any) -> Any:
    swapped = {CUDA: CPU, CPU: CUDA}.get(platform or "", platform)
    return _register_lowering(made, rule, platform=swapped, **options)


jax.ffi.pycapsule = lambda function: function
jax.ffi.register_ffi_target = _target
mlir.register_lowering = _lowering
jax.config.update("jax_enable_x64", True)

from logsig_codegen.errors import CompilerNotFoundError  # noqa: E402
from logsig_codegen.runtime.cuda import programs  # noqa: E402
from logsig_codegen.runtime.jax_ops import gpu  # noqa: E402


def _none(*_: Any) -> Any:
    raise CompilerNotFoundError("there are no emulated kernels for this problem")


programs.find_cuda_compiler = _none
gpu.ordinals = lambda: (0, 1)
import logsig_codegen.jax_api  # noqa: E402, F401  registers
