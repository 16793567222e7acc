"""Values that no argument is meant to have, made anew each time: functions without arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Integer:
    """An integer by protocol only."""

    def __index__(self) -> int:
        return 2


class Hollow:
    """Has the attributes of an array and is none."""

    shape, ndim, dtype, device, strides, size = (2, 2), 2, "float64", "cpu", (16, 8), 4

    def __len__(self) -> int:
        return 2


class Fraud:
    """Says that it becomes an array, and does not."""

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("no array after all")


def recursive() -> list[Any]:
    """A list that is its own element."""
    made: list[Any] = []
    made.append(made)
    return made


def _each(text: str) -> tuple[Callable[[], Any], ...]:
    """Expressions, which semicolons divide, as functions."""
    names = {
        "np": np,
        "torch": torch,
        "Path": Path,
        **{one.__name__: one for one in (Integer, Hollow, Fraud, recursive)},
    }
    return tuple(eval(f"lambda: {one.strip()}", names) for one in text.split(";"))


NUMBERS = _each("""
    0; -1; -2; 1; 3; 7; 255; 2**31 - 1; 2**31; 2**32; 2**63 - 1; 2**63; 2**64; 2**100; -(2**63); -(2**70); 10**30;
    10**400; True; False; 0.0; 1.0; 1.5; -0.0; float("nan"); float("inf"); 1e308; 1j; np.int64(2); np.int8(-1);
    np.uint64(2**63); np.bool_(True); np.float32(2); np.float64("nan"); np.longdouble(1)
""")
THINGS = _each("""
    None; ""; "2"; "x" + chr(0); "é" * 300; b"2"; bytearray(); []; (); {}; set(); [1, 2]; (2, 2); (2, 2**70);
    (0, 0); (-1, 1); (1, 2, 3); (1.5, 1); [[]]; [None, None]; ["join", 3]; range(3); slice(1); ...; object(); int;
    len; (_ for _ in range(2)); recursive(); Integer(); Hollow(); Fraud(); {"a": 1}; memoryview(b"12345678");
    np.dtype(float); torch.float64; Path("/dev/null/x"); Path(chr(0)); "/proc/self/mem"; np.str_("join");
    (2**40, 1); NotImplemented
""")
ARRAYS = _each("""
    np.array(2); np.array(2.5); np.array([]); np.zeros((0, 2)); np.zeros((2, 0)); np.zeros((3, 2), ">f8");
    np.zeros((3, 2), np.float16); np.zeros((3, 2), np.longdouble); np.zeros((3, 2), complex); np.zeros((3, 2), int);
    np.zeros((3, 2), bool); np.zeros((3, 2), object); np.array([["1", "x"]], object); np.zeros(3, "S3");
    np.zeros(3, "M8[s]"); np.zeros(3, [("a", float), ("b", int)]); np.ma.masked_array([1.0, 2.0], [0, 1]);
    np.matrix([[1.0, 2.0], [0.0, 1.0]]); np.zeros((3, 2)).view(np.recarray); np.zeros((1,) * 60);
    np.zeros((2,) * 12); np.zeros((0, 0, 0)); np.full((4, 2), np.nan); np.zeros((5, 3, 2));
    np.lib.stride_tricks.as_strided(np.zeros(6), (4, 2), (3, 8)); np.zeros((2, 2)).T; np.zeros(3, np.uint8);
    torch.zeros(2); torch.tensor(2); torch.zeros(3, 2, dtype=torch.int64); torch.zeros(0, 2); torch.zeros(2, 0);
    torch.zeros(3, 2, dtype=torch.bfloat16); torch.zeros(3, 2, dtype=torch.complex64);
    torch.zeros(3, 2, device="meta"); torch.zeros(3, 2).to_sparse(); torch.zeros(3, 2).to_sparse_csr();
    torch.nn.Parameter(torch.zeros(3, 2)); torch.zeros(3, 2, dtype=torch.complex128).conj().imag;
    torch.zeros(3, 2, dtype=torch.bool); torch.zeros(1).expand(4, 2); torch.zeros((1,) * 40);
    torch.quantize_per_tensor(torch.zeros(3, 2), 1.0, 0, torch.quint8); torch.zeros(3, 2, requires_grad=True);
    torch.nested.nested_tensor([torch.zeros(3, 2), torch.zeros(2, 2)]); [np.zeros((3, 2)), torch.zeros(3, 2)];
    [np.zeros((3, 2)), np.zeros((0, 2))]; [torch.zeros(3, 2), 1]; [np.zeros((2, 2), np.float32), np.zeros((3, 2))];
    (np.zeros(2), np.zeros(3))
""")
