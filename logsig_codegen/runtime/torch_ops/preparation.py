"""Paths before an operator walks them, on tensors: filled, timed, refined; by torch's own operators, so that autograd,
``vmap`` and compilers go through. What :mod:`..prepared` and :mod:`..interpolation` do to arrays.

Shapes do not depend on numbers: every end of an interval of time becomes a point of its own, also where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logsig_codegen.runtime import interpolation
from logsig_codegen.runtime.checks import dtype_name
from logsig_codegen.runtime.parts import (
    Parts,
    check_intervals,
    check_list_of_times,
    check_real_intervals,
    check_times,
    check_times_shape,
    is_list_of_times,
    is_real,
    numbers_of,
    windows_within,
)
from logsig_codegen.runtime.request import check_lengths
from logsig_codegen.runtime.torch_ops import private
from logsig_codegen.runtime.torch_ops.lengths import beside, check_numbers, is_traced
from logsig_codegen.runtime.transforms import Transform


def _can_look(*tensors: Tensor | None) -> bool:
    """Whether the host may look at numbers without waiting."""
    return not any(one is not None and (one.device.type != "cpu" or is_traced(one)) for one in tensors)


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().resolve_neg().numpy()


def _tensor_of(name: str, given: Any) -> Tensor:
    """Numbers from the host; what a compiler traces is checked less."""
    return torch.from_numpy(np.asarray(given) if torch.compiler.is_compiling() else numbers_of(name, given))


def _counted(points: Tensor, lengths: Tensor) -> Tensor:
    """Which points count, ``(..., length)``."""
    return torch.arange(points.shape[-2], device=points.device) < lengths[..., None]


# -- times ----------------------------------------------------------------------------------------------------------


def times_of(points: Tensor, lengths: Tensor | None, times: Any) -> Tensor:
    """Times in double precision, ``(length,)`` or ``(..., length)``; beyond the end of a path they stay at its last."""
    if isinstance(times, (list, tuple)) and any(isinstance(one, Tensor) for one in times):
        times = padded_times(times, [points.shape[-2]] * len(times))
    if not isinstance(times, Tensor):
        times = _tensor_of("times", times)
    check_numbers("times", points, times)
    if times.dtype == torch.bool or times.is_complex():
        raise TypeError(f"times: expected real numbers, got dtype {dtype_name(times)}")
    check_times_shape(tuple(times.shape), tuple(points.shape[:-2]), points.shape[-2])
    if lengths is not None and not is_traced(lengths):
        check_lengths(lengths, tuple(points.shape[:-2]), points.shape[-2], look=_can_look(lengths))
    if _can_look(times, lengths):
        check_times(_array(times), tuple(points.shape[:-2]), points.shape[-2], _array(lengths))
    moments: Tensor = times.to(points.device, torch.float64)
    if lengths is None or not points.shape[-2]:
        return moments
    counts, wide = _counted(points, lengths), moments.expand(points.shape[:-1])
    last = wide.gather(-1, (lengths - 1).clamp(min=0)[..., None])
    return torch.where(counts, wide, torch.where(lengths[..., None] > 0, last, torch.zeros_like(last)))


def padded_times(times: Any, lengths: Sequence[int]) -> Any:
    """The times of paths of these lengths: one tensor where each has an array; zeros where there are no points."""
    if not is_list_of_times(times):
        return times
    check_list_of_times(times, lengths)
    return torch.nn.utils.rnn.pad_sequence([torch.as_tensor(one) for one in times], batch_first=True)


def with_times(points: Tensor, times: Tensor) -> Tensor:
    """Paths with time as the last channel."""
    return torch.cat([points, times.expand(points.shape[:-1])[..., None].to(points.dtype)], -1)


def later(times: Tensor, how: Transform) -> Tensor:
    """Times after lead-lag, see :func:`logsig_codegen.runtime.transforms.later`."""
    if not how.lead_lag or not times.shape[-1]:
        return times
    middle = (times[..., 1:] + times[..., :-1]) / 2
    both = torch.stack([times[..., :-1], middle], -1).flatten(-2)
    result: Tensor = torch.cat([both, times[..., -1:]], -1)
    return result


# -- missing values -------------------------------------------------------------------------------------------------


def fill(points: Tensor, lengths: Tensor | None, times: Tensor | None, how: Transform) -> Tensor:
    """Paths without missing values, see :func:`logsig_codegen.runtime.interpolation.filling`; counts beside them."""
    there = ~torch.isnan(points)
    if how.missing == "raise":
        _check_observed(points, there, lengths)
        return points
    if lengths is not None:
        there = there & _counted(points, lengths)[..., None]
    length, index = points.shape[-2], torch.arange(points.shape[-2], device=points.device)[:, None]
    if not length:
        return torch.cat([points, points], -1) if how.count_observations else points
    safe = torch.where(there, points, torch.zeros_like(points))
    before = torch.where(there, index, -1).cummax(-2).values
    after = torch.where(there, index, length).flip(-2).cummin(-2).values.flip(-2)
    left = torch.where(before < 0, after, before).clamp(max=length - 1)  # beyond the path: of channels without any
    filled = safe.gather(-2, left)
    if how.missing == "linear":
        right = torch.where(after == length, left, after)
        at = torch.arange(length, dtype=torch.float64, device=points.device) if times is None else times
        at = at[..., None].expand(points.shape)
        start, end = at.gather(-2, left), at.gather(-2, right)
        gap = right > left
        zero, one = torch.zeros_like(start), torch.ones_like(start)
        weight = torch.where(gap, (at - start) / torch.where(gap, end - start, one), zero).to(points.dtype)
        filled = (1 - weight) * filled + weight * safe.gather(-2, right)
    if not how.count_observations:
        return filled
    return torch.cat([filled, there.to(points.dtype).cumsum(-2)], -1)


def _check_observed(points: Tensor, there: Tensor, lengths: Tensor | None) -> None:
    if _can_look(points, lengths):
        interpolation.check_observed(_array(points), _array(lengths))
        return
    if lengths is not None:
        there = there | ~_counted(points, lengths)[..., None]
    private.assert_async(there.all(), "path: expected numbers with missing='raise', got nan")


# -- intervals ------------------------------------------------------------------------------------------------------


def intervals_of(
    points: Tensor, lengths: Tensor | None, times: Tensor | None, parts: Parts
) -> tuple[Tensor, Tensor | None]:
    """Points after the transform, refined if need be, and intervals of these points.

    ``lengths`` and ``times`` are those after the transform.
    """
    given = parts.intervals
    if parts.durations is not None:
        assert times is not None
        given = _windows_of_time(parts.durations, times)
    if given is None:
        return points, None
    if not isinstance(given, Tensor):
        given = _tensor_of("intervals", given)
    check_numbers("intervals", points, given)
    batch, length, look = tuple(points.shape[:-2]), points.shape[-2], _can_look(given, times, lengths)
    if times is not None and is_real(given):
        if look:
            check_real_intervals(_array(given), batch, _array(times), _array(lengths))
        return _refined(points, lengths, times, given.to(points.device, torch.float64))
    intervals = check_intervals(_array(given) if look else given, batch, length, timed=times is not None, look=look)
    intervals = intervals if isinstance(intervals, Tensor) else torch.from_numpy(intervals)
    if lengths is None:
        return points, intervals
    intervals = beside(points, intervals)
    assert intervals is not None
    first, last = intervals[..., 0], intervals[..., 1]
    last = last.minimum(lengths[..., None] - 1).maximum(first - 1)
    return points, torch.stack([first.expand_as(last), last], -1)


def _windows_of_time(durations: tuple[float, float], times: Tensor) -> Tensor:
    """See :func:`logsig_codegen.runtime.parts.windows_of_time`; how many there are is looked at."""
    if not times.numel():
        return times.new_zeros((0, 2))
    duration, step = durations
    first, last = times[..., :1], times[..., -1:]
    count = windows_within(float((last - first).detach().max()), durations)
    begin = first + step * torch.arange(count, dtype=times.dtype, device=times.device)
    return torch.stack([begin, begin + duration], -1).clamp(max=last[..., None])


def _refined(points: Tensor, lengths: Tensor | None, times: Tensor, intervals: Tensor) -> tuple[Tensor, Tensor]:
    """See :func:`logsig_codegen.runtime.interpolation.refinement`; ends beyond a path become its ends."""
    length = points.shape[-2]
    lead = torch.broadcast_shapes(times.shape[:-1], intervals.shape[:-2])
    times = times.expand(*lead, length)
    ends = intervals.flatten(-2).expand(*lead, 2 * intervals.shape[-2]).clamp(times[..., :1], times[..., -1:])
    counts = times.new_full((), length, dtype=torch.int64) if lengths is None else lengths
    moments, where = times.detach().contiguous(), ends.detach().contiguous()
    left = torch.searchsorted(moments, where)
    left = (left - (moments.gather(-1, left) > where).long()).minimum((counts[..., None] - 2).clamp(min=0))
    right = (left + 1).minimum((counts[..., None] - 1).clamp(min=0))
    start, end = times.gather(-1, left), times.gather(-1, right)
    zero, one = torch.zeros_like(start), torch.ones_like(start)
    weight = torch.where(end > start, (ends - start) / torch.where(end > start, end - start, one), zero)[..., None]
    weight = weight.to(points.dtype)
    new = (1 - weight) * _picked(points, left) + weight * _picked(points, right)
    if lengths is not None:
        moments = torch.where(_counted(points, lengths), moments, torch.full_like(moments, torch.inf))
    order = torch.cat([moments, where], -1).argsort(dim=-1, stable=True)
    places = order.argsort(dim=-1)[..., length:].reshape(*lead, -1, 2)
    first, last = places[..., 0], places[..., 1]
    if lengths is not None:
        last = torch.where(lengths[..., None] > 1, last, first - 1)  # one point, or none, which must not be read
    return _picked(torch.cat([points, new], -2), order), torch.stack([first, last], -1)


def _picked(points: Tensor, places: Tensor) -> Tensor:
    """Points at places, ``(n,)`` of all paths or ``(..., n)`` of each."""
    if places.ndim == 1:
        return points.index_select(-2, places)
    return points.gather(-2, places[..., None].expand(*places.shape, points.shape[-1]))


def pulled_back(prepare: Any, d_points: Tensor, paths: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """From derivatives by prepared points to those by the paths."""
    found: Any = torch.func.vjp(prepare, *paths)
    gradients: tuple[Tensor, ...] = found[1](d_points)
    return gradients
