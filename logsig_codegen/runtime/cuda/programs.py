"""From a problem to kernels on a device: folders of artifacts, the cache, then a build."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from logsig_codegen.build.artifact import MANIFEST, Artifact, read_artifact
from logsig_codegen.build.nvidia import find_cuda_compiler
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.operations import (
    DEFAULT_STATE,
    OPERATIONS,
    SLIDING,
    STREAM,
    STREAM_BACKWARD,
    group_of,
    path_operation,
)
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.cuda._launcher_abi import ffi
from logsig_codegen.runtime.cuda.driver import Launcher, Loaded, NoKernelError, check, device, library
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import cached
from logsig_codegen.targets.cuda import CUDA

Used = TypeVar("Used")


@dataclass(frozen=True)
class Place:
    """Where a call along paths runs: number type, device, and the group that is sure to have what it needs besides."""

    dtype: str
    ordinal: int
    group: str


ARRANGE = "arrange"
"""The kernel that computes where chunks and windows of paths begin, and adds up gradients that overlap."""


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
        self._problems: dict[tuple[str, int], Any] = {}
        self._refused: dict[tuple[str, str, int], NoKernelError] = {}

    def launcher(self, operation: str, dtype: str, ordinal: int, group: str | None = None) -> Launcher:
        """The kernel of an operation; ``group``: where it is, if it is not an operation of the table.

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
            image, kernel = self.binary(operation, dtype, device(ordinal).arch, group)
            return self._loaded.add(operation, dtype, ordinal, image, kernel)
        except NoKernelError as error:
            self._refused[operation, dtype, ordinal] = error.with_traceback(None)
            raise

    def binary(self, operation: str, dtype: str, arch: str, group: str | None = None) -> tuple[bytes, dict[str, Any]]:
        """The code of an operation for an architecture, and what the manifest says of it.

        Raises
        ------
        NoKernelError
            If the problem is too large for one.
        CompilerNotFoundError, CompilerError, CacheError, ArtifactError
            If it cannot be had.
        """
        group = group_of(operation) if operation in OPERATIONS else group or path_operation(DEFAULT_STATE)

        def read(artifact: Artifact) -> tuple[bytes, dict[str, Any]] | None:
            for kernel in artifact.manifest["kernels"]:
                if (kernel["operation"], kernel["dtype"]) == (operation, dtype):
                    return artifact.content(kernel["binary"]), kernel
            return None

        found = self._used(group, dtype, arch, read)
        if found is not None:
            return found
        raise NoKernelError(
            f"{operation}: there is no kernel for a GPU for (dimension={self.problem.dimension}, "
            f"degree={self.problem.degree}): it is too large"
        )

    def along_paths(self, call: Any, run: Any, place: Place, *, backward: bool) -> None:
        """Carry out a ``logsig_path_call``, or measure its workspace, with a ``logsig_gpu_run``; kernels are loaded.

        Raises
        ------
        NoKernelError, CudaError, UnsupportedError, CompilerNotFoundError, CompilerError, CacheError, ArtifactError
            As :meth:`launcher`.
        """
        launcher = library(map(str, self._places()))
        problem, missing = self.kernels_on(place), []
        while True:
            status = launcher.logsig_gpu_paths(problem, call, backward, run)
            if status != launcher.LOGSIG_WANTS_KERNEL:
                break
            wanted = run.wanted
            if not self._look(problem, wanted, place):
                missing.append(wanted)
        for wanted in missing:  # there may be one later
            problem.known[wanted] = 0
        check(status)

    def _look(self, problem: Any, wanted: int, place: Place) -> bool:
        """Look for a kernel of a call along paths; ``False`` if it has to be looked for again in the next call."""
        name = ffi.string(library().logsig_gpu_operation(wanted)).decode()
        try:
            problem.kernels[wanted] = self.launcher(name, place.dtype, place.ordinal, place.group).handle
        except NoKernelError:
            pass
        except CompilerNotFoundError:
            if name not in OPERATIONS or OPERATIONS[name].kind not in (STREAM, STREAM_BACKWARD, SLIDING):
                raise
            problem.known[wanted] = 1
            return False  # joins will do, or windows one by one
        problem.known[wanted] = 1  # last: other threads take a kernel that is known and missing for too large
        return True

    def prepare_calls(self, operations: Collection[str], place: Place) -> None:
        """Look now for kernels that calls along paths may use; of those that there are not, such calls do without.

        Raises
        ------
        CudaError, UnsupportedError, CompilerNotFoundError, CompilerError, CacheError, ArtifactError
            As :meth:`launcher`.
        """
        problem, launcher = self.kernels_on(place), library(map(str, self._places()))
        for k in range(launcher.LOGSIG_AT_END):
            if not problem.known[k] and ffi.string(launcher.logsig_gpu_operation(k)).decode() in operations:
                self._look(problem, k, place)

    def kernels_on(self, place: Place) -> Any:
        """What is known of kernels on a device, the struct ``logsig_gpu_problem``, which lives as long as this."""
        key = place.dtype, place.ordinal
        if key not in self._problems:
            self._problems[key] = ffi.new(
                "logsig_gpu_problem *",
                {
                    "dimension": self.problem.dimension,
                    "degree": self.problem.degree,
                    "size": self.problem.size,
                    "real_bytes": 8 if place.dtype == "float64" else 4,
                },
            )
        return self._problems[key]

    def prepare_paths(self, state: str, dtype: str, ordinal: int, *, backward: bool) -> None:
        """Load what calls along paths that carry ``state`` need; where it has no room on a device, for the default one.

        That includes windows that overlap, if there is a kernel for them.

        Raises
        ------
        NoKernelError, CudaError, UnsupportedError, CompilerNotFoundError, CompilerError, CacheError, ArtifactError
            As :meth:`launcher`.
        """
        name, usual = (path_operation(one, backward=backward) for one in (state, DEFAULT_STATE))
        try:
            self.launcher(name, dtype, ordinal)
        except NoKernelError:
            if name == usual:
                raise
            self.launcher(usual, dtype, ordinal)
        self.launcher(ARRANGE, dtype, ordinal, group_of(name))
        sliding = [one.name for one in OPERATIONS.values() if one.kind == SLIDING and one.backward == backward]
        self.prepare_calls(sliding, Place(dtype, ordinal, group_of(name)))

    def prepare(self, group: str, dtype: str, arch: str) -> None:
        """Compile a group of operations for an architecture now, unless it is there; needs no GPU."""
        self._used(group, dtype, arch, lambda artifact: None)

    def _used(self, group: str, dtype: str, arch: str, use: Callable[[Artifact], Used]) -> Used:
        """What ``use`` makes of the folder that has a group."""
        for place in self._places():
            if (place / MANIFEST).is_file():
                artifact = read_artifact(place)
                if artifact.is_of(CUDA.name, self.problem) and self._has(artifact, group, dtype):
                    return use(artifact)
        return self._cached(group, dtype, arch, use)

    def _places(self) -> Iterator[Path]:
        """Folders that may have been written for the problem."""
        for folder in map(Path, self.folders):
            yield from (folder, folder / CUDA.folder_name(self.problem))

    def _has(self, artifact: Artifact, group: str, dtype: str) -> bool:
        CUDA.check(artifact, self.problem)
        return group in artifact.groups and dtype in artifact.manifest["dtypes"]

    def _cached(self, group: str, dtype: str, arch: str, use: Callable[[Artifact], Used]) -> Used:
        spec = BuildSpec(self.problem, (group,), (dtype,), architectures=(arch,), max_terms=self.max_terms())
        return cached(CUDA, spec, find_cuda_compiler, use)
