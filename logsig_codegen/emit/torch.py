"""The torch target: C++ that hands the kernels of a problem to torch's operators, and the headers it includes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.calls import has_calls
from logsig_codegen.emit.cuda.sources import Image
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.view import SUFFIXES, symbol
from logsig_codegen.operations import CALLS, LETTERS, MAPS, OPERATIONS, ROWS, Operation, default_state
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage

HEADERS = (
    "c/include/logsig_path_call.h",
    "c/include/logsig_threads.h",
    "cuda/host/logsig_launcher.h",
    "cuda/host/logsig_gpu_paths.h",
    "torch/logsig_torch_registry.h",
    "torch/logsig_torch_gpu.h",
    "torch/logsig_torch_rows.h",
    "torch/logsig_torch_paths.h",
    "torch/logsig_torch_walks.h",
    "torch/logsig_torch_gpu_walks.h",
    "torch/logsig_torch_log_sig.h",
    "torch/logsig_torch_intervals.h",
    "torch/logsig_torch_nodes.h",
    "torch/logsig_torch_autograd.h",
    "torch/logsig_torch.h",
)
"""What does not depend on the problem, in the order in which it is included."""
TABLE = "logsig_torch_operations.h"
SOURCE = "operators.cpp"
WITHOUT_PROBLEM = "torch/every_problem.cpp.j2"
IMAGES = "operators_cuda.h"


@dataclass(frozen=True)
class ExtensionView:
    """What the template sees, as finished strings."""

    title: str
    header: str
    images: str
    entries: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class OperationView:
    """One row of the table of operations, as C++."""

    name: str
    constant: str
    flags: str
    gradient: str
    counts: str
    operands: tuple[str, ...]
    schema: str


@dataclass(frozen=True)
class OperationsView:
    """What the template of the table of operations sees."""

    operations: tuple[OperationView, ...]
    most_operands: int


@dataclass(frozen=True)
class ImagesView:
    """What the template of the binaries sees."""

    title: str
    images: tuple[str, ...]
    entries: tuple[str, ...]


@stage("emit torch")
def torch_sources(compiled: CompiledProblem, dtypes: Sequence[str]) -> dict[str, str]:
    """File name to text; the functions the file names are those of the C target."""
    problem = compiled.problem
    calls = CALLS if has_calls(compiled) else ()
    entries = [
        f'{{"{name}", "{dtype}", reinterpret_cast<logsig_torch::Function>({symbol(problem, name)}_{suffix})}}'
        for name in (*(kernel.operation for kernel in compiled.kernels), *calls)
        for dtype, suffix in SUFFIXES.items()
        if dtype in dtypes
    ]
    if calls:
        maps = symbol(problem, MAPS)
        entries.append(f'{{"{MAPS}", "", reinterpret_cast<logsig_torch::Function>(&{maps})}}')
    view = ExtensionView(
        title=f"Operators of torch for dimension {problem.dimension}, degree {problem.degree}.",
        header=f"logsig_{problem.name}.h",
        images=IMAGES,
        entries=tuple(entries),
        arguments=(str(problem.dimension), str(problem.degree), f'"{default_state(problem)}"'),
    )
    return {SOURCE: render("torch/operators.cpp.j2", view=view), **_included()}


def sources_without_problem() -> dict[str, str]:
    """File name to text of the extension that has the operators and no kernels."""
    return {SOURCE: render(WITHOUT_PROBLEM), **_included()}


def _included() -> dict[str, str]:
    """File name to text of what every extension includes."""
    headers = {Path(name).name: verbatim(name) for name in HEADERS}
    return {TABLE: render("torch/operations.h.j2", view=operations_view()), **headers}


def operations_view() -> OperationsView:
    """The view of the table of operations, the same for every problem."""
    most = max(len(operation.operands) for operation in OPERATIONS.values() if operation.kind == ROWS)
    return OperationsView(tuple(map(_described, OPERATIONS.values())), most)


def _described(operation: Operation) -> OperationView:
    rows = operation.kind == ROWS
    places = (*[-1] * len(operation.inputs), *(operation.like or [-1] * len(operation.outputs)))
    operands = tuple(
        f'{{"{one.name}", {_bool(one.width == LETTERS)}, {place}}}'
        for one, place in zip(operation.all_operands, places, strict=True)
    )
    return OperationView(
        name=operation.name,
        constant=operation.name.upper(),
        flags=f"{_bool(rows)}, {_bool(operation.is_product)}",
        gradient=operation.gradient.upper() or "OPERATIONS",
        counts=f"{len(operation.inputs)}, {len(operation.outputs)}",
        operands=operands if rows else (),
        schema=f'"{operation.torch_schema}"' if rows else "nullptr",
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"


def images_source(problem: Problem, images: Sequence[Image]) -> str:
    """The text of :data:`IMAGES`: compiled kernels for GPUs, and how they are started."""
    names = [f"{image.kernel.symbol}_{image.architecture}" for image in images]
    view = ImagesView(
        title=f"Kernels for GPUs for dimension {problem.dimension}, degree {problem.degree}.",
        images=tuple(f'{name}, "{image.file}"' for name, image in zip(names, images, strict=True)),
        entries=tuple(_entry(name, image) for name, image in zip(names, images, strict=True)),
    )
    return render("torch/images.h.j2", view=view)


def _entry(name: str, image: Image) -> str:
    kernel = image.kernel
    shape = ", ".join(map(str, kernel.launch))
    return (
        f'{{"{kernel.operation}", "{kernel.dtype}", "{kernel.symbol}", {{{{{shape}}}}}, {image.architecture}, {name}}}'
    )
