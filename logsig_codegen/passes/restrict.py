"""Restriction: a program on some columns of its operands only.

Before: ``inputs: state[2], displacement[1]; t0 = state[0] + displacement[0]; t1 = state[1] + state[0]*displacement[0];
outputs: next_state = t0, t1``. After, on column 0 of both states: ``inputs: state[1], displacement[1];
t0 = state[0] + displacement[0]; outputs: next_state = t0``.

The remaining terms of a sum keep their order. Results that depend on no dropped input are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result
from logsig_codegen.passes.dead import drop_dead_instructions


def restrict(program: Program, columns: Mapping[str, Sequence[int]]) -> Program:
    """``program`` with only those columns, in that order, of the inputs and outputs that ``columns`` names.

    The other columns of an input are taken as zero, those of an output are not computed. Operands that are not named
    stay whole.
    """
    inputs: list[Operand] = []
    number: dict[int, int] = {NONE: NONE}
    for operand, offset in zip(program.inputs, program.offsets, strict=True):
        kept = columns.get(operand.name, range(operand.length))
        start = sum(earlier.length for earlier in inputs)
        number.update((offset + column, start + position) for position, column in enumerate(kept))
        inputs.append(Operand(operand.name, len(kept)))
    first = sum(operand.length for operand in inputs)
    instructions: list[Instruction] = []
    for value, terms in program.numbered():
        left = tuple(
            (c, number[a], number[b]) for c, a, b in terms if a in number and b in number and number[a] != NONE
        )
        if len(left) == 1 and left[0][0] == 1 and left[0][2] == NONE and len(terms) > 1:
            number[value] = left[0][1]  # nothing but a copy
        elif left:
            number[value] = first + len(instructions)
            instructions.append(left)
    outputs = []
    for result in program.outputs:
        kept = columns.get(result.name, range(len(result.values)))
        outputs.append(Result(result.name, tuple(number.get(result.values[column], NONE) for column in kept)))
    return drop_dead_instructions(
        replace(program, inputs=tuple(inputs), instructions=tuple(instructions), outputs=tuple(outputs))
    )
