"""Coordinates, straight lines, transforms of paths, and the conversions from and to signatures, of JAX arrays.

Linear maps of rows are one primitive, which its own kind transposes; power series have a kernel for their values and
one for their gradients. Both compute in double precision and round once. Transforms are JAX's own operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import coordinates
from logsig_codegen.runtime.coordinates import RowMap, chain_of, sig_size, skipped
from logsig_codegen.runtime.jax_ops import handlers
from logsig_codegen.runtime.jax_ops.composed import Composed, Params, Rules
from logsig_codegen.runtime.jax_ops.define import Shape, call, differentiate, leading, primitive
from logsig_codegen.runtime.rows import exponential, logarithm, transposed
from logsig_codegen.runtime.transforms import Transform, equal_steps

# -- linear maps ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Plan:
    """A map of rows of ``columns`` numbers; printed programs show its shape only."""

    row_map: RowMap
    columns: int

    @property
    def transposed(self) -> Plan:
        row_map = self.row_map
        maps = tuple(transposed(linear) for linear in reversed(row_map.maps))
        return Plan(RowMap(maps, row_map.front, row_map.skip, self.columns), row_map.width)

    def __repr__(self) -> str:
        return f"{self.row_map.width}×{self.columns}"


def _map_attributes(*, plan: Plan) -> dict[str, Any]:
    row_map = plan.row_map
    found: dict[str, Any] = {"maps": len(row_map.maps), "skip": row_map.skip, "front": row_map.front}
    for k, linear in enumerate(row_map.maps):
        found |= {f"starts{k}": linear.starts, f"indices{k}": linear.indices, f"columns{k}": linear.columns}
        found[f"coefficients{k}"] = np.array(linear.coefficients, np.float64)
    return found


map_p = primitive(
    "map", lambda rows, plan: [(*rows[:-1], plan.row_map.width)], handlers.lowering("map", _map_attributes)
)
differentiate(
    map_p,
    lambda primals, tangents, results, plan: call(map_p, tangents[0], plan=plan),
    lambda forms, rows, plan: call(map_p, forms[0], plan=plan.transposed),
)


def apply(row_map: RowMap, rows: Any) -> Any:
    """A map of rows."""
    return call(map_p, rows, plan=Plan(row_map, rows.shape[-1]))[0]


def in_method(rows: Any, problem: Problem, method: int, scalar_term: bool) -> Any:
    """Log-signatures in Lyndon brackets in the coordinates of a method."""
    if method >= 2:
        return rows
    return apply(coordinates.change_method_map(rows, problem, 2, method, scalar_term), rows)


LINEAR: dict[str, Callable[..., RowMap]] = {
    "log_sig_change_method": coordinates.change_method_map,
    "log_sig_change_method_backprop": coordinates.change_method_backprop_map,
    "linear_log_sig": coordinates.linear_log_sig_map,
    "linear_log_sig_backprop": coordinates.linear_log_sig_backprop_map,
    **{operation: partial(coordinates.hall_map, operation) for operation in coordinates.HALL},
}
"""What describes the map of each conversion that is linear, from its array, the problem and its other arguments."""

# -- power series ---------------------------------------------------------------------------------------------------

Coefficients = Callable[[int], Sequence[Any]]


def _composed_series(x: Any, *, dimension: int, degree: int, of: Coefficients) -> Any:
    """Horner's scheme, level by level; see ``runtime/rows.py``."""
    ends = np.cumsum([dimension**k for k in range(1, degree + 1)])
    levels = jnp.split(x, ends[:-1], axis=-1)
    coefficients = of(degree)
    below: list[Any] = []
    for k in range(degree - 1, -1, -1):
        stage = [coefficients[k + 1] * level for level in levels[: degree - k]]
        for i, left in enumerate(levels):
            for j, right in enumerate(below[: max(len(stage) - i - 1, 0)]):
                product = left[..., :, None] * right[..., None, :]
                stage[i + j + 1] = stage[i + j + 1] + product.reshape(*product.shape[:-2], -1)
        below = stage
    return jnp.concatenate(below, axis=-1)


