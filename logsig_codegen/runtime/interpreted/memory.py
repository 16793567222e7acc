"""Memory behind the pointers of the C interface, as arrays that share it."""

from __future__ import annotations

from typing import Any

import numpy as np

from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.interpreted.programs import Array


class _Memory:
    """What numpy makes an array of; strides may be zero or negative."""

    def __init__(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": dtype.str,
            "data": (address, False),
            "shape": shape,
            "strides": strides,
        }


def strided(
    pointer: Any, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any], first: int = 0
) -> Array:
    """The array that begins ``first`` numbers after a pointer; strides are counted in numbers."""
    if 0 in shape:
        return np.empty(shape, dtype)
    size = dtype.itemsize
    address = int(ffi.cast("intptr_t", ffi.cast("void *", pointer))) + first * size
    return np.asarray(_Memory(address, shape, tuple(one * size for one in strides), dtype))


def rows(pointer: Any, stride: int, count: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Rows of an operand."""
    return strided(pointer, (count, columns), (stride, 1), dtype)


def numbers(pointer: Any, count: int) -> Array | None:
    """Integers of type ``ptrdiff_t``, copied; ``None`` for a null pointer."""
    if pointer == ffi.NULL:
        return None
    found: Array = strided(pointer, (count,), (1,), np.dtype(np.intp)).copy()
    return found
