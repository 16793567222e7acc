"""The CUDA target: a compiled problem becomes source units, with a description of the kernels in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from logsig_codegen.compiler import CompiledProblem, PathKernel
from logsig_codegen.emit.cuda.block import block_view
from logsig_codegen.emit.cuda.cooperative import cooperative_view
from logsig_codegen.emit.cuda.path_scan import path_scan_view
from logsig_codegen.emit.cuda.rows import rows_view
from logsig_codegen.emit.cuda.sliding import sliding_back_view, sliding_view
from logsig_codegen.emit.cuda.stream import stream_view
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.unit import CUDA_FLAGS, SourceUnit
from logsig_codegen.emit.view import SUFFIXES, file_suffix, symbol
from logsig_codegen.gpu.block import BlockPlan
from logsig_codegen.gpu.cooperative import CooperativePlan
from logsig_codegen.gpu.hardware import WARP
from logsig_codegen.gpu.occupancy import Occupancy
from logsig_codegen.gpu.path_scan import PathScanPlan
from logsig_codegen.gpu.planner import Plan, plan_kernel
from logsig_codegen.gpu.rows import RowsPlan
from logsig_codegen.gpu.sliding import SlidingBackPlan, SlidingPlan
from logsig_codegen.gpu.stream import StreamPlan
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage

DTYPES = ("float64", "float32")
ARRANGE = "arrange"
"""The kernel beside those of operations along paths: what the launcher has to compute on the device."""
DEFINITIONS = {"float64": "LOGSIG_REAL_BITS=64", "float32": "LOGSIG_REAL_BITS=32"}


@dataclass(frozen=True)
class Writer:
    """How a kind of plan becomes a file: its template, the view it is given, and the headers the file includes."""

    template: str
    view: Callable[[Any], Any]
    headers: tuple[str, ...]


WRITERS: dict[type[Plan], Writer] = {
    RowsPlan: Writer("cuda/rows.cu.j2", rows_view, ("logsig_tiles.cuh",)),
    PathScanPlan: Writer("cuda/path_scan.cu.j2", path_scan_view, ("logsig_tiles.cuh", "logsig_walks.cuh")),
    StreamPlan: Writer(
        "cuda/stream.cu.j2", stream_view, ("logsig_tiles.cuh", "logsig_walks.cuh", "logsig_streams.cuh")
    ),
    SlidingPlan: Writer(
        "cuda/sliding.cu.j2", sliding_view, ("logsig_tiles.cuh", "logsig_walks.cuh", "logsig_sliding.cuh")
    ),
    SlidingBackPlan: Writer(
        "cuda/sliding_back.cu.j2",
        sliding_back_view,
        ("logsig_tiles.cuh", "logsig_walks.cuh", "logsig_sliding.cuh", "logsig_sliding_back.cuh"),
    ),
    CooperativePlan: Writer("cuda/cooperative.cu.j2", cooperative_view, ("logsig_tiles.cuh", "logsig_walks.cuh")),
    BlockPlan: Writer("cuda/block.cu.j2", block_view, ("logsig_blocks.cuh",)),
}


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
        ``"thread"``: a thread per sample; ``"block"``: a block for a few samples.
    definition : str
        The macro its source is compiled with.
    columns : mapping of str to int
        How many leading columns of each operand it reads or writes.
    samples : int
        How many samples a warp (``"block"``: a block) does at a time.
    shape : Occupancy
        What it takes of a multiprocessor.
    """

    operation: str
    dtype: str
    source: str
    symbol: str
    form: str
    definition: str
    columns: Mapping[str, int]
    samples: int
    shape: Occupancy

    @property
    def launch(self) -> tuple[int, int, int, int]:
        """Samples, warps, bytes of shared memory (of a warp, or of a block), and whether all warps work together."""
        return self.samples, self.shape.warps, self.shape.warp_bytes, int(self.form == "block")

    def data(self) -> dict[str, Any]:
        """It as plain data, for a manifest."""
        return asdict(self)


@dataclass(frozen=True)
class Image:
    """One compiled kernel.

    Attributes
    ----------
    kernel : CudaKernel
    architecture : int
        90 for ``sm_90``; 0 for code for several, or for any.
    file : str
        Name of its binary.
    """

    kernel: CudaKernel
    architecture: int
    file: str


