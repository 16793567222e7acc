"""Open a compiled library and find its functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.build.artifact import Artifact
from logsig_codegen.errors import ArtifactError
from logsig_codegen.operations import CALLS, OPERATIONS
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
        ``functions[operation][dtype]`` is the C function, for example ``functions["join"]["float64"]``.
    handle : object
        Keeps the library in memory; a library is never unloaded, for its OpenMP threads may outlive the last call.
    """

    functions: Mapping[str, Mapping[str, Any]]
    handle: object


def open_library(artifact: Artifact, problem: Problem) -> Library:
    """Load the library of an artifact that was checked.

    Raises
    ------
    ArtifactError
        If the system refuses to load it, or it describes itself as something else than its manifest says.
    """
    try:
        handle = ffi.dlopen(os.path.abspath(artifact.library))
        module = handle.logsig_describe()
    except (OSError, AttributeError) as error:
        raise ArtifactError(f"{artifact.library}: cannot be loaded: {error}") from error
    described = (module.abi_version, module.dimension, module.degree, module.size)
    expected = (ABI_VERSION, problem.dimension, problem.degree, problem.size)
    if described != expected:
        raise ArtifactError(
            f"{artifact.library}: says it is (interface, dimension, degree, size) = {described}, expected {expected}"
        )
    functions: dict[str, dict[str, Any]] = {}
    for index in range(module.n_entries):
        entry = module.entries[index]
        operation, dtype = ffi.string(entry.operation).decode(), ffi.string(entry.dtype).decode()
        if operation in _TYPES:
            functions.setdefault(operation, {})[dtype] = ffi.cast(_TYPES[operation], entry.function)
    found = Library(functions, handle)
    _libraries.append((problem, found))
    for watcher in _watchers:
        watcher(problem, found)
    return found
