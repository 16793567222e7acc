"""Preparing kernels ahead of their use, and forgetting them."""

from __future__ import annotations

import sys
from typing import SupportsIndex

from logsig_codegen.build import cache
from logsig_codegen.build.cache import set_cache_dir
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.functional._arguments import Device, augmented_problem, check_device, non_negative
from logsig_codegen.operations import default_state, path_operation
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import loader
from logsig_codegen.runtime.checks import check_bool

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
) -> None:
    """Load, or build, the kernels of a problem now instead of on first use: join, combine and whole paths, forward.

    Parameters
    ----------
    dimension, degree : int
        Channels of the path before augmentation, at least 1, and truncation degree; degree 0 needs no kernels.
    method : int
        0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets: all of them need the same kernels; on a GPU, 0 and 1 need
        a table besides.
    time_aug, lead_lag : bool
        Whether a time channel is added and the channels are doubled.
    use_disk : bool
        Accepted for compatibility: compiled kernels are always kept on disk.
    device : {"cpu", "cuda", "both"}
        ``"cuda"``: for torch's current CUDA device; ``"both"``: for the CPU and, where torch was imported and sees one,
        for that device.

    Raises
    ------
    UnsupportedError
        For ``device="cuda"`` where there is none.
    """
    number = non_negative("method", method)
    if number > 3:
        raise ValueError(f"method: expected 0, 1, 2 or 3, got {number}")
    check_bool("use_disk", use_disk)
    check_device(device)
    if non_negative("degree", degree) == 0:  # there is nothing to prepare
        augmented_problem(dimension, 1, time_aug, lead_lag)
        return
    problem = augmented_problem(dimension, degree, time_aug, lead_lag)
    on_gpu = device == "cuda" or (device == "both" and _has_cuda())
    if device != "cuda":
        kernel = loader.load(problem.dimension, problem.degree)
        kernel.prepare(path_operation(default_state(problem)), "combine")
    if on_gpu:
        _prepare_cuda(problem, number)


def _has_cuda() -> bool:
    """Whether torch, if it was imported, sees a CUDA device."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())


def _prepare_cuda(problem: Problem, method: int) -> None:
    try:
        import torch
    except ImportError as error:
        raise UnsupportedError("device: 'cuda' needs torch, which is not installed") from error
    if not torch.cuda.is_available():
        raise UnsupportedError("device: torch sees no CUDA device; 'cpu' and 'both' prepare the kernels for the CPU")
    kernel, ordinal = loader.obtain(problem.dimension, problem.degree), torch.cuda.current_device()
    for dtype in ("float32", "float64"):
        for operation in ("join", "combine"):
            kernel.cuda.launcher(operation, dtype, ordinal)
        kernel.cuda.along_paths(default_state(problem), dtype, ordinal, backward=False)
    from logsig_codegen.runtime.coordinates import chain_of
    from logsig_codegen.runtime.cuda.maps import table

    for linear in chain_of(problem, 2, method).maps:
        table(linear, torch.device("cuda", ordinal))


def clear_cache(*, use_disk: bool = False, device: Device = "both") -> None:
    """Forget the kernels this process has loaded, and with ``use_disk`` delete those in the cache folder too.

    Kernels somebody still holds stay usable.
    """
    use_disk = check_bool("use_disk", use_disk)
    check_device(device)
    loader.forget()
    if use_disk:
        cache.clear()
