"""The CUDA target: a compiled problem becomes source units, with a description of the kernels in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from logsig_codegen.compiler import CompiledProblem, Kernel, PathKernel
from logsig_codegen.emit.cuda.rows import RowsKernel
from logsig_codegen.emit.cuda.shape import Shape
from logsig_codegen.emit.cuda.walks import WalkKernel
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.emit.view import symbol

DTYPES = ("float64", "float32")
SUFFIXES = {"float64": "f64", "float32": "f32"}
DEFINITIONS = {"float64": "LOGSIG_REAL_BITS=64", "float32": "LOGSIG_REAL_BITS=32"}


@dataclass(frozen=True)
class CudaKernel:
    """What is known about one kernel before it is compiled.

    Attributes
    ----------
    operation, dtype : str
    source : str
        Name of its file.
    symbol : str
        Its entry point.
    form : str
        ``"thread"``: a thread per sample.
    definition : str
        The macro its source is compiled with.
    columns : mapping of str to int
        How many leading columns of each operand it reads or writes.
    shape : Shape
        What it takes of a multiprocessor.
    """

    operation: str
    dtype: str
    source: str
    symbol: str
    form: str
    definition: str
    columns: Mapping[str, int]
    shape: Shape

    def data(self) -> dict[str, Any]:
        """It as plain data, for a manifest."""
        return asdict(self)


@dataclass(frozen=True)
class CudaSources:
    """All files, and the kernels in them."""

    units: tuple[SourceUnit, ...]
    kernels: tuple[CudaKernel, ...]


THREAD_OPERATIONS = 4_500
"""A thread computes samples whose programs have no more operations than this: longer ones take minutes to compile."""


def fits_a_thread(kernel: Kernel | PathKernel) -> bool:
    """Whether every program of a kernel is straight-line code that a thread can go through."""
    parts = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
    straight = all(part.program is not None for part in parts)
    return straight and sum(part.operations.total for part in parts if part.operation != "steps") <= THREAD_OPERATIONS


def cuda_sources(compiled: CompiledProblem, dtypes: Sequence[str] = DTYPES) -> CudaSources:
    """All source files of ``compiled`` for a GPU."""
    dtypes = [dtype for dtype in DTYPES if dtype in dtypes]
    variants = tuple((DEFINITIONS[dtype],) for dtype in dtypes)
    units: list[SourceUnit] = []
    kernels: list[CudaKernel] = []
    headers: dict[str, None] = dict.fromkeys(("logsig_device.cuh", "logsig_tiles.cuh"))
    for kernel in compiled.kernels:
        file = f"{kernel.operation}.cu"
        if not fits_a_thread(kernel):
            continue
        if isinstance(kernel, Kernel):
            rows = RowsKernel(compiled.problem, kernel)
            text, form, shape = render("cuda/rows.cu.j2", view=rows.view()), "thread", rows.shape
            columns = rows.columns
        elif kernel.operation.startswith("log_sig"):
            walk = WalkKernel(compiled.problem, kernel)
            text, form, shape = render("cuda/walk.cu.j2", view=walk.view()), "thread", walk.shape
            columns = {}
            headers["logsig_walks.cuh"] = None
        else:
            continue
        units.append(SourceUnit(file, text, "cuda", variants))
        entry = symbol(compiled.problem, kernel.operation)
        for dtype in dtypes:
            name = f"{entry}_{SUFFIXES[dtype]}"
            described = (kernel.operation, dtype, file, name, form, DEFINITIONS[dtype], columns, shape(dtype))
            kernels.append(CudaKernel(*described))
    units.extend(SourceUnit(name, verbatim(f"cuda/include/{name}"), "header") for name in headers)
    return CudaSources(tuple(units), tuple(kernels))
