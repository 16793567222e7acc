"""Preparing kernels ahead of their use, and forgetting them."""

from __future__ import annotations

import sys
from typing import SupportsIndex

from logsig_codegen.build import cache
from logsig_codegen.build.cache import set_cache_dir
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.functional._arguments import Device, augmented_problem, check_device, non_negative
from logsig_codegen.operations import OPERATIONS, default_state, groups_to_prepare
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import loader
from logsig_codegen.runtime.checks import check_bool
from logsig_codegen.runtime.coordinates import chain_of
from logsig_codegen.runtime.rows import table

__all__ = ["clear_cache", "prepare_log_sig", "set_cache_dir"]


def prepare_log_sig(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    method: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    use_disk: bool = False,
    device: Device = "both",
    gradients: bool = False,
) -> None:
    """Load, or build, now instead of on first use what :func:`log_sig` of whole paths needs for a ``method``.

    That is its kernel, the product that long paths are put together with, and tables of the change of coordinates; for
    method 3, as in pySigLib, also what :func:`log_sig_join` and :func:`log_sig_combine` need. Streams and windows are
    not part of it: see :meth:`LogSigKernel.prepare`.

    Parameters
    ----------
    dimension, degree : int
        Channels of the path before augmentation, at least 1, and truncation degree; degree 0 needs no kernels.
    method : int
        0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets, 3 with the products of two log-signatures.
    time_aug, lead_lag : bool
        Whether a time channel is added and the channels are doubled.
    use_disk : bool
        Accepted for compatibility: compiled kernels are always kept on disk.
    device : {"cpu", "cuda", "both"}
        ``"cuda"``: for torch's current CUDA device; ``"both"``: for the CPU and, where torch was imported and sees one,
        for that device.
    gradients : bool
        Whether the backward passes are prepared too.

    Raises
    ------
    UnsupportedError
        For ``device="cuda"`` where there is none.
    """
    number = non_negative("method", method)
    if number > 3:
        raise ValueError(f"method: expected 0, 1, 2 or 3, got {number}")
    check_bool("use_disk", use_disk)
    check_bool("gradients", gradients)
    check_device(device)
    if non_negative("degree", degree) == 0:  # there is nothing to prepare
        augmented_problem(dimension, 1, time_aug, lead_lag)
        return
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    on_gpu = device == "cuda" or (device == "both" and _has_cuda())
    if device != "cuda":
        groups = groups_to_prepare(problem, _products(number), gradients=gradients)
        loader.obtain(problem.dimension, problem.degree).prepare(*groups)
        for linear in chain_of(problem, 2, number).maps:
            table(linear)
    if on_gpu:
        _prepare_cuda(problem, number, gradients)


def _products(method: int) -> tuple[str, ...]:
    """The products that a method needs."""
    return ("combine", "join") if method == 3 else ("combine",)


def _has_cuda() -> bool:
    """Whether torch, if it was imported, sees a CUDA device."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())


def _prepare_cuda(problem: Problem, method: int, gradients: bool) -> None:
    try:
        import torch
    except ImportError as error:
        raise UnsupportedError("device: 'cuda' needs torch, which is not installed") from error
    if not torch.cuda.is_available():
        raise UnsupportedError("device: torch sees no CUDA device; 'cpu' and 'both' prepare the kernels for the CPU")
    kernel, ordinal = loader.obtain(problem.dimension, problem.degree), torch.cuda.current_device()
    for dtype in ("float32", "float64"):
        for product in _products(method):
            for operation in (product, OPERATIONS[product].gradient)[: 1 + gradients]:
                kernel.cuda.launcher(operation, dtype, ordinal)
        for back in (False, True) if gradients else (False,):
            kernel.cuda.prepare_paths(default_state(problem), dtype, ordinal, backward=back)
    from logsig_codegen.runtime.cuda import maps

    for linear in chain_of(problem, 2, method).maps:
        maps.table(linear, torch.device("cuda", ordinal))


def clear_cache(*, use_disk: bool = False, device: Device = "both") -> None:
    """Forget the kernels this process has loaded, and with ``use_disk`` delete those in the cache folder too.

    Kernels somebody still holds stay usable.
    """
    use_disk = check_bool("use_disk", use_disk)
    check_device(device)
    loader.forget()
    if use_disk:
        cache.clear()
