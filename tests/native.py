"""Generated C, compiled with chosen options and called through its public interface, without the package's run time."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logsig_codegen.build import toolchain
from logsig_codegen.build.compile import compile_library
from logsig_codegen.build.toolchain import Flag, describe, find_compiler
from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.c import DTYPES, c_sources
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.problem import Problem

Array = np.ndarray[Any, np.dtype[Any]]
STRICT = ("-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wshadow")
SUFFIXES = {np.dtype(np.float64): "f64", np.dtype(np.float32): "f32"}
# One name for each different compiler; a Linux cc is usually gcc.
COMPILERS = tuple(
    {os.path.realpath(path): name for name in ("clang", "cc", "gcc") if (path := shutil.which(name))}.values()
)


_described = lru_cache(maxsize=8)(toolchain._describe.__wrapped__)  # without optimisation


def unoptimised(patched: pytest.MonkeyPatch) -> None:
    """Let the package compile C without optimisation, which changes no number."""
    flags = tuple(replace(flag, text="-O0") if flag.text == "-O2" else flag for flag in toolchain.FLAGS)
    patched.setattr(toolchain, "FLAGS", flags)
    patched.setattr(toolchain, "_describe", _described)  # what the other one keeps has other flags


def write_sources(folder: Path, units: Iterable[SourceUnit]) -> None:
    """Put the texts where a compiler finds them."""
    for unit in units:
        (folder / unit.name).write_text(unit.text, encoding="utf-8")


@dataclass(frozen=True)
class Native:
    """A compiled library."""

    library: ctypes.CDLL
    problem: Problem

    def call(self, operation: str, operands: Sequence[Array], batch: int, n_jobs: int = 1) -> None:
        """Call a function of the public header; a one-dimensional array is one row for the whole batch."""
        suffix = SUFFIXES[operands[0].dtype]
        function = getattr(self.library, f"logsig_{self.problem.name}_{operation}_{suffix}")
        arguments: list[Any] = []
        for array in operands:
            assert array.strides[-1] == array.itemsize or array.shape[-1] <= 1
            stride = array.strides[0] // array.itemsize if array.ndim == 2 else 0
            arguments += [ctypes.c_void_p(array.ctypes.data), ctypes.c_ssize_t(stride)]
        status = function(*arguments, ctypes.c_ssize_t(batch), ctypes.c_int(n_jobs))
        assert status == 0

    def join(self, log_sig: Array, displacement: Array, n_jobs: int = 1) -> Array:
        """Rows of log-signatures, joined."""
        out = np.full((len(displacement), self.problem.size), np.nan, displacement.dtype)
        self.call("join", (log_sig, displacement, out), len(out), n_jobs)
        return out

    def join_backprop(self, d_out: Array, log_sig: Array, displacement: Array, n_jobs: int = 1) -> tuple[Array, Array]:
        """Rows of both gradients."""
        d_log_sig = np.full((len(displacement), self.problem.size), np.nan, displacement.dtype)
        d_displacement = np.full(displacement.shape, np.nan, displacement.dtype)
        operands = (d_out, log_sig, displacement, d_log_sig, d_displacement)
        self.call("join_backprop", operands, len(displacement), n_jobs)
        return d_log_sig, d_displacement


def build(
    folder: Path,
    compiled: CompiledProblem,
    *,
    march: str = "native",
    definitions: Sequence[str] = (),
    dtypes: Sequence[str] = DTYPES,
) -> Native:
    """Compile the C of a problem without a warning into a library in ``folder`` and load it."""
    units = [
        replace(unit, variants=tuple((*variant, *definitions) for variant in unit.variants))
        for unit in c_sources(compiled, dtypes)
    ]
    write_sources(folder, units)
    compiler = describe(find_compiler(), march)
    strict = tuple(Flag(text, "generated code has no warnings") for text in STRICT)
    compiler = replace(compiler, compile_flags=(*compiler.compile_flags, *strict))
    compile_library(folder, units, "kernels.so", compiler)
    return Native(ctypes.CDLL(str(folder / "kernels.so")), compiled.problem)
