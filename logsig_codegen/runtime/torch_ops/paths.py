"""The operators of whole paths: ``log_sig`` and ``log_sig_backprop``, with all options.

Both are one call of a kernel each. A gradient that is differentiated again, and tangents, are composed of joins and
products instead, see ``path_composition.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime import evaluation
from logsig_codegen.runtime.registry import provider
from logsig_codegen.runtime.request import PathOptions, PathRequest, path_request
from logsig_codegen.runtime.torch_ops import gpu
from logsig_codegen.runtime.torch_ops import lengths as where
from logsig_codegen.runtime.torch_ops.define import register
from logsig_codegen.runtime.torch_ops.gradients import gradient_of_paths
from logsig_codegen.runtime.torch_ops.path_composition import Composition, composite_log_sig_backprop
from logsig_codegen.runtime.torch_ops.rows import threads_of, to_array
from logsig_codegen.runtime.torch_ops.rules import Gradients, Rules, front, ranked, vector_jacobian, with_tangent

_DTYPES = (torch.float64, torch.float32)
_OPTIONS = f"int dimension, int degree, {PathOptions.schema()}"


def _request(
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    dimension: int,
    degree: int,
    *options: Any,
    d_out: Tensor | None = None,
    look: bool = True,
) -> PathRequest:
    """What an operator was asked for: its plain arguments are flat, and defaults may be missing at the end."""
    plain = PathOptions(*options)
    return path_request(path, dimension, degree, plain, lengths=lengths, initial=initial, d_out=d_out, look=look)


@lru_cache(maxsize=64)
def _known(*options: Any) -> PathOptions:
    return PathOptions(*options)


def _ordinary(path: Tensor, lengths: Any, initial: Any, dimension: int, options: Sequence[Any]) -> PathOptions | None:
    """The options of a call that may be one of :mod:`logsig_codegen.runtime.fast`, by the cheapest tests."""
    if lengths is None and initial is None and (len(options) < 2 or options[1] is None):
        plain = _known(*options)
        if plain.plain and path.shape[-1:] == (dimension,) and path.dtype in _DTYPES:
            return plain
    return None


def _forward_cpu(
    path: Tensor, lengths: Tensor | None, initial: Tensor | None, dimension: int, degree: int, *options: Any
) -> Tensor:
    kernel, plain = provider(dimension, degree), _ordinary(path, lengths, initial, dimension, options)
    if plain is not None:
        result = kernel.loaded.log_sig(plain.state)(to_array(path), None, threads_of(plain.n_jobs))
        if result is not None:
            return torch.from_numpy(result)
    request = _request(path, lengths, initial, dimension, degree, *options)
    before = None if initial is None else to_array(initial)
    return torch.from_numpy(evaluation.forward(kernel, request, to_array(path), before))


def _backward_cpu(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    dimension: int,
    degree: int,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    kernel, plain = provider(dimension, degree), _ordinary(path, lengths, initial, dimension, options)
    if result is not None and plain is not None:
        contiguous = path.is_contiguous() and result.is_contiguous() and result.dtype == path.dtype
        if contiguous and result.shape == d_out.shape:
            quick = kernel.loaded.log_sig_backprop(plain.state)
            gradient = quick(to_array(d_out), to_array(path), to_array(result), None, threads_of(plain.n_jobs))
            if gradient is not None:
                return torch.from_numpy(gradient), path.new_empty(0)
    request = _request(path, lengths, initial, dimension, degree, *options, d_out=d_out)
    before, known = (None if one is None else to_array(one) for one in (initial, result))
    gradients = evaluation.backward(kernel, request, to_array(d_out), to_array(path), before, known=known)
    if initial is None:
        return torch.from_numpy(gradients), path.new_empty(0)
    return torch.from_numpy(gradients[0]), torch.from_numpy(gradients[1])


def _forward_cuda(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *numbers: Any) -> Tensor:
    if where.only_lengths_there(path, lengths):
        return _forward_cpu(path, where.beside(path, lengths), initial, *numbers)
    request = _request(path, lengths, initial, *numbers, look=lengths is None or where.on_host(lengths))
    if request.problem.degree == 1:
        before = None if initial is None else (initial,)
        return Composition(*numbers).log_sig((path,), lengths, before)[0]
    return gpu.log_sig(_on_device(request, path, lengths), (path,) if initial is None else (path, initial))


def _backward_cuda(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *numbers: Any,
) -> tuple[Tensor, Tensor]:
    if where.only_lengths_there(path, lengths):
        return _backward_cpu(d_out, result, path, where.beside(path, lengths), initial, *numbers)
    look = lengths is None or where.on_host(lengths)
    request = _request(path, lengths, initial, *numbers, d_out=d_out, look=look)
    if request.problem.degree == 1:
        return composite_log_sig_backprop(d_out, path, lengths, initial, Composition(*numbers))
    inputs = (path,) if initial is None else (path, initial)
    gradients = gpu.log_sig_backprop(_on_device(request, path, lengths), d_out, result, inputs)
    return gradients[0], path.new_empty(0) if initial is None else gradients[1]


def _on_device(request: PathRequest, path: Tensor, lengths: Tensor | None) -> PathRequest:
    """Lengths that are on the GPU are checked there, and nothing waits for it."""
    return request if lengths is None or where.on_host(lengths) else gpu.with_lengths(request, path)


def _forward_fake(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *numbers: Any) -> Tensor:
    return path.new_empty(_request(path, lengths, initial, *numbers, look=False).shape)


def _backward_fake(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *numbers: Any,
) -> tuple[Tensor, Tensor]:
    _request(path, lengths, initial, *numbers, d_out=d_out, look=False)
    return path.new_empty(path.shape), path.new_empty(0 if initial is None else initial.shape)


# -- rules ----------------------------------------------------------------------------------------------------------


def _forward_vjp(args: Sequence[Any], results: Sequence[Tensor], cotangents: Sequence[Tensor]) -> Gradients:
    initial = args[2]
    d_path, d_initial = log_sig_backprop(cotangents[0], results[0], *args)
    return d_path, None, None if initial is None else d_initial


def _forward_jvp(args: Sequence[Any], _: Any, tangents: Gradients) -> Tensor:
    path, lengths, initial, *numbers = args
    before = None if initial is None else with_tangent(initial, tangents[2])
    return Composition(*numbers).log_sig(with_tangent(path, tangents[0]), lengths, before)[1]


def _backward_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
    d_out, _, path, lengths, initial, *numbers = args
    primals = (d_out, path) if initial is None else (d_out, path, initial)

    def gradients(form: Tensor, points: Tensor, before: Tensor | None = None) -> tuple[Tensor, ...]:
        both = composite_log_sig_backprop(form, points, lengths, before, Composition(*numbers))
        return both[:1] if before is None else both

    d_d_out, d_path, *d_initial = vector_jacobian(gradients, *primals)(tuple(cotangents[: len(primals) - 1]))
    return d_d_out, None, d_path, None, *(d_initial or (None,))


def _forward_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    path, lengths, initial = (front(one, dim, info.batch_size) for one, dim in zip(args[:3], in_dims, strict=False))
    assert path is not None
    rank = path.ndim - 3
    if initial is not None and initial.ndim - 2 > rank:  # what came before has axes that the path lacks
        rank = initial.ndim - 2
        path = ranked(path, rank + 2)
        if lengths is not None:
            lengths = ranked(lengths, rank)
    return operator(path, lengths, ranked(initial, rank + 1), *args[3:]), 0


def _backward_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    d_out, result, path, lengths, initial = (
        front(one, dim, info.batch_size) for one, dim in zip(args[:5], in_dims, strict=False)
    )
    assert path is not None
    assert d_out is not None
    options = PathOptions(*args[7:])
    extra = 2 if options.stream or options.windows is not None else 1
    shapes = path.shape, None if initial is None else initial.shape
    rank = path.ndim - 3
    if initial is not None:
        rank = max(rank, initial.ndim - 2)
    path, lengths, initial = ranked(path, rank + 2), ranked(lengths, rank), ranked(initial, rank + 1)
    d_out, result = ranked(d_out, rank + extra), ranked(result, rank + extra)
    d_path, d_initial = operator(d_out, result, path, lengths, initial, *args[5:])
    d_path = d_path.reshape(shapes[0])
    if shapes[1] is None:
        return (d_path, d_initial), (0, None)
    return (d_path, d_initial.reshape(shapes[1])), (0, 0)


def _composite_backprop(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *numbers: Any,
) -> tuple[Tensor, Tensor]:
    del result
    return composite_log_sig_backprop(d_out, path, lengths, initial, Composition(*numbers))


log_sig = register(
    Rules(
        schema=f"log_sig(Tensor path, Tensor? lengths, Tensor? initial, {_OPTIONS}) -> Tensor",
        cpu=_forward_cpu,
        cuda=_forward_cuda,
        fake=_forward_fake,
        vjp=_forward_vjp,
        jvp=_forward_jvp,
        batch=_forward_batch,
        keeps_results=True,
        recorded=gradient_of_paths,
    )
)
log_sig_backprop = register(
    Rules(
        schema="log_sig_backprop(Tensor d_out, Tensor? result, Tensor path, Tensor? lengths, Tensor? initial, "
        f"{_OPTIONS}) -> (Tensor, Tensor)",
        cpu=_backward_cpu,
        cuda=_backward_cuda,
        fake=_backward_fake,
        vjp=_backward_vjp,
        composite=_composite_backprop,
        batch=_backward_batch,
    )
)
