"""The CUDA target: a compiled problem becomes source units, with a description of the kernels in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from logsig_codegen.compiler import CompiledProblem, Kernel
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
    shape : Shape
        What it takes of a multiprocessor.
    """

    operation: str
    dtype: str
    source: str
    symbol: str
    form: str
    definition: str
    shape: Shape

    def data(self) -> dict[str, Any]:
        """It as plain data, for a manifest."""
        return asdict(self)


@dataclass(frozen=True)
class CudaSources:
    """All files, and the kernels in them."""

    units: tuple[SourceUnit, ...]
    kernels: tuple[CudaKernel, ...]


def cuda_sources(compiled: CompiledProblem, dtypes: Sequence[str] = DTYPES) -> CudaSources:
    """All source files of ``compiled`` for a GPU."""
    dtypes = [dtype for dtype in DTYPES if dtype in dtypes]
    variants = tuple((DEFINITIONS[dtype],) for dtype in dtypes)
    units: list[SourceUnit] = []
    kernels: list[CudaKernel] = []
    headers: dict[str, None] = dict.fromkeys(("logsig_device.cuh", "logsig_tiles.cuh"))
    for kernel in compiled.kernels:
        file = f"{kernel.operation}.cu"
        if isinstance(kernel, Kernel):
            rows = RowsKernel(compiled.problem, kernel)
            text, form, shape = render("cuda/rows.cu.j2", view=rows.view()), "thread", rows.shape
        elif kernel.operation.startswith("log_sig"):
            walk = WalkKernel(compiled.problem, kernel)
            text, form, shape = render("cuda/walk.cu.j2", view=walk.view()), "thread", walk.shape
            headers["logsig_walks.cuh"] = None
        else:
            continue
        units.append(SourceUnit(file, text, "cuda", variants))
        entry = symbol(compiled.problem, kernel.operation)
        for dtype in dtypes:
            name = f"{entry}_{SUFFIXES[dtype]}"
            kernels.append(CudaKernel(kernel.operation, dtype, file, name, form, DEFINITIONS[dtype], shape(dtype)))
    units.extend(SourceUnit(name, verbatim(f"cuda/include/{name}"), "header") for name in headers)
    return CudaSources(tuple(units), tuple(kernels))
