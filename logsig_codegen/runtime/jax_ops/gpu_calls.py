"""What primitives are lowered to for NVIDIA GPUs: calls of handlers, in the form these take, and JAX's own operations.

A handler on a GPU takes operands with the leading axes of the result, or one row for all; no products with what came
before paths, which are an operation on rows; and numbers of points that are within a path. The rules here bring calls
into that form. Linear maps of rows and power series are JAX's operations. Importing this module registers the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir

from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.operations import OPERATIONS, ROWS, STATES, call_operation
from logsig_codegen.runtime.cuda.sums import arrange
from logsig_codegen.runtime.jax_ops import gpu, handlers
from logsig_codegen.runtime.jax_ops.composed import Composed
from logsig_codegen.runtime.jax_ops.define import Shape, call, leading, primitive, summed
from logsig_codegen.runtime.jax_ops.maps import SERIES, Plan, map_p
from logsig_codegen.runtime.jax_ops.paths import (
    INITIAL,
    INTERVALS,
    LENGTHS,
    PATHS,
    RESULT,
    path_attributes,
    points_of_intervals,
)
from logsig_codegen.runtime.jax_ops.preparation import observed_p
from logsig_codegen.runtime.jax_ops.products import PRODUCTS, bracket_p, coadjoint_p
from logsig_codegen.runtime.request import problem_of

Arrays = Sequence[Any]


def _register(made: Primitive, rule: Callable[..., Any]) -> None:
    mlir.register_lowering(made, rule, platform="cuda")


def _composed(function: Callable[..., Sequence[Any]]) -> Callable[..., Any]:
    return mlir.lower_fun(function, multiple_results=True)


def _refused(what: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise gpu.unavailable(what)

    return refuse


def _widened(array: Any, lead: Shape, tail: int) -> Any:
    """An operand with the leading axes ``lead``, before ``tail`` axes of its own."""
    return jnp.broadcast_to(array, (*lead, *array.shape[array.ndim - tail :]))


# -- rows -----------------------------------------------------------------------------------------------------------


def _rows_rule(made: Primitive, operation: str) -> Callable[..., Any]:
    def prepare(avals: Any, *, dimension: int, degree: int, n_jobs: int) -> None:
        gpu.load_rows(dimension, degree, operation, str(avals[0].dtype))

    called = handlers.lowering(operation, lambda **params: params, prepare)

    def lower(ctx: Any, *operands: Any, **params: Any) -> Any:
        lead = ctx.avals_out[0].shape[:-1]
        fitting = {lead, (1,) * len(lead)}
        if all(one.shape[:-1] in fitting for one in ctx.avals_in):
            return called(ctx, *operands, **params)

        def wide(*arrays: Any) -> list[Any]:
            return call(made, *(_widened(one, lead, 1) for one in arrays), **params)

        return _composed(wide)(ctx, *operands)

    return lower


def _row_primitives() -> dict[str, Primitive]:
    """The primitives of the table's operations on rows, by their names."""
    products = (one for product in PRODUCTS.values() for one in product.kernels)
    found = {made.name.removeprefix("logsig_"): made for made in (*products, bracket_p, coadjoint_p)}
    assert found.keys() == {name for name, one in OPERATIONS.items() if one.kind == ROWS}
    return found


# -- paths: what the launcher does ----------------------------------------------------------------------------------


def _forward_shape(path: Shape, *_: Shape, dimension: int, degree: int, **params: Any) -> list[Shape]:
    return [PATHS.rules.shape([path], {"dimension": dimension, "degree": degree, **params})]


def _backward_shapes(d_out: Shape, path: Shape, *_: Shape, given: Any, **params: Any) -> list[Shape]:
    size = problem_of(params["dimension"], params["degree"]).size
    return [path, (*path[:-2], size)] if INITIAL in given else [path]


def _prepare_paths(avals: Arrays, *, backward: bool, dimension: int, degree: int, **params: Any) -> None:
    path = avals[1 if backward else 0]
    window, step = params["windows"] or (0, 0)
    given, state, stream = params["given"], params["state"], params["stream"]
    members = {"state": 1 + STATES.index(state), "stream": int(stream), "window": window, "step": step}
    members |= {"batch": prod(path.shape[:-2]), "length": path.shape[-2], "path": True}
    members |= {name: True for name in (LENGTHS, INITIAL, RESULT) if name in given}
    members |= {"d_out": True, "d_path": True} if backward else {"out": True}
    members |= {"d_initial": True} if backward and INITIAL in given else {}
    group = call_operation(state, stream=stream, backward=backward)
    gpu.load_paths(dimension, degree, str(path.dtype), group, members, prod(path.shape), backward=backward)


