"""Calls on tensors: checks that need Python, then an operator. What torch traces sees the operators only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import LARGEST_INTEGER, Problem
from logsig_codegen.runtime import checks, registry
from logsig_codegen.runtime.coordinates import log_sig_size
from logsig_codegen.runtime.parts import WHOLE, Parts
from logsig_codegen.runtime.request import PathOptions, channels_of, check_alone, check_paths, named_paths
from logsig_codegen.runtime.rows import check_width
from logsig_codegen.runtime.threads import check_jobs
from logsig_codegen.runtime.torch_ops import extension, intervals, maps, paths, preparation, products, signatures
from logsig_codegen.runtime.torch_ops.lengths import as_lengths, of_list
from logsig_codegen.runtime.torch_ops.private import OWN
from logsig_codegen.runtime.torch_ops.rows import problem_of
from logsig_codegen.runtime.transforms import UNCHANGED, Transform

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

assert extension  # imported for what it registers
CONVERSIONS = {
    "sig_to_log_sig": signatures.sig_to_log_sig,
    "sig_to_log_sig_backprop": signatures.sig_to_log_sig_backprop,
    "logsig_to_sig": signatures.logsig_to_sig,
    "logsig_to_sig_backprop": signatures.logsig_to_sig_backprop,
    "linear_log_sig": maps.linear_log_sig,
    "linear_log_sig_backprop": maps.linear_log_sig_backprop,
    "log_sig_change_method": maps.change_method,
    "log_sig_change_method_backprop": maps.change_method_backprop,
    "log_sig_to_hall": maps.to_hall,
    "log_sig_to_hall_backprop": maps.to_hall_backprop,
    "log_sig_from_hall": maps.from_hall,
    "log_sig_from_hall_backprop": maps.from_hall_backprop,
}
"""The operator of each function of one tensor, or of a tensor and derivatives."""


def provide(kernel: LoadedKernel) -> None:
    """Let the operators of its problem use ``kernel``."""
    if not torch.compiler.is_compiling():
        registry.provide(kernel)


def rows(name: str, tensors: Sequence[Any], dimension: Any, degree: Any, n_jobs: Any) -> Any:
    """A product of the table, or its gradient."""
    if torch.compiler.is_compiling():
        return products.OPERATORS[name](*tensors, dimension, degree, n_jobs)
    if not (
        OWN.issuperset(map(type, tensors))
        and type(dimension) is type(degree) is type(n_jobs) is int
        and n_jobs == 1
        and 0 < dimension <= LARGEST_INTEGER
        and 0 < degree <= LARGEST_INTEGER  # or the operator would not take them
    ):
        _check(dict(zip(OPERATIONS[name].inputs, tensors, strict=True)), dimension, degree, n_jobs)
    try:
        return products.OPERATORS[name](*tensors, dimension, degree, n_jobs)
    except NotImplementedError:  # of torch, for kinds of tensors that would take too long to look for in every call
        _check(dict(zip(OPERATIONS[name].inputs, tensors, strict=True)), dimension, degree, n_jobs)
        raise


def _check(arguments: Mapping[str, Any], dimension: Any, degree: Any, n_jobs: Any) -> None:
    for value in arguments.values():
        if not is_dense(value):
            checks.check_types(arguments)  # says what is wrong
    if type(dimension) is not int or type(degree) is not int:
        checks.check_problem(dimension, degree)
    else:
        problem_of(dimension, degree)
    if type(n_jobs) is not int or n_jobs != 1:
        check_jobs(n_jobs)


def is_dense(value: Any) -> bool:
    """Whether it is a tensor, and one of numbers with a shape and strides: not sparse, nested or quantized."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided:
        return False
    return not (value.is_nested or value.is_quantized)


def convert(name: str, arguments: Mapping[str, Any], *others: Any) -> Tensor:
    """A conversion; ``others`` are the plain arguments of its operator."""
    if not torch.compiler.is_compiling():
        check_arrays(arguments)
    return CONVERSIONS[name](*arguments.values(), *others)  # type: ignore[no-any-return]


def zeros(x: Tensor, width: int) -> Tensor:
    """Rows of zeros in place of rows that are not read, with a gradient, which is zero."""
    return torch.nn.functional.pad(x[..., :0], (width, 0))


def check_arrays(arguments: Mapping[str, Any]) -> None:
    """Raise for anything but dense tensors with at least one axis; number types are the operators' business."""
    for name, value in arguments.items():
        if not is_dense(value):
            checks.check_types(arguments)
        if value.ndim < 1:
            raise ValueError(f"{name}: expected at least one axis, got an array without axes")


