"""Paths before a kernel walks them, on numpy arrays: padded, filled, transformed, refined; and derivatives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen.runtime import interpolation, transforms
from logsig_codegen.runtime.arrays import Array, plain
from logsig_codegen.runtime.parts import is_real
from logsig_codegen.runtime.request import PathRequest
from logsig_codegen.runtime.transforms import FILLING, Transform

Back: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a kernel is to walk.

    Attributes
    ----------
    request : PathRequest
        The call on ``paths``: its intervals are of their points.
    paths : list of arrays
    changed : bool
        Whether they are other paths than those that came.
    back : callable
        From derivatives by ``paths`` to those by the paths that came.
    """

    request: PathRequest
    paths: list[Array]
    changed: bool
    back: Callable[[list[Array]], list[Array]]


def prepared(request: PathRequest, path: Any) -> Prepared:
    """The paths of a call and the call on them."""
    paths = [plain(one) for one in (path if request.ragged else (path,))]
    real = request.intervals is not None and is_real(request.intervals)
    if not request.transform and not real:
        return Prepared(request, paths, False, lambda gradients: gradients)
    if not request.ragged:
        return _prepared(request, paths[0])
    if request.times is None and request.transform.missing is None:  # each for itself
        each = [transformed(one, request.transform, None, None) for one in paths]
        points = [one for one, _ in each]
        return Prepared(
            request, points, True, lambda gradients: [f(x) for (_, f), x in zip(each, gradients, strict=True)]
        )
    lengths = np.array([len(one) for one in paths], np.intp)
    padded = np.zeros((len(paths), int(lengths.max()), paths[0].shape[-1]), paths[0].dtype)
    for row, one in zip(padded, paths, strict=True):
        row[: len(one)] = one
    counted = request.transform.lengths(lengths)
    ready = _prepared(replace(request, ragged=False, lengths=counted, given_lengths=lengths), padded)

    def split(gradients: list[Array]) -> list[Array]:
        return [row[:length] for row, length in zip(ready.back(gradients)[0], lengths, strict=True)]

    return replace(ready, back=split)


def _prepared(request: PathRequest, path: Array) -> Prepared:
    """One array of paths; log-signatures see differences of times, so those begin at 0."""
    how, times = request.transform, request.times
    from_zero = times if times is None or not times.shape[-1] else times - times[..., :1]
    points, back = transformed(path, how, request.given_lengths, from_zero)
    if request.intervals is None or not is_real(request.intervals):
        return Prepared(request, [points], points is not path, lambda gradients: [back(gradients[0])])
    between, intervals = interpolation.refinement(transforms.later(times, how), request.intervals)
    refined, length = between.apply(points), points.shape[-2]
    ready = replace(request, intervals=intervals, length=refined.shape[-2], lengths=None)
    return Prepared(ready, [refined], True, lambda gradients: [back(between.transpose(gradients[0], length))])


def transformed(path: Array, how: Transform, lengths: Array | None, times: Array | None) -> tuple[Array, Back]:
    """What a transform makes of paths, and the way back for derivatives."""
    if how.missing == "raise":
        interpolation.check_observed(path, lengths)
    between, points, dimension, length = None, path, path.shape[-1], path.shape[-2]
    if how.missing in FILLING:
        points, between = interpolation.filled(path, how, lengths, times)
    augmented = how.time_aug or how.lead_lag
    if augmented:
        later = None if times is None else transforms.later(times, how)
        points = transforms.transform(points, how, lengths, later)

    def back(derivs: Array) -> Array:
        if augmented:
            derivs = transforms.transform_backprop(derivs, how, lengths)
        return derivs if between is None else between.transpose(derivs[..., :dimension], length)

    return points, back
