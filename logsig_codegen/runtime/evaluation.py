"""Calls along paths on arrays: a request and the arrays that it speaks of become the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.runtime import segments
from logsig_codegen.runtime.arrays import Array, check_out, plain
from logsig_codegen.runtime.paths import Call
from logsig_codegen.runtime.prepared import prepared
from logsig_codegen.runtime.request import PathRequest, named_paths, too_large

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel


def forward(kernel: LoadedKernel, request: PathRequest, path: Any, initial: Any, out: Any = None) -> Any:
    """The result of a request; ``out``, if given, is checked and receives it."""
    if out is not None:
        check_out("out", out, request.shape, _inputs(path, initial, lengths=request.given_lengths))
    target = None if request.scalar_term else out
    ready = prepared(request, path)
    result = _executor(kernel, ready.request, ready.paths, initial, backward=False).forward(target)
    if request.scalar_term:
        result = np.concatenate([np.zeros((*result.shape[:-1], 1), result.dtype), result], axis=-1)
    if out is None or result is out:
        return result
    out[...] = result
    return out


def backward(
    kernel: LoadedKernel, request: PathRequest, d_out: Any, path: Any, initial: Any, out: Any = None, known: Any = None
) -> Any:
    """Gradients with respect to ``path`` (a list of them for a list), and ``initial`` if there is one.

    Parameters
    ----------
    out : array, or pair of arrays, optional
        Is checked, and receives them.
    known : array, optional
        The result of :func:`forward`, which spares computing it again.
    """
    targets = None if out is None else _check_targets(out, path, initial, d_out)
    if request.scalar_term:
        d_out = d_out[..., 1:]
    ready = prepared(request, path)
    executor = _executor(kernel, ready.request, ready.paths, initial, backward=True)
    gradients = executor.backward(plain(d_out), known, None if ready.changed else targets)
    count = len(ready.paths)
    results = (*ready.back(list(gradients[:count])), *gradients[count:])
    for target, result in zip(targets or (), results, strict=False):
        if target is not result:
            target[...] = result
    results = targets or results
    d_paths = list(results[: request.batch[0]]) if request.ragged else results[0]
    return d_paths if initial is None else (d_paths, results[-1])


def _executor(
    kernel: LoadedKernel, request: PathRequest, paths: Sequence[Array], initial: Any, *, backward: bool
) -> Any:
    if request.problem.degree == 1:
        return segments.Segments(request, paths, initial)
    if prod(request.shape):  # load what is needed before results are allocated: a problem may be too large
        try:
            kernel.functions(request.operation(backward=backward))
        except ProblemTooLargeError as error:
            raise too_large(error, request.length, request.problem.dimension) from None
    return Call(kernel, request, paths, initial)


def _inputs(path: Any, initial: Any, **others: Any) -> Mapping[str, Any]:
    arrays = {**named_paths(path), "initial": initial, **others}
    return {name: value for name, value in arrays.items() if value is not None}


def _check_targets(out: Any, path: Any, initial: Any, d_out: Any) -> tuple[Any, ...]:
    """The arrays that are to receive the gradients with respect to ``path`` and ``initial``, if there is one."""
    if isinstance(path, (list, tuple)):
        raise ValueError("out: expected None with a list of paths, whose gradients have shapes of their own")
    inputs = _inputs(path, initial, d_out=d_out)
    if initial is None:
        check_out("out", out, path.shape, inputs)
        return (out,)
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"out: expected a pair of arrays (d_path, d_initial), got {type(out).__name__}")
    check_out("out[0]", out[0], path.shape, inputs)
    check_out("out[1]", out[1], initial.shape, {**inputs, "out[0]": out[0]})
    return out
