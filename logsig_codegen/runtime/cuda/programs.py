"""From a problem to kernels on a device: folders of artifacts, the cache, then a build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from logsig_codegen.build.artifact import MANIFEST, Artifact, read_artifact
from logsig_codegen.build.nvidia import find_cuda_compiler
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.operations import DEFAULT_STATE, group_of, path_operation
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.cuda.driver import Launcher, Loaded, NoKernelError, device, library
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import cached
from logsig_codegen.targets.cuda import CUDA

SIGNATURE_SIZE = 1_000
"""Coordinates up to which threads may carry the signature."""


class CudaPrograms:
    """The kernels of one problem, found or compiled when they are first wanted, per number type and device."""

    def __init__(
        self, problem: Problem, folders: tuple[str, ...] = (), max_terms: Callable[[], int | None] = lambda: None
    ) -> None:
        """``folders`` are looked through before the cache; ``max_terms`` is asked when something has to be built."""
        self.problem = problem
        self.folders = folders
        self.max_terms = max_terms
        self._loaded = Loaded()
        self._refused: dict[tuple[str, str, int], NoKernelError] = {}

    def launcher(self, operation: str, dtype: str, ordinal: int) -> Launcher:
        """The kernel of an operation.

        Raises
        ------
        NoKernelError
            If the problem is too large for one.
        CudaError, UnsupportedError
            If the device cannot be used.
        CompilerNotFoundError, CompilerError, CacheError, ArtifactError
            If the kernel cannot be had.
        """
        found = self._loaded.get(operation, dtype, ordinal)
        if found is not None:
            return found
        refused = self._refused.get((operation, dtype, ordinal))
        if refused is not None:
            raise refused
        library(map(str, self._places()))
        try:
            image, kernel = self.binary(operation, dtype, device(ordinal).arch)
            return self._loaded.add(operation, dtype, ordinal, image, kernel)
        except NoKernelError as error:
            self._refused[operation, dtype, ordinal] = error.with_traceback(None)
            raise

    def binary(self, operation: str, dtype: str, arch: str) -> tuple[bytes, dict[str, Any]]:
        """The code of an operation for an architecture, and what the manifest says of it.

        Raises
        ------
        NoKernelError
            If the problem is too large for one.
        CompilerNotFoundError, CompilerError, CacheError, ArtifactError
            If it cannot be had.
        """
        artifact = self._artifact(group_of(operation), dtype, arch)
        for kernel in artifact.manifest["kernels"]:
            if (kernel["operation"], kernel["dtype"]) == (operation, dtype):
                return (artifact.path / kernel["binary"]).read_bytes(), kernel
        raise NoKernelError(
            f"{operation}: there is no kernel for a GPU for (dimension={self.problem.dimension}, "
            f"degree={self.problem.degree}): it is too large"
        )

    def has(self, operation: str, dtype: str, ordinal: int) -> bool:
        """Whether the kernel of an operation can be had.

        Not where the problem is too large for it, nor where it is in no folder and there is no compiler.
        """
        try:
            self.launcher(operation, dtype, ordinal)
        except (CompilerNotFoundError, NoKernelError):
            return False
        return True

    def along_paths(self, state: str, dtype: str, ordinal: int, *, backward: bool) -> Launcher:
        """The kernel along paths that carries ``state``, or, where that takes more than a thread has, the other one."""
        name = path_operation(state, backward=backward)
        other = path_operation(DEFAULT_STATE, backward=backward)
        if name != other and self.problem.size <= SIGNATURE_SIZE:
            try:
                return self.launcher(name, dtype, ordinal)
            except NoKernelError:
                pass
        return self.launcher(other, dtype, ordinal)

    def prepare(self, group: str, dtype: str, arch: str) -> None:
        """Compile a group of operations for an architecture now, unless it is there; needs no GPU."""
        self._artifact(group, dtype, arch)

    def _artifact(self, group: str, dtype: str, arch: str) -> Artifact:
        for place in self._places():
            if (place / MANIFEST).is_file():
                artifact = read_artifact(place)
                if artifact.is_of(CUDA.name, self.problem) and self._has(artifact, group, dtype):
                    return artifact
        return self._cached(group, dtype, arch)

    def _places(self) -> Iterator[Path]:
        """Folders that may have been written for the problem."""
        for folder in map(Path, self.folders):
            yield from (folder, folder / CUDA.folder_name(self.problem))

    def _has(self, artifact: Artifact, group: str, dtype: str) -> bool:
        CUDA.check(artifact, self.problem)
        return group in artifact.groups and dtype in artifact.manifest["dtypes"]

    def _cached(self, group: str, dtype: str, arch: str) -> Artifact:
        spec = BuildSpec(self.problem, (group,), (dtype,), architectures=(arch,), max_terms=self.max_terms())
        return cached(CUDA, spec, find_cuda_compiler)
