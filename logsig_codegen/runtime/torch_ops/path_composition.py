"""``log_sig`` as a composition of joins and products, for tangents and for gradients of gradients.

Points become displacements, neighbouring displacements are joined, and the log-signatures multiplied in a tree; a
stream is one join after the other. What that keeps grows with the length of the path. It is composed once, on values
or on pairs of a value and its tangent; gradients are taken of it by torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from logsig_codegen.runtime.request import PathOptions, window_count
from logsig_codegen.runtime.torch_ops import maps, products
from logsig_codegen.runtime.torch_ops.lengths import beside
from logsig_codegen.runtime.torch_ops.rows import problem_of

Jet: TypeAlias = "tuple[Tensor, ...]"
"""A value, or a value and its tangent."""


class Composition:
    """``log_sig`` of one problem and options."""

    def __init__(self, dimension: int, degree: int, *options: Any) -> None:
        self.problem = problem_of(dimension, degree)
        self.options = PathOptions(*options)
        self.numbers = (dimension, degree, self.options.n_jobs)

    def log_sig(self, path: Jet, lengths: Tensor | None, initial: Jet | None) -> Jet:
        """Log-signatures of paths, and their tangents, if paths and ``initial`` have tangents."""
        counts, windows, method = beside(path[0], lengths), self.options.windows, self.options.method
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
        return self._product(products.join, left, right)

    def _combine(self, left: Jet, right: Jet) -> Jet:
        return self._product(products.combine, left, right)

    def _product(self, product: Any, left: Jet, right: Jet) -> Jet:
        if self.problem.degree == 1:
            return tuple(one + other for one, other in zip(left, right, strict=True))
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


def _each(function: Callable[[Tensor], Tensor], x: Jet) -> Jet:
    """A linear function of a value, and of its tangent if there is one."""
    return tuple(map(function, x))


def _displacements(path: Tensor, lengths: Tensor | None, windows: Sequence[int] | None) -> Tensor:
    """The steps of paths, or of their windows; zero where they do not count."""
    if windows is not None:
        size, stride = windows
        first = torch.arange(window_count(path.shape[-2], size, stride), device=path.device) * stride
        path = path[..., first[:, None] + torch.arange(size, device=path.device), :]
        lengths = None if lengths is None else (lengths[..., None] - first).clamp(0, size)
    steps = path[..., 1:, :] - path[..., :-1, :]
    if lengths is None:
        return steps
    counts = torch.arange(steps.shape[-2], device=steps.device) < lengths[..., None] - 1
    return torch.where(counts[..., None], steps, torch.zeros_like(steps))


def _even(rows: Tensor) -> Tensor:
    """An even number of rows, at least two: zeros change no product."""
    missing = 2 if rows.shape[-2] == 0 else rows.shape[-2] % 2
    return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def composite_log_sig(path: Tensor, lengths: Tensor | None, initial: Tensor | None, *numbers: Any) -> Tensor:
    """``log_sig`` composed of other operators; ``numbers``: the plain arguments of the operator."""
    return Composition(*numbers).log_sig((path,), lengths, None if initial is None else (initial,))[0]


def composite_log_sig_backprop(
    d_out: Tensor, result: Tensor | None, path: Tensor, lengths: Tensor | None, initial: Tensor | None, *numbers: Any
) -> tuple[Tensor, Tensor]:
    """``log_sig_backprop`` composed of other operators: the gradient of the composition."""
    del result

    def function(points: Tensor, before: Tensor | None = None) -> Tensor:
        return composite_log_sig(points, lengths, before, *numbers)

    primals = (path,) if initial is None else (path, initial)
    found: Any = torch.func.vjp(function, *primals)
    value, pull = found
    gradients = pull(d_out.expand(value.shape))
    return gradients[0], path.new_empty(0) if initial is None else gradients[1]
