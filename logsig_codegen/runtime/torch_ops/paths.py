"""The operators of whole paths: ``log_sig`` and ``log_sig_backprop``, with all options.

Both are one call of a kernel each. A gradient that is differentiated again, and tangents, are composed of joins and
products instead: points become displacements, neighbouring displacements are joined, and the log-signatures multiplied
in a tree; a stream is one join after the other. What that keeps grows with the length of the path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime import conversions
from logsig_codegen.runtime.path_checks import check_call
from logsig_codegen.runtime.paths import Call, window_count
from logsig_codegen.runtime.torch_ops import maps, products
from logsig_codegen.runtime.torch_ops.brackets import reduced
from logsig_codegen.runtime.torch_ops.define import Gradients, Rules, register
from logsig_codegen.runtime.torch_ops.rows import check_fakes, problem_of, provider, threads_of, to_array

_OPTIONS = (
    "int dimension, int degree, bool stream=False, int[]? windows=None, str? state=None, int method=2, int n_jobs=1"
)


def _defaults(options: Sequence[Any]) -> tuple[Any, ...]:
    """All options; those left out have their defaults."""
    return (*options, *(False, None, None, 2, 1)[len(options) - 2 :])


def _call(
    path: Tensor, lengths: Tensor | None, initial: Tensor | None, options: Sequence[Any], d_out: Tensor | None = None
) -> Call:
    dimension, degree, stream, windows, state, method, n_jobs = _defaults(options)
    problem = problem_of(dimension, degree)
    checked = check_call(
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
    arrays = None if initial is None else to_array(initial)
    return Call(provider(dimension, degree), checked.options, [to_array(path)], arrays)


def _forward_cpu(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *options: Any) -> Tensor:
    dimension, degree, stream, windows, state, method, n_jobs = _defaults(options)
    if lengths is None and initial is None and windows is None and not stream and method >= 2:
        quick = provider(dimension, degree).loaded.log_sig(state)
        result = quick(to_array(path), threads_of(n_jobs)) if path.shape[-1:] == (dimension,) else None
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
            gradient = quick(to_array(d_out), to_array(path), to_array(result), threads_of(n_jobs))
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
    width = conversions.log_sig_size(problem, method)
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


# -- compositions ---------------------------------------------------------------------------------------------------


class _Values:
    """How a composition is evaluated: on values."""

    def __init__(self, numbers: tuple[int, int, int]) -> None:
        self.numbers = numbers

    def linear(self, function: Callable[[Tensor], Tensor], x: Any) -> Any:
        return function(x)

    def join(self, left: Any, right: Any) -> Any:
        return products.join.product(left, right, *self.numbers)

    def combine(self, left: Any, right: Any) -> Any:
        return products.combine.product(left, right, *self.numbers)

    def both(self, function: Callable[..., Tensor], parts: Sequence[Any]) -> Any:
        return function(*parts)


class _Tangents(_Values):
    """How a composition is evaluated: on pairs of a value and a tangent."""

    def linear(self, function: Callable[[Tensor], Tensor], x: Any) -> Any:
        return tuple(map(function, x))

    def join(self, left: Any, right: Any) -> Any:
        value = products.join.product(left[0], right[0], *self.numbers)
        return value, products.join.jvp(left[0], right[0], left[1], right[1], *self.numbers)

    def combine(self, left: Any, right: Any) -> Any:
        value = products.combine.product(left[0], right[0], *self.numbers)
        return value, products.combine.jvp(left[0], right[0], left[1], right[1], *self.numbers)

    def both(self, function: Callable[..., Tensor], parts: Sequence[Any]) -> Any:
        return tuple(function(*some) for some in zip(*parts, strict=True))


def _compose(how: _Values, path: Any, lengths: Tensor | None, initial: Any, options: Sequence[Any]) -> Any:
    """``log_sig`` as a composition of joins and products."""
    dimension, degree, stream, windows, _, method, _ = options
    steps = how.linear(lambda points: _displacements(points, lengths, windows), path)
    if stream:
        result = _expanding(how, steps, initial)
    else:
        result = _tree(how, steps)
        if initial is not None:
            result = how.combine(initial, result)
    if method < 2:
        result = how.linear(lambda rows: maps.change_method(rows, dimension, degree, 2, method), result)
    return result


def _displacements(path: Tensor, lengths: Tensor | None, windows: Sequence[int] | None) -> Tensor:
    """The steps of paths, or of their windows; zero where they do not count."""
    if windows is not None:
        places, lengths = _windows(path, lengths, windows)
        path = path[..., places, :]
    return _masked(path[..., 1:, :] - path[..., :-1, :], lengths)


def _windows(path: Tensor, lengths: Tensor | None, windows: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    """The points of each window, ``(number of windows, size)``, and how many of them count."""
    size, stride = windows
    first = torch.arange(window_count(path.shape[-2], size, stride), device=path.device) * stride
    places = first[:, None] + torch.arange(size, device=path.device)
    return places, None if lengths is None else (lengths[..., None] - first).clamp(0, size)


def _masked(steps: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return steps
    counts = torch.arange(steps.shape[-2], device=steps.device) < lengths[..., None] - 1
    return torch.where(counts[..., None], steps, torch.zeros_like(steps))


def _even(rows: Tensor) -> Tensor:
    """An even number of rows, at least two: zeros change no product."""
    missing = 2 if rows.shape[-2] == 0 else rows.shape[-2] % 2
    return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _tree(how: _Values, steps: Any) -> Any:
    """The product of all steps: neighbours are joined, then multiplied."""
    problem = problem_of(*how.numbers[:2])
    grow = problem.size - problem.dimension

    def lift(rows: Tensor) -> Tensor:
        return torch.nn.functional.pad(rows, (0, grow))

    steps = how.linear(_even, steps)
    rows = how.join(
        how.linear(lambda x: lift(x[..., 0::2, :]), steps), how.linear(lambda x: x[..., 1::2, :], steps)
    )
    while (rows[0] if isinstance(rows, tuple) else rows).shape[-2] > 1:
        rows = how.linear(_even, rows)
        rows = how.combine(
            how.linear(lambda x: x[..., 0::2, :], rows), how.linear(lambda x: x[..., 1::2, :], rows)
        )
    return how.linear(lambda x: x[..., 0, :], rows)


def _expanding(how: _Values, steps: Any, initial: Any) -> Any:
    """All expanding log-signatures, one join after the other."""
    problem = problem_of(*how.numbers[:2])
    first = steps[0] if isinstance(steps, tuple) else steps
    shape = (*first.shape[:-2], problem.size)
    if initial is None:
        state = how.linear(lambda x: x.new_zeros(shape), steps)
    else:
        state = how.linear(lambda x: x.expand(shape), initial)
    states = []
    for step in range(first.shape[-2]):
        state = how.join(state, how.linear(lambda x, step=step: x[..., step, :], steps))  # type: ignore[misc]
        states.append(state)
    if not states:
        return how.linear(lambda x: x.new_zeros((*shape[:-1], 0, shape[-1])), steps)
    return how.both(lambda *parts: torch.stack(parts, dim=-2), states)


def _numbers(options: Sequence[Any]) -> tuple[int, int, int]:
    return options[0], options[1], options[-1]


def composite_log_sig(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *options: Any) -> Tensor:
    """``log_sig`` composed of other operators."""
    return _compose(_Values(_numbers(options)), path, lengths, initial, options)  # type: ignore[no-any-return]


def composite_log_sig_backprop(
    d_out: Tensor,
    result: Tensor | None,
    path: Tensor,
    lengths: Tensor | None,
    initial: Tensor | None,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    """``log_sig_backprop`` composed of other operators: the composition of ``log_sig``, backwards."""
    del result
    dimension, degree, stream, windows, _, method, _ = options
    numbers = _numbers(options)
    if method < 2:
        d_out = maps.change_method_backprop(d_out, dimension, degree, 2, method)
    steps = _displacements(path, lengths, windows)
    d_initial: Tensor | None = None
    if stream:
        d_steps, d_initial = _expanding_backprop(d_out, steps, initial, numbers)
    else:
        levels = _levels(steps, numbers)
        if initial is not None:
            along = products.combine.product(*levels[-1], *numbers)[..., 0, :] if len(levels) > 1 else None
            if along is None:
                along = products.join.product(*levels[0], *numbers)[..., 0, :]
            lead = torch.broadcast_shapes(initial.shape[:-1], along.shape[:-1])
            wide = d_out.expand(*lead, d_out.shape[-1])
            d_initial, d_out = products.combine.backprop(wide, initial, along, *numbers)
        d_steps = _tree_backprop(d_out, steps, levels, numbers)
    d_path = _displacements_backprop(d_steps, path, lengths, windows)
    return d_path, path.new_empty(0) if d_initial is None else d_initial


def _levels(steps: Tensor, numbers: tuple[int, int, int]) -> list[tuple[Tensor, Tensor]]:
    """The operands of every level of :func:`_tree`, the joins first."""
    problem = problem_of(*numbers[:2])
    steps = _even(steps)
    left = torch.nn.functional.pad(steps[..., 0::2, :], (0, problem.size - problem.dimension))
    levels = [(left, steps[..., 1::2, :])]
    rows = products.join.product(*levels[0], *numbers)
    while rows.shape[-2] > 1:
        rows = _even(rows)
        levels.append((rows[..., 0::2, :], rows[..., 1::2, :]))
        rows = products.combine.product(*levels[-1], *numbers)
    return levels


def _tree_backprop(
    d_out: Tensor, steps: Tensor, levels: Sequence[tuple[Tensor, Tensor]], numbers: tuple[int, int, int]
) -> Tensor:
    """From the derivatives by the product of all steps to those by the steps."""
    lead = steps.shape[:-2]
    d_rows = d_out.expand(*lead, d_out.shape[-1])[..., None, :]
    for index in range(len(levels) - 1, 0, -1):
        pair = products.combine.backprop(d_rows, *levels[index], *numbers)
        d_rows = _interleaved(*pair)[..., : levels[index - 1][0].shape[-2], :]
    d_left, d_right = products.join.backprop(d_rows, *levels[0], *numbers)
    return _interleaved(d_left[..., : steps.shape[-1]], d_right)[..., : steps.shape[-2], :]


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    return torch.stack((even, odd), dim=-2).flatten(-3, -2)


def _expanding_backprop(
    d_out: Tensor, steps: Tensor, initial: Tensor | None, numbers: tuple[int, int, int]
) -> tuple[Tensor, Tensor | None]:
    """From the derivatives by a stream to those by its steps and by what came before."""
    lead, size = steps.shape[:-2], problem_of(*numbers[:2]).size
    d_out = d_out.expand(*lead, steps.shape[-2], size)
    state = steps.new_zeros((*lead, size)) if initial is None else initial.expand(*lead, size)
    states = [state]
    for step in range(steps.shape[-2] - 1):
        states.append(products.join.product(states[-1], steps[..., step, :], *numbers))
    d_state = torch.zeros_like(state)
    d_steps = []
    for step in range(steps.shape[-2] - 1, -1, -1):
        d_state = d_state + d_out[..., step, :]
        d_state, d_step = products.join.backprop(d_state, states[step], steps[..., step, :], *numbers)
        d_steps.append(d_step)
    stacked = torch.stack(d_steps[::-1], dim=-2) if d_steps else torch.zeros_like(steps)
    return stacked, None if initial is None else reduced(d_state, initial.shape)


def _displacements_backprop(
    d_steps: Tensor, path: Tensor, lengths: Tensor | None, windows: Sequence[int] | None
) -> Tensor:
    """From the derivatives by steps to those by points."""
    if windows is not None:
        places, lengths = _windows(path, lengths, windows)
    d_steps = _masked(d_steps, lengths)
    pad = torch.nn.functional.pad
    d_points = pad(d_steps, (0, 0, 1, 0)) - pad(d_steps, (0, 0, 0, 1))
    if windows is not None:
        flat = d_points.flatten(-3, -2)
        return torch.zeros_like(path).index_add(-2, places.flatten(), flat)
    return d_points if path.shape[-2] else torch.zeros_like(path)


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
    return _compose(_Tangents(_numbers(options)), points, lengths, before, options)[1]  # type: ignore[no-any-return]


def _backward_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
    d_out, _, path, lengths, initial, *options = args
    if initial is None:

        def gradient(form: Tensor, points: Tensor) -> Tensor:
            return composite_log_sig_backprop(form, None, points, lengths, None, *options)[0]

        _, pull = torch.func.vjp(gradient, d_out, path)
        d_d_out, d_path = pull(cotangents[0])
        return d_d_out, None, d_path, None, None

    def gradients(form: Tensor, points: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return composite_log_sig_backprop(form, None, points, lengths, before, *options)

    _, pull = torch.func.vjp(gradients, d_out, path, initial)
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
        fake=_forward_fake,
        vjp=_forward_vjp,
        jvp=_forward_jvp,
        batch=_forward_batch,
    )
)
log_sig_backprop = register(
    Rules(
        schema="log_sig_backprop(Tensor d_out, Tensor? result, Tensor path, Tensor? lengths, Tensor? initial, "
        f"{_OPTIONS}) -> (Tensor, Tensor)",
        cpu=_backward_cpu,
        fake=_backward_fake,
        vjp=_backward_vjp,
        composite=composite_log_sig_backprop,
        batch=_backward_batch,
    )
)
