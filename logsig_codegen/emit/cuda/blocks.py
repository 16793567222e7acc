"""Kernels of large problems: a block works on a few samples, statement by statement, from tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from logsig_codegen.compiler import Kernel, PathKernel
from logsig_codegen.emit.cuda.frame import BlockFrame
from logsig_codegen.emit.cuda.gather import MOST_INDEX, Gather, GatherView, by_thread, by_warp, gather
from logsig_codegen.emit.cuda.rows import row_parameters
from logsig_codegen.emit.cuda.shape import BYTES, Shape, block_shape
from logsig_codegen.emit.cuda.walks import path_parameters
from logsig_codegen.emit.printer import c_number
from logsig_codegen.emit.view import introduction, symbol
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.operations import OPERATIONS, columns
from logsig_codegen.problem import Problem

WARP_TARGETS = 256
"""Vectors with fewer coordinates than this …"""
WARP_ENTRIES = 12
"""… and more entries per coordinate than this are summed by a warp per coordinate."""


@dataclass(frozen=True)
class PhaseView:
    """One function: the statements of a program."""

    name: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class BlockView:
    """One file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    shape32: tuple[str, ...]
    shape64: tuple[str, ...]
    tables: tuple[GatherView, ...]
    phases: tuple[PhaseView, ...]
    parameters: tuple[str, ...]
    body: tuple[str, ...]


