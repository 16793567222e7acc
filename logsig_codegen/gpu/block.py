"""Plans for large problems: a block works on a few samples, statement by statement, from tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from logsig_codegen.compiler import Kernel, PathKernel
from logsig_codegen.gpu.gather import MOST_INDEX, Gather, gather
from logsig_codegen.gpu.occupancy import Occupancy, samples_of_a_block
from logsig_codegen.gpu.stream import is_stream
from logsig_codegen.gpu.workspace import Workspace, allocate, used_columns
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.operations import OPERATIONS, columns
from logsig_codegen.problem import Problem

WARP_TARGETS = 256
"""Vectors with fewer coordinates than this …"""
WARP_ENTRIES = 12
"""… and more entries per coordinate than this are summed by a warp per coordinate."""


@dataclass(frozen=True)
class GatherTerms:
    """Terms of a statement that sum over one table: coefficient, and the vectors of its two factors."""

    table: Gather
    terms: tuple[Bracket | Coadjoint, ...]


@dataclass(frozen=True)
class StatementPlan:
    """How a block computes one statement.

    Attributes
    ----------
    statement : Statement
    size : int
        Coordinates of its target.
    linear : tuple of Scaled
        Terms without a table.
    gathers : tuple of GatherTerms
        The others, table by table.
    """

    statement: Statement
    size: int
    linear: tuple[Scaled, ...]
    gathers: tuple[GatherTerms, ...]

    @property
    def warp_per_coordinate(self) -> bool:
        """Whether a warp sums one coordinate, rather than a thread: few coordinates, each of many entries."""
        entries = sum(gather.table.entries for gather in self.gathers)
        return self.size < WARP_TARGETS and entries > WARP_ENTRIES * self.size


@dataclass(frozen=True)
class BlockPlan:
    """An operation of which a block computes a few samples at a time.

    Attributes
    ----------
    problem : Problem
    kernel : Kernel or PathKernel
    offsets : mapping of str to int
        Where each operand is in shared memory, in numbers of one sample.
    workspaces : mapping of str to Workspace
        By name of the phase.
    """

    form: ClassVar[str] = "block"
    dtype: ClassVar[str] = ""
    problem: Problem
    kernel: Kernel | PathKernel
    offsets: Mapping[str, int]
    workspaces: Mapping[str, Workspace]

    @property
    def numbers(self) -> int:
        """Numbers of one sample in shared memory."""
        return max(workspace.end for workspace in self.workspaces.values())

    @property
    def columns(self) -> dict[str, int]:
        """Leading columns of each operand of rows that are read or written."""
        if isinstance(self.kernel, PathKernel):
            return {}
        (workspace,) = self.workspaces.values()
        program = workspace.program
        read = {port.operand: used_columns(self.problem, program, port.operand) for port in program.inputs}
        return {**read, **{port.operand: columns(self.problem, port.operand) for port in program.outputs}}

    @property
    def prefix(self) -> int:
        """Backward along paths: leading columns that are read of a row of the log-signature."""
        for phase, operand in (("start", "log_sig"), ("step_backprop", "state")):
            if phase in self.workspaces:
                return used_columns(self.problem, self.workspaces[phase].program, operand)
        return 0

    def fits(self, dtype: str) -> bool:
        """Whether one sample fits in the shared memory of a block."""
        return max(self.problem.sizes) <= MOST_INDEX and self._samples_of_a_block(dtype) is not None

    def samples(self, dtype: str) -> int:
        """Samples of a block."""
        found = self._samples_of_a_block(dtype)
        assert found is not None
        return found[0]

    def occupancy(self, dtype: str) -> Occupancy:
        """For one number type."""
        found = self._samples_of_a_block(dtype)
        assert found is not None
        return found[1]

    def _samples_of_a_block(self, dtype: str) -> tuple[int, Occupancy] | None:
        return samples_of_a_block(self.numbers, dtype, path_scan=isinstance(self.kernel, PathKernel))

    @cached_property
    def statements(self) -> dict[str, tuple[StatementPlan, ...]]:
        """By name of the phase: its statements, without those of vectors that have no coordinates."""
        return {
            name: tuple(
                StatementPlan(
                    statement,
                    workspace.sizes[statement.target.name],
                    tuple(term for term in statement.terms if isinstance(term, Scaled)),
                    _gathers(self.problem, workspace.program, statement),
                )
                for statement in workspace.program.statements
                if workspace.sizes[statement.target.name]
            )
            for name, workspace in self.workspaces.items()
        }


def block_plan(problem: Problem, kernel: Kernel | PathKernel) -> BlockPlan:
    """The plan of a kernel that is made from Lie programs, for both number types."""
    phases = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
    programs = {phase.operation: phase.lie for phase in phases if phase.operation != "steps" and phase.lie}
    if isinstance(kernel, Kernel):
        memory = _of_rows(problem, programs[kernel.operation])
    elif not OPERATIONS[kernel.operation].backward:
        memory = _forward(problem, kernel)
    elif is_stream(kernel):
        memory = _stream_backward(problem, programs["step_backprop"])
    else:
        memory = _backward(problem, programs["start"])
    workspaces = {name: allocate(problem, program, memory.offsets, memory.end) for name, program in programs.items()}
    return BlockPlan(problem, kernel, memory.offsets, workspaces)


class _Operands:
    """Offsets of operands, one after the other."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.end = 0

    def append(self, name: str, size: int) -> None:
        self.offsets[name] = self.end
        self.end += size

    def share(self, name: str, other: str) -> None:
        """An output that replaces an input of the same size."""
        self.offsets[name] = self.offsets[other]


