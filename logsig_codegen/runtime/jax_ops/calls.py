"""Calls on JAX arrays: checks of shapes and types, the same for traced arrays, then primitives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from logsig_codegen.operations import OPERATIONS, PRODUCTS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import checks, registry, transforms
from logsig_codegen.runtime.checks import is_traced
from logsig_codegen.runtime.jax_ops import gpu_calls, maps, paths, preparation, products
from logsig_codegen.runtime.jax_ops.define import call, ranked
from logsig_codegen.runtime.parts import WHOLE, Parts, check_times
from logsig_codegen.runtime.request import PathOptions, PathRequest, channels_of, check_lengths, path_request
from logsig_codegen.runtime.threads import check_jobs
from logsig_codegen.runtime.transforms import UNCHANGED, Transform

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

assert gpu_calls  # imported for the rules that it registers
_GRADIENTS = {one.gradient: one.name for one in PRODUCTS.values()}


def provide(kernel: LoadedKernel) -> None:
    """Let what is compiled from now on for its problem use ``kernel``."""
    registry.provide(kernel)


def _arrays(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JAX arrays; numpy's become JAX's, as in JAX's own functions."""
    found = {name: jnp.asarray(one) if isinstance(one, np.ndarray) else one for name, one in arguments.items()}
    checks.check_types(found)
    return found


# -- products -------------------------------------------------------------------------------------------------------


def rows(name: str, arrays: Sequence[Any], dimension: Any, degree: Any, n_jobs: Any) -> Any:
    """A product of the table, or its gradient."""
    problem, jobs = checks.check_problem(dimension, degree), check_jobs(n_jobs)
    arguments = _arrays(dict(zip(OPERATIONS[name].inputs, arrays, strict=True)))
    checks.check_arguments(problem, arguments)
    numbers = {"dimension": problem.dimension, "degree": problem.degree, "n_jobs": jobs}

    def product(*operands: Any) -> Any:
        made = products.PRODUCTS[_GRADIENTS.get(name, name)].product
        return call(made, *ranked(operands, (1, 1)), **numbers)[0]

    if name not in _GRADIENTS:
        return product(*arguments.values())
    d_out, *operands = arguments.values()
    return pulled_back(product, d_out, *operands)


def pulled_back(function: Any, d_out: Any, *operands: Any) -> tuple[Any, ...]:
    """Gradients of ``<d_out, function(*operands)>``; ``d_out`` broadcasts to the shape of the result."""
    result, pull = jax.vjp(function, *operands)
    return tuple(pull(jnp.broadcast_to(d_out, result.shape)))


# -- conversions ----------------------------------------------------------------------------------------------------


def convert(name: str, arguments: Mapping[str, Any], dimension: int, degree: int, *others: Any) -> Any:
    """A conversion; ``others`` are its plain arguments after the problem."""
    x, *derivs = check_arrays(arguments).values()
    problem = checks.check_problem(dimension, degree)
    if name in maps.LINEAR:
        return maps.apply(maps.LINEAR[name](x, problem, *others), x)
    if name in maps.SERIES_OF:
        return maps.SERIES_OF[name](x, problem, *others)
    function = maps.PULLED_BACK[name]
    result = jax.eval_shape(lambda one: function(one, problem, *others), x)
    _check_derivs(derivs[0], result.shape)
    return pulled_back(lambda one: function(one, problem, *others), derivs[0], x)[0]


