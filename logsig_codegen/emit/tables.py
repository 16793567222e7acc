"""Table-driven kernels: a Lie program as calls of the loops in ``logsig_tables.h``, and the tables they read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.algebra.surd import Coefficient, simplify
from logsig_codegen.emit.printer import c_number
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.problem import Problem

NUMBERS_PER_LINE = 16


@dataclass(frozen=True)
class ArrayView:
    """One array of indices."""

    name: str
    length: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class TableView:
    """The structure constants of one type."""

    name: str
    title: str
    arrays: tuple[ArrayView, ...]
    classes: tuple[str, ...]
    initializer: str


@dataclass(frozen=True)
class TablesView:
    """All tables of a problem."""

    title: str
    tables: tuple[TableView, ...]


def bracket_types(programs: Iterable[LieProgram]) -> list[tuple[int, int]]:
    """The types ``(p, q)`` of the brackets and coadjoint actions in ``programs``."""
    types = set()
    for program in programs:
        for statement in program.statements:
            for term in statement.terms:
                if not isinstance(term, Scaled):
                    p = program.vectors[term.operands[0]].degree
                    q = program.vectors[term.operands[1]].degree - (p if isinstance(term, Coadjoint) else 0)
                    types.add((min(p, q), max(p, q)))
    return sorted(types)


def tables_view(problem: Problem, types: Sequence[tuple[int, int]]) -> TablesView:
    """The views of the tables of the given types."""
    return TablesView(
        title=f"Structure constants for dimension {problem.dimension}, degree {problem.degree}.",
        tables=tuple(_table_view(problem, p, q) for p, q in types),
    )


def _table_view(problem: Problem, p: int, q: int) -> TableView:
    name, rows = f"table_{p}_{q}", problem.sizes[p - 1]
    entries: defaultdict[int, list[list[tuple[int, int]]]] = defaultdict(lambda: [[] for _ in range(rows)])
    for i, j, constants in structure_constants(problem.dimension, problem.degree).slots(p, q):
        for k, c in constants:
            entries[c][i].append((j, k))
    arrays: list[ArrayView] = []
    classes: list[str] = []
    for index, (c, by_row) in enumerate(sorted(entries.items(), key=lambda item: (abs(item[0]), -item[0]))):
        starts = [0]
        for row in by_row:
            starts.append(starts[-1] + len(row))
        names = [f"{name}_{part}{index}" for part in ("row", "j", "k")]
        columns = (starts, [j for row in by_row for j, _ in row], [k for row in by_row for _, k in row])
        arrays.extend(_array_view(label, numbers) for label, numbers in zip(names, columns, strict=True))
        classes.append(f"{{{c}, {', '.join(names)}}}")
    return TableView(
        name=name,
        title=f"[P_i, P_j] for P_i of degree {p} and P_j of degree {q}: dimension {problem.dimension}.",
        arrays=tuple(arrays),
        classes=tuple(classes),
        initializer=f"{rows}, {len(classes)}, {name}_classes",
    )


def _array_view(name: str, numbers: Sequence[int]) -> ArrayView:
    lines = tuple(
        ",".join(map(str, numbers[start : start + NUMBERS_PER_LINE])) + ","
        for start in range(0, len(numbers), NUMBERS_PER_LINE)
    )
    return ArrayView(name, len(numbers), lines)


class VectorMemory:
    """Where the vectors of a Lie program live in a frame: operands in their rows, temporaries in scratch memory.

    Scratch memory is reused: a temporary's room goes back, degree by degree, after its last use.
    """

    def __init__(self, program: LieProgram, problem: Problem, homes: Mapping[str, str]) -> None:
        """``homes``: where each operand lives. Outputs on top of an input are moved there at the end."""
        self.pointers: dict[str, str] = {}
        self.scratch = 0
        self._sizes = problem.sizes
        self._late: set[str] = set()
        taken = {homes[port.operand] for port in program.inputs if port.operand in homes}
        for port in (*program.inputs, *program.outputs):
            if port.operand not in homes:
                continue
            if port in program.outputs and homes[port.operand] in taken:
                self._late.update(port.vectors)
                continue
            offset = 0
            for degree, name in enumerate(port.vectors, start=1):
                self.pointers.setdefault(name, f"{homes[port.operand]} + {offset}")
                offset += problem.sizes[degree - 1]
        self._allocate(program)

    def _allocate(self, program: LieProgram) -> None:
        last = {
            name: index
            for index, statement in enumerate(program.statements)
            for term in statement.terms
            for name in term.operands
        }
        free: dict[int, list[int]] = {}
        places: dict[str, int] = {}
        for index, statement in enumerate(program.statements):
            target = statement.target
            if target.name not in self.pointers:
                room = free.setdefault(target.degree, [])
                if room:
                    place = room.pop()
                else:
                    place, self.scratch = self.scratch, self.scratch + self._sizes[target.degree - 1]
                places[target.name] = place
                self.pointers[target.name] = f"frame + SCRATCH + {place}"
            for name in dict.fromkeys(name for term in statement.terms for name in term.operands):
                if name in places and last[name] == index and name not in self._late:
                    free.setdefault(program.vectors[name].degree, []).append(places[name])


def table_lines(
    program: LieProgram, problem: Problem, memory: VectorMemory, rows: Mapping[str, int], homes: Mapping[str, str]
) -> Iterator[str]:
    """The statements of a table-driven kernel."""
    for port in program.inputs:
        if port.operand in rows:
            size = sum(problem.sizes[: len(port.vectors)])
            yield f"logsig_fetch(&rows[{rows[port.operand]}], {size});"
    names = dict.fromkeys(name for statement in program.statements for name in _names(statement))
    names.update(dict.fromkeys(name for port in program.outputs for name in port.vectors))
    for name in names:
        if problem.sizes[program.vectors[name].degree - 1]:
            yield f"logsig_vec *const {name} = {memory.pointers[name]};"
    for statement in program.statements:
        if problem.sizes[statement.target.degree - 1]:
            yield f"/* {statement.text()} */"
            yield from _statement_lines(statement, program, problem)
    for port in program.outputs:
        offset = 0
        for degree, name in enumerate(port.vectors, start=1):
            size = problem.sizes[degree - 1]
            home = f"{homes[port.operand]} + {offset}"
            if memory.pointers[name] != home and size:
                yield f"logsig_vec_copy({size}, {name}, {home});"
            offset += size
        if port.operand in rows:
            yield f"logsig_flush(&rows[{rows[port.operand]}], {offset});"


def _names(statement: Statement) -> Iterator[str]:
    yield statement.target.name
    for term in statement.terms:
        yield from term.operands


def _statement_lines(statement: Statement, program: LieProgram, problem: Problem) -> Iterator[str]:
    target, size = statement.target.name, problem.sizes[statement.target.degree - 1]
    linear = [term for term in statement.terms if isinstance(term, Scaled)]
    start = next((term for term in linear if term.coefficient == 1), None)
    if start is None:
        yield f"logsig_vec_zero({size}, {target});"
    else:
        yield f"logsig_vec_copy({size}, {start.vector}, {target});"
    for scaled in linear:
        if scaled is not start:
            yield f"logsig_vec_add_scaled({size}, {c_number(scaled.coefficient)}, {scaled.vector}, {target});"
    for term in statement.terms:
        if isinstance(term, Bracket):
            yield from _bracket_lines(term, target, program)
        elif isinstance(term, Coadjoint):
            yield from _coadjoint_lines(term, target, program)


def _call(function: str, p: int, q: int, scale: Coefficient, *operands: str) -> str:
    return f"logsig_table_{function}(&table_{p}_{q}, {c_number(simplify(scale))}, {', '.join(operands)});"


def _bracket_lines(term: Bracket, target: str, program: LieProgram) -> Iterator[str]:
    p, q = program.vectors[term.left].degree, program.vectors[term.right].degree
    if p <= q:
        yield _call("bracket", p, q, term.coefficient, term.left, term.right, target)
    if p >= q:
        yield _call("bracket", q, p, -term.coefficient, term.right, term.left, target)


def _coadjoint_lines(term: Coadjoint, target: str, program: LieProgram) -> Iterator[str]:
    p = program.vectors[term.actor].degree
    q = program.vectors[term.form].degree - p
    if p <= q:
        yield _call("coadjoint_low", p, q, term.coefficient, term.actor, term.form, target)
    if p >= q:
        yield _call("coadjoint_high", q, p, -term.coefficient, term.actor, term.form, target)
