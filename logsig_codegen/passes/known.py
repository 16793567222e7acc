"""Known outputs: columns of the output that were computed before become an input.

Before: ``inputs: state[2]; t0 = state[0]; t1 = state[1] + t0*t0; outputs: out = t0, t1``.
After, with column 0 known as ``log_sig``: ``inputs: state[2], log_sig[1]; t0 = state[1] + log_sig[0]*log_sig[0];
outputs: out = t0``. Every sum keeps its terms and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result
from logsig_codegen.passes.dead import drop_dead_instructions


def with_known(program: Program, columns: Sequence[int], name: str) -> Program:
    """``program`` without ``columns`` of its only output, which are its last input, ``name``, instead."""
    (result,) = program.outputs
    first, moved = program.first, program.first + len(columns)
    number: dict[int, int] = {NONE: NONE, **{value: value for value in range(first)}}
    number.update((result.values[column], first + k) for k, column in enumerate(columns))
    number[NONE] = NONE
    known = {result.values[column] for column in columns}
    instructions: list[Instruction] = []
    for value, terms in program.numbered():
        if value not in known:
            number[value] = moved + len(instructions)
            instructions.append(tuple((c, number[a], number[b]) for c, a, b in terms))
    chosen = set(columns)
    left = tuple(number[value] for column, value in enumerate(result.values) if column not in chosen)
    return drop_dead_instructions(
        replace(
            program,
            inputs=(*program.inputs, Operand(name, len(columns))),
            instructions=tuple(instructions),
            outputs=(Result(result.name, left),),
        )
    )
