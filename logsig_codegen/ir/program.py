"""Straight-line programs of sums of products over scalars.

Grammar::

    Program     := problem name inputs:Operand* instructions:Instruction* outputs:Result*
    Operand     := name length                     `length` scalars per sample, in coordinate order
    Instruction := Term+                           value = sum of the terms, each value defined once
    Term        := (c, a, b)                       c·a·b, or c·a where b is ``NONE``
    Result      := name values:(value | NONE)*     one value per coordinate, ``NONE`` where it is identically zero

Values are numbered: the scalars of the inputs first, operand after operand, then one per instruction. Coefficients
``c`` are exact (``int``, ``Fraction`` or ``Surd``) and never zero.

Not supported: division, functions, branches, more than two factors in a product, an instruction without terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.errors import GenerationError
from logsig_codegen.problem import Problem

NONE = -1
Term: TypeAlias = "tuple[Coefficient, int, int]"
Instruction: TypeAlias = "tuple[Term, ...]"


@dataclass(frozen=True)
class Operand:
    """An input of ``length`` scalars per sample."""

    name: str
    length: int


@dataclass(frozen=True)
class Result:
    """An output: the value of each of its coordinates (``NONE`` is zero)."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class OperationCount:
    """Arithmetic per sample.

    A product is one multiply-add, also as the first term of a sum. A scaled value is one multiply-add, or one scaling
    as the first term. A plain value that is added or subtracted is one addition.
    """

    multiply_adds: int
    additions: int
    scalings: int

    @property
    def total(self) -> int:
        """All operations together."""
        return self.multiply_adds + self.additions + self.scalings

    def __add__(self, other: OperationCount) -> OperationCount:
        return OperationCount(
            self.multiply_adds + other.multiply_adds,
            self.additions + other.additions,
            self.scalings + other.scalings,
        )


@dataclass(frozen=True)
class Program:
    """A straight-line program; see the grammar at the top of this file."""

    problem: Problem
    name: str
    inputs: tuple[Operand, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[Result, ...]

    @cached_property
    def first(self) -> int:
        """Number of the value that the first instruction defines: the count of input scalars."""
        return sum(operand.length for operand in self.inputs)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Number of the first scalar of each input operand."""
        offsets, position = [], 0
        for operand in self.inputs:
            offsets.append(position)
            position += operand.length
        return tuple(offsets)

    @cached_property
    def operations(self) -> OperationCount:
        """Arithmetic of one sample."""
        return sum(map(count_terms, self.instructions), start=OperationCount(0, 0, 0))

    def numbered(self) -> Iterator[tuple[int, Instruction]]:
        """Pairs of value number and instruction, in order."""
        return enumerate(self.instructions, start=self.first)

    def verify(self) -> None:
        """Check the grammar: values defined before use, no empty sum, no zero coefficient, no dead instruction.

        Raises
        ------
        GenerationError
            Naming the instruction at fault.
        """
        used = {value for result in self.outputs for value in result.values}
        for value, terms in reversed(list(self.numbered())):
            if value not in used:
                raise GenerationError(f"{self.name}: value {value} is never used")
            if not terms:
                raise GenerationError(f"{self.name}: value {value} is an empty sum")
            for coefficient, left, right in terms:
                if not coefficient:
                    raise GenerationError(f"{self.name}: value {value} has a zero coefficient")
                if not (0 <= left < value and NONE <= right < value):
                    raise GenerationError(f"{self.name}: value {value} uses {left}, {right} before they are defined")
                used.add(left)
                used.add(right)
        last = self.first + len(self.instructions)
        if any(not NONE <= value < last for result in self.outputs for value in result.values):
            raise GenerationError(f"{self.name}: an output names a value that is not defined")

    def text(self) -> str:
        """The program as text, one line per instruction: what ``logsig-gen show --what program`` prints."""
        names = [f"{operand.name}[{index}]" for operand in self.inputs for index in range(operand.length)]
        lines = []
        for value, terms in self.numbered():
            names.append(f"t{value - self.first}")
            lines.append(f"{names[value]} = {_sum_text(terms, names)}")
        for result in self.outputs:
            for index, value in enumerate(result.values):
                lines.append(f"{result.name}[{index}] = {names[value] if value != NONE else '0'}")
        return "\n".join(lines) + "\n"


def count_terms(terms: Instruction) -> OperationCount:
    """Arithmetic of one sum; see :class:`OperationCount` for what counts as what."""
    products = sum(1 for _, _, right in terms if right != NONE)
    plain = sum(1 for c, _, right in terms if right == NONE and (c == 1 or c == -1))
    scaled = len(terms) - products - plain
    scalings = 1 if scaled and not plain and not products else 0
    return OperationCount(products + scaled - scalings, max(0, plain - 1), scalings)


def _sum_text(terms: Instruction, names: list[str]) -> str:
    pieces = []
    for coefficient, left, right in terms:
        factors = [names[left]] if right == NONE else [names[left], names[right]]
        if coefficient == -1:
            pieces.append("- " + "*".join(factors))
        elif coefficient == 1:
            pieces.append("+ " + "*".join(factors))
        else:
            pieces.append("+ " + "*".join([f"({coefficient})", *factors]))
    return " ".join(pieces).removeprefix("+ ")
