"""The CUDA target: a compiled problem becomes source units, with a description of the kernels in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from logsig_codegen.compiler import CompiledProblem, Kernel, PathKernel
from logsig_codegen.emit.cuda.blocks import BlockKernel
from logsig_codegen.emit.cuda.parts import PartsKernel
from logsig_codegen.emit.cuda.rows import RowsKernel
from logsig_codegen.emit.cuda.shape import SHARED_BYTES, Shape
from logsig_codegen.emit.cuda.streams import StreamBlockKernel, StreamKernel, is_stream
from logsig_codegen.emit.cuda.waiting import best_form
from logsig_codegen.emit.cuda.walks import WalkKernel
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.emit.view import SUFFIXES, symbol
from logsig_codegen.problem import Problem

DTYPES = ("float64", "float32")
DEFINITIONS = {"float64": "LOGSIG_REAL_BITS=64", "float32": "LOGSIG_REAL_BITS=32"}


class Form(Protocol):
    """One way to write a kernel."""

    form: str
    template: str
    headers: tuple[str, ...]

    @property
    def suffix(self) -> str: ...

    @property
    def columns(self) -> dict[str, int]: ...

    def view(self) -> Any: ...

    def shape(self, dtype: str) -> Shape: ...

    def samples(self, dtype: str) -> int: ...


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
    samples: int
    shape: Shape

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


THREAD_OPERATIONS = 4_500
"""A thread computes samples whose programs have no more operations than this: longer ones take minutes to compile."""


PARTS_OPERATIONS = 8_000
"""The same where warps share a state: the longest program, before or after the walk, takes ten seconds."""


def fits_a_thread(kernel: Kernel | PathKernel, most: int | None = None) -> bool:
    """Whether every program of a kernel is straight-line code that a thread can go through."""
    parts = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
    straight = all(part.program is not None for part in parts)
    total = sum(part.operations.total for part in parts if part.operation != "steps")
    return straight and total <= (THREAD_OPERATIONS if most is None else most)


def cuda_sources(compiled: CompiledProblem, dtypes: Sequence[str] = DTYPES) -> CudaSources:
    """All source files of ``compiled`` for a GPU.

    There is none for what not even a block has room for.
    """
    dtypes = [dtype for dtype in DTYPES if dtype in dtypes]
    units: list[SourceUnit] = []
    kernels: list[CudaKernel] = []
    headers: dict[str, None] = {"logsig_device.cuh": None}
    for kernel in compiled.kernels:
        forms: dict[str, tuple[Form, list[str]]] = {}
        for dtype in dtypes:
            form = choose_form(compiled.problem, kernel, dtype)
            if form is not None:
                forms.setdefault(f"{kernel.operation}{form.suffix}.cu", (form, []))[1].append(dtype)
        for file, (form, chosen) in forms.items():
            variants = tuple((DEFINITIONS[dtype],) for dtype in chosen)
            units.append(SourceUnit(file, render(form.template, view=form.view()), "cuda", variants))
            headers.update(dict.fromkeys(form.headers))
            kernels.extend(_described(compiled, kernel, form, dtype, file) for dtype in chosen)
    units.extend(SourceUnit(name, verbatim(f"cuda/include/{name}"), "header") for name in headers)
    return CudaSources(tuple(units), tuple(kernels))


def choose_form(problem: Problem, kernel: Kernel | PathKernel, dtype: str) -> Form | None:
    """How a kernel is written for a number type, or ``None``.

    A thread per sample, if its state fits; else a state shared by the warps of a block, where it has parts; else a
    thread with its state in shared memory; else a block for a few samples.
    """
    parts = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
    thread: Form | None = None
    if fits_a_thread(kernel):
        thread = _thread(problem, kernel, dtype)
    if isinstance(kernel, PathKernel) and fits_a_thread(kernel, PARTS_OPERATIONS):
        walk = thread if isinstance(thread, WalkKernel) else None
        together = None if walk and walk.in_registers(dtype) else PartsKernel.best(problem, kernel, dtype)
        if together is not None:
            return together
    if thread is not None and thread.shape(dtype).warp_bytes <= SHARED_BYTES:
        return thread
    if any(part.lie is None for part in parts):
        return None  # the signature; paths of such problems are carried in the other state
    streams = isinstance(kernel, PathKernel) and is_stream(kernel)
    block = StreamBlockKernel(problem, kernel) if streams else BlockKernel(problem, kernel)
    return block if block.possible(dtype) else None


def _thread(problem: Problem, kernel: Kernel | PathKernel, dtype: str) -> Form:
    if isinstance(kernel, Kernel):
        return best_form(partial(RowsKernel, problem, kernel), dtype)
    if is_stream(kernel):
        return best_form(partial(StreamKernel, problem, kernel), dtype)
    return WalkKernel(problem, kernel)


def _described(compiled: CompiledProblem, kernel: Kernel | PathKernel, form: Form, dtype: str, file: str) -> CudaKernel:
    return CudaKernel(
        operation=kernel.operation,
        dtype=dtype,
        source=file,
        symbol=f"{symbol(compiled.problem, kernel.operation)}_{SUFFIXES[dtype]}",
        form=form.form,
        definition=DEFINITIONS[dtype],
        columns=form.columns,
        samples=form.samples(dtype),
        shape=form.shape(dtype),
    )
