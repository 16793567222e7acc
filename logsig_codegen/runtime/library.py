"""Open a compiled library and find its functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.build import elf
from logsig_codegen.build.artifact import Artifact
from logsig_codegen.errors import ArtifactError, UnsupportedError
from logsig_codegen.operations import CALLS, GROUPS, OPERATIONS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi

_TYPES = {
    **{name: f"logsig_{name}_function" for name in OPERATIONS},
    **dict.fromkeys(CALLS, "logsig_path_call_function"),
}

_libraries: list[tuple[Problem, Library]] = []
_watchers: list[Callable[[Problem, Library], None]] = []


def watch(watcher: Callable[[Problem, Library], None]) -> None:
    """Call ``watcher`` with every library that is open, and with each that is opened later."""
    _watchers.append(watcher)
    for one in _libraries:
        watcher(*one)


@dataclass(frozen=True)
class Library:
    """A loaded library.

    Attributes
    ----------
    functions : mapping
        ``functions[operation][dtype]`` is the C function, for example ``functions["join"]["float64"]``; where kernels
        are interpreted, a Python function that takes the same arguments.
    handle : object
        Keeps the library in memory; a library is never unloaded, for its OpenMP threads may outlive the last call.
    """

    functions: Mapping[str, Mapping[str, Any]]
    handle: object


def untyped(function: Any) -> Any:
    """A C function as structs of the C interface hold it; null in place of one of Python's, which C cannot call."""
    return ffi.cast("void (*)(void)", function) if isinstance(function, ffi.CData) else ffi.NULL


def address_of(function: Any) -> int:
    """Where a C function is, for callers in C; raises ``UnsupportedError`` for one of Python's."""
    if not isinstance(function, ffi.CData):
        raise UnsupportedError(
            "Kernels that are interpreted, there being no C compiler, can be called from Python only: install a "
            "compiler (pip install 'logsig-codegen[compiler]'), or a pack of kernels"
        )
    return int(ffi.cast("intptr_t", function))


def open_library(artifact: Artifact, problem: Problem) -> Library:
    """Load the library of an artifact that was checked.

    Raises
    ------
    ArtifactError
        If the system refuses to load it, or it describes itself as something else than its manifest says.
    """
    path = artifact.library
    try:
        _check_whole(path)
        handle = ffi.dlopen(os.path.abspath(path))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be loaded: {error}") from error
    try:
        found = Library(_functions(handle, artifact, problem), handle)
    except ArtifactError:
        ffi.dlclose(handle)  # or it would be taken for what is built in its place
        raise
    _libraries.append((problem, found))
    for watcher in _watchers:
        watcher(problem, found)
    return found


def _functions(handle: Any, artifact: Artifact, problem: Problem) -> dict[str, dict[str, Any]]:
    """The functions of a library that describes itself as its manifest does."""
    path = artifact.library
    try:
        module = handle.logsig_describe()
    except (AttributeError, ffi.error) as error:
        raise ArtifactError(f"{path}: cannot be loaded: {error}") from error
    found = (module.abi_version, module.dimension, module.degree, module.size)
    expected = (ABI_VERSION, problem.dimension, problem.degree, problem.size)
    if found != expected:
        raise ArtifactError(f"{path}: says it is (interface, dimension, degree, size) = {found}, expected {expected}")
    functions: dict[str, dict[str, Any]] = {}
    for index in range(module.n_entries):
        entry = module.entries[index]
        operation, dtype = (ffi.string(name).decode(errors="replace") for name in (entry.operation, entry.dtype))
        if operation in _TYPES:
            functions.setdefault(operation, {})[dtype] = ffi.cast(_TYPES[operation], entry.function)
    for operation in (one.name for group in artifact.groups for one in GROUPS.get(group, ())):
        missing = [dtype for dtype in artifact.manifest["dtypes"] if dtype not in functions.get(operation, ())]
        if missing:
            raise ArtifactError(f"{path}: lacks {operation} for {', '.join(missing)}, which its manifest has")
    return functions


def _check_whole(path: Path) -> None:
    """Raise ``OSError`` for an ELF file of 64 bits that ends too early: its missing pages would kill the process."""
    with open(path, "rb") as file:
        head = file.read(4096)
        size = os.fstat(file.fileno()).st_size
    if head[:6] != elf.MAGIC or len(head) < 64:
        return
    try:
        if any(offset + length > size for _, offset, _, length in elf.segments(head)):
            raise OSError("file too short: a segment is cut off")
    except IndexError as error:
        raise OSError("its table of segments is cut off") from error
