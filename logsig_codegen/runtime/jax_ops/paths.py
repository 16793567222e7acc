"""The primitives of whole paths: values and gradients are a call of a kernel each, tangents a tree of products.

Operands are the paths, and those that the parameter ``given`` names: log-signatures of what came before, numbers of
points, and for tangents and gradients the result, which spares computing it again. Results are in Lyndon brackets;
other coordinates are the business of ``maps.py``.
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
from logsig_codegen.runtime.jax_ops.products import PRODUCTS, lifted
from logsig_codegen.runtime.request import PathOptions, PathRequest, problem_of, window_count

LENGTHS, INITIAL, RESULT = "lengths", "initial", "result"
_BITS = {LENGTHS: 1, INITIAL: 2, RESULT: 4}  # of the attribute "given" in logsig_jax.h
_KNOWN = {"stream", "windows", "state", "method", "n_jobs"}


def log_sig(request: PathRequest, path: Any, lengths: Any, initial: Any) -> Any:
    """The result of a request, in Lyndon brackets, of paths that were transformed; ``lengths`` are those after it."""
    unknown = {one.name for one in fields(PathOptions)} - _KNOWN
    if any(getattr(request.options, name) != getattr(PathOptions(), name) for name in unknown):
        raise UnsupportedError(f"{', '.join(sorted(unknown))}: JAX arrays do without these options")
    options = request.options
    if request.problem.degree == 1:
        return _segments(options, path, lengths, initial)
    operands, tails, given = [path], [2], []
    if initial is not None:
        operands, tails, given = [path, initial], [2, 1], [INITIAL]
    if lengths is not None:
        operands, tails, given = [*operands, lengths], [*tails, 0], [*given, LENGTHS]
    (result,) = call(
        PATHS.value,
        *ranked(operands, tails),
        dimension=request.problem.dimension,
        degree=request.problem.degree,
        given=tuple(given),
        state=request.state,
        stream=options.stream,
        windows=options.windows,
        n_jobs=options.n_jobs,
    )
    return result


# -- kernels --------------------------------------------------------------------------------------------------------


def path_attributes(
    *, dimension: int, degree: int, given: Any, state: str, stream: bool, windows: Any, n_jobs: int, leads: Any = ()
) -> dict[str, Any]:
    """The attributes that ``logsig_jax.h`` reads."""
    del leads
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
    n_jobs: int,
) -> Any:
    """Points become displacements; neighbours are joined, then multiplied in a tree; streams are joined in order."""
    operands = dict(zip(given, others, strict=True))
    numbers = {"dimension": dimension, "degree": degree, "n_jobs": n_jobs}
    steps = _displacements(path, operands.get(LENGTHS), windows)
    initial = operands.get(INITIAL)
    if stream:
        return _expanding(steps, initial, numbers)
    result = _tree(steps, numbers)
    return result if initial is None else _product("combine", initial, result, numbers)


def _product(name: str, left: Any, right: Any, numbers: Any) -> Any:
    return call(PRODUCTS[name].product, left, right, **numbers)[0]


def _displacements(path: Any, lengths: Any, windows: Any) -> Any:
    """The steps of paths, or of their windows; zero where they do not count."""
    if windows is not None:
        places, lengths = _windows(path.shape[-2], lengths, windows)
        path = path[..., places, :]
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


def _segments(options: PathOptions, path: Any, lengths: Any, initial: Any) -> Any:
    """Degree one: the end of each path minus its start, which needs no kernel."""
    lengths = jnp.full(path.shape[:-2], path.shape[-2]) if lengths is None else lengths
    if options.windows is not None:
        places, lengths = _windows(path.shape[-2], lengths, options.windows)
        path = path[..., places, :]
    last, several = lengths - 1, lengths > 1
    if options.stream:
        step = jnp.arange(max(path.shape[-2] - 1, 0)) + 1
        last, several = (
            jnp.minimum(last[..., None], step),
            jnp.broadcast_to(several[..., None], (*several.shape, len(step))),
        )
    ends = jnp.maximum(last, 0).reshape(*path.shape[:-2], -1, 1)
    if not path.shape[-2]:
        path = jnp.zeros((*path.shape[:-2], 1, path.shape[-1]), path.dtype)
    found = jnp.take_along_axis(path, ends, axis=-2) - path[..., :1, :]
    found = jnp.where(several.reshape(ends.shape), found, jnp.zeros((), path.dtype))
    result = found if options.stream else found[..., 0, :]
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
