"""Generate, compile and describe the kernels of one problem for GPUs in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.build.artifact import FORMAT, describe_file, write_manifest
from logsig_codegen.build.builder import collector_paused
from logsig_codegen.build.nvidia import CudaCompiler, compile_ahead, compile_kernel, number_of
from logsig_codegen.problem import Problem

if TYPE_CHECKING:
    from logsig_codegen.emit.cuda.sources import CudaSources, Image

ELF = b"\x7fELF"
"""How code for an architecture begins; other binaries are PTX."""


def build_cuda_into(
    folder: Path,
    problem: Problem,
    *,
    compiler: CudaCompiler | None,
    architectures: Sequence[str],
    dtypes: Sequence[str],
    groups: Sequence[str],
    version: str,
    key: str = "",
    request: dict[str, Any] | None = None,
    max_terms: int | None = None,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Fill an empty folder with sources, one binary per kernel and, last, the manifest, which is also returned.

    Parameters
    ----------
    compiler
        nvcc compiles for all architectures at once, NVRTC for one; ``None`` writes the sources only.
    architectures
        Such as ``"sm_90"``.

    Raises
    ------
    ProblemTooLargeError, GenerationError, CompilerError, OSError
    """
    report, sources = _generate(problem, dtypes, groups, max_terms)
    for unit in sources.units:
        (folder / unit.name).write_text(unit.text, encoding="utf-8")
    images = () if compiler is None else compile_images(folder, sources, compiler, architectures, jobs=jobs)
    binaries = {image.kernel.symbol: image.file for image in images}
    names = [*(unit.name for unit in sources.units), *binaries.values()]
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "abi_version": ABI_VERSION,
        "package_version": version,
        "key": key,
        **report,
        "target": "cuda",
        "groups": list(groups),
        "dtypes": list(dtypes),
        "compiler": None if compiler is None else {"name": compiler.name, "version": compiler.version},
        "architectures": [] if compiler is None else list(architectures),
        "kernels": [{**kernel.data(), "binary": binaries.get(kernel.symbol)} for kernel in sources.kernels],
        "sources": [unit.name for unit in sources.units],
        "library": None,
        "files": {name: describe_file(folder / name) for name in names},
    }
    if request is not None:
        manifest["request"] = request
    write_manifest(folder, manifest)
    return manifest


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
        compile_ahead(compiler, folder, sources.kernels, architectures, names=names, jobs=jobs)
        return tuple(Image(kernel, 0, names[kernel.symbol]) for kernel in sources.kernels)
    images = []
    for kernel in sources.kernels:
        for arch in architectures:
            content = compile_kernel(compiler, sources.units, kernel, arch)
            file = f"{kernel.symbol}.{arch}.cubin" if len(architectures) > 1 else f"{kernel.symbol}.cubin"
            (folder / file).write_bytes(content)
            made_for_it = content.startswith(ELF)
            images.append(Image(kernel, number_of(arch) if made_for_it else 0, file))
    return tuple(images)


def _generate(
    problem: Problem, dtypes: Sequence[str], groups: Sequence[str], max_terms: int | None
) -> tuple[dict[str, Any], CudaSources]:
    from logsig_codegen.compiler import DEFAULT_MAX_TERMS, compile_problem
    from logsig_codegen.emit.cuda.sources import cuda_sources

    with collector_paused():
        compiled = compile_problem(
            problem, groups=groups, max_terms=DEFAULT_MAX_TERMS if max_terms is None else max_terms
        )
        return compiled.report(), cuda_sources(compiled, dtypes)
