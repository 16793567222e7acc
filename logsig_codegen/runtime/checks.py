"""Checks of array arguments, the same for numpy and torch; nothing is allocated, compiled or loaded here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen.errors import UnsupportedError, shown
from logsig_codegen.operations import JOINS, Operation, columns
from logsig_codegen.problem import Problem, as_integer, check_size

NUMPY = "numpy array"
TORCH = "torch tensor"
JAX = "JAX array"
DTYPES = ("float32", "float64")
DEVICES = ("cpu", "cuda", "meta")


def check_problem(dimension: SupportsIndex, degree: SupportsIndex) -> Problem:
    """The problem of two arguments; raises what :class:`Problem` raises."""
    return Problem(dimension, degree)  # type: ignore[arg-type]


def check_bool(name: str, value: object) -> bool:
    """Return a flag as a ``bool``; numpy's are flags too.

    Raises
    ------
    TypeError
        For anything else, integers included.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool and not value.ndim):
        return bool(value)
    raise TypeError(f"{name}: expected a bool, got {type(value).__name__} {shown(value)}")


def check_integer(name: str, value: object) -> int:
    """Return an integer, Python's or numpy's, as an ``int``.

    Raises
    ------
    TypeError
        For anything else, flags included.
    ValueError
        For an integer that does not fit 64 bits.
    """
    return check_size(name, as_integer(name, value))


def join_operation(prepend: object) -> Operation:
    """The product with a displacement: the displacement comes first with ``prepend``, which is a bool."""
    return JOINS[check_bool("prepend", prepend)]


def check_arguments(problem: Problem, arguments: Mapping[str, Any]) -> str:
    """Check the array arguments of one call.

    Parameters
    ----------
    problem : Problem
        Decides the last axis: the dimension for ``displacement``, the size for every other argument.
    arguments : mapping
        Name of each argument to its value.

    Returns
    -------
    str
        :data:`NUMPY`, :data:`TORCH` or :data:`JAX`.

    Raises
    ------
    TypeError
        For anything but numpy arrays, torch tensors or JAX arrays, for a mixture of them, for number types other than
        float32 and float64 in native byte order, for a mixture of those, for masked arrays and sparse tensors.
    ValueError
        For a wrong last axis, or leading shapes that cannot be broadcast against each other.
    UnsupportedError
        For tensors on a device without kernels.
    """
    kind = check_types(arguments)
    for name, value in arguments.items():
        check_last_axis(problem, name, tuple(value.shape))
    broadcast({name: tuple(value.shape[:-1]) for name, value in arguments.items()})
    return kind


def check_types(arguments: Mapping[str, Any]) -> str:
    """Check that all arguments are arrays of one kind and one supported dtype; return the kind."""
    kind = _common("array type", {name: kind_of(name, value) for name, value in arguments.items()})
    check = _CHECKS[kind]
    _common("dtype", {name: check(name, value) for name, value in arguments.items()})
    if kind == TORCH:
        _common("device", {name: str(value.device) for name, value in arguments.items()})
    return kind


def kind_of(name: str, value: object) -> str:
    """Whether ``value`` is a numpy array, a torch tensor or a JAX array; neither library is imported to find out."""
    if isinstance(value, np.ndarray):
        return NUMPY
    for kind, module, type_ in _ELSEWHERE:
        found = getattr(sys.modules.get(module), type_, None)
        if found is not None and isinstance(value, found):
            return kind
    hint = _way_to_an_array(name.partition("[")[0], value)
    raise TypeError(f"{name}: expected a numpy array or a torch tensor, got {type(value).__name__}{hint}")


def is_masked(value: object) -> bool:
    """Whether ``value`` is a masked array; ``numpy.ma`` is not imported to find out."""
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return masked is not None and isinstance(value, masked)


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a torch tensor, or a list that begins with one; torch is not imported to find out."""
    return _is("torch", "Tensor", value)


def is_jax(value: object) -> bool:
    """Whether ``value`` is an array of JAX, traced or not, or a list that begins with one; JAX is not imported."""
    return _is("jax", "Array", value)


def is_traced(*values: object) -> bool:
    """Whether JAX traces one of some arrays, whose numbers are not there."""
    return any(_is("jax.core", "Tracer", one) for one in values)


def known(array: Any) -> Any:
    """The numbers of an array, without derivatives, JAX's as numpy's; what JAX traces beyond that stays as it is."""
    if is_traced(array):
        array = sys.modules["jax"].lax.stop_gradient(array)
    return np.asarray(array) if is_jax(array) and not is_traced(array) else array


def namespace(*arrays: object) -> Any:
    """The module with the functions for arrays: ``jax.numpy`` if one of them is of JAX, else ``numpy``."""
    return sys.modules["jax.numpy"] if any(map(is_jax, arrays)) else np


def _is(module: str, type_: str, value: object) -> bool:
    found = getattr(sys.modules.get(module), type_, None)
    if found is None:
        return False
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], found)
    return isinstance(value, found)


def check_last_axis(problem: Problem, name: str, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless the last axis of ``shape`` has the length that argument ``name`` must have."""
    width = columns(problem, name)
    if not shape or shape[-1] != width:
        came = str(shape[-1]) if shape else "an array without axes"
        raise ValueError(
            f"{name}: expected last dimension {width} for "
            f"(dimension={problem.dimension}, degree={problem.degree}), got {came}"
        )


