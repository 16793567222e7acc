"""Views of operations along paths that are loops over the letters, written by hand: degree two, many letters."""

from __future__ import annotations

from collections.abc import Iterator

from logsig_codegen.compiler import PathKernel
from logsig_codegen.emit.path_view import PathKernelView, row_operands
from logsig_codegen.emit.view import introduction, parameters, symbol
from logsig_codegen.operations import BACKWARD, FORWARD, OPERATIONS, Operation, columns
from logsig_codegen.problem import Problem

_FRAMES = {FORWARD: "LOGSIG_WIDE_FRAME", BACKWARD: "LOGSIG_WIDE_BACK_FRAME"}
_RUNS = {
    FORWARD: "logsig_run_paths(&job, logsig_walk_wide, products, batch, n_jobs)",
    BACKWARD: "logsig_share(&job, logsig_walk_wide_back, FRAME, batch, n_jobs)",  # of any length: nothing to cut
}


def wide_view(problem: Problem, kernel: PathKernel) -> PathKernelView:
    """The view of an operation of which :func:`logsig_codegen.compiler.in_loops` is true."""
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
        frame=(f"#define FRAME {_FRAMES[operation.kind]}",),
        functions=(),
        parameters=parameters(operation.name, "logsig_real"),
        entry=tuple(_entry(problem, operation)),
        run=_RUNS[operation.kind],
    )


def _entry(problem: Problem, operation: Operation) -> Iterator[str]:
    rows = row_operands(operation)
    if operation.backward:
        yield "(void)products;"
    yield "const logsig_path_job job = {"
    yield "    .path = {path, path_stride, starts},"
    if operation.backward:
        yield "    .d_path = {d_path, d_path_stride, starts},"
    yield "    .length = length,"
    yield "    .lengths = lengths,"
    yield f"    .dimension = {problem.dimension},"
    yield "    .frame_vectors = FRAME,"
    yield "    .operands = {"
    for name in rows:
        yield f"        {{{name}, {name}_stride, {columns(problem, name)}, 0}},"
    yield "    },"
    yield f"    .n_operands = {len(rows)},"
    yield "};"
