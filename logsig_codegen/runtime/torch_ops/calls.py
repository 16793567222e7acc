"""Calls on tensors: checks that need Python, then an operator. What torch traces sees the operators only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.runtime import checks, registry, transforms
from logsig_codegen.runtime.path_checks import check_call, is_plain
from logsig_codegen.runtime.threads import thread_count
from logsig_codegen.runtime.torch_ops import extension, maps, paths, products, signatures
from logsig_codegen.runtime.torch_ops.lengths import as_lengths, of_list, visible
from logsig_codegen.runtime.torch_ops.rows import problem_of

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

assert extension  # imported for what it registers
CONVERSIONS = {
    "sig_to_log_sig": signatures.sig_to_log_sig,
    "sig_to_log_sig_backprop": signatures.sig_to_log_sig_backprop,
    "logsig_to_sig": signatures.logsig_to_sig,
    "logsig_to_sig_backprop": signatures.logsig_to_sig_backprop,
    "linear_log_sig": maps.linear_log_sig,
    "linear_log_sig_backprop": maps.linear_log_sig_backprop,
    "log_sig_change_method": maps.change_method,
    "log_sig_change_method_backprop": maps.change_method_backprop,
    "log_sig_to_hall": maps.to_hall,
    "log_sig_to_hall_backprop": maps.to_hall_backprop,
    "log_sig_from_hall": maps.from_hall,
    "log_sig_from_hall_backprop": maps.from_hall_backprop,
}
"""The operator of each function of one tensor, or of a tensor and derivatives."""


def provide(kernel: LoadedKernel) -> None:
    """Let the operators of its problem use ``kernel``."""
    if not torch.compiler.is_compiling():
        registry.provide(kernel)


def rows(name: str, tensors: Sequence[Any], dimension: Any, degree: Any, n_jobs: Any) -> Any:
    """A product of the table, or its gradient."""
    if not torch.compiler.is_compiling() and not (
        all(type(one) is Tensor and one.layout is torch.strided for one in tensors)
        and type(dimension) is type(degree) is type(n_jobs) is int
        and n_jobs == 1
    ):
        _check(dict(zip(OPERATIONS[name].inputs, tensors, strict=True)), dimension, degree, n_jobs)
    return products.OPERATORS[name](*tensors, dimension, degree, n_jobs)


def _check(arguments: Mapping[str, Any], dimension: Any, degree: Any, n_jobs: Any) -> None:
    for value in arguments.values():
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            checks.check_types(arguments)  # says what is wrong
    if type(dimension) is not int or type(degree) is not int:
        checks.check_problem(dimension, degree)
    else:
        problem_of(dimension, degree)
    if type(n_jobs) is not int or n_jobs != 1:
        thread_count(n_jobs)


def convert(name: str, arguments: Mapping[str, Any], *others: Any) -> Tensor:
    """A conversion; ``others`` are the plain arguments of its operator."""
    if not torch.compiler.is_compiling():
        check_tensors(arguments)
    return CONVERSIONS[name](*arguments.values(), *others)  # type: ignore[no-any-return]


def check_tensors(arguments: Mapping[str, Any]) -> None:
    """Raise for anything but dense tensors with at least one axis; number types are the operators' business."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            checks.check_types(arguments)
        if value.ndim < 1:
            raise ValueError(f"{name}: expected at least one axis, got an array without axes")


def check_end_time(end_time: Any) -> None:
    """Check a number that torch may be tracing."""
    if not torch.compiler.is_compiling():
        transforms.check_end_time(end_time)


def transform_path(path: Tensor, lengths: Any, time_aug: bool, lead_lag: bool, end_time: float) -> Tensor:
    """Paths with time or lead-lag channels; ``lengths`` as for :func:`log_sig`."""
    return maps.transform_path(path, as_lengths(path, lengths), time_aug, lead_lag, end_time)  # type: ignore[no-any-return]


