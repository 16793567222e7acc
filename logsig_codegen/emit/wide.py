"""Views of operations along paths that are loops over the letters: degree two, many letters."""

from __future__ import annotations

from collections.abc import Iterator

from logsig_codegen.compiler import PathKernel
from logsig_codegen.emit.letters import room, row_function
from logsig_codegen.emit.path_view import FunctionText, PathKernelView, row_operands
from logsig_codegen.emit.view import head, parameters, symbol
from logsig_codegen.operations import BACKWARD, FORWARD, OPERATIONS, STREAM, STREAM_BACKWARD, Operation, columns
from logsig_codegen.problem import Problem

_FRAMES = {
    FORWARD: "LOGSIG_WIDE_FRAME",
    BACKWARD: "LOGSIG_WIDE_BACK_FRAME",
    STREAM: "LOGSIG_STREAM_FRAME",
    STREAM_BACKWARD: "LOGSIG_STREAM_BACK_FRAME",
}
_RUNS = {
    FORWARD: "logsig_run_paths(&job, logsig_walk_wide, products, batch, n_jobs)",
    BACKWARD: "logsig_share(&job, logsig_walk_wide_back, FRAME, batch, n_jobs)",  # of any length: nothing to cut
    STREAM: "logsig_share(&stream_of_rows, logsig_walk_letters, FRAME, batch, n_jobs)",
    STREAM_BACKWARD: "logsig_share(&stream_of_rows, logsig_walk_letters_back, FRAME, batch, n_jobs)",
}


def wide_view(problem: Problem, kernel: PathKernel) -> PathKernelView:
    """The view of an operation along whole paths, or of a stream, of which ``compiler.in_loops`` is true."""
    operation = OPERATIONS[kernel.operation]
    (step, *_) = kernel.phases
    described = (
        "Loops over the letters, a letter per lane; logsig_wide.h tells what is computed, the same for every state.",
    )
    frame = _FRAMES[operation.kind]
    functions: tuple[FunctionText, ...] = ()
    if operation.streams:
        assert step.lie is not None
        described = (f"Plan: {kernel.plan}, in loops over the letters, a letter per lane.",)
        frame = f"({frame} + {room(step.lie)} * LOGSIG_LETTERS_LENGTH)"
        functions = (row_function(step.operation, step.lie),)
    return PathKernelView(
        symbol=symbol(problem, operation.name),
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(head(problem, described)),
        engine="logsig_letter_streams.h" if operation.streams else "logsig_wide.h",
        letters=problem.dimension,
        tables=False,
        frame=(f"#define FRAME {frame}",),
        functions=functions,
        parameters=parameters(operation.name, "logsig_real"),
        entry=tuple(_entry(problem, operation, step.operation)),
        run=_RUNS[operation.kind],
    )


def _entry(problem: Problem, operation: Operation, step: str) -> Iterator[str]:
    rows = row_operands(operation)
    if operation.kind == BACKWARD:
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
    if operation.streams:
        yield f"    .n_operands = initial ? {len(rows)} : {len(rows) - (2 if operation.backward else 1)},"
        yield "    .initial = initial != NULL,"
    else:
        yield f"    .n_operands = {len(rows)},"
    yield "};"
    if operation.streams:
        yield f"const logsig_letters_stream stream_of_rows = {{job, {step}}};"
