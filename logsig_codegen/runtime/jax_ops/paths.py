"""The primitives of whole paths: values and gradients are a call of a kernel each, tangents a tree of products.

Operands are the paths, and those that the parameter ``given`` names: log-signatures of what came before, numbers of
points, intervals, and for tangents and gradients the result, which spares computing it again. Results are in Lyndon
brackets; other coordinates are the business of ``maps.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from logsig_codegen.errors import UnsupportedError
from logsig_codegen.operations import STATES
from logsig_codegen.runtime.jax_ops import handlers
from logsig_codegen.runtime.jax_ops.composed import Composed, Params, Rules
from logsig_codegen.runtime.jax_ops.define import Shape, call, leading, ranked, varying
from logsig_codegen.runtime.jax_ops.preparation import integers
from logsig_codegen.runtime.jax_ops.products import PRODUCTS, lifted
from logsig_codegen.runtime.request import PathOptions, PathRequest, problem_of, window_count

LENGTHS, INITIAL, RESULT, INTERVALS = "lengths", "initial", "result", "intervals"
_BITS = {LENGTHS: 1, INITIAL: 2, RESULT: 4, INTERVALS: 8}  # of the attribute "given" in logsig_jax.h
_KNOWN = {"stream", "windows", "state", "method", "n_jobs"}


def log_sig(request: PathRequest, path: Any, lengths: Any, intervals: Any, initial: Any) -> Any:
    """The result of a request, in Lyndon brackets, of paths that were transformed; ``lengths`` and ``intervals``, of
    points, are those after it."""
    unknown = {one.name for one in fields(PathOptions)} - _KNOWN
    if any(getattr(request.options, name) != getattr(PathOptions(), name) for name in unknown):
        raise UnsupportedError(f"{', '.join(sorted(unknown))}: JAX arrays do without these options")
    options = request.options
    lengths, places = (None if one is None else integers(one) for one in (lengths, intervals))
    if request.problem.degree == 1:
        return _segments(options, path, lengths, places, initial)
    possible = ((INITIAL, initial, 1), (LENGTHS, lengths, 0), (INTERVALS, places, 2))
    others = [one for one in possible if one[1] is not None]
    (result,) = call(
        PATHS.value,
        *ranked([path, *(array for _, array, _ in others)], [2, *(tail for _, _, tail in others)]),
        dimension=request.problem.dimension,
        degree=request.problem.degree,
        given=tuple(name for name, _, _ in others),
        state=request.state,
        stream=options.stream,
        windows=options.windows,
        longest=None if places is None else _longest(intervals, path.shape[-2]),
        n_jobs=options.n_jobs,
    )
    return result


def _longest(intervals: Any, length: int) -> int:
    """At least the points of any interval; if they are known a power of two, so that few programs are compiled."""
    if isinstance(intervals, jax.Array):
        return length
    most = int(np.max(intervals[..., 1] - intervals[..., 0] + 1, initial=1))
    return min(1 << (most - 1).bit_length(), length)


# -- kernels --------------------------------------------------------------------------------------------------------


def path_attributes(
    *,
    dimension: int,
    degree: int,
    given: Any,
    state: str,
    stream: bool,
    windows: Any,
    longest: Any,
    n_jobs: int,
    leads: Any = (),
) -> dict[str, Any]:
    """The attributes that ``logsig_jax.h`` reads."""
    del longest, leads
    window, step = windows or (0, 0)
    return {
        "dimension": dimension,
        "degree": degree,
        "given": sum(_BITS[name] for name in given),
        "state": 1 + STATES.index(state),  # as in logsig_path_call.h, where 0 is the default
        "stream": stream,
        "window": window,
        "step": step,
        "n_jobs": n_jobs,
    }


def _prepare(*, backward: bool) -> Any:
    def prepare(avals: Sequence[Any], *, given: Any, state: str, stream: bool, windows: Any, **params: Any) -> None:
        path = avals[1 if backward else 0]

        def load(kernel: Any) -> None:
            kernel.loaded.path_call(
                state,
                np.dtype(path.dtype),
                length=path.shape[-2],
                initial=INITIAL in given,
                stream=stream,
                windows=windows,
                backward=backward,
            )

        handlers.serve(params["dimension"], params["degree"], load)

    return prepare


def _count(params: Params) -> int:
    return 1 + (INITIAL in params["given"])


def _shape(shapes: Sequence[Shape], params: Params) -> Shape:
    path = shapes[0]
    length, lead = path[-2], leading(*(one[: len(path) - 2] for one in shapes))
    size = problem_of(params["dimension"], params["degree"]).size
    if params["stream"]:
        return (*lead, max(length - 1, 0), size)
    if INTERVALS in params["given"]:
        return (*lead, shapes[1 + params["given"].index(INTERVALS)][-2], size)
    windows = params["windows"]
    return (*lead, size) if windows is None else (*lead, window_count(length, *windows), size)


def _gradient_leads(
    operands: Sequence[Shape], tangents: Sequence[Shape], d_out: Shape, params: Params
) -> tuple[Shape, ...]:
    """Paths that share what came before are walked once, and their gradients summed, by the kernel."""
    if INITIAL not in params["given"]:
        return (d_out,)
    before = leading(operands[1], tangents[1])
    if params["stream"]:
        return d_out, before
    lengths = operands[2:3] if LENGTHS in params["given"] else ()
    return leading(operands[0], tangents[0], *lengths), before


def _hint(operands: Sequence[Any], result: Any, params: Params) -> tuple[Sequence[Any], Params]:
    """The kernel of the gradient takes the result, but for products with what came before."""
    if INITIAL in params["given"] and not params["stream"]:
        return operands, params
    return (*operands, jax.lax.stop_gradient(result)), {**params, "given": (*params["given"], RESULT)}


# -- composition ----------------------------------------------------------------------------------------------------


def _composition(
    path: Any,
    *others: Any,
    dimension: int,
    degree: int,
    given: Any,
    state: str,
    stream: bool,
    windows: Any,
    longest: Any,
    n_jobs: int,
) -> Any:
    """Points become displacements; neighbours are joined, then multiplied in a tree; streams are joined in order."""
    operands = dict(zip(given, others, strict=True))
    numbers = {"dimension": dimension, "degree": degree, "n_jobs": n_jobs}
    steps = _displacements(path, operands.get(LENGTHS), windows, operands.get(INTERVALS), longest)
    initial = operands.get(INITIAL)
    if stream:
        return _expanding(steps, initial, numbers)
    result = _tree(steps, numbers)
    return result if initial is None else _product("combine", initial, result, numbers)


def _product(name: str, left: Any, right: Any, numbers: Any) -> Any:
    return call(PRODUCTS[name].product, left, right, **numbers)[0]


def _displacements(path: Any, lengths: Any, windows: Any, intervals: Any, longest: Any) -> Any:
    """The steps of paths, of their windows or intervals; zero where they do not count."""
    if windows is not None:
        places, lengths = _windows(path.shape[-2], lengths, windows)
        path = path[..., places, :]
    if intervals is not None:
        path, lengths = points_of_intervals(path, lengths, intervals, longest)
    steps = path[..., 1:, :] - path[..., :-1, :]
    if lengths is None:
        return steps
    counts = jnp.arange(steps.shape[-2]) < lengths[..., None] - 1
    return jnp.where(counts[..., None], steps, jnp.zeros((), steps.dtype))


def _windows(length: int, lengths: Any, windows: Any) -> tuple[Any, Any]:
    """The points of each window, ``(number of windows, size)``, and how many of them count."""
    size, stride = windows
    first = np.arange(window_count(length, size, stride)) * stride
    places = first[:, None] + np.arange(size)
    return places, None if lengths is None else jnp.clip(lengths[..., None] - first, 0, size)


def points_of_intervals(path: Any, lengths: Any, intervals: Any, longest: int) -> tuple[Any, Any]:
    """The points of each interval, ``longest`` at most, and how many of them count."""
    first, last = _ends(path, lengths, intervals)
    places = jnp.clip(first[..., None] + np.arange(max(longest, 1)), 0, max(path.shape[-2] - 1, 0))
    flat = _picked(path, places.reshape(*first.shape[:-1], first.shape[-1] * places.shape[-1]))
    return flat.reshape(*flat.shape[:-2], *places.shape[-2:], flat.shape[-1]), last - first + 1


def _ends(path: Any, lengths: Any, intervals: Any) -> tuple[Any, Any]:
    """First and last points of intervals, cut where the paths end."""
    most = path.shape[-2] if lengths is None else lengths[..., None]
    return intervals[..., 0], jnp.minimum(intervals[..., 1], most - 1)


def _picked(path: Any, places: Any) -> Any:
    """Points at places ``(..., n)``, with as many leading axes; of a path without points zeros."""
    if not path.shape[-2]:
        path = jnp.zeros((*path.shape[:-2], 1, path.shape[-1]), path.dtype)
    return jnp.take_along_axis(path, places[..., None], axis=-2)


def _even(rows: Any) -> Any:
    """An even number of rows, at least two: zeros change no product."""
    missing = 2 if rows.shape[-2] == 0 else rows.shape[-2] % 2
    return jnp.pad(rows, [*[(0, 0)] * (rows.ndim - 2), (0, missing), (0, 0)]) if missing else rows


def _tree(steps: Any, numbers: Any) -> Any:
    """The product of all steps: neighbours are joined, then multiplied."""
    steps = _even(steps)
    problem = problem_of(numbers["dimension"], numbers["degree"])
    rows = _product("join", lifted(steps[..., 0::2, :], problem), steps[..., 1::2, :], numbers)
    while rows.shape[-2] > 1:
        rows = _even(rows)
        rows = _product("combine", rows[..., 0::2, :], rows[..., 1::2, :], numbers)
    return rows[..., 0, :]


def _expanding(steps: Any, initial: Any, numbers: Any) -> Any:
    """All expanding log-signatures, one join after the other."""
    problem = problem_of(numbers["dimension"], numbers["degree"])
    if not steps.shape[-2]:
        lead = leading(steps.shape[:-2], () if initial is None else initial.shape[:-1])
        return jnp.zeros((*lead, 0, problem.size), steps.dtype)
    rows = jnp.moveaxis(steps, -2, 0)
    first = lifted(rows[0], problem)
    if initial is not None:
        before, step = varying(initial, rows[0])
        first = _product("join", before, step, numbers)

    def extend(state: Any, step: Any) -> tuple[Any, Any]:
        state = _product("join", state, step, numbers)
        return state, state

    _, rest = jax.lax.scan(extend, *varying(first, rows[1:]))
    return jnp.moveaxis(jnp.concatenate([first[None], rest]), 0, -2)


def _segments(options: PathOptions, path: Any, lengths: Any, intervals: Any, initial: Any) -> Any:
    """Degree one: the end of each path, window or interval minus its start, which needs no kernel."""
    length, rows = path.shape[-2], options.stream or options.windows is not None or intervals is not None
    counts = jnp.full(path.shape[:-2], length) if lengths is None else lengths
    first: Any = np.zeros(1, int)
    last: Any = counts[..., None] - 1
    wrong = ((counts < 0) | (counts > length))[..., None]
    if intervals is not None:
        given = ranked([path, intervals], [2, 2])[1]
        wrong = wrong | (given[..., 0] < 0) | (given[..., 1] >= length) | (given[..., 1] < given[..., 0] - 1)
        first, last = _ends(path, counts, given)
    elif options.windows is not None:
        size, stride = options.windows
        first = np.arange(window_count(length, size, stride)) * stride
        last = jnp.minimum(last, first + size - 1)
    elif options.stream:
        last = jnp.minimum(last, np.arange(max(length - 1, 0)) + 1)
    several = last > first
    start, end = (_picked(path, jnp.where(several, one, 0)) for one in (first, last))
    found = jnp.where(several[..., None], end - start, jnp.zeros((), path.dtype))
    found = jnp.where(wrong[..., None], jnp.nan, found)  # of traced numbers; known ones were checked
    result = found if rows else found[..., 0, :]
    if initial is None:
        return result
    return result + (initial[..., None, :] if options.stream else initial)


PATHS = Composed(
    Rules(
        name="log_sig",
        tail=2,
        count=_count,
        shape=_shape,
        value=handlers.lowering("log_sig", path_attributes, _prepare(backward=False)),
        backprop=handlers.lowering("log_sig_backprop", path_attributes, _prepare(backward=True)),
        composition=_composition,
        gradient_leads=_gradient_leads,
        hint=_hint,
    )
)
