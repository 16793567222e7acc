"""Serving a C++ extension that was loaded first: it asks here for kernels of problems it does not have."""

from __future__ import annotations

import ctypes
from typing import Any

from logsig_codegen.operations import CALLS, MAPS, default_state, group_of
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.library import address_of
from logsig_codegen.runtime.paths import coordinate_maps
from logsig_codegen.runtime.registry import provider, watch
from logsig_codegen.runtime.torch_ops.define import has_operator, library, overload
from logsig_codegen.runtime.torch_ops.rows import problem_of
from logsig_codegen.sliding import slides

_kept: list[Any] = []  # kernels and binaries whose addresses the extension has; they must outlive it
_handed: dict[tuple[int, int], set[tuple[str, str]]] = {}  # operations and number types that it has, by problem


def load_kernels(dimension: int, degree: int, operation: str) -> None:
    """Hand the functions of an operation to the extension."""
    add = overload("_add_kernel")
    if operation == "default_state":
        add(dimension, degree, operation, default_state(problem_of(dimension, degree)), 0)
        return
    kernel = provider(dimension, degree)
    _kept.append(kernel)
    if operation == MAPS:
        add(dimension, degree, operation, "", int(ffi.cast("intptr_t", coordinate_maps(kernel.problem))))
        return
    functions = kernel.loaded.group(group_of(operation)).library.functions
    for name in (operation, *CALLS):
        for dtype, function in functions.get(name, {}).items():
            add(dimension, degree, name, dtype, address_of(function))
            _handed.setdefault((dimension, degree), set()).add((name, dtype))


def take_back(key: tuple[int, int] | None) -> None:
    """Let the extension ask for the operations of a problem, or of all, again: another kernel serves them now."""
    add = overload("_add_kernel")
    for problem in [key] if key is not None else list(_handed):
        for name, dtype in _handed.pop(problem, set()):
            if name not in CALLS:  # those run whatever functions they are given
                add(*problem, name, dtype, 0)


def load_windows(dimension: int, degree: int, operation: str, window: int, step: int) -> None:
    """Hand over the functions of windows that overlap, if such windows are computed by them."""
    if slides(problem_of(dimension, degree), window, step):
        load_kernels(dimension, degree, operation)


def load_cuda_kernel(dimension: int, degree: int, operation: str, dtype: str, ordinal: int) -> None:
    """Hand the kernel of an operation on one GPU to the extension, or none where it is too large for one."""
    from logsig_codegen.runtime.cuda.driver import NoKernelError, device

    arch = device(ordinal).arch
    try:
        content, kernel = provider(dimension, degree).cuda.binary(operation, dtype, arch)
    except NoKernelError:
        return
    image = ctypes.create_string_buffer(content, len(content) + 1)
    _kept.append(image)
    shape = kernel["shape"]
    launch = [kernel["samples"], shape["warps"], shape["warp_bytes"], int(kernel["form"] == "block")]
    # Made for this architecture, or something the driver compiles: both are the first choice on this device.
    number, address = int(arch.removeprefix("sm_")), ctypes.addressof(image)
    overload("_add_cuda_kernel")(dimension, degree, operation, dtype, kernel["symbol"], launch, number, address)


if has_operator("_add_kernel"):
    watch(take_back)
    library.define("_load_kernels(int dimension, int degree, str operation) -> ()")
    library.impl("_load_kernels", load_kernels, "CompositeExplicitAutograd")
    library.define("_load_windows(int dimension, int degree, str operation, int window, int step) -> ()")
    library.impl("_load_windows", load_windows, "CompositeExplicitAutograd")
    library.define("_load_cuda_kernel(int dimension, int degree, str operation, str dtype, int ordinal) -> ()")
    library.impl("_load_cuda_kernel", load_cuda_kernel, "CompositeExplicitAutograd")
