"""Views of large problems: a block computes a few samples, from tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from logsig_codegen.compiler import PathKernel
from logsig_codegen.emit.cuda.file import FileView, file_view, in_groups, occupancy_macros
from logsig_codegen.emit.cuda.gather import GatherView, by_thread, by_warp
from logsig_codegen.emit.cuda.path_scan import TITLES as OF_A_PATH
from logsig_codegen.emit.printer import c_number
from logsig_codegen.gpu.block import BlockPlan, GatherTerms, StatementPlan
from logsig_codegen.gpu.workspace import Workspace
from logsig_codegen.ir.lie import Bracket, Coadjoint
from logsig_codegen.operations import OPERATIONS

TITLES = {**OF_A_PATH, "step": "Takes the state over a displacement."}
NOT_COMPILED = ("THREADS 1", "BLOCKS 1", "LOGSIG_GROUP 1")
"""Macros for a number type of which not even one sample fits in a block."""
BODIES = {
    "rows": "cuda/block_rows.cu.j2",
    "forward": "cuda/block_forward.cu.j2",
    "backward": "cuda/block_backward.cu.j2",
    "stream": "cuda/block_stream.cu.j2",
    "stream_backward": "cuda/block_stream_backward.cu.j2",
}
"""The template of what a block does with its samples, by kind of operation."""


@dataclass(frozen=True)
class VectorView:
    """A vector in the workspace."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class GatherCall:
    """A sum over entries of a table; ``arguments``: coefficient and factors of one or two terms."""

    table: str
    arguments: str


@dataclass(frozen=True)
class StatementView:
    """One statement; ``start``: the value a sum begins with, ``terms``: coefficient and vector of those added to it."""

    text: str
    target: str
    size: int
    warp_per_coordinate: bool
    start: str
    terms: tuple[str, ...]
    gathers: tuple[GatherCall, ...]


@dataclass(frozen=True)
class PhaseView:
    """One function: the statements of a program."""

    name: str
    title: str
    vectors: tuple[VectorView, ...]
    statements: tuple[StatementView, ...]
    copies: tuple[VectorView, ...]


@dataclass(frozen=True)
class BlockView:
    """One file.

    ``offsets`` are those of the operands in the workspace. ``loads`` and ``stores`` are operands of rows; ``prefix``:
    leading columns that are read of a row of the log-signature; ``body``: the template of what a block does.
    """

    file: FileView
    tables: tuple[GatherView, ...]
    phases: tuple[PhaseView, ...]
    body: str
    offsets: Mapping[str, int]
    loads: tuple[VectorView, ...]
    stores: tuple[VectorView, ...]
    dimension: int
    size: int
    state_size: int
    prefix: int


def block_view(plan: BlockPlan) -> BlockView:
    """The view of the file of a plan."""
    problem, operation = plan.problem, OPERATIONS[plan.kernel.operation]
    columns = plan.columns
    operands = {name: VectorView(name, plan.offsets[name], count) for name, count in columns.items()}
    return BlockView(
        file=file_view(problem, operation.name, _described(plan), (), lambda dtype: _macros(plan, dtype)),
        tables=tuple(_tables(plan)),
        phases=tuple(_phase(plan, name, workspace) for name, workspace in plan.workspaces.items()),
        body=BODIES[operation.kind],
        offsets=plan.offsets,
        loads=tuple(operands[name] for name in operation.inputs if name in operands),
        stores=tuple(operands[name] for name in operation.outputs if name in operands),
        dimension=problem.dimension,
        size=problem.size,
        state_size=plan.kernel.state_size if isinstance(plan.kernel, PathKernel) else 0,
        prefix=plan.prefix,
    )


def _macros(plan: BlockPlan, dtype: str) -> tuple[str, ...]:
    if not plan.fits(dtype):
        return NOT_COMPILED
    threads, blocks, _ = occupancy_macros(plan.occupancy(dtype))
    return threads, blocks, f"LOGSIG_GROUP {plan.samples(dtype)}"


def _described(plan: BlockPlan) -> Iterator[str]:
    yield f"Plan: {plan.kernel.plan}. Too large for a thread: a block does a few samples at once, from tables of"
    yield f"structure constants. {plan.numbers:,} numbers of each sample are in shared memory."


def _tables(plan: BlockPlan) -> Iterator[GatherView]:
    """Each table once, in each layout that a statement wants."""
    made: set[str] = set()
    for statements in plan.statements.values():
        for statement in statements:
            for gather in statement.gathers:
                name = _table(statement, gather)
                if name not in made:
                    made.add(name)
                    yield (by_warp if statement.warp_per_coordinate else by_thread)(gather.table)


def _table(statement: StatementPlan, gather: GatherTerms) -> str:
    return f"{gather.table.name}_by_{'warp' if statement.warp_per_coordinate else 'thread'}"


def _phase(plan: BlockPlan, name: str, workspace: Workspace) -> PhaseView:
    program, sizes = workspace.program, workspace.sizes
    used = dict.fromkeys(
        vector
        for statement in program.statements
        for vector in (statement.target.name, *(v for term in statement.terms for v in term.operands))
    )
    used.update(dict.fromkeys(copy.vector for copy in workspace.copies))
    return PhaseView(
        name=f"{name}_block",
        title=TITLES.get(name, OPERATIONS[plan.kernel.operation].summary),
        vectors=tuple(VectorView(vector, workspace.offsets[vector], sizes[vector]) for vector in used if sizes[vector]),
        statements=tuple(map(_statement, plan.statements[name])),
        copies=tuple(VectorView(copy.vector, copy.offset, sizes[copy.vector]) for copy in workspace.copies),
    )


def _statement(plan: StatementPlan) -> StatementView:
    warp = plan.warp_per_coordinate
    plain = None if warp else next((term for term in plan.linear if term.coefficient == 1), None)
    return StatementView(
        text=plan.statement.text(),
        target=plan.statement.target.name,
        size=plan.size,
        warp_per_coordinate=warp,
        start="logsig_zero()" if plain is None else f"{plain.vector}[k]",
        terms=tuple(f"{c_number(term.coefficient)}, {term.vector}" for term in plan.linear if term is not plain),
        gathers=tuple(
            GatherCall(_table(plan, gather), ", ".join(map(_term, terms)))
            for gather in plan.gathers
            for terms in in_groups(gather.terms, 2)
        ),
    )


def _term(term: Bracket | Coadjoint) -> str:
    return f"{c_number(term.coefficient)}, {', '.join(term.operands)}"
