"""``log_sig`` as a composition of joins and products, for tangents and for gradients of gradients.

Points become displacements, neighbouring displacements are joined, and the log-signatures multiplied in a tree; a
stream is one join after the other. What that keeps grows with the length of the path. Forward there is one composition,
of values or of pairs of a value and its tangent. Its gradient is written out: tangents of gradients are asked for
inside of the levels of ``torch.func``, where no other level can be begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from logsig_codegen.runtime.request import PathOptions, window_count
from logsig_codegen.runtime.torch_ops import maps, products
from logsig_codegen.runtime.torch_ops.brackets import reduced
from logsig_codegen.runtime.torch_ops.lengths import beside, is_traced
from logsig_codegen.runtime.torch_ops.rows import problem_of

Jet: TypeAlias = "tuple[Tensor, ...]"
"""A value, or a value and its tangent."""
Windows: TypeAlias = "Sequence[int] | Tensor | None"
"""Size and stride of windows, or intervals."""


class Composition:
    """``log_sig`` of one problem and options, or with ``intervals`` of these."""

    def __init__(self, dimension: int, degree: int, *options: Any, intervals: Tensor | None = None) -> None:
        self.problem = problem_of(dimension, degree)
        self.options = PathOptions(*options)
        self.windows = self.options.windows if intervals is None else intervals
        self.numbers = (dimension, degree, self.options.n_jobs)

    def log_sig(self, path: Jet, lengths: Tensor | None, initial: Jet | None) -> Jet:
        """Log-signatures of paths, and their tangents, if paths and ``initial`` have tangents."""
        counts, windows, method = beside(path[0], lengths), self.windows, self.options.method
        steps = _each(lambda points: _displacements(points, counts, windows), path)
        if self.options.stream:
            result = self._expanding(steps, initial)
        else:
            result = self._tree(steps)
            if initial is not None:
                result = self._combine(initial, result)
        if method == 2 or method == 3:
            return result
        return _each(lambda rows: maps.change_method(rows, *self.numbers[:2], 2, method), result)

    def _join(self, left: Jet, right: Jet) -> Jet:
        return self._product(_join(self.numbers), left, right)

    def _combine(self, left: Jet, right: Jet) -> Jet:
        return self._product(_combine(self.numbers), left, right)

    def _product(self, product: Any, left: Jet, right: Jet) -> Jet:
        value = product.product(left[0], right[0], *self.numbers)
        return (
            value,
            *(product.jvp(left[0], right[0], *t, *self.numbers) for t in zip(left[1:], right[1:], strict=True)),
        )

    def _tree(self, steps: Jet) -> Jet:
        """The product of all steps: neighbours are joined, then multiplied."""
        grow = self.problem.size - self.problem.dimension
        steps = _each(_even, steps)
        left = _each(lambda x: torch.nn.functional.pad(x[..., 0::2, :], (0, grow)), steps)
        rows = self._join(left, _each(lambda x: x[..., 1::2, :], steps))
        while rows[0].shape[-2] > 1:
            rows = _each(_even, rows)
            rows = self._combine(_each(lambda x: x[..., 0::2, :], rows), _each(lambda x: x[..., 1::2, :], rows))
        return _each(lambda x: x[..., 0, :], rows)

    def _expanding(self, steps: Jet, initial: Jet | None) -> Jet:
        """All expanding log-signatures, one join after the other."""
        shape = (*steps[0].shape[:-2], self.problem.size)
        zeros = _each(lambda x: x.new_zeros(shape), steps)
        state = zeros if initial is None else _each(lambda x: x.expand(shape), initial)
        states = []
        for step in range(steps[0].shape[-2]):
            state = self._join(state, _each(lambda x, step=step: x[..., step, :], steps))  # type: ignore[misc]
            states.append(state)
        if not states:
            return _each(lambda x: x[..., None, :][..., :0, :], zeros)
        return tuple(torch.stack(rows, dim=-2) for rows in zip(*states, strict=True))


class _Sum:
    """Both products of degree one, which need no kernel."""

    @staticmethod
    def product(left: Tensor, right: Tensor, *_: Any) -> Tensor:
        return left + right

    @staticmethod
    def jvp(_left: Tensor, _right: Tensor, t_left: Tensor, t_right: Tensor, *_: Any) -> Tensor:
        return t_left + t_right

    @staticmethod
    def backprop(d_out: Tensor, left: Tensor, right: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        return reduced(d_out, left.shape), reduced(d_out, right.shape)


def _join(numbers: Sequence[int]) -> Any:
    return _Sum if numbers[1] == 1 else products.join


def _combine(numbers: Sequence[int]) -> Any:
    return _Sum if numbers[1] == 1 else products.combine


def _each(function: Callable[[Tensor], Tensor], x: Jet) -> Jet:
    """A linear function of a value, and of its tangent if there is one."""
    return tuple(map(function, x))


def _displacements(path: Tensor, lengths: Tensor | None, windows: Windows) -> Tensor:
    """The steps of paths, or of their windows; zero where they do not count."""
    if windows is not None:
        places, lengths = _windows(path, lengths, windows)
        path = path[..., places, :] if places.ndim == 2 else _gathered(path, places)
    return _masked(path[..., 1:, :] - path[..., :-1, :], lengths)


def _gathered(path: Tensor, places: Tensor) -> Tensor:
    """The points of windows of each path."""
    flat = path.gather(-2, _of_channels(places, path))
    return flat.reshape(*flat.shape[:-2], *places.shape[-2:], path.shape[-1])


def _of_channels(places: Tensor, path: Tensor) -> Tensor:
    flat = places.flatten(-2)[..., None]
    return flat.expand(*flat.shape[:-1], path.shape[-1])


def _windows(path: Tensor, lengths: Tensor | None, windows: Sequence[int] | Tensor) -> tuple[Tensor, Tensor | None]:
    """The points of each window, ``(..., number of windows, size)``, and how many of them count."""
    if isinstance(windows, Tensor):
        first, last = windows.to(path.device).unbind(-1)
        counts = last - first + 1
        longest = path.shape[-2] if is_traced(counts) or counts.is_cuda else int(counts.max()) if counts.numel() else 0
        places = first[..., None] + torch.arange(longest, device=path.device)
        return places.clamp(0, max(path.shape[-2] - 1, 0)), counts
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


def composite_log_sig_backprop(
    d_out: Tensor, path: Tensor, lengths: Tensor | None, initial: Tensor | None, composition: Composition
) -> tuple[Tensor, Tensor]:
    """The composition of ``log_sig``, backwards."""
    options, plain, lengths = composition.options, composition.numbers, beside(path, lengths)
    if options.method < 2:
        d_out = maps.change_method_backprop(d_out, *plain[:2], 2, options.method)
    steps = _displacements(path, lengths, composition.windows)
    d_initial: Tensor | None = None
    if options.stream:
        d_steps, d_initial = _expanding_backprop(d_out, steps, initial, plain)
    else:
        levels = _levels(steps, plain)
        if initial is not None:
            last = (_combine if len(levels) > 1 else _join)(plain)
            along = last.product(*levels[-1], *plain)[..., 0, :]
            lead = torch.broadcast_shapes(initial.shape[:-1], along.shape[:-1])
            wide = d_out.expand(*lead, d_out.shape[-1])
            d_initial, d_out = _combine(plain).backprop(wide, initial, along, *plain)
        d_steps = _tree_backprop(d_out, steps, levels, plain)
    d_path = _displacements_backprop(d_steps, path, lengths, composition.windows)
    return d_path, path.new_empty(0) if d_initial is None else d_initial


def _levels(steps: Tensor, numbers: tuple[int, int, int]) -> list[tuple[Tensor, Tensor]]:
    """The operands of every level of :func:`_tree`, the joins first."""
    problem = problem_of(*numbers[:2])
    steps = _even(steps)
    left = torch.nn.functional.pad(steps[..., 0::2, :], (0, problem.size - problem.dimension))
    levels = [(left, steps[..., 1::2, :])]
    rows = _join(numbers).product(*levels[0], *numbers)
    while rows.shape[-2] > 1:
        rows = _even(rows)
        levels.append((rows[..., 0::2, :], rows[..., 1::2, :]))
        rows = _combine(numbers).product(*levels[-1], *numbers)
    return levels


def _tree_backprop(
    d_out: Tensor, steps: Tensor, levels: Sequence[tuple[Tensor, Tensor]], numbers: tuple[int, int, int]
) -> Tensor:
    """From the derivatives by the product of all steps to those by the steps."""
    lead = steps.shape[:-2]
    d_rows = d_out.expand(*lead, d_out.shape[-1])[..., None, :]
    for index in range(len(levels) - 1, 0, -1):
        pair = _combine(numbers).backprop(d_rows, *levels[index], *numbers)
        d_rows = _interleaved(*pair)[..., : levels[index - 1][0].shape[-2], :]
    d_left, d_right = _join(numbers).backprop(d_rows, *levels[0], *numbers)
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
        states.append(_join(numbers).product(states[-1], steps[..., step, :], *numbers))
    d_state = torch.zeros_like(state)
    d_steps = []
    for step in range(steps.shape[-2] - 1, -1, -1):
        d_state = d_state + d_out[..., step, :]
        d_state, d_step = _join(numbers).backprop(d_state, states[step], steps[..., step, :], *numbers)
        d_steps.append(d_step)
    stacked = torch.stack(d_steps[::-1], dim=-2) if d_steps else torch.zeros_like(steps)
    return stacked, None if initial is None else reduced(d_state, initial.shape)


def _displacements_backprop(d_steps: Tensor, path: Tensor, lengths: Tensor | None, windows: Windows) -> Tensor:
    """From the derivatives by steps to those by points."""
    if windows is not None:
        places, lengths = _windows(path, lengths, windows)
    d_steps = _masked(d_steps, lengths)
    pad = torch.nn.functional.pad
    d_points = pad(d_steps, (0, 0, 1, 0)) - pad(d_steps, (0, 0, 0, 1))
    if windows is not None:
        flat = d_points.flatten(-3, -2)
        if places.ndim > 2:
            return torch.zeros_like(path).scatter_add(-2, _of_channels(places, path), flat)
        return torch.zeros_like(path).index_add(-2, places.flatten(), flat)
    return d_points if path.shape[-2] else torch.zeros_like(path)