def _check_derivs(derivs: Any, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless ``derivs`` broadcasts to the shape of a result."""
    if derivs.shape[-1] != shape[-1]:
        raise ValueError(f"derivs: expected last dimension {shape[-1]}, got {derivs.shape[-1]}")
    if checks.broadcast_shapes(tuple(derivs.shape), shape) != shape:
        raise ValueError(
            f"derivs: expected a leading shape that broadcasts to {shape[:-1]}, got {tuple(derivs.shape[:-1])}"
        )


def check_arrays(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JAX arrays; raises for anything but arrays with at least one axis."""
    found = _arrays(arguments)
    for name, value in found.items():
        if value.ndim < 1:
            raise ValueError(f"{name}: expected at least one axis, got an array without axes")
    return found


def check_rows(problem: Problem, arguments: Mapping[str, Any], rows: str) -> None:
    """:func:`check_arrays`, and the last axis of one of them."""
    checks.check_last_axis(problem, rows, tuple(check_arrays(arguments)[rows].shape))


def zeros(x: Any, width: int) -> Any:
    """Rows of zeros in place of rows that are not read."""
    return jnp.zeros((*x.shape[:-1], width), x.dtype)


def points(displacements: Any, shape: tuple[int, ...]) -> Any:
    """The points of paths, from the origin on, whose steps are given, broadcast to a leading shape."""
    return transforms.points(jnp.asarray(displacements), shape)


def transform_path(path: Any, how: Transform, *, times: Any = None) -> Any:
    """Paths with time or lead-lag channels, and without missing values."""
    (path,) = _arrays({"path": path}).values()
    channels_of("path", path)
    if times is not None:
        parts, there = preparation.given(path, Parts(times=times))
        times = check_times(there.times, path.shape[:-2], path.shape[-2])
        if is_traced(parts.times):
            times = check_times(parts.times, path.shape[:-2], path.shape[-2])
    return preparation.transformed(path, how, None, times)


def transform_path_backprop(derivs: Any, how: Transform) -> Any:
    """The transpose of :func:`transform_path`."""
    (derivs,) = _arrays({"derivs": derivs}).values()
    channels_of("derivs", derivs)
    transforms.check_transformed(derivs, how)
    length, dimension = derivs.shape[-2], derivs.shape[-1] - int(how.time_aug)
    if how.lead_lag:
        length, dimension = (length + 1) // 2, dimension // 2
    path = jnp.zeros((*derivs.shape[:-2], length, dimension), derivs.dtype)
    return pulled_back(lambda one: maps.transform_path(one, how), derivs, path)[0]


# -- paths ----------------------------------------------------------------------------------------------------------


def log_sig(
    path: Any,
    dimension: int | None,
    degree: Any,
    options: PathOptions,
    *,
    lengths: Any = None,
    initial: Any = None,
    transform: Transform = UNCHANGED,
    scalar_term: bool = False,
    parts: Parts = WHOLE,
) -> Any:
    """``log_sig`` of JAX arrays; ``dimension``: the channels of the paths before the transform, ``None``: any."""
    path, initial = _given(path, initial)
    parts, known = preparation.given(path, parts)
    request = path_request(
        path, dimension, degree, options, lengths=lengths, initial=initial, transform=transform,
        scalar_term=scalar_term, parts=known,
    )  # fmt: skip
    return _run(request, path, initial, parts)


def log_sig_backprop(
    d_out: Any,
    path: Any,
    dimension: int | None,
    degree: Any,
    options: PathOptions,
    *,
    lengths: Any = None,
    initial: Any = None,
    transform: Transform = UNCHANGED,
    scalar_term: bool = False,
    parts: Parts = WHOLE,
) -> Any:
    """The gradient of :func:`log_sig`: for the path or paths, and for ``initial`` if there is one."""
    path, initial = _given(path, initial)
    d_out = jnp.asarray(d_out) if isinstance(d_out, np.ndarray) else d_out
    parts, known = preparation.given(path, parts)
    request = path_request(
        path, dimension, degree, options, lengths=lengths, initial=initial, d_out=d_out, transform=transform,
        scalar_term=scalar_term, parts=known,
    )  # fmt: skip
    operands = (path,) if initial is None else (path, initial)
    found = pulled_back(lambda one, before=None: _run(request, one, before, parts), d_out, *operands)
    return found[0] if initial is None else found


def _given(path: Any, initial: Any) -> tuple[Any, Any]:
    """Paths, and what came before, with numpy's arrays as JAX's."""
    listed = isinstance(path, (list, tuple))
    arrays = [jnp.asarray(one) if isinstance(one, np.ndarray) else one for one in (path if listed else [path])]
    before = jnp.asarray(initial) if isinstance(initial, np.ndarray) else initial
    return arrays if listed else arrays[0], before


def _run(request: PathRequest, path: Any, initial: Any, parts: Parts) -> Any:
    """The result of a request: padded, transformed, refined, and in the coordinates that were asked for."""
    given = request.given_lengths
    if request.ragged:
        given = np.array([one.shape[0] for one in path])
        longest = int(given.max())
        path = jnp.stack([jnp.pad(one, [(0, longest - one.shape[0]), (0, 0)]) for one in path])
        given = check_lengths(given, request.batch, longest)
    points, counts, intervals = preparation.prepared(request, path, given, parts)
    rows = paths.log_sig(request, points, counts, intervals, initial)
    if request.options.method >= 2:
        return rows
    return maps.in_method(rows, request.problem, request.options.method, request.scalar_term)
