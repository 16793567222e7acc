"""Views of operations along paths that are loops over the letters, written by hand: degree two, many letters."""

from __future__ import annotations

from collections.abc import Iterator

from logsig_codegen.compiler import PathKernel
from logsig_codegen.emit.path_view import PathKernelView
from logsig_codegen.emit.view import introduction, parameters, symbol
from logsig_codegen.operations import FORWARD, OPERATIONS, columns
from logsig_codegen.problem import Problem

_RUNS = {FORWARD: "logsig_run_paths(&job, logsig_walk_wide, products, batch, n_jobs)"}


def wide_view(problem: Problem, kernel: PathKernel) -> PathKernelView:
    """The view of an operation of which :func:`logsig_codegen.operations.in_loops` is true."""
    operation = OPERATIONS[kernel.operation]
    described = (
        "Loops over the letters, a letter per lane; logsig_wide.h tells what is computed, the same for every state.",
    )
    return PathKernelView(
        symbol=symbol(problem, operation.name),
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(introduction(problem, operation.name, described)),
        engine="logsig_wide.h",
        defines=(f"#define LOGSIG_LETTERS {problem.dimension}",),
        tables=False,
        frame=("#define FRAME LOGSIG_WIDE_FRAME",),
        functions=(),
        parameters=parameters(operation.name, "logsig_real"),
        entry=tuple(_entry(problem)),
        run=_RUNS[operation.kind],
    )


def _entry(problem: Problem) -> Iterator[str]:
    yield "const logsig_path_job job = {"
    yield "    .path = {path, path_stride, starts},"
    yield "    .length = length,"
    yield "    .lengths = lengths,"
    yield f"    .dimension = {problem.dimension},"
    yield "    .frame_vectors = FRAME,"
    yield f"    .operands = {{{{out, out_stride, {columns(problem, 'out')}, 0}}}},"
    yield "    .n_operands = 1,"
    yield "};"
