"""The target ``torch``: the folder of ``c``, and in it an extension of torch that needs no Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from logsig_codegen.build import extension, nvidia
from logsig_codegen.build.torch_operators import built_operators
from logsig_codegen.errors import CompilerNotFoundError
from logsig_codegen.targets import cuda
from logsig_codegen.targets.base import BuildSpec, Built, Emitted, Target
from logsig_codegen.targets.c import C

if TYPE_CHECKING:
    from pathlib import Path

    from logsig_codegen.build.artifact import Artifact
    from logsig_codegen.build.nvidia import CudaCompiler
    from logsig_codegen.build.toolchain import Compiler
    from logsig_codegen.compiler import CompiledProblem
    from logsig_codegen.problem import Problem


@dataclass(frozen=True)
class TorchTools:
    """What compiles the library; whether there are kernels for GPUs, and what compiles these."""

    host: Compiler | None
    with_gpus: bool
    gpus: CudaCompiler | None


class TorchTarget(Target):
    """Tools: :class:`TorchTools`. Kernels for GPUs are left out where nobody named a GPU and nothing compiles them."""

    name = "torch"
    summary = "c and an extension of torch, for C++ and Python; with kernels for GPUs where nvcc or NVRTC is found"
    extends = C

    def folder_name(self, problem: Problem) -> str:
        return C.folder_name(problem)

    def check_options(self, spec: BuildSpec) -> None:
        C.check_options(spec)
        if spec.architectures:
            nvidia.check_architectures(spec.architectures)

    def tools(self, spec: BuildSpec) -> TorchTools:
        host, wanted = C.tools(spec), bool(cuda.architectures_of(spec))
        if spec.emit_only or not wanted:
            return TorchTools(host, wanted, None)
        try:
            return TorchTools(host, True, nvidia.find_cuda_compiler_ahead())
        except CompilerNotFoundError:
            if spec.architectures is not None:
                raise
            return TorchTools(host, False, None)

    def identity(self, spec: BuildSpec, tools: TorchTools) -> dict[str, Any]:
        gpus = None if tools.gpus is None else tools.gpus.identity()
        return {**C.identity(spec, tools.host), "architectures": list(cuda.architectures_of(spec)), "gpus": gpus}

    def emit(self, compiled: CompiledProblem, spec: BuildSpec, tools: TorchTools) -> Emitted:
        """Tells :meth:`compile` about the kernels for GPUs."""
        from logsig_codegen.emit.torch import torch_sources

        library = C.emit(compiled, spec, tools.host)
        kernels = cuda.CUDA.emit(compiled, spec, tools.gpus) if tools.with_gpus else Emitted(())
        texts = {unit.name: unit.text for unit in kernels.units}
        others = {**torch_sources(compiled, spec.dtypes), **texts, **library.others}
        return Emitted(library.units, others, kernels.about)

    def compile(self, folder: Path, emitted: Emitted, spec: BuildSpec, tools: TorchTools) -> Built:
        from logsig_codegen.emit.torch import IMAGES, SOURCE, images_source

        library = C.compile(folder, emitted, spec, tools.host)
        if library.library is None:
            return Built(fields={**library.fields, "extension": {"library": None, "cuda": None}})
        files, about = list(library.files), None
        if tools.gpus is not None:
            architectures = cuda.architectures_of(spec)
            images = cuda.compile_images(folder, emitted.about, tools.gpus, architectures, jobs=spec.jobs)
            (folder / IMAGES).write_text(images_source(spec.problem, images), encoding="utf-8")
            files += [IMAGES, *(image.file for image in images)]
            about = {"name": tools.gpus.name, "version": tools.gpus.version, "architectures": list(architectures)}
        extension.build_extension(folder, spec.problem, SOURCE, library.library, cuda=about is not None)
        name = extension.extension_name(spec.problem)
        fields = {**library.fields, "extension": {"library": name, "cuda": about}}
        return Built((*files, name), library.library, fields)

    def check(self, artifact: Artifact, problem: Problem) -> None:
        """What ``c`` checks: the extension is torch's to load."""
        C.check(artifact, problem)

    def remark(self, manifest: Mapping[str, Any], spec: BuildSpec) -> str | None:
        about = manifest["extension"]
        if spec.architectures is None and about["library"] is not None and about["cuda"] is None:
            return "the extension has no kernels for GPUs: neither nvcc nor NVRTC was found"
        return None

    def found(self) -> str:
        missing = [name for name in ("torch", "ninja") if find_spec(name) is None]
        needed = f"not installed: {', '.join(missing)}" if missing else "torch and ninja are installed"
        operators = "built" if built_operators() else "not built: logsig-gen extensions"
        return f"{needed}; operators in C++ for all problems: {operators}; for GPUs: {cuda.found_compiler()}"


TORCH = TorchTarget()
