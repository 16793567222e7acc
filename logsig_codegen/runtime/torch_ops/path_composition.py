"""``log_sig`` and its gradient as compositions of joins and products, for tangents and for gradients of gradients.

Points become displacements, neighbouring displacements are joined, and the log-signatures multiplied in a tree; a
stream is one join after the other. What that keeps grows with the length of the path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime.paths import window_count
from logsig_codegen.runtime.torch_ops import maps, products
from logsig_codegen.runtime.torch_ops.brackets import reduced
from logsig_codegen.runtime.torch_ops.lengths import beside
from logsig_codegen.runtime.torch_ops.rows import problem_of


class Values:
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


class Tangents(Values):
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


def compose(how: Values, path: Any, lengths: Tensor | None, initial: Any, options: Sequence[Any]) -> Any:
    """``log_sig`` as a composition of joins and products."""
    dimension, degree, stream, windows, _, method, _ = options
    lengths = beside(path[0] if isinstance(path, tuple) else path, lengths)
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


def _tree(how: Values, steps: Any) -> Any:
    """The product of all steps: neighbours are joined, then multiplied."""
    problem = problem_of(*how.numbers[:2])
    grow = problem.size - problem.dimension

    def lift(rows: Tensor) -> Tensor:
        return torch.nn.functional.pad(rows, (0, grow))

    steps = how.linear(_even, steps)
    rows = how.join(how.linear(lambda x: lift(x[..., 0::2, :]), steps), how.linear(lambda x: x[..., 1::2, :], steps))
    while (rows[0] if isinstance(rows, tuple) else rows).shape[-2] > 1:
        rows = how.linear(_even, rows)
        rows = how.combine(how.linear(lambda x: x[..., 0::2, :], rows), how.linear(lambda x: x[..., 1::2, :], rows))
    return how.linear(lambda x: x[..., 0, :], rows)


def _expanding(how: Values, steps: Any, initial: Any) -> Any:
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


def numbers_of(options: Sequence[Any]) -> tuple[int, int, int]:
    return options[0], options[1], options[-1]


def composite_log_sig(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *options: Any) -> Tensor:
    """``log_sig`` composed of other operators."""
    return compose(Values(numbers_of(options)), path, lengths, initial, options)  # type: ignore[no-any-return]


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
    numbers, lengths = numbers_of(options), beside(path, lengths)
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
