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
    from logsig_codegen.emit.unit import SourceUnit


def build_into(
    folder: Path,
    problem: Problem,
    *,
    toolchain: Toolchain | None,
    dtypes: Sequence[str],
    groups: Sequence[str] = tuple(GROUPS),
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
    key, request
        What the manifest says about the cache request it answers; left out for folders meant to be copied.
    write_extra
        Writes further files into the folder and returns their names.

    Raises
    ------
    ProblemTooLargeError, GenerationError, CompilerError, OSError
    """
    report, units = _generate(problem, dtypes, groups, max_terms)
    for unit in units:
        (folder / unit.name).write_text(unit.text, encoding="utf-8")
    extra_files = () if write_extra is None else write_extra(folder)
    library = None
    if toolchain is not None:
        from logsig_codegen.build.compile import compile_library

        library = library_name(problem)
        compile_library(folder, units, library, toolchain, jobs=jobs)
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
    problem: Problem, dtypes: Sequence[str], groups: Sequence[str], max_terms: int | None
) -> tuple[dict[str, Any], tuple[SourceUnit, ...]]:
    # The compiler proper, SymPy and Jinja2 are imported here and nowhere on the way to a cached library.
    from logsig_codegen.compiler import DEFAULT_MAX_TERMS, compile_problem
    from logsig_codegen.emit.c import c_sources

    with collector_paused():
        compiled = compile_problem(
            problem, groups=groups, max_terms=DEFAULT_MAX_TERMS if max_terms is None else max_terms
        )
        return compiled.report(), c_sources(compiled, dtypes)


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
