"""The operators of linear maps: coordinates of log-signatures, straight lines, transforms of paths.

Each comes with its transpose, ``…_backprop``; the derivative of either is the other, in all orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from logsig_codegen.runtime import changes, checks, transforms
from logsig_codegen.runtime.coordinates import (
    RowMap,
    change_method_backprop_map,
    change_method_map,
    hall_map,
    linear_log_sig_backprop_map,
    linear_log_sig_map,
    log_sig_size,
)
from logsig_codegen.runtime.request import check_lengths
from logsig_codegen.runtime.torch_ops.define import register
from logsig_codegen.runtime.torch_ops.lengths import beside
from logsig_codegen.runtime.torch_ops.rows import check_fakes, problem_of, to_array
from logsig_codegen.runtime.torch_ops.rules import Gradients, Rules
from logsig_codegen.runtime.transforms import Transform


def check(name: str, tensor: Tensor) -> None:
    """Check the one tensor argument of a kernel."""
    checks.check_types({name: tensor})
    if tensor.ndim < 1:
        raise ValueError(f"{name}: expected at least one axis, got an array without axes")


def on_array(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """A CPU kernel made of a function of an array and plain arguments."""

    def kernel(tensor: Tensor, *others: Any) -> Tensor:
        check(name, tensor)
        return torch.from_numpy(function(to_array(tensor), *others))

    return kernel


def on_device(name: str, plan: Callable[..., RowMap]) -> Callable[..., Tensor]:
    """A kernel for a GPU made of what describes a map, from the same arguments."""

    def kernel(tensor: Tensor, *others: Any) -> Tensor:
        from logsig_codegen.runtime.cuda import maps

        check(name, tensor)
        return maps.apply(plan(tensor, *others), tensor)

    return kernel


def row_fake(name: str, widths: Callable[..., tuple[tuple[int, ...], int]]) -> Callable[..., Tensor]:
    """Shapes of a map of rows; ``widths(*others)``: the lengths a row may have, and that of the result.

    A negative length of the result stands for that of the row.
    """

    def fake(tensor: Tensor, *others: Any) -> Tensor:
        check_fakes({name: tensor})
        allowed, out = widths(*others)
        last = tensor.shape[-1] if tensor.ndim else None
        if last not in allowed:
            raise ValueError(f"{name}: expected last dimension {' or '.join(map(str, allowed))}, got {last}")
        return tensor.new_empty((*tensor.shape[:-1], out if out >= 0 else last))

    return fake


def row_batch(count: int = 1) -> Callable[..., Any]:
    """The rule of ``vmap`` for maps of rows: another leading axis, of all of the first ``count`` arguments."""

    def batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        moved = [
            one.expand(info.batch_size, *one.shape) if dim is None else one.movedim(dim, 0)
            for one, dim in zip(args[:count], in_dims, strict=False)
        ]
        return operator(*moved, *args[count:]), 0

    return batch


def _pair(
    schemas: tuple[str, str],
    functions: tuple[Callable[..., Any], Callable[..., Any]],
    plans: tuple[Callable[..., RowMap], Callable[..., RowMap]],
    widths: tuple[Callable[..., Any], Callable[..., Any]],
    others: tuple[Callable[..., tuple[Any, ...]], Callable[..., tuple[Any, ...]]],
) -> tuple[Any, Any]:
    """A map and its transpose; ``others``: from the arguments of one to the plain arguments of the other."""
    operators: list[Any] = []

    def rules(side: int) -> Rules:
        name = schemas[side].split("Tensor ")[1].split(",")[0]

        def vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
            return (operators[1 - side](cotangents[0], *others[side](*args)),)

        def jvp(args: Sequence[Any], _: Any, tangents: Gradients) -> Tensor:
            return operators[side](tangents[0], *args[1:])  # type: ignore[no-any-return]

        return Rules(
            schema=schemas[side],
            cpu=on_array(name, functions[side]),
            cuda=on_device(name, plans[side]),
            fake=row_fake(name, widths[side]),
            vjp=vjp,
            jvp=jvp,
            batch=row_batch(),
        )

    operators.extend(register(rules(side)) for side in (0, 1))
    return operators[0], operators[1]


def _coordinates(dimension: int, degree: int, method: int) -> tuple[int, ...]:
    """Lengths that log-signatures of a method may have."""
    problem = problem_of(dimension, degree)
    width = log_sig_size(problem, method)
    return (width, width + 1) if method == 0 else (width,)


def _size(dimension: int, degree: int, method: int, scalar_term: bool) -> int:
    return log_sig_size(problem_of(dimension, degree), method, scalar_term)


def _has_scalar(tensor: Tensor, dimension: int, degree: int, method: int) -> bool:
    return bool(method == 0 and tensor.shape[-1] != _size(dimension, degree, 0, False))


change_method, change_method_backprop = _pair(
    (
        "change_method(Tensor log_sig, int dimension, int degree, int source, int target, bool scalar_term=False)"
        " -> Tensor",
        "change_method_backprop(Tensor derivs, int dimension, int degree, int source, int target, "
        "bool scalar_term=False) -> Tensor",
    ),
    (
        lambda x, d, n, source, target, scalar=False: changes.change_method(
            x, problem_of(d, n), source, target, scalar
        ),
        lambda x, d, n, source, target, scalar=False: changes.change_method_backprop(
            x, problem_of(d, n), source, target, scalar
        ),
    ),
    (
        lambda x, d, n, *others: change_method_map(x, problem_of(d, n), *others),
        lambda x, d, n, *others: change_method_backprop_map(x, problem_of(d, n), *others),
    ),
    (
        lambda d, n, source, target, scalar=False: (_coordinates(d, n, source), _size(d, n, target, scalar)),
        lambda d, n, source, target, scalar=False: (_coordinates(d, n, target), _size(d, n, source, scalar)),
    ),
    (
        lambda x, d, n, source, target, scalar: (d, n, source, target, _has_scalar(x, d, n, source)),
        lambda x, d, n, source, target, scalar: (d, n, source, target, _has_scalar(x, d, n, target)),
    ),
)
"""Log-signatures in other coordinates."""


def _hall_pair(name: str) -> tuple[Any, Any]:
    def side(operation: str, argument: str) -> tuple[Any, ...]:
        return (
            f"{operation.removeprefix('log_sig_')}(Tensor {argument}, int dimension, int degree) -> Tensor",
            lambda x, d, n: changes.change_hall(operation, x, problem_of(d, n)),
            lambda x, d, n: hall_map(operation, x, problem_of(d, n)),
            lambda d, n: ((problem_of(d, n).size,), problem_of(d, n).size),
            lambda x, d, n: (d, n),
        )

    return _pair(*zip(side(name, "log_sig"), side(f"{name}_backprop", "derivs"), strict=True))


to_hall, to_hall_backprop = _hall_pair("log_sig_to_hall")
from_hall, from_hall_backprop = _hall_pair("log_sig_from_hall")

linear_log_sig, linear_log_sig_backprop = _pair(
    (
        "linear_log_sig(Tensor displacement, int dimension, int degree, int method=2, bool scalar_term=False)"
        " -> Tensor",
        "linear_log_sig_backprop(Tensor derivs, int dimension, int degree, int method=2, bool scalar_term=False)"
        " -> Tensor",
    ),
    (
        lambda x, d, n, method=2, scalar=False: changes.linear_log_sig(x, problem_of(d, n), method, scalar),
        lambda x, d, n, method=2, scalar=False: changes.linear_log_sig_backprop(x, problem_of(d, n), method, scalar),
    ),
    (
        lambda x, d, n, method=2, scalar=False: linear_log_sig_map(x, problem_of(d, n), method, scalar),
        lambda x, d, n, method=2, scalar=False: linear_log_sig_backprop_map(x, problem_of(d, n), method, scalar),
    ),
    (
        lambda d, n, method=2, scalar=False: ((d,), _size(d, n, method, scalar)),
        lambda d, n, method=2, scalar=False: ((_size(d, n, method, scalar),), d),
    ),
    (
        lambda x, d, n, method, scalar: (d, n, method, scalar),
        lambda x, d, n, method, scalar: (d, n, method, scalar),
    ),
)
"""The log-signature of a straight line."""


# -- transforms of paths --------------------------------------------------------------------------------------------


def _lengths(path: Tensor, lengths: Tensor | None) -> Any:
    return None if lengths is None else check_lengths(lengths.cpu(), tuple(path.shape[:-2]), path.shape[-2])


def _transform_cpu(
    path: Tensor, lengths: Tensor | None, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0
) -> Tensor:
    check("path", path)
    how = Transform(time_aug, lead_lag, end_time)
    return torch.from_numpy(transforms.transform(to_array(path), how, _lengths(path, lengths)))


def _transform_cuda(
    path: Tensor, lengths: Tensor | None, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0
) -> Tensor:
    from logsig_codegen.runtime.cuda.transforms import transform

    check("path", path)
    return transform(path, Transform(time_aug, lead_lag, end_time), beside(path, lengths))


def _transform_fake(
    path: Tensor, lengths: Tensor | None, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0
) -> Tensor:
    check_fakes({"path": path})
    if lengths is not None:
        check_lengths(lengths, tuple(path.shape[:-2]), path.shape[-2], look=False)
    *batch, length, dimension = path.shape
    if lead_lag:
        length, dimension = torch.sym_max(2 * length - 1, 0), 2 * dimension
    return path.new_empty((*batch, length, dimension + int(time_aug)))


def _transform_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
    _, _, time_aug, lead_lag, _ = args
    return transform_backprop(cotangents[0], None, time_aug, lead_lag), None


def _transform_jvp(args: Sequence[Any], _: Any, tangents: Gradients) -> Tensor:
    _, _, time_aug, lead_lag, _ = args
    return transform_path(tangents[0], None, time_aug, lead_lag, 0.0)  # type: ignore[no-any-return]


def _transform_backprop_cpu(
    derivs: Tensor, lengths: Tensor | None, time_aug: bool = False, lead_lag: bool = False
) -> Tensor:
    check("derivs", derivs)
    how = Transform(time_aug, lead_lag)
    return torch.from_numpy(
        transforms.transform_backprop(to_array(derivs), how, None if lengths is None else to_array(lengths.cpu()))
    )


def _transform_backprop_cuda(
    derivs: Tensor, lengths: Tensor | None, time_aug: bool = False, lead_lag: bool = False
) -> Tensor:
    from logsig_codegen.runtime.cuda.transforms import transform_backprop

    check("derivs", derivs)
    return transform_backprop(derivs, Transform(time_aug, lead_lag), beside(derivs, lengths))


def _transform_backprop_fake(
    derivs: Tensor, lengths: Tensor | None, time_aug: bool = False, lead_lag: bool = False
) -> Tensor:
    check_fakes({"derivs": derivs})
    *batch, length, dimension = derivs.shape
    dimension = dimension - int(time_aug)
    return derivs.new_empty((*batch, *(((length + 1) // 2, dimension // 2) if lead_lag else (length, dimension))))


def _transform_backprop_vjp(args: Sequence[Any], _: Any, cotangents: Sequence[Tensor]) -> Gradients:
    _, lengths, time_aug, lead_lag = args
    (element,) = cotangents
    lengths = beside(element, lengths)
    if lengths is not None:
        counts = torch.arange(element.shape[-2], device=element.device) < lengths[..., None]
        element = torch.where(counts[..., None], element, torch.zeros_like(element))
    return transform_path(element, None, time_aug, lead_lag, 0.0), None


def _transform_backprop_jvp(args: Sequence[Any], _: Any, tangents: Gradients) -> Tensor:
    return transform_backprop(tangents[0], *args[1:])  # type: ignore[no-any-return]


def _transform_batch(operator: Any, info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
    moved = [
        one if one is None else one.expand(info.batch_size, *one.shape) if dim is None else one.movedim(dim, 0)
        for one, dim in zip(args[:2], in_dims, strict=False)
    ]
    return operator(*moved, *args[2:]), 0


transform_path = register(
    Rules(
        schema="transform_path(Tensor path, Tensor? lengths, bool time_aug=False, bool lead_lag=False, "
        "float end_time=1.0) -> Tensor",
        cpu=_transform_cpu,
        cuda=_transform_cuda,
        fake=_transform_fake,
        vjp=_transform_vjp,
        jvp=_transform_jvp,
        batch=_transform_batch,
    )
)
transform_backprop = register(
    Rules(
        schema="transform_path_backprop(Tensor derivs, Tensor? lengths, bool time_aug=False, bool lead_lag=False)"
        " -> Tensor",
        cpu=_transform_backprop_cpu,
        cuda=_transform_backprop_cuda,
        fake=_transform_backprop_fake,
        vjp=_transform_backprop_vjp,
        jvp=_transform_backprop_jvp,
        batch=_transform_batch,
    )
)