def transform_path_backprop(derivs: Tensor, lengths: Any, time_aug: bool, lead_lag: bool) -> Tensor:
    """The transpose of :func:`transform_path`."""
    return maps.transform_backprop(derivs, lengths, time_aug, lead_lag)  # type: ignore[no-any-return]


def log_sig(
    path: Tensor | Sequence[Tensor],
    dimension: int,
    degree: int,
    *,
    lengths: Any,
    initial: Tensor | None,
    stream: bool,
    windows: tuple[int, int] | None,
    state: str | None,
    method: int,
    n_jobs: Any,
) -> Tensor:
    """``log_sig`` of the Lyndon kernels, see :meth:`LogSigKernel.log_sig`."""
    if not torch.compiler.is_compiling():
        _check_call(path, dimension, degree, n_jobs, None, lengths=lengths, initial=initial, stream=stream,
                    windows=windows, state=state, method=method)  # fmt: skip
    points, counts = _padded(path, lengths)
    options = (dimension, degree, stream, _pair(windows), state, int(method), int(n_jobs))
    return paths.log_sig(points, counts, initial, *options)  # type: ignore[no-any-return]


def log_sig_backprop(
    d_out: Tensor,
    path: Tensor | Sequence[Tensor],
    dimension: int,
    degree: int,
    *,
    lengths: Any,
    initial: Tensor | None,
    stream: bool,
    windows: tuple[int, int] | None,
    state: str | None,
    method: int,
    n_jobs: Any,
) -> Any:
    """The gradient of :func:`log_sig`: for the path or paths, and for ``initial`` if there is one."""
    if not torch.compiler.is_compiling():
        _check_call(path, dimension, degree, n_jobs, d_out, lengths=lengths, initial=initial, stream=stream,
                    windows=windows, state=state, method=method)  # fmt: skip
    points, counts = _padded(path, lengths)
    options = (dimension, degree, stream, _pair(windows), state, int(method), int(n_jobs))
    d_path, d_initial = paths.log_sig_backprop(d_out, None, points, counts, initial, *options)
    if isinstance(path, (list, tuple)):
        d_path = [row[: one.shape[0]] for row, one in zip(d_path, path, strict=True)]
    return d_path if initial is None else (d_path, d_initial)


def _check_call(path: Any, dimension: int, degree: int, n_jobs: Any, d_out: Any, **options: Any) -> None:
    """Check everything, but for an ordinary call, of which the operator finds what is wrong as well."""
    if (
        type(path) is Tensor
        and d_out is None
        and path.layout is torch.strided
        and is_plain(*(options[name] for name in ("lengths", "initial", "stream", "windows", "method")))
        and options["state"] is None
        and type(n_jobs) is int
        and n_jobs == 1
    ):
        return
    if isinstance(options["lengths"], Tensor):
        options["lengths"] = visible(path, options["lengths"])
    if torch.is_autocast_enabled("cpu"):
        path = [_as_float(one) for one in path] if isinstance(path, (list, tuple)) else _as_float(path)
        options["initial"], d_out = _as_float(options["initial"]), _as_float(d_out)
    check_call(problem_of(dimension, degree), path, threads=thread_count(n_jobs), d_out=d_out, **options)


def _as_float(value: Any) -> Any:
    """What autocast will make of a tensor, for checks: nothing is copied."""
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return torch.empty((), dtype=torch.float32, device=value.device).expand(value.shape) if half else value


def _pair(windows: Any) -> list[int] | None:
    return None if windows is None else [int(windows[0]), int(windows[1])]


def _padded(path: Any, lengths: Any) -> tuple[Tensor, Tensor | None]:
    """Points and lengths of a batch; paths of a list are padded."""
    if not isinstance(path, (list, tuple)):
        return path, as_lengths(path, lengths)
    longest = max(one.shape[0] for one in path)
    rows = [torch.nn.functional.pad(one, (0, 0, 0, longest - one.shape[0])) for one in path]
    return torch.stack(rows), of_list(path)