@dataclass(frozen=True)
class CudaSources:
    """All files, and the kernels in them."""

    units: tuple[SourceUnit, ...]
    kernels: tuple[CudaKernel, ...]

    @property
    def operations(self) -> tuple[CudaKernel, ...]:
        """The kernels that are operations of the table."""
        return tuple(kernel for kernel in self.kernels if kernel.operation != ARRANGE)


@stage("emit CUDA")
def cuda_sources(compiled: CompiledProblem, dtypes: Sequence[str] = DTYPES) -> CudaSources:
    """All source files of ``compiled`` for a GPU; none for kernels of which no sample fits in a block."""
    units: list[SourceUnit] = []
    kernels: list[CudaKernel] = []
    headers: dict[str, None] = {"logsig_device.cuh": None}
    problem = compiled.problem
    planned = [kernel for kernel in compiled.kernels if OPERATIONS[kernel.operation].on_gpus]
    for kernel in planned:
        files: dict[str, tuple[Plan, list[str]]] = {}
        for dtype in (dtype for dtype in DTYPES if dtype in dtypes):
            plan = plan_kernel(problem, kernel, dtype)
            if plan is not None:
                files.setdefault(file_name(plan), (plan, []))[1].append(dtype)
        for file, (plan, chosen) in files.items():
            writer = WRITERS[type(plan)]
            variants = tuple((DEFINITIONS[dtype],) for dtype in chosen)
            described = [_described(compiled, plan, dtype, file) for dtype in chosen]
            text = render(writer.template, view=writer.view(plan), commands=tuple(map(_command, described)))
            units.append(SourceUnit(file, text, "cuda", variants))
            headers.update(dict.fromkeys(writer.headers))
            kernels.extend(described)
    if any(isinstance(kernel, PathKernel) for kernel in planned):
        arranging = [_arrange(problem, dtype) for dtype in DTYPES if dtype in dtypes]
        units.append(arrange_unit(problem, arranging))
        headers["logsig_arrange.cuh"] = None
        kernels.extend(arranging)
    units.extend(SourceUnit(name, verbatim(f"cuda/include/{name}"), "header") for name in headers)
    return CudaSources(tuple(units), tuple(kernels))


@dataclass(frozen=True)
class ArrangeView:
    """What the template of :data:`ARRANGE` sees."""

    title: str
    commands: tuple[str, ...]
    symbol: str


def arrange_unit(problem: Problem, kernels: Sequence[CudaKernel]) -> SourceUnit:
    """The source file of :data:`ARRANGE`."""
    title = f"Index arithmetic along paths for dimension {problem.dimension}, degree {problem.degree}."
    variants = tuple((kernel.definition,) for kernel in kernels)
    view = ArrangeView(title, tuple(map(_command, kernels)), symbol(problem, ARRANGE))
    return SourceUnit(f"{ARRANGE}.cu", render("cuda/arrange.cu.j2", view=view), "cuda", variants)


def _arrange(problem: Problem, dtype: str) -> CudaKernel:
    return CudaKernel(
        operation=ARRANGE,
        dtype=dtype,
        source=f"{ARRANGE}.cu",
        symbol=f"{symbol(problem, ARRANGE)}_{SUFFIXES[dtype]}",
        form="thread",
        definition=DEFINITIONS[dtype],
        columns={},
        samples=WARP,
        shape=Occupancy(live=16, registers=64, spills=False, warp_bytes=0, warps=4, blocks=8),
    )


def file_name(plan: Plan) -> str:
    """Name of the source file of a plan."""
    suffix = "_block" if isinstance(plan, BlockPlan) else file_suffix(plan.dtype)
    return f"{plan.kernel.operation}{suffix}.cu"


def _command(kernel: CudaKernel) -> str:
    """How a file is compiled by hand."""
    flags = " ".join(CUDA_FLAGS)
    return f"nvcc {flags} -arch=sm_90 -D{kernel.definition} -fatbin {kernel.source} -o {kernel.symbol}.fatbin"


def _described(compiled: CompiledProblem, plan: Plan, dtype: str, file: str) -> CudaKernel:
    operation = plan.kernel.operation
    return CudaKernel(
        operation=operation,
        dtype=dtype,
        source=file,
        symbol=f"{symbol(compiled.problem, operation)}_{SUFFIXES[dtype]}",
        form=plan.form,
        definition=DEFINITIONS[dtype],
        columns=plan.columns,
        samples=plan.samples(dtype),
        shape=plan.occupancy(dtype),
    )
