"""Functions with kernels for their values and their gradients, whose tangents are compositions of other primitives.

The tangent is a primitive of its own: what transposes it, which is all of reverse mode, is the kernel of the gradient,
and the composition is not run for it. Derivatives beyond the first are those of the composition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import mlir

from logsig_codegen.runtime.jax_ops.define import Shape, call, differentiate, primitive, summed, zeros_of

Params = dict[str, Any]
Lowering = Callable[..., Any]


@dataclass(frozen=True)
class Rules:
    """What a function is described by. Its operands are those that it is differentiated by, then others.

    Attributes
    ----------
    name : str
    tail : int
        Axes of the first operand that are not leading ones.
    count : callable
        From the parameters to the number of operands that it is differentiated by.
    shape : callable
        From the shapes of the operands and the parameters to the shape of the result.
    value, backprop : callable
        Rules of lowering: of the values, and of the gradient, ``(d_out, *operands)``.
    composition : callable
        The values, made of other primitives; any leading axes.
    gradient_leads : callable
        From the leading axes of the operands, of the tangents and of ``d_out``, and the parameters, to those of the
        gradients: what the kernel does not sum over.
    hint : callable, optional
        From operands, result and parameters to operands and parameters of gradient and tangent, where they differ.
    """

    name: str
    tail: int
    count: Callable[[Params], int]
    shape: Callable[[Sequence[Shape], Params], Shape]
    value: Lowering
    backprop: Lowering
    composition: Callable[..., Any]
    gradient_leads: Callable[[Sequence[Shape], Sequence[Shape], Shape, Params], tuple[Shape, ...]]
    hint: Callable[[Sequence[Any], Any, Params], tuple[Sequence[Any], Params]] = lambda operands, _, params: (
        operands,
        params,
    )


class Composed:
    """The three primitives of a function: ``value``, ``tangent`` and ``backprop``."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        tangent = mlir.lower_fun(self._composed_tangent, multiple_results=True)
        self.value = primitive(rules.name, self._value_shapes, rules.value)
        self.tangent = primitive(f"{rules.name}_tangent", self._tangent_shapes, tangent, anywhere=True)
        self.backprop = primitive(f"{rules.name}_backprop", self._backprop_shapes, rules.backprop, widen=_widen)
        differentiate(self.value, self._value_jvp)
        differentiate(self.tangent, self._tangent_jvp, self._tangent_transpose)
        differentiate(self.backprop, self._backprop_jvp, self._backprop_transpose)

    # The function: operands -> result.

    def _value_shapes(self, *shapes: Shape, **params: Any) -> list[Shape]:
        return [self.rules.shape(shapes, params)]

    def _value_jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], results: Sequence[Any], **params: Any
    ) -> list[Any]:
        count = self.rules.count(params)
        operands, params = self.rules.hint(primals, results[0], params)
        return call(self.tangent, *operands, *self._dense(tangents, primals[:count]), **params)

    # Its tangent: (*operands, *tangents) -> tangent of the result.

    def _tangent_shapes(self, *shapes: Shape, **params: Any) -> list[Shape]:
        operands, tangents = self._split(shapes, params)
        wide = [tuple(np.broadcast_shapes(x, t)) for x, t in zip(operands, tangents, strict=False)]
        return [self.rules.shape((*wide, *operands[len(wide) :]), params)]

    def _composed_tangent(self, *args: Any, **params: Any) -> list[Any]:
        operands, tangents = self._split(args, params)
        return [self._derivative(operands, tangents, params)]

    def _tangent_jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], _: Sequence[Any], **params: Any
    ) -> list[Any]:
        operands, directions = self._split(primals, params)
        by_operands, by_directions = self._split(tangents, params)
        total = None
        if any(one is not None for one in by_directions):
            (total,) = call(self.tangent, *operands, *self._dense(by_directions, directions), **params)
        by_operands = by_operands[: len(directions)]
        if any(one is not None for one in by_operands):

            def tangent(*point: Any) -> Any:
                return self._derivative((*point, *operands[len(point) :]), directions, params)

            points, steps = self._wide(operands, self._dense(by_operands, operands[: len(directions)]))
            second = jax.jvp(tangent, points, steps)[1]
            total = second if total is None else total + second
        return [total]

    def _tangent_transpose(self, forms: Sequence[Any], *args: Any, **params: Any) -> list[Any]:
        operands, tangents = self._split(args, params)
        shapes = [getattr(one, "aval", one).shape for one in tangents]
        return [*[None] * len(operands), *self.gradients(forms[0], operands, shapes, params)]

    # Its gradient: (d_out, *operands) -> derivatives by the first operands, with the leading axes of `leads`.

    def gradients(self, d_out: Any, operands: Sequence[Any], shapes: Sequence[Shape], params: Params) -> list[Any]:
        """The derivatives of ``<d_out, f>``, summed to ``shapes``."""
        rank = operands[0].ndim - self.rules.tail
        leads = self.rules.gradient_leads(
            [one.shape[:rank] for one in operands], [shape[:rank] for shape in shapes], d_out.shape[:rank], params
        )
        found = call(self.backprop, d_out, *operands, **params, leads=leads)
        return [summed(one, shape) for one, shape in zip(found, shapes, strict=True)]

    def _backprop_shapes(self, d_out: Shape, *shapes: Shape, leads: tuple[Shape, ...], **params: Any) -> list[Shape]:
        del d_out, params
        return [(*lead, *shapes[k][len(lead) :]) for k, lead in enumerate(leads)]

    def _backprop_jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], results: Sequence[Any], *, leads: Any, **params: Any
    ) -> list[Any]:
        d_out, *operands = primals
        total: list[Any] = [None] * len(results)
        if tangents[0] is not None:
            total = call(self.backprop, tangents[0], *operands, leads=leads, **params)
        by_operands = tangents[1 : 1 + len(leads)]
        if any(one is not None for one in by_operands):

            def gradient(*point: Any) -> Any:
                return self._composed_gradient(d_out, (*point, *operands[len(point) :]), params)

            points = [jnp.broadcast_to(x, y.shape) for x, y in zip(operands, results, strict=False)]
            steps = [
                jnp.broadcast_to(t, y.shape)
                for t, y in zip(self._dense(by_operands, operands[: len(leads)]), results, strict=True)
            ]
            second = jax.jvp(gradient, points, steps)[1]
            total = [one if both is None else both + one for both, one in zip(total, second, strict=True)]
        return total

    def _backprop_transpose(self, forms: Sequence[Any], *args: Any, leads: Any, **params: Any) -> list[Any]:
        del leads
        operands = args[1:]
        return [*call(self.tangent, *operands, *forms, **params), *[None] * len(operands)]

    # Compositions.

    def _derivative(self, operands: Sequence[Any], tangents: Sequence[Any], params: Params) -> Any:
        points, steps = self._wide(operands, tangents)

        def value(*point: Any) -> Any:
            return self.rules.composition(*point, *operands[len(point) :], **params)

        return jax.jvp(value, points, steps)[1]

    def _composed_gradient(self, d_out: Any, operands: Sequence[Any], params: Params) -> tuple[Any, ...]:
        count = self.rules.count(params)

        def value(*point: Any) -> Any:
            return self.rules.composition(*point, *operands[count:], **params)

        result, pull = jax.vjp(value, *operands[:count])
        return tuple(pull(jnp.broadcast_to(d_out, result.shape)))

    def _wide(self, operands: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Operands and tangents, broadcast against each other."""
        shapes = [jnp.broadcast_shapes(x.shape, t.shape) for x, t in zip(operands, tangents, strict=False)]
        points = [jnp.broadcast_to(x, shape) for x, shape in zip(operands, shapes, strict=False)]
        return points, [jnp.broadcast_to(t, shape) for t, shape in zip(tangents, shapes, strict=True)]

    def _split(self, args: Sequence[Any], params: Params) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        count = self.rules.count(params)
        return tuple(args[:-count]), tuple(args[-count:])

    def _dense(self, tangents: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
        rank = primals[0].ndim - self.rules.tail
        return [zeros_of(x, x.ndim - rank) if t is None else t for t, x in zip(tangents, primals, strict=False)]


def _widen(size: int, params: Params) -> Params:
    return {**params, "leads": tuple((size, *lead) for lead in params["leads"])}
