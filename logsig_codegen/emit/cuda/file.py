"""What all files of a CUDA target have: heading, device functions, macros for each number type, an entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from logsig_codegen.emit.cuda.device import DeviceFunction
from logsig_codegen.emit.view import introduction, symbol
from logsig_codegen.gpu.hardware import WARP
from logsig_codegen.gpu.occupancy import Occupancy
from logsig_codegen.operations import OPERATIONS, SLIDING
from logsig_codegen.problem import Problem

NOT_COMPILED = ("THREADS 1", "BLOCKS 1", "BYTES 1")
"""Macros for a number type that a file is not for."""


@dataclass(frozen=True)
class FileView:
    """The parts of a file that do not depend on the kind of its kernel; every string arrives finished."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    functions: tuple[DeviceFunction, ...]
    macros32: tuple[str, ...]
    macros64: tuple[str, ...]
    parameters: tuple[str, ...]


def file_view(
    problem: Problem,
    operation: str,
    described: Iterable[str],
    functions: Iterable[DeviceFunction],
    macros: Callable[[str], tuple[str, ...]],
    dtype: str = "",
) -> FileView:
    """The view of the file of an operation.

    Parameters
    ----------
    described : iterable of str
        What is told about its programs.
    macros : callable
        From a number type to its macros.
    dtype : str
        The number type the file is for; empty for both.
    """
    title = OPERATIONS[operation].title
    macros32, macros64 = (macros(one) if dtype in ("", one) else NOT_COMPILED for one in ("float32", "float64"))
    return FileView(
        symbol=symbol(problem, operation),
        title=f"{title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(introduction(problem, operation, tuple(described), device=True)),
        functions=tuple(functions),
        macros32=macros32,
        macros64=macros64,
        parameters=parameters(operation),
    )


def occupancy_macros(occupancy: Occupancy) -> tuple[str, ...]:
    """The macros of launch bounds and shared memory."""
    return (f"THREADS {WARP * occupancy.warps}", f"BLOCKS {occupancy.blocks}", f"BYTES {occupancy.warp_bytes}")


def parameters(operation: str) -> tuple[str, ...]:
    """Parameter declarations of the entry point of an operation."""
    described = OPERATIONS[operation]
    rows = [
        f"{'const ' if operand in described.inputs else ''}logsig_real *{operand}, long long {operand}_stride"
        for operand in described.operands
    ]
    if "path" in described.inputs:
        after = described.operands.index("path") + 1
        rows.insert(after, "long long length, const long long *lengths, const long long *starts")
    if described.kind == "backward":
        rows.append("logsig_real *d_first")
    if described.kind == SLIDING:
        if described.backward:  # derivatives by points are sums, which the launcher forms
            rows[-1:] = ["const logsig_real *middle, logsig_real *d_middle, logsig_real *d_prefixes"]
            rows += ["logsig_real *d_starts, logsig_real *d_ends"]
        else:
            rows += ["const logsig_real *middle, logsig_real *suffixes"]
        rows += [f"long long {name}" for name in ("window", "step", "windows", "per_path", "paths", "unit")]
    return (*rows, "long long batch")


Item = TypeVar("Item")


def in_groups(items: tuple[Item, ...], size: int) -> tuple[tuple[Item, ...], ...]:
    """Consecutive items, ``size`` of them at a time."""
    return tuple(items[start : start + size] for start in range(0, len(items), size))
