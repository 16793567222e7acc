"""The torch target: C++ that hands the kernels of a problem to torch's operators, and the headers it includes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.cuda.sources import Image
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.view import SUFFIXES, symbol
from logsig_codegen.operations import default_state
from logsig_codegen.problem import Problem

HEADERS = (
    "logsig_torch_registry.h",
    "logsig_torch_gpu.h",
    "logsig_torch_rows.h",
    "logsig_torch_paths.h",
    "logsig_torch_walks.h",
    "logsig_torch_gpu_walks.h",
    "logsig_torch_log_sig.h",
    "logsig_torch_autograd.h",
    "logsig_torch.h",
)
"""What does not depend on the problem, in the order in which it is included."""
SOURCE = "operators.cpp"
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
class ImagesView:
    """What the template of the binaries sees."""

    title: str
    images: tuple[str, ...]
    entries: tuple[str, ...]


def torch_sources(compiled: CompiledProblem, dtypes: Sequence[str]) -> dict[str, str]:
    """File name to text; the functions the file names are those of the C target."""
    problem = compiled.problem
    entries = tuple(
        f'{{"{kernel.operation}", "{dtype}", '
        f"reinterpret_cast<logsig_torch::Function>({symbol(problem, kernel.operation)}_{suffix})}}"
        for kernel in compiled.kernels
        for dtype, suffix in SUFFIXES.items()
        if dtype in dtypes
    )
    view = ExtensionView(
        title=f"Operators of torch for dimension {problem.dimension}, degree {problem.degree}.",
        header=f"logsig_{problem.name}.h",
        images=IMAGES,
        entries=entries,
        arguments=(str(problem.dimension), str(problem.degree), f'"{default_state(problem)}"'),
    )
    headers = {name: verbatim(f"torch/{name}") for name in HEADERS}
    return {SOURCE: render("torch/operators.cpp.j2", view=view), **headers}


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
