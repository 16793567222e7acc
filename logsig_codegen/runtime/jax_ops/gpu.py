"""Kernels on NVIDIA GPUs for XLA: found or compiled when a program is lowered, and handed to the handlers.

They are those that tensors use, loaded by the same launcher. A program that is lowered where JAX sees no GPU gets none:
wherever it runs, they are handed over by :func:`prepare_on_gpu`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, SupportsIndex

import jax

from logsig_codegen.errors import UnsupportedError, shown
from logsig_codegen.operations import OPERATIONS, ROWS
from logsig_codegen.runtime import checks
from logsig_codegen.runtime.cuda import driver
from logsig_codegen.runtime.cuda._launcher_abi import ffi
from logsig_codegen.runtime.cuda.programs import ARRANGE, CudaPrograms, Place
from logsig_codegen.runtime.jax_ops import handlers
from logsig_codegen.runtime.registry import provider


def unavailable(what: object) -> UnsupportedError:
    """The error for what GPUs do not do for JAX."""
    return UnsupportedError(f"not available for JAX on a GPU: {what}")


def ordinals() -> tuple[int, ...]:
    """The NVIDIA GPUs that JAX sees in this process, by CUDA's numbers."""
    try:
        return tuple(int(one.local_hardware_id) for one in jax.local_devices(backend="cuda"))
    except RuntimeError:  # there is no plugin for them, or none is there
        return ()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except driver.NoKernelError as error:
        raise unavailable(error) from error


@lru_cache(maxsize=1)
def _handlers() -> Any:
    """The handlers' library; it knows the functions of the launcher, which is open by now."""
    found, launcher = handlers.opened(), driver.library()
    calls = (launcher.logsig_gpu_launch, launcher.logsig_gpu_paths, launcher.logsig_gpu_error)
    found.logsig_jax_use_launcher(*map(_address, calls))
    return found


def _address(value: Any) -> int:
    return int(ffi.cast("intptr_t", value))


_handing_over = threading.Lock()
"""The handlers' tables are filled by one thread at a time."""


def _provide(function: str, *arguments: int) -> None:
    with _handing_over:
        if getattr(_handlers(), function)(*arguments):
            raise MemoryError("there is no room for a table of kernels")


def load_rows(dimension: int, degree: int, operation: str, dtype: str) -> None:
    """Hand over the kernel of an operation on rows, on every GPU.

    Raises
    ------
    UnsupportedError
        If the problem is too large for one.
    CudaError, CompilerNotFoundError, CompilerError, CacheError, ArtifactError
        If it cannot be had.
    """
    kernel = provider(dimension, degree)
    for ordinal in ordinals():
        with _refusals():
            handle = kernel.cuda.launcher(operation, dtype, ordinal).handle
        problem, place = (dimension, degree, kernel.size), handlers.PLACES[operation]
        _provide("logsig_jax_provide_kernel", *problem, ordinal, place, handlers.BITS[dtype], _address(handle))


def load_paths(
    dimension: int, degree: int, dtype: str, group: str, members: Mapping[str, Any], extent: int, *, backward: bool
) -> None:
    """Hand over the kernels that a call along paths needs, on every GPU: the launcher says which.

    Parameters
    ----------
    group : str
        The group of the operation that the call is for.
    members : mapping
        Members of ``logsig_path_call`` that decide what is started; addresses as ``True``.
    extent : int
        Numbers of the paths.

    Raises
    ------
    UnsupportedError, CudaError, CompilerNotFoundError, CompilerError, CacheError, ArtifactError
        As :func:`load_rows`.
    """
    programs = provider(dimension, degree).cuda
    call = ffi.new("logsig_path_call *", {"method": 2})
    for name, value in members.items():
        setattr(call, name, ffi.cast("void *", 1) if value is True else value)
    for ordinal in ordinals():
        place = Place(dtype, ordinal, group)
        with _refusals():
            programs.along_paths(call, ffi.new("logsig_gpu_run *", {"extent": extent}), place, backward=backward)
        _hand_over(programs, place)


def _hand_over(programs: CudaPrograms, place: Place) -> None:
    _provide("logsig_jax_provide_problem", place.ordinal, _address(programs.kernels_on(place)))


def prepare_on_gpu(dimension: SupportsIndex, degree: SupportsIndex, *operations: str) -> None:
    """Load kernels on the GPUs that JAX sees, for programs of ``jax.export`` that were lowered elsewhere.

    Programs that are compiled from functions load what they need by themselves. The error of a program that misses a
    kernel names the call.

    Parameters
    ----------
    dimension, degree : int
    *operations : str
        Operations of the table, such as ``"join"``, ``"combine_backprop"``, ``"log_sig"``, ``"stream"``; and
        ``"arrange"``, which all calls along paths need.

    Raises
    ------
    ValueError
        For any other name.
    UnsupportedError
        If JAX sees no GPU, or the problem is too large.
    CudaError, CompilerNotFoundError, CompilerError, CacheError, ArtifactError
        If a kernel cannot be had.
    """
    problem = checks.check_problem(dimension, degree)
    known = {name for name, one in OPERATIONS.items() if one.on_gpus} | {ARRANGE}
    for name in operations:
        if name not in known:
            raise ValueError(f"operations: expected names out of {', '.join(sorted(known))}, got {shown(name)}")
    if not ordinals():
        raise unavailable("JAX sees no NVIDIA GPU in this process; pip install 'jax[cuda13]' brings its plugin")
    programs = provider(problem.dimension, problem.degree).cuda
    for dtype in handlers.BITS:
        for name in operations:
            if name != ARRANGE and OPERATIONS[name].kind == ROWS:
                load_rows(problem.dimension, problem.degree, name, dtype)
        for ordinal in ordinals():
            place = Place(dtype, ordinal, "log_sig")
            with _refusals():
                programs.prepare_calls(operations, place)
            _hand_over(programs, place)
