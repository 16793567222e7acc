"""The operators of intervals of paths: ``log_sig_intervals`` and ``log_sig_intervals_backprop``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime import evaluation
from logsig_codegen.runtime.parts import Parts
from logsig_codegen.runtime.registry import provider
from logsig_codegen.runtime.request import PathOptions, PathRequest, path_request
from logsig_codegen.runtime.torch_ops import gpu
from logsig_codegen.runtime.torch_ops import lengths as where
from logsig_codegen.runtime.torch_ops.define import register
from logsig_codegen.runtime.torch_ops.path_composition import Composition, composite_log_sig_backprop
from logsig_codegen.runtime.torch_ops.rows import to_array
from logsig_codegen.runtime.torch_ops.rules import Gradients, Rules, front, ranked, vector_jacobian, with_tangent

_OPTIONS = "int dimension, int degree, str? state=None, int method=2, int n_jobs=1"


def _request(
    path: Tensor, intervals: Tensor, dimension: int, degree: int, *options: Any, look: bool = True, **others: Any
) -> PathRequest:
    plain = PathOptions(False, None, *options)
    return path_request(path, dimension, degree, plain, parts=Parts(intervals), look=look, **others)


def _composition(numbers: Sequence[Any], intervals: Tensor) -> Composition:
    dimension, degree, *options = numbers
    return Composition(dimension, degree, False, None, *options, intervals=intervals)


def _forward_cpu(path: Tensor, intervals: Tensor, *numbers: Any) -> Tensor:
    request = _request(path, intervals, *numbers)
    return torch.from_numpy(evaluation.forward(provider(*numbers[:2]), request, to_array(path), None))


def _backward_cpu(d_out: Tensor, result: Tensor | None, path: Tensor, intervals: Tensor, *numbers: Any) -> Tensor:
    request = _request(path, intervals, *numbers, d_out=d_out)
    known = None if result is None else to_array(result)
    kernel = provider(*numbers[:2])
    return torch.from_numpy(evaluation.backward(kernel, request, to_array(d_out), to_array(path), None, known=known))


def _forward_cuda(path: Tensor, intervals: Tensor, *numbers: Any) -> Tensor:
    request = _request(path, intervals, *numbers, look=where.on_host(intervals))
    if request.problem.degree == 1:
        return _composition(numbers, intervals).log_sig((path,), None, None)[0]
    return gpu.log_sig_intervals(request, path)


def _backward_cuda(d_out: Tensor, result: Tensor | None, path: Tensor, intervals: Tensor, *numbers: Any) -> Tensor:
    request = _request(path, intervals, *numbers, d_out=d_out, look=where.on_host(intervals))
    if request.problem.degree == 1:
        return composite_intervals_backprop(d_out, None, path, intervals, *numbers)
    return gpu.log_sig_intervals_backprop(request, d_out, result, path)


def _forward_fake(path: Tensor, intervals: Tensor, *numbers: Any) -> Tensor:
    return path.new_empty(_request(path, intervals, *numbers, look=False).shape)


def _backward_fake(d_out: Tensor, result: Tensor | None, path: Tensor, intervals: Tensor, *numbers: Any) -> Tensor:
    _request(path, intervals, *numbers, d_out=d_out, look=False)
    return path.new_empty(path.shape)


# -- rules ----------------------------------------------------------------------------------------------------------


def _forward_vjp(args: Sequence[Any], results: Sequence[Tensor], cotangents: Sequence[Tensor]) -> Gradients:
    return log_sig_intervals_backprop(cotangents[0], results[0], *args), None


def _forward_jvp(args: Sequence[Any], _: Any, tangents: Gradients) -> Tensor:
    path, intervals, *numbers = args
    return _composition(numbers, intervals).log_sig(with_tangent(path, tangents[0]), None, None)[1]


def composite_intervals_backprop(
    d_out: Tensor, result: Tensor | None, path: Tensor, intervals: Tensor, *numbers: Any
) -> Tensor:
    """``log_sig_intervals_backprop`` composed of other operators."""
    del result
    return composite_log_sig_backprop(d_out, path, None, None, _composition(numbers, intervals))[0]


def _backward_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
    d_out, _, path, intervals, *numbers = args

    def gradient(form: Tensor, points: Tensor) -> Tensor:
        return composite_intervals_backprop(form, None, points, intervals, *numbers)

    d_d_out, d_path = vector_jacobian(gradient, d_out, path)(cotangents[0])
    return d_d_out, None, d_path, None


def _pair(path: Tensor, intervals: Tensor, dims: Sequence[int | None], size: int) -> tuple[Tensor, Tensor]:
    """Both with the axis of ``vmap`` in front; intervals for all paths stay as they are."""
    points = front(path, dims[0], size)
    assert points is not None
    if dims[1] is None and intervals.ndim == 2:
        return points, intervals
    pairs = ranked(front(intervals, dims[1], size), points.ndim - 1)
    assert pairs is not None
    return points, pairs.expand(*points.shape[:-2], *pairs.shape[-2:])


def _forward_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    path, intervals = _pair(args[0], args[1], in_dims[:2], info.batch_size)
    return operator(path, intervals, *args[2:]), 0


def _backward_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    path, intervals = _pair(args[2], args[3], in_dims[2:4], info.batch_size)
    d_out, result = (
        ranked(front(one, dim, info.batch_size), path.ndim - 1) for one, dim in zip(args[:2], in_dims, strict=False)
    )
    return operator(d_out, result, path, intervals, *args[4:]), 0


log_sig_intervals = register(
    Rules(
        schema=f"log_sig_intervals(Tensor path, Tensor intervals, {_OPTIONS}) -> Tensor",
        cpu=_forward_cpu,
        cuda=_forward_cuda,
        fake=_forward_fake,
        vjp=_forward_vjp,
        jvp=_forward_jvp,
        batch=_forward_batch,
        keeps_results=True,
    )
)
log_sig_intervals_backprop = register(
    Rules(
        schema="log_sig_intervals_backprop(Tensor d_out, Tensor? result, Tensor path, Tensor intervals, "
        f"{_OPTIONS}) -> Tensor",
        cpu=_backward_cpu,
        cuda=_backward_cuda,
        fake=_backward_fake,
        vjp=_backward_vjp,
        composite=composite_intervals_backprop,
        batch=_backward_batch,
    )
)
