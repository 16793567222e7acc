"""The operators between signatures and log-signatures: power series in the tensor algebra.

The kernels for CPU tensors are those for arrays. On a GPU, and where a gradient is differentiated again, it is the same
series in torch's own operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.problem import Problem
from logsig_codegen.runtime import checks, conversions
from logsig_codegen.runtime.coordinates import sig_size
from logsig_codegen.runtime.rows import exponential, logarithm, series_work
from logsig_codegen.runtime.torch_ops import maps
from logsig_codegen.runtime.torch_ops.define import register
from logsig_codegen.runtime.torch_ops.rows import check_fakes, problem_of, to_array
from logsig_codegen.runtime.torch_ops.rules import Gradients, Rules, vector_jacobian

ROOM = 1 << 26
"""Numbers of double precision in temporaries of a kernel for a GPU, about: as many rows at a time."""


def _levels(problem: Problem, x: Tensor) -> list[Tensor]:
    """The coordinates on words of length 1, 2, …"""
    sizes = [problem.dimension**k for k in range(1, problem.degree + 1)]
    return list(x.split(sizes, dim=-1))


def _stages(problem: Problem, coefficients: Sequence[float], levels: Sequence[Tensor]) -> list[list[Tensor]]:
    """Horner's stages of a power series, level by level, the series itself first; see ``runtime/rows.py``."""
    stages: list[list[Tensor]] = [[]]
    for k in range(problem.degree - 1, -1, -1):
        stage = [coefficients[k + 1] * level for level in levels[: problem.degree - k]]
        for i, left in enumerate(levels):
            for j, right in enumerate(stages[-1][: max(len(stage) - i - 1, 0)]):
                product = (left[..., :, None] * right[..., None, :]).flatten(-2)
                stage[i + j + 1] = stage[i + j + 1] + product
        stages.append(stage)
    return stages[::-1]


def _series(problem: Problem, coefficients: Sequence[float], x: Tensor) -> Tensor:
    """The power series of expanded coordinates, without its constant part."""
    return torch.cat(_stages(problem, coefficients, _levels(problem, x))[0], dim=-1)


def _pull_series(problem: Problem, coefficients: Sequence[float], x: Tensor, form: Tensor) -> Tensor:
    """The form on ``x`` that ``form`` on its power series induces: Horner's scheme backwards."""
    levels, outer = _levels(problem, x), _levels(problem, form)
    pulled = [torch.zeros_like(level) for level in levels]
    for k, inner in enumerate(_stages(problem, coefficients, levels)[1:]):
        for i, level in enumerate(outer):
            pulled[i] = pulled[i] + coefficients[k + 1] * level
        below = []
        for j, right in enumerate(inner):
            pulled_right = torch.zeros_like(right)
            for i in range(len(inner) - j):
                cut = outer[i + j + 1].unflatten(-1, (levels[i].shape[-1], right.shape[-1]))
                pulled[i] = pulled[i] + (cut * right[..., None, :]).sum(-1)
                pulled_right = pulled_right + (cut * levels[i][..., :, None]).sum(-2)
            below.append(pulled_right)
        outer = below
    return torch.cat(pulled, dim=-1)


def _with_scalar(x: Tensor, value: float) -> Tensor:
    return torch.cat([torch.full_like(x[..., :1], value), x], dim=-1)


def composite_sig_to_log_sig(sig: Tensor, dimension: int, degree: int, method: int) -> Tensor:
    """The logarithm, in torch's operators."""
    problem = problem_of(dimension, degree)
    scalar = sig.shape[-1] - sig_size(problem)
    result = _series(problem, logarithm(degree), sig[..., scalar:].double())
    if method == 0:
        result = _with_scalar(result, 0.0) if scalar else result
    else:
        result = maps.change_method(result, dimension, degree, 0, method)
    return result.to(sig.dtype)


