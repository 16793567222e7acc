"""The torch target: a C++ file that hands the kernels of a problem to torch's operators, and the headers it includes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.view import symbol
from logsig_codegen.operations import default_state

HEADERS = (
    "logsig_torch_registry.h",
    "logsig_torch_rows.h",
    "logsig_torch_paths.h",
    "logsig_torch_autograd.h",
    "logsig_torch.h",
)
"""What does not depend on the problem; each includes the one before."""
SOURCE = "operators.cpp"
_SUFFIXES = {"float64": "f64", "float32": "f32"}


@dataclass(frozen=True)
class ExtensionView:
    """What the template sees, as finished strings."""

    title: str
    header: str
    entries: tuple[str, ...]
    arguments: tuple[str, ...]


def torch_sources(compiled: CompiledProblem, dtypes: Sequence[str]) -> dict[str, str]:
    """File name to text; the functions the file names are those of the C target."""
    problem = compiled.problem
    entries = tuple(
        f'{{"{kernel.operation}", "{dtype}", '
        f"reinterpret_cast<logsig_torch::Function>({symbol(problem, kernel.operation)}_{suffix})}}"
        for kernel in compiled.kernels
        for dtype, suffix in _SUFFIXES.items()
        if dtype in dtypes
    )
    view = ExtensionView(
        title=f"Operators of torch for dimension {problem.dimension}, degree {problem.degree}.",
        header=f"logsig_{problem.name}.h",
        entries=entries,
        arguments=(str(problem.dimension), str(problem.degree), f'"{default_state(problem)}"'),
    )
    headers = {name: verbatim(f"torch/{name}") for name in HEADERS}
    return {SOURCE: render("torch/operators.cpp.j2", view=view), **headers}