def _of_rows(problem: Problem, program: LieProgram) -> _Operands:
    """The first output replaces the first input."""
    memory = _Operands()
    replaced, *others = program.inputs
    memory.append(replaced.operand, problem.size)
    for port in others:
        memory.append(port.operand, used_columns(problem, program, port.operand))
    first, *rest = program.outputs
    memory.share(first.operand, replaced.operand)
    for port in rest:
        memory.append(port.operand, columns(problem, port.operand))
    return memory


def _forward(problem: Problem, kernel: PathKernel) -> _Operands:
    memory = _Operands()
    memory.append("displacement", problem.dimension)
    memory.append("state", kernel.state_size)
    memory.share("next_state", "state")
    memory.share("out", "state")
    return memory


def _backward(problem: Problem, start: LieProgram) -> _Operands:
    memory = _Operands()
    for name in ("displacement", "d_displacement", "after"):
        memory.append(name, problem.dimension)
    memory.append("d_state", problem.size)
    memory.append("log_sig", used_columns(problem, start, "log_sig"))
    for name in ("d_previous_state", "d_out"):
        memory.share(name, "d_state")
    return memory


def _stream_backward(problem: Problem, step: LieProgram) -> _Operands:
    memory = _Operands()
    for name in ("displacement", "d_displacement", "after"):
        memory.append(name, problem.dimension)
    memory.append("d_state", problem.size)
    memory.share("d_previous_state", "d_state")
    memory.append("state", used_columns(problem, step, "state"))
    return memory


def _gathers(problem: Problem, program: LieProgram, statement: Statement) -> tuple[GatherTerms, ...]:
    """Brackets and coadjoint actions of a statement by table; a bracket has the factor of lower degree first."""
    terms: dict[tuple[str, int, int], list[Bracket | Coadjoint]] = {}
    for term in statement.terms:
        if isinstance(term, Bracket):
            p, q = program.vectors[term.left].degree, program.vectors[term.right].degree
            if p > q:
                term = Bracket(-term.coefficient, term.right, term.left)
            terms.setdefault(("bracket", min(p, q), max(p, q)), []).append(term)
        elif isinstance(term, Coadjoint):
            p = program.vectors[term.actor].degree
            terms.setdefault(("coadjoint", p, program.vectors[term.form].degree - p), []).append(term)
    tables = ((gather(problem, *key), tuple(found)) for key, found in terms.items())
    return tuple(GatherTerms(table, found) for table, found in tables if table.entries)