def _walk(target: str, shapes: Callable[..., Sequence[Shape]], *, backward: bool) -> Primitive:
    """A call as the handler takes it: operands without an axis of length 1 in place of one of the batch."""
    prepare = partial(_prepare_paths, backward=backward)
    made = primitive(f"{target}_on_gpu", shapes, handlers.no_lowering)
    _register(made, handlers.lowering(target, path_attributes, prepare))
    return made


FORWARD, BACKWARD = (
    _walk("log_sig", _forward_shape, backward=False),
    _walk("log_sig_backprop", _backward_shapes, backward=True),
)
_KNOWN = frozenset((INITIAL, LENGTHS, RESULT))


# -- paths: what is done around it ----------------------------------------------------------------------------------


class _Call:
    """A call along paths on a GPU: its operands by name, and how it is brought into the launcher's form."""

    def __init__(self, path: Any, others: Arrays, params: Mapping[str, Any]) -> None:
        unknown = set(params["given"]) - _KNOWN
        if unknown:
            raise gpu.unavailable(", ".join(sorted(unknown)))
        self.path, self.params = path, params
        operands = dict(zip(params["given"], others, strict=True))
        self.initial, self.lengths, self.result = (operands.get(name) for name in (INITIAL, LENGTHS, RESULT))
        self.stream: bool = params["stream"]
        self.numbers = {name: params[name] for name in ("dimension", "degree", "n_jobs")}

    def _counts(self, lengths: Any, lead: Shape) -> tuple[Any, Any]:
        """Which numbers of points are within the paths; and all of them, 0 for the others, as halves of 64 bits."""
        right = (lengths >= 0) & (lengths <= self.path.shape[-2])
        counts = jnp.broadcast_to(jnp.where(right, lengths, 0).astype(jnp.int32), lead)
        return jnp.broadcast_to(right, lead), jnp.stack([counts, jnp.zeros_like(counts)], -1)

    def _start(self, made: Primitive, arrays: Arrays, lead: Shape, before: Any, result: Any = None) -> list[Any]:
        """The results of a call; NaN where a number of points is not within a path."""
        given, operands, right = [], [*arrays], None
        if before is not None:
            given, operands = [INITIAL], [*operands, _widened(before, lead, 1)]
        if self.lengths is not None:
            right, counts = self._counts(self.lengths, lead)
            given, operands = [*given, LENGTHS], [*operands, counts]
        if result is not None:
            given, operands = [*given, RESULT], [*operands, _widened(result, lead, result.ndim - len(lead))]
        found = call(made, *operands, **{**self.params, "given": tuple(given)})
        if right is None:
            return found
        return [
            jnp.where(right.reshape(*lead, *(1,) * (one.ndim - len(lead))), one, jnp.full((), jnp.nan, one.dtype))
            for one in found
        ]

    def along(self) -> Any:
        """The result, but for the product with what came before."""
        others = [] if self.lengths is None else [self.lengths.shape]
        before = self.initial if self.stream else None
        if before is not None:
            others.append(before.shape[:-1])
        lead = leading(self.path.shape[:-2], *others)
        return self._start(FORWARD, [_widened(self.path, lead, 2)], lead, before)[0]

    def value(self) -> list[Any]:
        rows = self.along()
        if self.initial is None or self.stream:
            return [rows]
        return call(PRODUCTS["combine"].product, self.initial, rows, **self.numbers)

    def gradient(self, d_out: Any, leads: Sequence[Shape]) -> list[Any]:
        """The derivatives by the points and by what came before, with the leading axes of ``leads``."""
        lead, rank = leads[0], len(leads[0])
        if self.initial is None or self.stream:
            found = self._back(d_out, lead, self.result, self.initial)
            return [found[0], *(summed(one, (*leads[1], one.shape[-1])) for one in found[1:])]
        along = self.along()
        before, rows = call(PRODUCTS["combine"].backprop, d_out, self.initial, along, **self.numbers)
        d_rows = summed(rows, (*lead, *rows.shape[rank:]))
        return [*self._back(d_rows, lead, along, None), summed(before, (*leads[1], before.shape[-1]))]

    def _back(self, d_out: Any, lead: Shape, result: Any, before: Any) -> list[Any]:
        arrays = [_widened(d_out, lead, d_out.ndim - len(lead)), _widened(self.path, lead, 2)]
        return self._start(BACKWARD, arrays, lead, before, result)