def check_rows(problem: Problem, arguments: Mapping[str, Any], rows: str) -> None:
    """:func:`check_arrays`, and the last axis of one of them; while torch traces, that is the operators' business."""
    if not torch.compiler.is_compiling():
        check_arrays(arguments)
        checks.check_last_axis(problem, rows, tuple(arguments[rows].shape))


def transform_path(path: Tensor, how: Transform, lengths: Tensor | None = None, times: Any = None) -> Tensor:
    """Paths with time or lead-lag channels, and without missing values."""
    check_path_tensors({"path": path})
    if times is not None:
        times = preparation.times_of(path, lengths, times)
    elif how.missing is None:
        return maps.transform_path(path, lengths, *how.arguments)  # type: ignore[no-any-return]
    return _transformed(path, lengths, how, times, times)


def points(displacements: Tensor, shape: Sequence[int]) -> Tensor:
    """The points of paths, from the origin on, whose steps are given, broadcast to a leading shape."""
    found = torch.nn.functional.pad(displacements.cumsum(-2), (0, 0, 1, 0))
    return found.expand(*shape, *found.shape[-2:])


def pulled_back(function: Callable[..., Tensor], d_out: Tensor, *operands: Tensor) -> tuple[Tensor, ...]:
    """Gradients of ``<d_out, function(*operands)>``; ``d_out`` broadcasts to the shape of the result."""
    found: Any = torch.func.vjp(function, *operands)
    result, pull = found
    return tuple(pull(d_out.expand(result.shape)))


def transform_path_backprop(derivs: Tensor, how: Transform, lengths: Tensor | None = None) -> Tensor:
    """The transpose of :func:`transform_path`."""
    check_path_tensors({"derivs": derivs})
    return maps.transform_backprop(derivs, lengths, how.time_aug, how.lead_lag)  # type: ignore[no-any-return]


def _integer(degree: Any) -> Any:
    """A degree as an ``int``, which is what operators take."""
    plain = (type(degree) is int and 0 < degree <= LARGEST_INTEGER) or torch.compiler.is_compiling()
    return degree if plain else checks.check_problem(1, degree).degree


def check_path_tensors(arguments: Mapping[str, Any]) -> None:
    """Raise for anything but dense tensors with points and channels."""
    if not torch.compiler.is_compiling():
        check_arrays(arguments)
    for name, path in arguments.items():
        channels_of(name, path)


def log_sig(
    path: Tensor | Sequence[Tensor],
    dimension: int | None,
    degree: Any,
    options: PathOptions,
    *,
    lengths: Any = None,
    initial: Tensor | None = None,
    transform: Transform = UNCHANGED,
    scalar_term: bool = False,
    parts: Parts = WHOLE,
) -> Tensor:
    """``log_sig`` of tensors: transforms, and one operator, which checks what it is given.

    ``dimension``: the channels that paths must have before the transform; ``None``: those they have.
    """
    given = _given(path, dimension, lengths, transform, parts, {"initial": initial})
    channels, degree = transform.channels(given.dimension), _integer(degree)
    result: Tensor
    if given.intervals is None:
        result = paths.log_sig(given.points, given.lengths, initial, channels, degree, *options.arguments)
    else:
        check_alone(options, initial, given.intervals)
        result = intervals.log_sig_intervals(
            given.points, given.intervals, channels, degree, options.state, options.method, options.n_jobs
        )
    if not scalar_term or options.method:
        return result
    return torch.cat([result.new_zeros((*result.shape[:-1], 1)), result], dim=-1)


