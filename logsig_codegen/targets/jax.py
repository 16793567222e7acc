"""The target ``jax``: the handlers by which XLA calls the kernels of any problem, which the target ``c`` makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logsig_codegen.build import cpu, jax_handlers, toolchain
from logsig_codegen.errors import CompilerError
from logsig_codegen.targets.base import BuildSpec, Built, Emitted, Target

if TYPE_CHECKING:
    from pathlib import Path

    from logsig_codegen.build.toolchain import Compiler
    from logsig_codegen.compiler import CompiledProblem


class JaxTarget(Target):
    """Tools: a compiler for C; jaxlib's headers have to be installed."""

    name = "jax"
    summary = "the handlers by which JAX calls the kernels of c, the same for every problem"

    def tools(self, spec: BuildSpec) -> Compiler | None:
        if spec.emit_only:
            return None
        jax_handlers.include_dir()
        return toolchain.find_compiler()

    def identity(self, spec: BuildSpec, tools: Compiler | None) -> dict[str, Any]:
        if tools is None:
            return {"compiler": None}
        ffi = jax_handlers.ffi_version(jax_handlers.include_dir())
        return {"compiler": tools.identity(), "machine": cpu.machine(), "ffi": ffi}

    def emit(self, compiled: CompiledProblem, spec: BuildSpec, tools: Any) -> Emitted:
        from logsig_codegen.emit.jax import jax_sources

        return Emitted((), jax_sources())

    def compile(self, folder: Path, emitted: Emitted, spec: BuildSpec, tools: Compiler | None) -> Built:
        if tools is None:
            return Built(fields={"ffi": None})
        include = jax_handlers.include_dir()
        name = jax_handlers.library_name(include)
        jax_handlers.compile_handlers(emitted.others, folder / name, include)
        return Built((name,), name, {"ffi": jax_handlers.ffi_version(include)})

    def found(self) -> str:
        try:
            include, compiler = jax_handlers.include_dir(), toolchain.find_compiler()
        except CompilerError as error:
            return str(error)
        return f"{compiler.path}; XLA's interface {jax_handlers.ffi_version(include)}, {include}"


JAX = JaxTarget()
