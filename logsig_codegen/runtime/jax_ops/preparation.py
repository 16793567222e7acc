"""Paths before a primitive walks them, on JAX arrays: filled, timed, refined; by JAX's own operations.

Numbers that are known when a program is traced are looked at, and checked, as numpy's are; then paths are refined as
numpy's are, too. For others shapes must not depend on numbers: every end of an interval of time becomes a point of its
own, also where there is one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from logsig_codegen.runtime import interpolation
from logsig_codegen.runtime.checks import is_traced, known
from logsig_codegen.runtime.interpolation import Between, counted
from logsig_codegen.runtime.jax_ops import handlers
from logsig_codegen.runtime.jax_ops.define import call, differentiate, leading, primitive, ranked
from logsig_codegen.runtime.jax_ops.maps import transform_path
from logsig_codegen.runtime.parts import (
    Parts,
    check_real_intervals,
    check_times,
    is_real,
    padded_times,
    windows_of_time,
)
from logsig_codegen.runtime.request import PathRequest
from logsig_codegen.runtime.transforms import Transform, later


def given(path: Any, parts: Parts) -> tuple[Parts, Parts]:
    """Intervals and times, one array each; and the same, but where numbers are known these, to be checked."""
    times = padded_times(parts.times, path) if isinstance(path, (list, tuple)) else parts.times
    times, intervals = (jnp.asarray(one) if is_traced(one) else one for one in (times, parts.intervals))
    parts = replace(parts, intervals=intervals, times=times)
    return parts, replace(parts, intervals=known(parts.intervals), times=known(parts.times))


def prepared(request: PathRequest, path: Any, lengths: Any, parts: Parts) -> tuple[Any, Any, Any]:
    """Points, how many of them count, and intervals of these points.

    Parameters
    ----------
    request : PathRequest
        The call, with what is known.
    path : array, shape (..., length, dimension)
    lengths : array of integers, or None
        Points that count, before the transform.
    parts : Parts
        As :func:`given` gives them, with derivatives.
    """
    how, batch = request.transform, path.shape[:-2]
    times, intervals = request.times, request.intervals
    if is_traced(parts.times):
        times = check_times(parts.times, batch, path.shape[-2], lengths)
    points = transformed(path, how, lengths, None if times is None else times - times[..., :1])
    after = None if lengths is None else how.lengths(lengths)
    if intervals is None or not is_real(intervals):
        return points, after, intervals
    if parts.durations is not None:
        intervals = windows_of_time(parts.durations, times)
    elif is_traced(parts.intervals) or is_traced(times):
        intervals = check_real_intervals(parts.intervals, batch, times, lengths)
    moments = later(times, how)
    if not isinstance(moments, jax.Array) and not isinstance(intervals, jax.Array):
        between, places = interpolation.refinement(moments, intervals)
        return between.apply(points), None, places
    return _refined(points, after, jnp.asarray(moments), jnp.asarray(intervals))


def transformed(path: Any, how: Transform, lengths: Any, times: Any) -> Any:
    """Paths after a transform, in given times if there are any."""
    if how.missing == "raise":
        path = observed(path, lengths)
    elif how.missing is not None and path.shape[-2]:
        path, _ = interpolation.filled(path, how, lengths, times)
    elif how.count_observations:
        path = jnp.concatenate([path, path], axis=-1)
    return transform_path(path, how, lengths, None if times is None else later(times, how))


def _refined(points: Any, lengths: Any, times: Any, intervals: Any) -> tuple[Any, None, Any]:
    """See :func:`logsig_codegen.runtime.interpolation.refinement`; every end becomes a point of its own."""
    length, pairs = points.shape[-2], intervals.shape[-2]
    lead = jnp.broadcast_shapes(times.shape[:-1], intervals.shape[:-2])
    times = jnp.broadcast_to(times, (*lead, length))
    ends = jnp.broadcast_to(intervals.reshape(*intervals.shape[:-2], 2 * pairs), (*lead, 2 * pairs))
    moments, where = jax.lax.stop_gradient(times), jax.lax.stop_gradient(ends)
    counts = jnp.asarray(length) if lengths is None else lengths
    last = jnp.maximum(counts[..., None] - 1, 0)
    left = jnp.minimum(_before(moments, where), jnp.maximum(last - 1, 0))
    right = jnp.minimum(left + 1, last)
    start, end = (jnp.take_along_axis(times, one, axis=-1) for one in (left, right))
    weight = jnp.where(end > start, (ends - start) / jnp.where(end > start, end - start, 1), 0)
    new = Between(left[..., None], right[..., None], weight[..., None]).apply(points)
    if lengths is not None:
        moments = jnp.where(counted(points, lengths)[..., 0], moments, jnp.inf)
    order = jnp.argsort(jnp.concatenate([moments, where], axis=-1), axis=-1, stable=True)
    places = jnp.argsort(order, axis=-1)[..., length:].reshape(*lead, pairs, 2)
    first, final = places[..., 0], places[..., 1]
    if lengths is not None:
        final = jnp.where(lengths[..., None] > 1, final, first - 1)  # one point, or none, which must not be read
    order = jnp.expand_dims(order, (*range(points.ndim - 1 - order.ndim), -1))
    both = jnp.take_along_axis(jnp.concatenate([points, new], axis=-2), order, axis=-2)
    return both, None, jnp.stack([first, final], axis=-1)


_before = jnp.vectorize(
    lambda times, ends: jnp.maximum(jnp.searchsorted(times, ends, side="right") - 1, 0), signature="(n),(m)->(m)"
)
"""The last point that is not after an end, of each end."""

# -- observed values ------------------------------------------------------------------------------------------------

observed_p = primitive(
    "observed",
    lambda *shapes: [(*leading(*(one[: len(shapes[0]) - 2] for one in shapes)), *shapes[0][-2:])],
    handlers.lowering("observed", dict),
)
differentiate(observed_p, lambda primals, tangents, results: tangents[:1])


def observed(path: Any, lengths: Any) -> Any:
    """Paths without missing values; where they are traced, a missing one is an error when the program runs."""
    numbers, counts = known(path), known(lengths)
    if not is_traced(numbers, counts):
        interpolation.check_observed(numbers, counts)
        return path
    operands, tails = ([path], [2]) if lengths is None else ([path, integers(lengths)], [2, 0])
    return call(observed_p, *ranked(operands, tails))[0]


def integers(numbers: Any) -> Any:
    """Integers as handlers read them."""
    return jnp.asarray(numbers, jnp.result_type(int) if is_traced(numbers) else jnp.int32)