def composite_logsig_to_sig(
    log_sig: Tensor, dimension: int, degree: int, method: int, scalar_term: bool = False
) -> Tensor:
    """The exponential, in torch's operators."""
    problem = problem_of(dimension, degree)
    x = log_sig.double()
    if method == 0:
        scalar_term = log_sig.shape[-1] != sig_size(problem)
        x = x[..., int(scalar_term) :]
    else:
        x = maps.change_method(x, dimension, degree, method, 0)
    result = _series(problem, exponential(degree), x)
    return (_with_scalar(result, 1.0) if scalar_term else result).to(log_sig.dtype)


def composite_sig_to_log_sig_backprop(sig: Tensor, derivs: Tensor, dimension: int, degree: int, method: int) -> Tensor:
    """The gradient of the logarithm, in torch's operators."""
    problem = problem_of(dimension, degree)
    scalar = sig.shape[-1] - sig_size(problem)
    form = derivs.double()
    form = form[..., scalar:] if method == 0 else maps.change_method_backprop(form, dimension, degree, 0, method)
    x = sig[..., scalar:].double()
    result = _pull_series(problem, logarithm(degree), x, form.expand(x.shape))
    return (_with_scalar(result, 0.0) if scalar else result).to(sig.dtype)


def composite_logsig_to_sig_backprop(
    log_sig: Tensor, derivs: Tensor, dimension: int, degree: int, method: int, scalar_term: bool = False
) -> Tensor:
    """The gradient of the exponential, in torch's operators."""
    problem = problem_of(dimension, degree)
    x, skip = log_sig.double(), 0
    if method == 0:
        skip = log_sig.shape[-1] - sig_size(problem)
        x, scalar_term = x[..., skip:], bool(skip)
    else:
        x = maps.change_method(x, dimension, degree, method, 0)
    form = derivs.double()[..., int(scalar_term) :]
    result = _pull_series(problem, exponential(degree), x, form.expand(x.shape))
    if method:
        result = maps.change_method_backprop(result, dimension, degree, method, 0)
    return (_with_scalar(result, 0.0) if skip else result).to(log_sig.dtype)


