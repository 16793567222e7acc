"""The operators of whole paths: ``log_sig`` and ``log_sig_backprop``, with all options.

Both are one call of a kernel each. A gradient that is differentiated again, and tangents, are composed of joins and
products instead, see ``path_composition.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime.coordinates import log_sig_size
from logsig_codegen.runtime.path_checks import Checked, check_call
from logsig_codegen.runtime.paths import Call
from logsig_codegen.runtime.registry import provider
from logsig_codegen.runtime.torch_ops import gpu
from logsig_codegen.runtime.torch_ops import lengths as where
from logsig_codegen.runtime.torch_ops.define import register
from logsig_codegen.runtime.torch_ops.path_composition import (
    Tangents,
    compose,
    composite_log_sig_backprop,
    numbers_of,
)
from logsig_codegen.runtime.torch_ops.rows import check_fakes, problem_of, threads_of, to_array
from logsig_codegen.runtime.torch_ops.rules import Gradients, Rules, vector_jacobian

_OPTIONS = (
    "int dimension, int degree, bool stream=False, int[]? windows=None, str? state=None, int method=2, int n_jobs=1"
)


def _defaults(options: Sequence[Any]) -> tuple[Any, ...]:
    """All options; those left out have their defaults."""
    return (*options, *(False, None, None, 2, 1)[len(options) - 2 :])


def _checked(
    path: Tensor, lengths: Tensor | None, initial: Tensor | None, options: Sequence[Any], d_out: Tensor | None = None
) -> Checked:
    dimension, degree, stream, windows, state, method, n_jobs = _defaults(options)
    problem = problem_of(dimension, degree)
    return check_call(
        problem,
        path,
        lengths=None if lengths is None else to_array(lengths),
        initial=initial,
        stream=stream,
        windows=None if windows is None else tuple(windows),
        state=state,
        method=method,
        threads=threads_of(n_jobs),
        d_out=d_out,
    )


def _call(
    path: Tensor, lengths: Tensor | None, initial: Tensor | None, options: Sequence[Any], d_out: Tensor | None = None
) -> Call:
    checked = _checked(path, lengths, initial, options, d_out)
    arrays = None if initial is None else to_array(initial)
    return Call(provider(options[0], options[1]), checked.options, [to_array(path)], arrays)


def _checked_on_gpu(
    path: Tensor, lengths: Tensor | None, initial: Tensor | None, options: Sequence[Any], d_out: Tensor | None = None
) -> Checked:
    """The same for paths on a GPU; lengths that are there are checked there, and nothing waits for it."""
    if lengths is None or where.on_host(lengths):
        return _checked(path, lengths, initial, options, d_out)
    return gpu.with_lengths(_checked(path, None, initial, options, d_out), lengths, path)


def _forward_cuda(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *options: Any) -> Tensor:
    if where.only_lengths_there(path, lengths):
        return _forward_cpu(path, where.beside(path, lengths), initial, *options)
    checked = _checked_on_gpu(path, lengths, initial, options)
    inputs = (path,) if initial is None else (path, initial)
    return gpu.log_sig(checked, options[0], options[1], inputs)


def _backward_cuda(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    if where.only_lengths_there(path, lengths):
        return _backward_cpu(d_out, result, path, where.beside(path, lengths), initial, *options)
    checked = _checked_on_gpu(path, lengths, initial, options, d_out)
    inputs = (path,) if initial is None else (path, initial)
    gradients = gpu.log_sig_backprop(checked, options[0], options[1], d_out, result, inputs)
    return gradients[0], path.new_empty(0) if initial is None else gradients[1]


def _forward_cpu(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *options: Any) -> Tensor:
    dimension, degree, stream, windows, state, method, n_jobs = _defaults(options)
    if lengths is None and initial is None and windows is None and not stream and method >= 2:
        quick = provider(dimension, degree).loaded.log_sig(state)
        result = quick(to_array(path), None, threads_of(n_jobs)) if path.shape[-1:] == (dimension,) else None
        if result is not None:
            return torch.from_numpy(result)
    return torch.from_numpy(_call(path, lengths, initial, options).forward())


def _backward_cpu(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    dimension, degree, stream, windows, state, method, n_jobs = _defaults(options)
    if lengths is None and initial is None and windows is None and not stream and method >= 2 and result is not None:
        quick = provider(dimension, degree).loaded.log_sig_backprop(state)
        contiguous = path.is_contiguous() and result.is_contiguous() and result.dtype == path.dtype
        if contiguous and path.shape[-1:] == (dimension,) and result.shape == d_out.shape:
            gradient = quick(to_array(d_out), to_array(path), to_array(result), None, threads_of(n_jobs))
            if gradient is not None:
                return torch.from_numpy(gradient), path.new_empty(0)
    call = _call(path, lengths, initial, options, d_out)
    gradients = call.backward(to_array(d_out), None if result is None else to_array(result))
    d_initial = path.new_empty(0) if initial is None else torch.from_numpy(gradients[1])
    return torch.from_numpy(gradients[0]), d_initial


def _result_shape(path: Tensor, initial: Tensor | None, options: Sequence[Any]) -> tuple[Any, ...]:
    dimension, degree, stream, windows, _, method, _ = _defaults(options)
    problem = problem_of(dimension, degree)
    if path.ndim < 2 or path.shape[-1] != dimension:
        raise ValueError(f"path: expected shape (..., length, {dimension}), got {tuple(path.shape)}")
    width = log_sig_size(problem, method)
    batch, length = tuple(path.shape[:-2]), path.shape[-2]
    if windows is not None:
        size, stride = windows
        return (*batch, torch.sym_max((length - size) // stride + 1, 0), width)
    if initial is not None and not stream:
        batch = tuple(torch.broadcast_shapes(initial.shape[:-1], batch))
    return (*batch, torch.sym_max(length - 1, 0), width) if stream else (*batch, width)


def _forward_fake(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *options: Any) -> Tensor:
    check_fakes({"path": path} if initial is None else {"path": path, "initial": initial})
    return path.new_empty(_result_shape(path, initial, options))


def _backward_fake(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    check_fakes({"d_out": d_out, "path": path})
    return path.new_empty(path.shape), path.new_empty(0 if initial is None else initial.shape)


# -- rules ----------------------------------------------------------------------------------------------------------


def _forward_vjp(args: Sequence[Any], results: Sequence[Tensor], cotangents: Sequence[Tensor]) -> Gradients:
    initial = args[2]
    d_path, d_initial = log_sig_backprop(cotangents[0], results[0], *args)
    return d_path, None, None if initial is None else d_initial


def _forward_jvp(args: Sequence[Any], _: Any, tangents: Gradients) -> Tensor:
    path, lengths, initial, *options = args
    t_path, _, t_initial = tangents
    points = path, torch.zeros_like(path) if t_path is None else t_path
    before = None
    if initial is not None:
        before = initial, torch.zeros_like(initial) if t_initial is None else t_initial
    return compose(Tangents(numbers_of(options)), points, lengths, before, options)[1]  # type: ignore[no-any-return]


def _backward_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
    d_out, _, path, lengths, initial, *options = args
    if initial is None:

        def gradient(form: Tensor, points: Tensor) -> Tensor:
            return composite_log_sig_backprop(form, None, points, lengths, None, *options)[0]

        pull = vector_jacobian(gradient, d_out, path)
        d_d_out, d_path = pull(cotangents[0])
        return d_d_out, None, d_path, None, None

    def gradients(form: Tensor, points: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return composite_log_sig_backprop(form, None, points, lengths, before, *options)

    pull = vector_jacobian(gradients, d_out, path, initial)
    d_d_out, d_path, d_initial = pull(tuple(cotangents))
    return d_d_out, None, d_path, None, d_initial


def _front(one: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    if one is None:
        return None
    return one.expand(size, *one.shape) if dim is None else one.movedim(dim, 0)


def _ranked(one: Tensor | None, rank: int) -> Tensor | None:
    """A tensor whose first axis is that of ``vmap``, with ``rank`` axes after it."""
    return one if one is None else one.reshape(one.shape[0], *(1,) * (rank - one.ndim + 1), *one.shape[1:])


def _forward_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    path, lengths, initial = (_front(one, dim, info.batch_size) for one, dim in zip(args[:3], in_dims, strict=False))
    assert path is not None
    rank = path.ndim - 3
    if initial is not None and initial.ndim - 2 > rank:  # what came before has axes that the path lacks
        rank = initial.ndim - 2
        path = _ranked(path, rank + 2)
        if lengths is not None:
            lengths = _ranked(lengths, rank)
    return operator(path, lengths, _ranked(initial, rank + 1), *args[3:]), 0


def _backward_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    d_out, result, path, lengths, initial = (
        _front(one, dim, info.batch_size) for one, dim in zip(args[:5], in_dims, strict=False)
    )
    assert path is not None
    assert d_out is not None
    _, _, stream, windows, *_ = _defaults(args[5:])
    extra = 2 if stream or windows is not None else 1
    shapes = path.shape, None if initial is None else initial.shape
    rank = path.ndim - 3
    if initial is not None:
        rank = max(rank, initial.ndim - 2)
    path, lengths, initial = _ranked(path, rank + 2), _ranked(lengths, rank), _ranked(initial, rank + 1)
    d_out, result = _ranked(d_out, rank + extra), _ranked(result, rank + extra)
    d_path, d_initial = operator(d_out, result, path, lengths, initial, *args[5:])
    d_path = d_path.reshape(shapes[0])
    if shapes[1] is None:
        return (d_path, d_initial), (0, None)
    return (d_path, d_initial.reshape(shapes[1])), (0, 0)


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
        composite=composite_log_sig_backprop,
        batch=_backward_batch,
    )
)