def log_sig_backprop(
    d_out: Tensor,
    path: Tensor | Sequence[Tensor],
    dimension: int | None,
    degree: Any,
    options: PathOptions,
    *,
    lengths: Any = None,
    initial: Tensor | None = None,
    transform: Transform = UNCHANGED,
    scalar_term: bool = False,
    parts: Parts = WHOLE,
) -> Any:
    """The gradient of :func:`log_sig`: for the path or paths, and for ``initial`` if there is one."""
    if d_out is None:
        checks.kind_of("d_out", d_out)  # says what is wrong
    given = _given(path, dimension, lengths, transform, parts, {"d_out": d_out, "initial": initial})
    channels, degree = transform.channels(given.dimension), _integer(degree)
    if scalar_term and options.method == 0:
        width = log_sig_size(problem_of(channels, degree), 0, scalar_term)
        check_width("d_out", d_out, (width,), "with scalar_term")
        d_out = d_out[..., 1:]
    if given.intervals is None:
        d_path, d_initial = paths.log_sig_backprop(
            d_out, None, given.points, given.lengths, initial, channels, degree, *options.arguments
        )
    else:
        check_alone(options, initial, given.intervals)
        d_initial, d_path = (
            None,
            intervals.log_sig_intervals_backprop(
                d_out,
                None,
                given.points,
                given.intervals,
                channels,
                degree,
                options.state,
                options.method,
                options.n_jobs,
            ),
        )
    if transform.missing is not None or parts.times is not None:
        listed = isinstance(path, (list, tuple))

        def prepare(*paths: Tensor) -> Tensor:
            return _given(paths if listed else paths[0], dimension, lengths, transform, parts, {}).points

        gradients = preparation.pulled_back(prepare, d_path, path if listed else (path,))  # type: ignore[arg-type]
        d_path = list(gradients) if listed else gradients[0]
        return d_path if initial is None else (d_path, d_initial)
    if transform:
        d_path = maps.transform_backprop(d_path, given.given_lengths, transform.time_aug, transform.lead_lag)
    if isinstance(path, (list, tuple)):
        d_path = [row[: one.shape[0]] for row, one in zip(d_path, path, strict=True)]
    return d_path if initial is None else (d_path, d_initial)


class _Given(NamedTuple):
    """Paths as an operator takes them: padded, transformed, with their lengths after the transform and before it.

    ``intervals``: those of points, if there are any, which end where the paths end.
    """

    points: Tensor
    dimension: int
    lengths: Tensor | None
    given_lengths: Tensor | None
    intervals: Tensor | None = None


def _given(
    path: Any, dimension: int | None, lengths: Any, transform: Transform, parts: Parts, others: Mapping[str, Any]
) -> _Given:
    """Paths, padded and transformed; what the operator sees of them is left to it to check."""
    others = {name: one for name, one in others.items() if one is not None}
    plain = lengths is None and not transform and not parts and not others
    if type(path) is Tensor and plain and is_dense(path):
        return _Given(path, channels_of("path", path) if dimension is None else dimension, None, None)
    arrays = named_paths(path)
    if not torch.compiler.is_compiling():
        check_arrays({**arrays, **others})
    ragged = isinstance(path, (list, tuple))
    if dimension is None:
        dimension = channels_of(*next(iter(arrays.items())))
    if ragged or transform or parts:
        check_paths(dimension, arrays, ragged)
    points, counts = _padded(path, lengths) if ragged else (path, as_lengths(path, lengths))
    if not transform and not parts:
        return _Given(points, dimension, counts, counts)
    times = preparation.padded_times(parts.times, [len(one) for one in path]) if ragged else parts.times
    times = None if times is None else preparation.times_of(points, counts, times)
    channel = None if times is None else times - times[..., :1]  # log-signatures see differences
    points = _transformed(points, counts, transform, times, channel)
    if times is not None:
        times = preparation.later(times, transform)
    after = None if counts is None else transform.lengths(counts)
    points, chosen = preparation.intervals_of(points, after, times, parts)
    return _Given(points, dimension, after, counts, chosen)


def _transformed(
    points: Tensor, lengths: Tensor | None, how: Transform, times: Tensor | None, channel: Tensor | None
) -> Tensor:
    """Paths after a transform; ``channel``: the times as they are added to the paths."""
    if how.missing is not None:
        points = preparation.fill(points, lengths, times, how)
    if how.lead_lag or (how.time_aug and channel is None):
        points = maps.transform_path(points, lengths, how.time_aug and channel is None, *how.arguments[1:])
    if not how.time_aug or channel is None:
        return points
    return preparation.with_times(points, preparation.later(channel, how))


def _padded(paths: Sequence[Tensor], lengths: Any) -> tuple[Tensor, Tensor]:
    """Points and lengths of paths of a list."""
    if lengths is not None:
        raise ValueError("lengths: expected None with a list of paths, which have lengths of their own")
    first = paths[0]
    mixed = any(one.dtype != first.dtype or one.device != first.device for one in paths)
    if mixed and not torch.is_autocast_enabled(first.device.type):
        checks.check_types(named_paths(paths))  # says which
    longest = max(one.shape[0] for one in paths)
    rows = [torch.nn.functional.pad(one, (0, 0, 0, longest - one.shape[0])) for one in paths]
    return torch.stack(rows), of_list(paths)