def _in_portions(function: Callable[..., Tensor], others: Sequence[Any], *tensors: Tensor) -> Tensor:
    """``function`` of some rows at a time, so that temporaries stay within :data:`ROOM`.

    ``others`` begin with dimension and degree; later tensors broadcast to the batch of the first one.
    """
    batch = tensors[0].shape[:-1]
    step = max(1, ROOM // series_work(problem_of(*others[:2])))
    given = [one.detach().expand(*batch, one.shape[-1]) for one in tensors]
    if batch.numel() <= step:
        return function(*given)
    rows = [one.reshape(-1, one.shape[-1]) for one in given]
    portions = [function(*(one[start : start + step] for one in rows)) for start in range(0, batch.numel(), step)]
    return torch.cat(portions).reshape(*batch, -1)


def _check_last(name: str, tensor: Tensor, widths: tuple[int, ...]) -> None:
    maps.check(name, tensor)
    if tensor.shape[-1] not in widths:
        expected = " or ".join(map(str, widths))
        raise ValueError(f"{name}: expected last dimension {expected}, got {tensor.shape[-1]}")


def _pair(
    schema: str,
    function: Callable[..., Any],
    backprop: Callable[..., Any],
    widths: Callable[..., tuple[tuple[int, ...], int]],
    composite: Callable[..., Tensor],
    composite_backprop: Callable[..., Tensor],
) -> tuple[Any, Any]:
    """An operator and its gradient. ``composite`` is the same function in torch's operators."""
    name = schema.split("(")[0]
    argument = schema.split("Tensor ")[1].split(",")[0]
    rest = schema.split(f"Tensor {argument}, ")[1].split(")")[0]
    operators: list[Any] = []

    def backprop_cpu(x: Tensor, derivs: Tensor, *others: Any) -> Tensor:
        checks.check_types({argument: x, "derivs": derivs})
        maps.check(argument, x)
        maps.check("derivs", derivs)
        return torch.from_numpy(backprop(to_array(x), to_array(derivs), *others))

    def cuda(x: Tensor, *others: Any) -> Tensor:
        maps.check(argument, x)
        _check_last(argument, x, widths(*others)[0])
        return _in_portions(lambda rows: composite(rows, *others), others, x)

    def backprop_cuda(x: Tensor, derivs: Tensor, *others: Any) -> Tensor:
        checks.check_types({argument: x, "derivs": derivs})
        maps.check("derivs", derivs)
        allowed, result = widths(*others)
        _check_last(argument, x, allowed)
        _check_last("derivs", derivs, (x.shape[-1] if result < 0 else result,))
        checks.broadcast({argument: tuple(x.shape[:-1]), "d_out": tuple(derivs.shape[:-1])})
        return _in_portions(lambda rows, forms: composite_backprop(rows, forms, *others), others, x, derivs)

    def backprop_fake(x: Tensor, derivs: Tensor, *others: Any) -> Tensor:
        check_fakes({argument: x, "derivs": derivs})
        return x.new_empty(x.shape)

    def vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
        return (operators[1](args[0], cotangents[0], *args[1:]),)

    def backprop_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
        pull = vector_jacobian(lambda x, derivs: composite_backprop(x, derivs, *args[2:]), *args[:2])
        return pull(cotangents[0])  # type: ignore[no-any-return]

    operators.append(
        register(
            Rules(
                schema=schema,
                cpu=maps.on_array(argument, function),
                cuda=cuda,
                fake=maps.row_fake(argument, widths),
                vjp=vjp,
                composite=composite,
                batch=maps.row_batch(),
            )
        )
    )
    operators.append(
        register(
            Rules(
                schema=f"{name}_backprop(Tensor {argument}, Tensor derivs, {rest}) -> Tensor",
                cpu=backprop_cpu,
                cuda=backprop_cuda,
                fake=backprop_fake,
                vjp=backprop_vjp,
                composite=composite_backprop,
                batch=maps.row_batch(2),
            )
        )
    )
    return operators[0], operators[1]


def _sig_widths(dimension: int, degree: int, method: int) -> tuple[tuple[int, ...], int]:
    width = sig_size(problem_of(dimension, degree))
    return (width, width + 1), -1 if method == 0 else problem_of(dimension, degree).size


def _log_sig_widths(dimension: int, degree: int, method: int, scalar_term: bool = False) -> tuple[tuple[int, ...], int]:
    problem = problem_of(dimension, degree)
    width = sig_size(problem)
    return ((width, width + 1), -1) if method == 0 else ((problem.size,), width + int(scalar_term))


sig_to_log_sig, sig_to_log_sig_backprop = _pair(
    "sig_to_log_sig(Tensor sig, int dimension, int degree, int method) -> Tensor",
    lambda x, d, n, method: conversions.sig_to_log_sig(x, problem_of(d, n), method),
    lambda x, g, d, n, method: conversions.sig_to_log_sig_backprop(x, g, problem_of(d, n), method),
    _sig_widths,
    composite_sig_to_log_sig,
    composite_sig_to_log_sig_backprop,
)
"""The logarithm of signatures."""

logsig_to_sig, logsig_to_sig_backprop = _pair(
    "logsig_to_sig(Tensor log_sig, int dimension, int degree, int method, bool scalar_term=False) -> Tensor",
    lambda x, d, n, method, scalar=False: conversions.logsig_to_sig(x, problem_of(d, n), method, scalar),
    lambda x, g, d, n, method, scalar=False: conversions.logsig_to_sig_backprop(x, g, problem_of(d, n), method, scalar),
    _log_sig_widths,
    composite_logsig_to_sig,
    composite_logsig_to_sig_backprop,
)
"""The exponential of log-signatures."""