class _Intervals:
    """Intervals of paths as paths of their own: their points are copied, and how many of them count is a number."""

    def __init__(self, operands: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        self.lengths, self.intervals = operands.get(LENGTHS), operands[INTERVALS]
        self.params = {**params, "longest": None}
        self.longest: int = params["longest"]

    def points(self, path: Any) -> tuple[Any, Any]:
        """Points and numbers of points; -1 for an interval that is none of the path's."""
        first, last = self.intervals[..., 0], self.intervals[..., 1]
        points, counts = points_of_intervals(path, self.lengths, self.intervals, self.longest)
        right = (first >= 0) & (last < path.shape[-2]) & (last >= first - 1)
        if self.lengths is not None:
            right = right & ((self.lengths >= 0) & (self.lengths <= path.shape[-2]))[..., None]
        return points, jnp.where(right, jnp.maximum(counts, 0), -1)

    def call(self, path: Any, result: Any = None) -> _Call:
        points, counts = self.points(path)
        given, others = ((LENGTHS,), (counts,)) if result is None else ((LENGTHS, RESULT), (counts, result))
        return _Call(points, others, {**self.params, "given": given})


def _value(path: Any, *others: Any, **params: Any) -> list[Any]:
    operands = dict(zip(params["given"], others, strict=True))
    if INTERVALS in operands:
        return _Intervals(operands, params).call(path).value()
    return _Call(path, others, params).value()


def _gradient(d_out: Any, path: Any, *others: Any, leads: Sequence[Shape], **params: Any) -> list[Any]:
    operands = dict(zip(params["given"], others, strict=True))
    if INTERVALS not in operands:
        return _Call(path, others, params).gradient(d_out, leads)
    intervals, (lead,) = _Intervals(operands, params), leads
    wide = _widened(path, lead, 2)
    call_of_each = intervals.call(wide, operands.get(RESULT))
    found = call_of_each.gradient(d_out, [(*lead, d_out.shape[-2])])[0]
    _, pull = jax.vjp(lambda one: intervals.points(one)[0], wide)
    return list(pull(found))


# -- maps and series ------------------------------------------------------------------------------------------------


def _widest(array: Any) -> Any:
    """The array in double precision, where programs have it."""
    return array.astype(jnp.result_type(float))


def _mapped(linear: SparseMap, rows: Any) -> Any:
    """A linear map of rows; each sum has an order of its own. What pads the terms reads a zero behind the row."""
    found = arrange(linear.starts)
    padded = jnp.pad(rows, [*[(0, 0)] * (rows.ndim - 1), (0, 1)])
    columns = found.of(linear.indices, linear.columns, np.int32)
    terms = padded[..., columns] * jnp.asarray(found.of(linear.coefficients, 0, np.float64), rows.dtype)
    sums, start = None, 0
    for width, count in found.groups:
        part = terms[..., start : start + width * count].reshape(*rows.shape[:-1], width, count)
        start += width * count
        sums = part if sums is None else jnp.concatenate([sums, part], -1)
        if width > 1:
            sums = sums[..., : width // 2, :] + sums[..., width // 2 :, :]
    assert sums is not None
    return sums[..., 0, found.order]


def _map(rows: Any, *, plan: Plan) -> list[Any]:
    row_map, result = plan.row_map, _widest(rows[..., plan.row_map.skip :])
    for linear in row_map.maps:
        result = _mapped(linear, result)
    room = row_map.width - row_map.front
    result = result[..., :room]
    widths = [(0, 0)] * (rows.ndim - 1)
    return [jnp.pad(result, [*widths, (row_map.front, room - result.shape[-1])]).astype(rows.dtype)]


def _series(made: Composed, x: Any, **params: Any) -> list[Any]:
    return [made.rules.composition(_widest(x), **params).astype(x.dtype)]


def _series_gradient(made: Composed, d_out: Any, x: Any, *, leads: Sequence[Shape], **params: Any) -> list[Any]:
    wide = _widened(_widest(x), leads[0], 1)
    result, pull = jax.vjp(partial(made.rules.composition, **params), wide)
    return [pull(jnp.broadcast_to(_widest(d_out), result.shape))[0].astype(x.dtype)]


for _name, _made in _row_primitives().items():
    _register(_made, _rows_rule(_made, _name))
_register(PATHS.value, _composed(_value))
_register(PATHS.backprop, _composed(_gradient))
_register(observed_p, _refused("missing='raise' of traced paths"))
_register(map_p, _composed(_map))
for _one in SERIES.values():
    _register(_one.value, _composed(partial(_series, _one)))
    _register(_one.backprop, _composed(partial(_series_gradient, _one)))