def broadcast(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that leading shapes broadcast to.

    ``d_out`` is a derivative of the result: it may lack axes the result has, but adds none.
    """
    inputs = [shape for name, shape in shapes.items() if name != "d_out"]
    try:
        result = np.broadcast_shapes(*inputs)
        if "d_out" in shapes and np.broadcast_shapes(result, shapes["d_out"]) != result:
            raise ValueError
    except (ValueError, RuntimeError):  # the latter: numpy broadcasts 32 axes at most
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        rule = " (d_out must broadcast to the shape of the result)" if "d_out" in shapes else ""
        raise ValueError(f"leading shapes cannot be broadcast together: {listed}{rule}") from None
    return result


def broadcast_shapes(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that two shapes broadcast to, or ``None``; lengths may be symbols of torch's."""
    count = max(len(first), len(second))
    result = []
    for one, other in zip((1,) * (count - len(first)) + first, (1,) * (count - len(second)) + second, strict=True):
        if one != other and one != 1 and other != 1:
            return None
        result.append(one if other == 1 else other)
    return tuple(result)


def dtype_name(array: Any) -> str:
    """Name of the dtype of an array, tensors and JAX's arrays included; ``""`` for what has none."""
    return str(getattr(array, "dtype", "")).removeprefix("torch.")


def wrong_dtype(name: str, dtype: str) -> str:
    """What to say about a tensor of a dtype without kernels."""
    hint = "" if dtype.startswith("complex") else f"; convert it by {name}.double()"
    if dtype in ("float16", "bfloat16"):
        hint = "; under torch.autocast it is computed in float32"
    return f"{name}: expected dtype float32 or float64, got {dtype}{hint}"


def _common(what: str, found: Mapping[str, str]) -> str:
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} is {value}" for name, value in found.items())
        raise TypeError(f"{', '.join(found)}: expected one {what} for all, got {listed}")
    return next(iter(found.values()))


def _check_array(name: str, value: Any) -> str:
    if is_masked(value):
        raise TypeError(
            f"{name}: expected a plain array, got a masked array (its mask would be ignored; fill it first)"
        )
    for dtype in DTYPES:
        if value.dtype == dtype:
            return dtype
    hint = _way_to_numbers(name, value)
    raise TypeError(f"{name}: expected dtype float32 or float64 in native byte order, got {value.dtype}{hint}")


def _way_to_an_array(name: str, value: Any) -> str:
    """What to add to a message about something that is no array: how to make one of it."""
    if isinstance(value, (list, tuple, int, float)):
        return f"; convert it by np.asarray({name}, dtype=float)"
    if not hasattr(value, "to_numpy"):
        return ""
    hint = f"; convert it by {name}.to_numpy(dtype=float)"
    columns, dtypes = getattr(value, "columns", ()), getattr(value, "dtypes", ())
    without = [
        f"{column!r} ({dtype})"
        for column, dtype in zip(columns, dtypes, strict=False)
        if getattr(dtype, "kind", "f") not in "biuf"
    ]
    return hint if not without else f"{hint}, after converting or dropping {', '.join(without)}, no column of numbers"


def _way_to_numbers(name: str, value: Any) -> str:
    """What to add to a message about an array of another dtype: how to convert it, or what is in the way."""
    if value.dtype.kind in "biuf":
        return f"; convert it by {name}.astype(float)"
    if value.dtype.names:
        return f"; convert it by numpy.lib.recfunctions.structured_to_unstructured({name}, dtype=float)"
    if value.dtype.kind != "O":
        return ""
    for place in np.ndindex(value.shape):
        try:
            float(value[place])
        except (TypeError, ValueError):
            where = f"column {place[-1]}" if place else "it"
            return f"; {where} holds what is no number, such as {value[place]!r}; convert or drop it first"
    return f"; convert it by {name}.astype(float)"


def _check_tensor(name: str, value: Any) -> str:
    dtype = dtype_name(value)
    if dtype not in DTYPES:
        raise TypeError(wrong_dtype(name, dtype))
    if value.is_nested or str(value.layout) != "torch.strided":
        came = "a nested one" if value.is_nested else f"layout {value.layout}"
        raise TypeError(f"{name}: expected a dense tensor, got {came}")
    if value.device.type not in DEVICES:
        raise UnsupportedError(f"{name}: there are no kernels for device {value.device}; move the tensor with .cpu()")
    return dtype


def _check_jax(name: str, value: Any) -> str:
    dtype = str(value.dtype)
    if dtype not in DTYPES:
        raise TypeError(f"{name}: expected dtype float32 or float64, got {dtype}; convert it by {name}.astype(float)")
    return dtype


_ELSEWHERE = ((TORCH, "torch", "Tensor"), (JAX, "jax", "Array"))
_CHECKS = {NUMPY: _check_array, TORCH: _check_tensor, JAX: _check_jax}