class BlockKernel:
    """An operation of which a block does a few samples at a time."""

    form = "block"
    suffix = "_block"
    template = "cuda/block.cu.j2"
    headers: tuple[str, ...] = ("logsig_blocks.cuh",)

    def __init__(self, problem: Problem, kernel: Kernel | PathKernel) -> None:
        self.problem = problem
        self.kernel = kernel
        self.operation = OPERATIONS[kernel.operation]
        self.tables: dict[str, GatherView] = {}
        self.homes: dict[str, int] = {}
        self.scratch = 0
        phases: tuple[Kernel, ...] = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
        self.programs = {phase.operation: phase.lie for phase in phases if phase.operation != "steps" and phase.lie}
        self._lay_out()
        self.frames = {
            name: BlockFrame(program, problem, self.homes, self.scratch) for name, program in self.programs.items()
        }
        self.numbers = max(frame.end for frame in self.frames.values())
        self.phases = tuple(self._phase(name) for name in self.programs)

    # -- memory -------------------------------------------------------------------------------------------------

    def _home(self, name: str, size: int) -> None:
        self.homes[name] = self.scratch
        self.scratch += size

    def _share(self, name: str, other: str) -> None:
        self.homes[name] = self.homes[other]

    def _lay_out(self) -> None:
        """Homes of the operands; outputs replace inputs of the same size where they can."""
        problem, size = self.problem, self.problem.size
        if isinstance(self.kernel, Kernel):
            (program,) = self.programs.values()
            free = BlockFrame(program, problem, _apart(program, problem), 0)
            for port in program.inputs:
                replaced = port.operand == program.inputs[0].operand
                self._home(port.operand, size if replaced else free.used(port.operand))
            first, *others = program.outputs
            self._share(first.operand, program.inputs[0].operand)
            for port in others:
                self._home(port.operand, columns(problem, port.operand))
            return
        self._home("displacement", problem.dimension)
        if not self.operation.backward:
            self._home("state", self.kernel.state_size)
            self._share("next_state", "state")
            self._share("out", "state")
            return
        self._home("d_displacement", problem.dimension)
        self._home("after", problem.dimension)
        self._home("d_state", self.kernel.d_state_size)
        self._home("state", self.kernel.state_size)
        start = self.programs["start"]
        self._home("log_sig", BlockFrame(start, problem, _apart(start, problem), 0).used("log_sig"))
        for name, other in (("d_previous_state", "d_state"), ("previous_state", "state"), ("d_out", "d_state")):
            self._share(name, other)

    # -- the cost model -----------------------------------------------------------------------------------------

    def possible(self, dtype: str) -> bool:
        """Whether a block has room for one sample."""
        return max(self.problem.sizes) <= MOST_INDEX and self._shape(dtype) is not None

    def shape(self, dtype: str) -> Shape:
        """What it takes for one number type."""
        found = self._shape(dtype)
        assert found is not None
        return found

    def _shape(self, dtype: str) -> Shape | None:
        return block_shape(self.numbers, dtype, walks=isinstance(self.kernel, PathKernel))

    def samples(self, dtype: str) -> int:
        """Samples of a block."""
        return self.shape(dtype).warp_bytes // (self.numbers * BYTES[dtype])

    @property
    def columns(self) -> dict[str, int]:
        """Leading columns of each operand that are read or written."""
        if isinstance(self.kernel, PathKernel):
            return {}
        (program,), (frame,) = self.programs.values(), self.frames.values()
        read = {port.operand: frame.used(port.operand) for port in program.inputs}
        return {**read, **{port.operand: columns(self.problem, port.operand) for port in program.outputs}}

    # -- text ---------------------------------------------------------------------------------------------------

    def view(self, dtypes: Sequence[str] = ("float32", "float64")) -> BlockView:
        """The view of its file."""
        name = self.operation.name
        shapes = {dtype: self._defines(dtype) for dtype in dtypes if self.possible(dtype)}
        rows = isinstance(self.kernel, Kernel)
        return BlockView(
            symbol=symbol(self.problem, name),
            title=f"{self.operation.title}: dimension {self.problem.dimension}, degree {self.problem.degree}.",
            introduction=tuple(introduction(self.problem, name, tuple(self._described()), device=True)),
            shape32=shapes.get("float32", NO_ROOM),
            shape64=shapes.get("float64", NO_ROOM),
            tables=tuple(self.tables.values()),
            phases=self.phases,
            parameters=row_parameters(name) if rows else path_parameters(name),
            body=tuple(self._body_rows() if rows else self._body_path()),
        )

    def _defines(self, dtype: str) -> tuple[str, ...]:
        return (*self.shape(dtype).defines[:2], f"LOGSIG_GROUP {self.samples(dtype)}")

    def _described(self) -> Iterator[str]:
        yield f"Plan: {self.kernel.plan}. Too large for a thread: a block does a few samples at once, from tables of"
        yield f"structure constants. {self.numbers:,} numbers of each sample are in shared memory."

    def _phase(self, name: str) -> PhaseView:
        program, frame = self.programs[name], self.frames[name]
        names = dict.fromkeys(
            vector
            for statement in program.statements
            for vector in (statement.target.name, *(v for term in statement.terms for v in term.operands))
        )
        names.update(dict.fromkeys(vector for vector, _ in frame.copies()))
        lines = [
            f"logsig_pack *const {vector} = frame + {frame.places[vector]};" for vector in names if frame.sizes[vector]
        ]
        for statement in program.statements:
            if frame.sizes[statement.target.name]:
                lines.append(f"/* {statement.text()} */")
                lines.extend(self._statement(statement, program, frame.sizes))
        for vector, place in frame.copies():
            lines.append(f"logsig_copy_vector(frame + {place}, {vector}, {frame.sizes[vector]});")
            lines.append("__syncthreads();")
        return PhaseView(f"{name}_block", _TITLES.get(name, self.operation.summary), tuple(lines))

    def _statement(self, statement: Statement, program: LieProgram, sizes: Mapping[str, int]) -> Iterator[str]:
        target, size = statement.target.name, sizes[statement.target.name]
        gathers = self._gathers(statement, program)
        warp = size < WARP_TARGETS and sum(table.entries for table, _ in gathers) > WARP_ENTRIES * size
        linear = [term for term in statement.terms if isinstance(term, Scaled)]
        plain = next((term for term in linear if term.coefficient == 1), None)
        start = "logsig_zero()" if plain is None or warp else f"{plain.vector}[k]"
        rest = [
            f"logsig_add(sum, {c_number(term.coefficient)}, {term.vector}[k]);"
            for term in linear
            if warp or term is not plain
        ]
        if warp:
            yield f"for (int k = threadIdx.x / LOGSIG_WARP; k < {size}; k += blockDim.x / LOGSIG_WARP) {{"
            yield "    const unsigned lane = threadIdx.x % LOGSIG_WARP;"
        else:
            yield f"for (int k = threadIdx.x; k < {size}; k += blockDim.x) {{"
        yield f"    logsig_pack sum = {start};"
        if not warp:
            yield from (f"    {line}" for line in rest)
        for table, calls in gathers:
            view = self._table(table, warp=warp)
            row = f"{view}_sums[k]"
            entries = f"{view} + {row}.first" + (" + lane" if warp else "")
            count = f"logsig_share({row}.count, lane)" if warp else f"{row}.count"
            for call in calls:
                yield f"    logsig_gather(sum, {entries}, {count}, LOGSIG_WARP, {call});"
        if warp:
            yield "    logsig_over_lanes(sum);"
            yield "    if (lane == 0) {"
            yield from (f"        {line}" for line in rest)
            yield f"        {target}[k] = sum;"
            yield "    }"
        else:
            yield f"    {target}[k] = sum;"
        yield "}"
        yield "__syncthreads();"

    def _table(self, table: Gather, *, warp: bool) -> str:
        """The name of a table in the layout that is wanted; it is written once."""
        name = f"{table.name}_by_{'warp' if warp else 'thread'}"
        if name not in self.tables:
            self.tables[name] = by_warp(table) if warp else by_thread(table)
        return name

    def _gathers(self, statement: Statement, program: LieProgram) -> list[tuple[Gather, list[str]]]:
        """Tables a statement sums over, with the last arguments of the calls: two terms of one table at a time."""
        terms: dict[tuple[str, int, int], list[str]] = {}
        for term in statement.terms:
            if isinstance(term, Bracket):
                p, q = program.vectors[term.left].degree, program.vectors[term.right].degree
                if p <= q:
                    text = f"{c_number(term.coefficient)}, {term.left}, {term.right}"
                else:
                    text = f"{c_number(-term.coefficient)}, {term.right}, {term.left}"
                terms.setdefault(("bracket", min(p, q), max(p, q)), []).append(text)
            elif isinstance(term, Coadjoint):
                p = program.vectors[term.actor].degree
                q = program.vectors[term.form].degree - p
                text = f"{c_number(term.coefficient)}, {term.actor}, {term.form}"
                terms.setdefault(("coadjoint", p, q), []).append(text)
        found = []
        for (kind, p, q), texts in terms.items():
            calls = [", ".join(texts[index : index + 2]) for index in range(0, len(texts), 2)]
            table = gather(self.problem, kind, p, q)
            if table.entries:
                found.append((table, calls))
        return found

    def _body_rows(self) -> Iterator[str]:
        (name, program), (frame,) = next(iter(self.programs.items())), self.frames.values()
        for port in program.inputs:
            operand, count = port.operand, frame.used(port.operand)
            place = self.homes[operand]
            yield f"logsig_take_rows(frame + {place}, {count}, {operand}, {operand}_stride, first, batch);"
        yield "__syncthreads();"
        yield f"{name}_block(frame);"
        yield "__syncthreads();"
        for port in program.outputs:
            operand, count = port.operand, columns(self.problem, port.operand)
            place = self.homes[operand]
            yield f"logsig_give_rows({operand}, {operand}_stride, frame + {place}, {count}, first, batch);"

    def _body_path(self) -> Iterator[str]:
        backward, d = self.operation.backward, self.problem.dimension
        d_stride = "d_path_stride" if backward else "0"
        v = f"frame + {self.homes['displacement']}"
        yield "const logsig_group group ="
        yield f"    logsig_take_group(first, batch, path_stride, {d_stride}, length, lengths, starts);"
        threads = f"for (int k = threadIdx.x; k < {d}; k += blockDim.x)"
        if not backward:
            assert isinstance(self.kernel, PathKernel)
            yield f"logsig_clear_vector(frame + {self.homes['state']}, {self.kernel.state_size});"
            yield "for (long long t = 0; t < group.longest - 1; t++) {"
            yield f"    {threads} ({v})[k] = logsig_displacement(group, path, {d}, t, k);"
            yield "    __syncthreads();"
            yield "    step_block(frame);"
            yield "    __syncthreads();"
            yield "}"
            yield "__syncthreads();"
            yield "finish_block(frame);"
            yield "__syncthreads();"
            size = self.problem.size
            yield f"logsig_give_rows(out, out_stride, frame + {self.homes['out']}, {size}, first, batch);"
            return
        after, dv = (f"frame + {self.homes[name]}" for name in ("after", "d_displacement"))
        count = self.frames["start"].used("log_sig")
        size = self.problem.size
        yield f"logsig_take_rows(frame + {self.homes['d_out']}, {size}, d_out, d_out_stride, first, batch);"
        yield f"logsig_take_rows(frame + {self.homes['log_sig']}, {count}, log_sig, log_sig_stride, first, batch);"
        yield f"logsig_clear_vector({after}, {d});"
        yield "__syncthreads();"
        yield "start_block(frame);"
        yield "for (long long t = group.longest - 2; t >= 0; t--) {"
        yield f"    {threads} ({v})[k] = logsig_displacement(group, path, {d}, t, k);"
        yield "    __syncthreads();"
        yield "    step_backprop_block(frame);"
        yield "    __syncthreads();"
        yield f"    {threads}"
        yield f"        logsig_give_derivative(group, d_path, {d}, t, k, ({dv})[k], ({after})[k]);"
        yield "}"
        yield "__syncthreads();"
        yield f"{threads}"
        yield f"    logsig_give_first(group, d_path, d_first ? d_first + first * {d} : nullptr, {d}, k, ({after})[k]);"


NO_ROOM = ("THREADS 1", "BLOCKS 1", "LOGSIG_GROUP 1")
"""For a number type that a block has no room for; nobody compiles it."""
_TITLES = {
    "step": "Takes the state over a displacement.",
    "step_backprop": "Takes state and derivative back over a displacement.",
    "start": "State and derivative at the end of a path.",
    "finish": "From the state to the log-signature.",
}


def _apart(program: LieProgram, problem: Problem) -> dict[str, int]:
    """Homes that have nothing to do with each other: enough to ask what is used."""
    homes: dict[str, int] = {}
    for index, port in enumerate((*program.inputs, *program.outputs)):
        homes.setdefault(port.operand, index * 2 * (problem.size + 1))
    return homes
