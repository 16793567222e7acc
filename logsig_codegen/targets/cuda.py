"""The target ``cuda``: CUDA sources, headers and, where there is a compiler, one binary per kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from logsig_codegen.build import nvidia
from logsig_codegen.build.artifact import Artifact, check_file
from logsig_codegen.build.cache import failures
from logsig_codegen.build.launcher import copy_launcher
from logsig_codegen.errors import ArtifactError, CompilerError, CompilerNotFoundError
from logsig_codegen.targets.base import BuildSpec, Built, Emitted, Target

if TYPE_CHECKING:
    from pathlib import Path

    from logsig_codegen.build.nvidia import CudaCompiler
    from logsig_codegen.compiler import CompiledProblem
    from logsig_codegen.emit.cuda.sources import CudaSources, Image
    from logsig_codegen.problem import Problem

ELF = b"\x7fELF"
"""How code for an architecture begins; other binaries are PTX."""


class CudaTarget(Target):
    """Tools: a :class:`~logsig_codegen.build.nvidia.CudaCompiler`; nvcc for folders written ahead of their use."""

    name = "cuda"
    summary = "CUDA sources and, where nvcc is found, fat binaries, in a folder of their own"

    def check_options(self, spec: BuildSpec) -> None:
        nvidia.check_architectures(architectures_of(spec))

    def tools(self, spec: BuildSpec) -> CudaCompiler | None:
        return None if spec.emit_only else nvidia.nvcc_if_any()

    def identity(self, spec: BuildSpec, tools: CudaCompiler | None) -> dict[str, Any]:
        return {
            "architectures": list(architectures_of(spec)),
            "compiler": None if tools is None else tools.identity(),
        }

    def emit(self, compiled: CompiledProblem, spec: BuildSpec, tools: Any) -> Emitted:
        """Tells :meth:`compile` about the kernels in the files."""
        from logsig_codegen.emit.cuda.sources import cuda_sources

        sources = cuda_sources(compiled, spec.dtypes)
        return Emitted(sources.units, about=sources)

    def compile(self, folder: Path, emitted: Emitted, spec: BuildSpec, tools: CudaCompiler | None) -> Built:
        sources: CudaSources = emitted.about
        architectures = () if tools is None else architectures_of(spec)
        images = () if tools is None else compile_images(folder, sources, tools, architectures, jobs=spec.jobs)
        binaries = {image.kernel.symbol: image.file for image in images}
        fields = {
            "compiler": None if tools is None else {"name": tools.name, "version": tools.version},
            "architectures": list(architectures),
            "kernels": [{**kernel.data(), "binary": binaries.get(kernel.symbol)} for kernel in sources.kernels],
        }
        launcher = () if tools is None else copy_launcher(folder)  # for machines without a C compiler
        return Built((*binaries.values(), *launcher), fields=fields)

    def check(self, artifact: Artifact, problem: Problem) -> None:
        """Make sure that the binaries are there, and undamaged; the sources may be gone."""
        self.check_kind(artifact, problem)
        binaries = {kernel["binary"] for kernel in artifact.manifest["kernels"]}
        if None in binaries:
            raise ArtifactError(f"{artifact.path}: holds source text only; there is nothing to load")
        for name in sorted(binaries):
            check_file(artifact, name)

    def found(self) -> str:
        return found_compiler()


def architectures_of(spec: BuildSpec) -> tuple[str, ...]:
    """The GPUs to compile for."""
    return nvidia.ARCHITECTURES if spec.architectures is None else spec.architectures


def found_compiler() -> str:
    """The compilers for GPUs of this machine, in one line."""
    found = []
    for find in (nvidia.find_nvcc, nvidia.find_nvrtc):
        try:
            compiler = find()
            found.append(f"{compiler.name} {compiler.version}")
        except CompilerNotFoundError as error:
            found.append(str(error))
    return "; ".join(found)


def compile_images(
    folder: Path, sources: CudaSources, compiler: CudaCompiler, architectures: Sequence[str], *, jobs: int | None
) -> tuple[Image, ...]:
    """Compile kernels whose sources lie in ``folder``: by nvcc a fat binary each, by NVRTC one per architecture.

    Raises
    ------
    CompilerError
        With what the compiler printed.
    """
    from logsig_codegen.emit.cuda.sources import Image

    if compiler.name == "nvcc":
        names = {kernel.symbol: f"{kernel.symbol}.fatbin" for kernel in sources.kernels}
        nvidia.compile_ahead(compiler, folder, sources.kernels, architectures, names=names, jobs=jobs)
        return tuple(Image(kernel, 0, names[kernel.symbol]) for kernel in sources.kernels)
    images = []
    for kernel in sources.kernels:
        for arch in architectures:
            try:
                content = nvidia.compile_kernel(compiler, sources.units, kernel, arch)
            except CompilerError as error:
                error.source = failures.keep(folder, error.command, error.stderr)
                raise
            file = f"{kernel.symbol}.{arch}.cubin" if len(architectures) > 1 else f"{kernel.symbol}.cubin"
            (folder / file).write_bytes(content)
            made_for_it = content.startswith(ELF)
            images.append(Image(kernel, nvidia.number_of(arch) if made_for_it else 0, file))
    return tuple(images)


CUDA = CudaTarget()
