"""The target ``c``: C sources, a header, the formulas, and a shared library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logsig_codegen.build import cpu, packs, toolchain
from logsig_codegen.build.artifact import Artifact, check_file
from logsig_codegen.build.platforms import NATIVE
from logsig_codegen.build.quick_calls import kept_quick_calls
from logsig_codegen.errors import ArtifactError, CompilerError
from logsig_codegen.targets.base import BuildSpec, Built, Emitted, Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from logsig_codegen.build.toolchain import Compiler, Flag, Toolchain
    from logsig_codegen.compiler import CompiledProblem
    from logsig_codegen.problem import Problem


class CTarget(Target):
    """Tools: a :class:`~logsig_codegen.build.toolchain.Compiler`."""

    name = "c"
    summary = "C sources, a header, formulas and a shared library"
    crosses = True

    def folder_name(self, problem: Problem) -> str:
        return problem.name

    def check_options(self, spec: BuildSpec) -> None:
        toolchain.check_march(spec.march)

    def tools(self, spec: BuildSpec) -> Compiler | None:
        if spec.emit_only:
            return None
        compiler = toolchain.find_compiler(spec.platform)
        _described(compiler, spec)  # a processor that it does not know is an error now
        return compiler

    def identity(self, spec: BuildSpec, tools: Compiler | None) -> dict[str, Any]:
        """Looks at the file system, but runs nothing."""
        return {
            "flags": [flag.text for flag in _wanted(spec)],
            "cpu": cpu.identity() if spec.march == NATIVE else spec.platform.name,
            "compiler": None if tools is None else tools.identity(),
        }

    def emit(self, compiled: CompiledProblem, spec: BuildSpec, tools: Any) -> Emitted:
        from logsig_codegen.emit.c import c_sources

        units = c_sources(compiled, spec.dtypes, coordinates=spec.documents)
        if not spec.documents:
            return Emitted(units)
        from logsig_codegen.emit.documents import documents  # imports SymPy, which takes longer than a small problem

        return Emitted(units, documents(spec.problem, spec.groups))

    def get_ready(self, spec: BuildSpec, tools: Compiler | None) -> None:
        if tools is not None:
            _described(tools, spec)

    def compile(self, folder: Path, emitted: Emitted, spec: BuildSpec, tools: Compiler | None) -> Built:
        if tools is None:
            return Built(fields=dict.fromkeys(("compiler", "flags", "openmp", "march", "cpu")))
        from logsig_codegen.build.compile import compile_library

        described = _described(tools, spec)
        library = f"liblogsig_{spec.problem.name}{spec.platform.suffix}"
        compile_library(folder, emitted.units, library, described, jobs=spec.jobs)
        fields = {
            "compiler": {"path": tools.path, "version": described.version},
            "flags": [flag.text for flag in described.compile_flags],
            "openmp": described.openmp,
            "march": described.march,
            "cpu": {"machine": spec.platform.name, "features": list(described.features)},
        }
        return Built((library,), library, fields)

    def check(self, artifact: Artifact, problem: Problem) -> None:
        """Make sure that loading the library is safe.

        A truncated library would kill the process with SIGBUS and one for another processor with SIGILL, so both are
        found here, before the library is touched. Its other files may be gone.
        """
        self.check_kind(artifact, problem)
        path, library = artifact.path, artifact.manifest["library"]
        if library is None:
            raise ArtifactError(f"{path}: holds source text only (it was written with emit_only); no library to load")
        _check_machine(artifact)
        check_file(artifact, str(library))

    def next_step(self, folder: Path, manifest: Mapping[str, Any]) -> str | None:
        if manifest["library"] is None:
            return None
        arguments = f"{manifest['dimension']}, {manifest['degree']}, artifacts={str(folder.parent)!r}"
        return f"load it in Python: logsig_codegen.load({arguments})"

    def advice(self, spec: BuildSpec) -> str:
        return packs.advice(spec.problem, spec.groups)

    def found(self) -> str:
        try:
            compiler = toolchain.find_compiler()
            quick = "built" if kept_quick_calls() else "not built: logsig-gen extensions"
            version = toolchain.describe(compiler, "native").version
            return f"{compiler.path}, {version}; ordinary calls on numpy arrays in C: {quick}"
        except CompilerError as error:
            return str(error)


def _wanted(spec: BuildSpec) -> tuple[Flag, ...]:
    return toolchain.wanted_flags(spec.march, portable=spec.portable, platform=spec.platform)


def _described(compiler: Compiler, spec: BuildSpec) -> Toolchain:
    return toolchain.describe(compiler, spec.march, portable=spec.portable, platform=spec.platform)


def _check_machine(artifact: Artifact) -> None:
    built_for = artifact.manifest.get("cpu") or {}
    if built_for.get("machine") != cpu.machine():
        raise ArtifactError(
            f"{artifact.path}: built for {built_for.get('machine')}, this machine is {cpu.machine()}; "
            f"generate it here, or there with --platform {cpu.machine()}"
        )
    missing = cpu.missing_features(built_for.get("features", ()))
    if missing:
        raise ArtifactError(
            f"{artifact.path}: built with march={artifact.manifest.get('march')!r}, but this processor lacks "
            f"{', '.join(missing)}; generate it again with a march that both machines have, for example 'x86-64-v3'"
        )


C = CTarget()