def _power_series(name: str, coefficients: Coefficients) -> Composed:
    """A conversion of the table on expanded coordinates without scalar terms."""

    def shape(shapes: Sequence[Shape], params: Params) -> Shape:
        del params
        return (*leading(*(one[:-1] for one in shapes)), shapes[0][-1])

    def attributes(*, dimension: int, degree: int, leads: Any = ()) -> dict[str, Any]:
        del leads
        return {"dimension": dimension, "degree": degree, "n_jobs": 1}

    def lowered(operation: str) -> Callable[..., Any]:
        def prepare(avals: Any, *, dimension: int, degree: int, leads: Any = ()) -> None:
            handlers.serve(dimension, degree, lambda kernel: kernel.functions(operation))

        return handlers.lowering(operation, attributes, prepare)

    return Composed(
        Rules(
            name=name,
            tail=1,
            count=lambda params: 1,
            shape=shape,
            value=lowered(name),
            backprop=lowered(OPERATIONS[name].gradient),
            composition=partial(_composed_series, of=coefficients),
            gradient_leads=lambda operands, tangents, d_out, params: (leading(*operands, *tangents, d_out),),
        )
    )


SERIES = {
    "sig_to_log_sig": _power_series("sig_to_log_sig", logarithm),
    "logsig_to_sig": _power_series("logsig_to_sig", exponential),
}


def sig_to_log_sig(sig: Any, problem: Problem, method: int) -> Any:
    """The logarithm of signatures, with or without scalar term."""
    scalar = coordinates.scalar_terms("sig", sig, problem)
    result = _series("sig_to_log_sig", sig[..., scalar:], problem)
    if method:
        return apply(RowMap(_through_words(problem, method), 0, 0, problem.size), result)
    return with_scalar(result, 0.0) if scalar else result


def _through_words(problem: Problem, method: int) -> Any:
    return (*chain_of(problem, 0, 1).maps, *chain_of(problem, 1, method).maps)


def logsig_to_sig(log_sig: Any, problem: Problem, method: int, scalar_term: bool = False) -> Any:
    """The exponential of log-signatures."""
    skip = skipped("log_sig", log_sig, problem, method)
    rows = log_sig[..., skip:]
    if method:
        rows = apply(RowMap(chain_of(problem, method, 0).maps, 0, 0, sig_size(problem)), rows)
    result = _series("logsig_to_sig", rows, problem)
    return with_scalar(result, 1.0) if (scalar_term if method else skip) else result


def _series(name: str, rows: Any, problem: Problem) -> Any:
    return call(SERIES[name].value, rows, dimension=problem.dimension, degree=problem.degree)[0]


SERIES_OF: dict[str, Callable[..., Any]] = {"sig_to_log_sig": sig_to_log_sig, "logsig_to_sig": logsig_to_sig}
"""The conversions that are power series, of an array, the problem and other arguments."""
PULLED_BACK = {f"{name}_backprop": function for name, function in SERIES_OF.items()}
"""By the conversions that are gradients of power series: these."""


def with_scalar(rows: Any, value: float) -> Any:
    """Rows with a scalar term in front."""
    return jnp.concatenate([jnp.full((*rows.shape[:-1], 1), value, rows.dtype), rows], axis=-1)


# -- transforms of paths --------------------------------------------------------------------------------------------


def transform_path(path: Any, how: Transform, lengths: Any = None, times: Any = None) -> Any:
    """Paths with time or lead-lag channels; ``lengths`` and ``times`` as for :func:`..transforms.transform`."""
    length = path.shape[-2]
    if how.lead_lag:
        pairs = jnp.concatenate([path, path], axis=-1), jnp.concatenate([path[..., :-1, :], path[..., 1:, :]], axis=-1)
        points = jnp.stack((pairs[0][..., : max(length - 1, 0), :], pairs[1]), axis=-2)
        points = points.reshape(*points.shape[:-3], -1, points.shape[-1])
        path = jnp.concatenate([points, pairs[0][..., max(length - 1, 0) :, :]], axis=-2)
    if not how.time_aug:
        return path
    if times is None:
        times = equal_steps(path.shape[-2], how.end_time, None if lengths is None else how.lengths(lengths))
    channel = jnp.asarray(times, path.dtype)[..., None]
    return jnp.concatenate([path, jnp.broadcast_to(channel, (*path.shape[:-1], 1))], axis=-1)
