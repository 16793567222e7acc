"""The primitives of products: those of the table, the tangent of their tangent, and the bracket.

Every derivative of a primitive here is made of primitives here, so that there is a derivative of every order, in both
modes; below, ``D f[t]`` is the derivative of a product ``f(l, r)`` in the direction ``t``:

=================  ==================================  ================================  ===========================
primitive          value                               transposed                        derivative by ``l, r``
=================  ==================================  ================================  ===========================
join               ``f``, a kernel                                                       join_jvp
join_jvp           ``D f[t]``, a kernel                join_backprop                     join_second
join_backprop      gradient of ``<d, f>``, a kernel    join_jvp                          join_backprop_backprop
…_backprop_back…   its gradient, a kernel              itself, join_backprop             brackets
join_second        ``D D f[t, s]``, brackets           join_backprop_backprop            brackets
bracket            a kernel                            coadjoint                         bracket
=================  ==================================  ================================  ===========================

Results have the leading axes that all operands broadcast to; what is transposed sums over those that were broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import mlir

from logsig_codegen import operations
from logsig_codegen.operations import LETTERS, OPERATIONS, Operation
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.brackets import Brackets
from logsig_codegen.runtime.jax_ops import handlers
from logsig_codegen.runtime.jax_ops.define import Shape, call, differentiate, is_linear, leading, primitive, zeros_of
from logsig_codegen.runtime.request import problem_of

Results = Sequence[Any]


def _kernel(name: str) -> Primitive:
    """The primitive of an operation on rows of the table."""
    operation = OPERATIONS[name]

    def shapes(*given: Shape, dimension: int, degree: int, n_jobs: int) -> list[Shape]:
        lead, problem = leading(*(shape[:-1] for shape in given)), problem_of(dimension, degree)
        return [(*lead, one.columns(problem)) for one in operation.operand_outputs]

    def prepare(avals: Any, *, dimension: int, degree: int, n_jobs: int) -> None:
        handlers.serve(dimension, degree, lambda kernel: kernel.functions(name))

    return primitive(name, shapes, handlers.lowering(name, lambda **params: params, prepare))


def _dense(tangents: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
    return [zeros_of(x) if t is None else t for t, x in zip(tangents, primals, strict=True)]


def _any(*tangents: Any) -> bool:
    return any(one is not None for one in tangents)


def _add(first: Any, second: Any) -> Any:
    return second if first is None else first if second is None else first + second


def _sum(*terms: Results) -> list[Any]:
    """Results added one by one; ``None`` stands for zero."""
    total: list[Any] = [None] * len(terms[0])
    for term in terms:
        total = [_add(*pair) for pair in zip(total, term, strict=True)]
    return total


# -- bracket and coadjoint action -----------------------------------------------------------------------------------

bracket_p, coadjoint_p = _kernel("bracket"), _kernel("coadjoint")


def _bilinear_jvp(made: Primitive, primals: Results, tangents: Results, _: Results, **numbers: int) -> list[Any]:
    left, right = primals
    first = None if tangents[0] is None else call(made, tangents[0], right, **numbers)[0]
    return [_add(first, None if tangents[1] is None else call(made, left, tangents[1], **numbers)[0])]


def _bracket_transpose(forms: Results, left: Any, right: Any, **numbers: int) -> list[Any]:
    if is_linear(left):
        return [-call(coadjoint_p, right, forms[0], **numbers)[0], None]
    return [None, call(coadjoint_p, left, forms[0], **numbers)[0]]


def _coadjoint_transpose(forms: Results, actor: Any, form: Any, **numbers: int) -> list[Any]:
    if is_linear(actor):
        return [-call(coadjoint_p, forms[0], form, **numbers)[0], None]
    return [None, call(bracket_p, actor, forms[0], **numbers)[0]]


differentiate(bracket_p, partial(_bilinear_jvp, bracket_p), _bracket_transpose)
differentiate(coadjoint_p, partial(_bilinear_jvp, coadjoint_p), _coadjoint_transpose)


# -- products -------------------------------------------------------------------------------------------------------


class Product:
    """The five primitives of a product of two operands, which are called ``left`` and ``right``.

    Attributes
    ----------
    kernels : tuple of primitives
        Those that are operations of the table.
    """

    def __init__(self, operation: Operation) -> None:
        gradient = OPERATIONS[operation.gradient]
        self.by_letter = operation.operand_inputs[1].width == LETTERS
        self.turned = operation.factors != operation.inputs
        self.product, self.jvp = _kernel(operation.name), _kernel(operation.tangent)
        self.backprop, self.backprop_backprop = _kernel(gradient.name), _kernel(gradient.gradient)
        self.kernels = self.product, self.jvp, self.backprop, self.backprop_backprop
        second = mlir.lower_fun(self._second, multiple_results=True)
        self.second = primitive(f"{operation.name}_second", self._second_shapes, second, anywhere=True)
        differentiate(self.product, self._product_jvp)
        differentiate(self.jvp, self._jvp_jvp, self._jvp_transpose)
        differentiate(self.backprop, self._backprop_jvp, self._backprop_transpose)
        differentiate(self.backprop_backprop, self._backprop_backprop_jvp, self._backprop_backprop_transpose)
        differentiate(self.second, self._second_jvp, self._second_transpose)

    def _product_jvp(self, primals: Results, tangents: Results, _: Results, **numbers: int) -> list[Any]:
        return call(self.jvp, *primals, *_dense(tangents, primals), **numbers)

    # The tangent: (left, right, t_left, t_right) -> t_out.

    def _jvp_jvp(self, primals: Results, tangents: Results, _: Results, **numbers: int) -> list[Any]:
        point, direction, terms = primals[:2], primals[2:], []
        if _any(*tangents[2:]):
            terms.append(call(self.jvp, *point, *_dense(tangents[2:], direction), **numbers))
        if _any(*tangents[:2]):
            terms.append(call(self.second, *primals, *_dense(tangents[:2], point), **numbers))
        return _sum(*terms)

    def _jvp_transpose(self, forms: Results, left: Any, right: Any, *_: Any, **numbers: int) -> list[Any]:
        return [None, None, *call(self.backprop, *forms, left, right, **numbers)]

    # The gradient: (d_out, left, right) -> (d_left, d_right).

    def _backprop_jvp(self, primals: Results, tangents: Results, _: Results, **numbers: int) -> list[Any]:
        terms = []
        if _any(tangents[0]):
            terms.append(call(self.backprop, tangents[0], *primals[1:], **numbers))
        if _any(*tangents[1:]):
            steps = _dense(tangents[1:], primals[1:])
            terms.append(call(self.backprop_backprop, *steps, *primals, **numbers)[1:])
        return _sum(*terms)

    def _backprop_transpose(self, forms: Results, _: Any, left: Any, right: Any, **numbers: int) -> list[Any]:
        return [*call(self.jvp, left, right, *forms, **numbers), None, None]

    # The gradient of the gradient: (d_d_left, d_d_right, d_out, left, right) -> (d_d_out, d_left, d_right).

    def _backprop_backprop_jvp(self, primals: Results, tangents: Results, _: Results, **numbers: int) -> list[Any]:
        steps, d_out, point = primals[:2], primals[2], primals[3:]
        terms: list[Results] = []
        if _any(*tangents[:2]):
            dense = _dense(tangents[:2], steps)
            terms.append(call(self.backprop_backprop, *dense, d_out, *point, **numbers))
        if _any(tangents[2]):
            linear = call(self.backprop_backprop, *steps, tangents[2], *point, **numbers)
            terms.append([None, *linear[1:]])
        if _any(*tangents[3:]):

            def function(*moved: Any) -> Results:
                return self._composed_backprop_backprop(steps, d_out, moved, numbers)

            terms.append(_derivative(function, point, tangents[3:]))
        return _sum(*terms)

    def _backprop_backprop_transpose(self, forms: Results, *args: Any, **numbers: int) -> list[Any]:
        *steps, d_out, left, right = args
        if is_linear(d_out):
            found = call(self.second, left, right, *steps, *forms[1:], **numbers)
            return [None, None, *found, None, None]
        through = call(self.backprop, forms[0], left, right, **numbers)
        symmetric = call(self.backprop_backprop, *forms[1:], d_out, left, right, **numbers)[1:]
        return [*_sum(through, symmetric), None, None, None]

    def _composed_backprop_backprop(
        self, steps: Results, d_out: Any, point: Results, numbers: Mapping[str, int]
    ) -> Results:
        given = *steps, d_out, *point
        t_left, t_right, d_out, left, right = _wide(leading(*(one.shape[:-1] for one in given)), *given)
        tangent, pull = jax.vjp(lambda *point: self._tangent(point, (t_left, t_right), numbers), left, right)
        return tangent, *pull(d_out)

    # The tangent of the tangent: (left, right, t_left, t_right, s_left, s_right) -> out, symmetric in t and s.

    def _second_shapes(self, *given: Shape, dimension: int, degree: int, n_jobs: int) -> list[Shape]:
        return [(*leading(*(shape[:-1] for shape in given)), problem_of(dimension, degree).size)]

    def _second(self, *args: Any, **numbers: int) -> Results:
        left, right, t_left, t_right, *steps = _wide(leading(*(one.shape[:-1] for one in args)), *args)

        def tangent(*point: Any) -> Any:
            return self._tangent(point, (t_left, t_right), numbers)

        return [jax.jvp(tangent, (left, right), tuple(steps))[1]]

    def _second_jvp(self, primals: Results, tangents: Results, _: Results, **numbers: int) -> list[Any]:
        point, first, second = primals[:2], primals[2:4], primals[4:]
        terms: list[Results] = []
        if _any(*tangents[2:4]):
            terms.append(call(self.second, *point, *_dense(tangents[2:4], first), *second, **numbers))
        if _any(*tangents[4:]):
            terms.append(call(self.second, *point, *first, *_dense(tangents[4:], second), **numbers))
        if _any(*tangents[:2]):
            terms.append(_derivative(lambda *p: self._second(*p, *primals[2:], **numbers), point, tangents[:2]))
        return _sum(*terms)

    def _second_transpose(self, forms: Results, *args: Any, **numbers: int) -> list[Any]:
        point, first, second = args[:2], args[2:4], args[4:]
        linear = any(map(is_linear, first))
        known = second if linear else first
        _, *found = call(self.backprop_backprop, *known, *forms, *point, **numbers)
        return [None, None, *found, None, None] if linear else [None, None, None, None, *found]

    # The tangent as a composition of brackets.

    def _tangent(self, point: Results, direction: Results, numbers: Mapping[str, int]) -> Any:
        (left, right), (t_left, t_right) = point, direction
        (z,) = call(self.product, left, right, **numbers)
        problem = problem_of(numbers["dimension"], numbers["degree"])
        first, second = self._in_order(left, self._lifted(right, problem))
        t_first, t_second = self._in_order(t_left, self._lifted(t_right, problem))
        brackets = Brackets(problem, lambda x, y: call(bracket_p, x, y, **numbers)[0])
        return brackets.tangent(z, first, second, t_first, t_second)

    def _in_order(self, left: Any, right: Any) -> tuple[Any, Any]:
        """From the operands' order to that of the factors."""
        return (right, left) if self.turned else (left, right)

    def _lifted(self, right: Any, problem: Problem) -> Any:
        """A displacement as an element of the Lie algebra."""
        return lifted(right, problem) if self.by_letter else right


def lifted(displacement: Any, problem: Problem) -> Any:
    """Displacements as log-signatures: zeros are appended."""
    widths = [(0, 0)] * (displacement.ndim - 1)
    return jnp.pad(displacement, [*widths, (0, problem.size - problem.dimension)])


def _wide(lead: Shape, *rows: Any) -> list[Any]:
    return [jnp.broadcast_to(one, (*lead, one.shape[-1])) for one in rows]


def _derivative(function: Any, point: Results, tangents: Results) -> list[Any]:
    """The derivative of a function of rows in a direction, whose entries may be missing or broadcast."""
    steps = _dense(tangents, point)
    lead = leading(*(one.shape[:-1] for one in (*point, *steps)))
    return list(jax.jvp(function, tuple(_wide(lead, *point)), tuple(_wide(lead, *steps)))[1])


PRODUCTS = {name: Product(operation) for name, operation in operations.PRODUCTS.items()}
"""The primitives of every product, by its name."""
