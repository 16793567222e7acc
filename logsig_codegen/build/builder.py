"""Generate, compile and describe one problem in a folder."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen.build.artifact import build_manifest, library_name, write_manifest
from logsig_codegen.operations import GROUPS
from logsig_codegen.problem import Problem

if TYPE_CHECKING:
    from logsig_codegen.build.nvidia import Gpus
    from logsig_codegen.build.toolchain import Toolchain
    from logsig_codegen.compiler import CompiledProblem
    from logsig_codegen.emit.cuda.sources import CudaSources
    from logsig_codegen.emit.unit import SourceUnit


@dataclass(frozen=True)
class _Extension:
    """The extension of torch: its files, the source first, and the kernels for GPUs that it is to have, if any."""

    files: dict[str, str]
    cuda: CudaSources | None


def build_into(
    folder: Path,
    problem: Problem,
    *,
    toolchain: Toolchain | None,
    dtypes: Sequence[str],
    groups: Sequence[str] = tuple(GROUPS),
    targets: Sequence[str] = ("c",),
    gpus: Gpus | None = None,
    version: str,
    key: str = "",
    request: dict[str, Any] | None = None,
    max_terms: int | None = None,
    jobs: int | None = None,
    write_extra: Callable[[Path], Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Fill an empty folder with sources, library and, last, the manifest, which is also returned.

    Parameters
    ----------
    toolchain
        The compiler to use; ``None`` writes the sources only.
    dtypes
        Number types to compile.
    groups
        The groups of operations wanted; see :mod:`logsig_codegen.operations`.
    targets
        ``"torch"`` adds the extension of torch to what ``"c"`` has.
    gpus
        Where the extension has kernels for GPUs: which ones.
    key, request
        What the manifest says about the cache request it answers; left out for folders meant to be copied.
    write_extra
        Writes further files into the folder and returns their names.

    Raises
    ------
    ProblemTooLargeError, GenerationError, CompilerError, OSError
    """
    report, units, extension = _generate(problem, dtypes, groups, targets, max_terms, gpus)
    for unit in units:
        (folder / unit.name).write_text(unit.text, encoding="utf-8")
    extra_files = [] if write_extra is None else list(write_extra(folder))
    library = None
    if toolchain is not None:
        from logsig_codegen.build.compile import compile_library

        library = library_name(problem)
        compile_library(folder, units, library, toolchain, jobs=jobs)
    about: dict[str, Any] = {}
    if extension is not None:
        files, about = _extend(folder, problem, extension, library, gpus, jobs)
        extra_files = [*files, *extra_files]
    manifest = build_manifest(
        folder,
        report,
        units,
        extra_files=extra_files,
        version=version,
        key=key,
        dtypes=dtypes,
        groups=groups,
        toolchain=toolchain,
        library=library,
    )
    manifest.update(about)
    if request is not None:
        manifest["request"] = request
    write_manifest(folder, manifest)
    return manifest


def _extend(
    folder: Path, problem: Problem, extension: _Extension, library: str | None, gpus: Gpus | None, jobs: int | None
) -> tuple[list[str], dict[str, Any]]:
    """Write the extension, and compile it where there is a library; names of its files, and what the manifest says."""
    from logsig_codegen.build.extension import build_extension, extension_name

    for name, text in extension.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    names, cuda = list(extension.files), None
    if library is None:
        return names, {"extension": {"library": None, "cuda": None}}
    if gpus is not None and gpus.compiler is not None:
        from logsig_codegen.build.cuda_builder import compile_images
        from logsig_codegen.emit.torch import IMAGES, images_source

        assert extension.cuda is not None
        compiler = gpus.compiler
        images = compile_images(folder, extension.cuda, compiler, gpus.architectures, jobs=jobs)
        (folder / IMAGES).write_text(images_source(problem, images), encoding="utf-8")
        names += [IMAGES, *(image.file for image in images)]
        cuda = {"name": compiler.name, "version": compiler.version, "architectures": list(gpus.architectures)}
    build_extension(folder, problem, names[0], library, cuda=cuda is not None)
    name = extension_name(problem)
    return [*names, name], {"extension": {"library": name, "cuda": cuda}}


def _generate(
    problem: Problem,
    dtypes: Sequence[str],
    groups: Sequence[str],
    targets: Sequence[str],
    max_terms: int | None,
    gpus: Gpus | None,
) -> tuple[dict[str, Any], tuple[SourceUnit, ...], _Extension | None]:
    # The compiler proper, SymPy and Jinja2 are imported here and nowhere on the way to a cached library.
    from logsig_codegen.compiler import DEFAULT_MAX_TERMS, compile_problem
    from logsig_codegen.emit.c import c_sources

    with collector_paused():
        compiled = compile_problem(
            problem, groups=groups, max_terms=DEFAULT_MAX_TERMS if max_terms is None else max_terms
        )
        extension = _extension(compiled, dtypes, gpus) if "torch" in targets else None
        return compiled.report(), c_sources(compiled, dtypes), extension


def _extension(compiled: CompiledProblem, dtypes: Sequence[str], gpus: Gpus | None) -> _Extension:
    from logsig_codegen.emit.cuda.sources import cuda_sources
    from logsig_codegen.emit.torch import torch_sources

    cuda = None if gpus is None else cuda_sources(compiled, dtypes)
    units = {} if cuda is None else {unit.name: unit.text for unit in cuda.units}
    return _Extension({**torch_sources(compiled, dtypes), **units}, cuda)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Large problems are millions of tuples without a cycle: looking for one takes longer than making them."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
