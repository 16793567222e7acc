"""Primitives of JAX: shapes, lowering, derivatives, batches.

All operands of a primitive have leading axes of one rank, which broadcast: each has the length of the result or 1. What
``vmap`` maps becomes one more leading axis, of length 1 in operands that it does not map, so that nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from logsig_codegen.runtime.jax_ops.handlers import no_lowering

Shape: TypeAlias = "tuple[int, ...]"
Zero: Any = ad.Zero
is_linear: Callable[[Any], bool] = ad.is_undefined_primal


def primitive(
    name: str,
    shapes: Callable[..., Sequence[Shape]],
    lower: Callable[..., Any],
    *,
    anywhere: bool = False,
    widen: Callable[[int, dict[str, Any]], dict[str, Any]] | None = None,
) -> Primitive:
    """A primitive with several results, all of the first operand's dtype.

    Parameters
    ----------
    shapes : callable
        From the shapes of the operands and the parameters to those of the results.
    lower : callable
        The rule of lowering; for CPUs, or with ``anywhere`` for all devices.
    widen : callable, optional
        From the length of one more leading axis and the parameters to the parameters that it needs.
    """
    made = Primitive(f"logsig_{name}")
    made.multiple_results = True

    def abstract(*avals: Any, **params: Any) -> list[Any]:
        return [_like(avals[0], shape) for shape in shapes(*(aval.shape for aval in avals), **params)]

    def batch(args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple[list[Any], list[int]]:
        size = next(one.shape[dim] for one, dim in zip(args, dims, strict=True) if dim is not None)
        moved = [
            jnp.expand_dims(one, 0) if dim is None else jnp.moveaxis(one, dim, 0)
            for one, dim in zip(args, dims, strict=True)
        ]
        results = call(made, *moved, **(params if widen is None else widen(size, params)))
        return results, [0] * len(results)

    made.def_abstract_eval(abstract)
    made.def_impl(lambda *args, **params: _eagerly(made, args, params))
    batching.primitive_batchers[made] = batch
    if anywhere:
        mlir.register_lowering(made, lower)
    else:
        mlir.register_lowering(made, no_lowering)
        mlir.register_lowering(made, lower, platform="cpu")
    return made


def differentiate(made: Primitive, jvp: Callable[..., Any], transpose: Callable[..., Any] | None = None) -> None:
    """Give a primitive its rules.

    Parameters
    ----------
    jvp : callable
        ``jvp(primals, tangents, **params)``: the tangents of the results; ``None`` stands for zero.
    transpose : callable, optional
        ``transpose(cotangents, *args, **params)``: for each argument that is linear its cotangent.
    """

    def jvp_rule(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        results = call(made, *primals, **params)
        given = [None if type(one) is Zero else one for one in tangents]
        found = jvp(primals, given, results, **params)
        return results, [
            Zero(jax.typeof(result).to_tangent_aval()) if one is None else jnp.broadcast_to(one, result.shape)
            for result, one in zip(results, found, strict=True)
        ]

    def transpose_rule(cotangents: Sequence[Any], *args: Any, **params: Any) -> list[Any]:
        assert transpose is not None
        if all(type(one) is Zero for one in cotangents):
            return [Zero(one.aval) if is_linear(one) else None for one in args]
        forms = [jnp.zeros(one.aval.shape, one.aval.dtype) if type(one) is Zero else one for one in cotangents]
        found = transpose(forms, *args, **params)
        return [
            summed(one, arg.aval.shape) if is_linear(arg) and one is not None else None
            for arg, one in zip(args, found, strict=True)
        ]

    ad.primitive_jvps[made] = jvp_rule
    if transpose is not None:
        ad.primitive_transposes[made] = transpose_rule


def call(made: Primitive, *arrays: Any, **params: Any) -> list[Any]:
    """The results of a primitive, of operands that vary over the same axes of a mesh."""
    results: list[Any] = made.bind(*varying(*arrays), **params)
    return results


def varying(*arrays: Any) -> list[Any]:
    """The arrays, inside of ``shard_map`` all declared to vary over the mesh's axes that one of them varies over."""
    axes = [_axes(one) for one in arrays]
    union: frozenset[Any] = frozenset().union(*axes)
    return [one if own == union else _vary(one, tuple(union - own)) for one, own in zip(arrays, axes, strict=True)]


def _vary(array: Any, axes: tuple[Any, ...]) -> Any:
    """``array`` declared to vary over more axes; JAX before 0.8 has another name for it."""
    lax: Any = jax.lax
    return lax.pcast(array, axes, to="varying") if hasattr(lax, "pcast") else lax.pvary(array, axes)


def _axes(array: Any) -> frozenset[Any]:
    aval = jax.typeof(array)
    found = getattr(getattr(aval, "manual_axis_type", None), "varying", None)
    return getattr(aval, "vma", frozenset()) if found is None else found


def _like(aval: Any, shape: Shape) -> Any:
    spec = jax.sharding.PartitionSpec(*(None,) * len(shape))
    return aval.update(shape=shape, weak_type=False, sharding=aval.sharding.update(spec=spec))


def _eagerly(made: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    with jax.disable_jit(False):
        return _compiled(made, tuple(sorted(params.items())))(*args)


@lru_cache(maxsize=4096)
def _compiled(made: Primitive, params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    return jax.jit(lambda *args: made.bind(*args, **dict(params)))


# -- leading axes ---------------------------------------------------------------------------------------------------


def leading(*shapes: Shape) -> Shape:
    """The leading axes that some broadcast to."""
    return tuple(np.broadcast_shapes(*shapes))


def summed(x: Any, shape: Shape) -> Any:
    """``x`` summed over the axes where ``shape``, of the same rank, has one member and ``x`` more."""
    axes = tuple(k for k, (have, want) in enumerate(zip(x.shape, shape, strict=True)) if have != want)
    return jnp.sum(x, axis=axes, keepdims=True) if axes else x


def ranked(arrays: Sequence[Any], tails: Sequence[int]) -> list[Any]:
    """The arrays with leading axes of one rank; ``tails``: the number of axes after these, of each."""
    rank = max(one.ndim - tail for one, tail in zip(arrays, tails, strict=True))
    return [
        jnp.expand_dims(one, tuple(range(rank - (one.ndim - tail)))) for one, tail in zip(arrays, tails, strict=True)
    ]


def zeros_of(primal: Any, tail: int = 1) -> Any:
    """A zero tangent of an operand with ``tail`` axes of its own: one member of every leading axis."""
    shape = (*(1,) * (primal.ndim - tail), *primal.shape[primal.ndim - tail :])
    return jnp.zeros(shape, primal.dtype)
