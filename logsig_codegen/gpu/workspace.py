"""Workspace of a block: where the vectors of a Lie program are in shared memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from logsig_codegen.ir.lie import LieProgram, Port, Scaled
from logsig_codegen.problem import Problem


@dataclass(frozen=True)
class Copy:
    """A vector that is moved to ``offset`` when all statements are done."""

    vector: str
    offset: int


@dataclass(frozen=True)
class Workspace:
    """Offsets of all vectors of a program, in numbers of one sample.

    Attributes
    ----------
    program : LieProgram
    sizes : mapping of str to int
        Coordinates of each vector.
    offsets : mapping of str to int
        Where each vector is while the statements are executed.
    copies : tuple of Copy
        Outputs that end up elsewhere; those that are inputs come first.
    end : int
        Numbers the workspace takes.
    """

    program: LieProgram
    sizes: Mapping[str, int]
    offsets: Mapping[str, int]
    copies: tuple[Copy, ...]
    end: int


def used_columns(problem: Problem, program: LieProgram, operand: str) -> int:
    """How many leading columns of an input a program reads, or passes on."""
    used = {name for statement in program.statements for term in statement.terms for name in term.operands}
    used.update(name for port in program.outputs for name in port.vectors)
    (port,) = (port for port in program.inputs if port.operand == operand)
    columns = needed = 0
    for name in port.vectors:
        columns += problem.sizes[program.vectors[name].degree - 1]
        if name in used:
            needed = columns
    return needed


def allocate(problem: Problem, program: LieProgram, operands: Mapping[str, int], scratch: int) -> Workspace:
    """The workspace of a program.

    An output with the offset of an input overwrites it in the statement that defines the output, if that statement is
    the last one to read the input and reads it coordinate by coordinate; else it is computed in scratch memory and
    copied at the end. Scratch memory is reused: that of a vector is free after the last statement that reads it.

    Parameters
    ----------
    operands : mapping of str to int
        Offset of each operand; an output that replaces an input has the same one.
    scratch : int
        Where scratch memory begins.
    """
    return _Allocation(problem, program, operands, scratch).workspace()


class _Allocation:
    def __init__(self, problem: Problem, program: LieProgram, operands: Mapping[str, int], scratch: int) -> None:
        self.program = program
        self.sizes = {name: problem.sizes[vector.degree - 1] for name, vector in program.vectors.items()}
        self.offsets: dict[str, int] = {}
        self.targets: list[tuple[str, int]] = []  # outputs with the offset where each must end up
        self.end = scratch
        self.inputs: dict[int, str] = {}
        self.last = {
            name: index
            for index, statement in enumerate(program.statements)
            for term in statement.terms
            for name in term.operands
        }
        for port in program.inputs:
            for name, offset in self._vectors(port, operands[port.operand]):
                self.offsets[name] = offset
                self.inputs[offset] = name
        defined = {statement.target.name: index for index, statement in enumerate(program.statements)}
        for port in program.outputs:
            for name, offset in self._vectors(port, operands[port.operand]):
                self.targets.append((name, offset))
                if name in self.offsets and self.offsets[name] != offset:
                    self.last[name] = len(program.statements)
        for name, offset in self.targets:
            if name not in self.offsets and self._may_overwrite(name, offset, defined):
                self.offsets[name] = offset
        self._allocate_scratch()

    def _vectors(self, port: Port, offset: int) -> Iterator[tuple[str, int]]:
        for name in port.vectors:
            yield name, offset
            offset += self.sizes[name]

    def _may_overwrite(self, name: str, offset: int, defined: Mapping[str, int]) -> bool:
        index = defined.get(name)
        occupant = self.inputs.get(offset)
        if index is None:
            return False
        if occupant is None or not self.sizes[name]:
            return True
        if any(occupant == other for other, _ in self.targets):
            return False
        last = self.last.get(occupant, -1)
        terms = self.program.statements[index].terms
        by_coordinate = all(isinstance(term, Scaled) for term in terms if occupant in term.operands)
        return last < index or (last == index and by_coordinate)

    def _allocate_scratch(self) -> None:
        kept = {name for name, offset in self.targets if self.offsets.get(name) != offset}
        free: dict[int, list[int]] = {}
        scratch: set[str] = set()
        for index, statement in enumerate(self.program.statements):
            target = statement.target.name
            if target not in self.offsets:
                reusable = free.setdefault(self.sizes[target], [])
                if reusable:
                    self.offsets[target] = reusable.pop()
                else:
                    self.offsets[target], self.end = self.end, self.end + self.sizes[target]
                scratch.add(target)
            for name in dict.fromkeys(name for term in statement.terms for name in term.operands):
                if name in scratch and self.last[name] == index and name not in kept:
                    free.setdefault(self.sizes[name], []).append(self.offsets[name])

    def workspace(self) -> Workspace:
        copies = [Copy(name, at) for name, at in self.targets if self.offsets[name] != at and self.sizes[name]]
        inputs = set(self.inputs.values())
        copies.sort(key=lambda copy: copy.vector not in inputs)
        return Workspace(self.program, self.sizes, self.offsets, tuple(copies), self.end)
