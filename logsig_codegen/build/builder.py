"""Generate, compile and describe one problem in a folder."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen.build.artifact import build_manifest, library_name, write_manifest
from logsig_codegen.operations import GROUPS
from logsig_codegen.problem import Problem

if TYPE_CHECKING:
    from logsig_codegen.build.toolchain import Toolchain
    from logsig_codegen.compiler import CompiledProblem
    from logsig_codegen.emit.unit import SourceUnit


def build_into(
    folder: Path,
    problem: Problem,
    *,
    toolchain: Toolchain | None,
    dtypes: Sequence[str],
    groups: Sequence[str] = tuple(GROUPS),
    targets: Sequence[str] = ("c",),
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
    key, request
        What the manifest says about the cache request it answers; left out for folders meant to be copied.
    write_extra
        Writes further files into the folder and returns their names.

    Raises
    ------
    ProblemTooLargeError, GenerationError, CompilerError, OSError
    """
    report, units, extension = _generate(problem, dtypes, groups, targets, max_terms)
    for name, text in (*((unit.name, unit.text) for unit in units), *extension.items()):
        (folder / name).write_text(text, encoding="utf-8")
    extra_files = [*extension, *(() if write_extra is None else write_extra(folder))]
    library = None
    if toolchain is not None:
        from logsig_codegen.build.compile import compile_library

        library = library_name(problem)
        compile_library(folder, units, library, toolchain, jobs=jobs)
        if extension:
            from logsig_codegen.build.extension import build_extension

            extra_files.append(build_extension(folder, problem, next(iter(extension)), library))
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
    if request is not None:
        manifest["request"] = request
    write_manifest(folder, manifest)
    return manifest


def _generate(
    problem: Problem, dtypes: Sequence[str], groups: Sequence[str], targets: Sequence[str], max_terms: int | None
) -> tuple[dict[str, Any], tuple[SourceUnit, ...], dict[str, str]]:
    # The compiler proper, SymPy and Jinja2 are imported here and nowhere on the way to a cached library.
    from logsig_codegen.compiler import DEFAULT_MAX_TERMS, compile_problem
    from logsig_codegen.emit.c import c_sources

    with collector_paused():
        compiled = compile_problem(
            problem, groups=groups, max_terms=DEFAULT_MAX_TERMS if max_terms is None else max_terms
        )
        return compiled.report(), c_sources(compiled, dtypes), _extension(compiled, dtypes, targets)


def _extension(compiled: CompiledProblem, dtypes: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """The files of the torch extension, its source first; none unless it is wanted."""
    if "torch" not in targets:
        return {}
    from logsig_codegen.emit.torch import torch_sources

    return torch_sources(compiled, dtypes)


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
