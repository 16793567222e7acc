"""Trimming: inputs without the trailing columns that nothing reads.

Before: ``inputs: log_sig[5]; t0 = log_sig[0]*log_sig[1]``. After: ``inputs: log_sig[2]`` and the same instruction.
The arithmetic does not change. An operand that is not read at all keeps its name and has length zero.
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.program import NONE, Operand, Program, Result


def trim_inputs(program: Program) -> Program:
    """``program`` with every input cut after the last column that an instruction or an output reads."""
    read = {operand for terms in program.instructions for _, *operands in terms for operand in operands}
    read.update(value for result in program.outputs for value in result.values)
    number: dict[int, int] = {NONE: NONE}
    inputs: list[Operand] = []
    for operand, offset in zip(program.inputs, program.offsets, strict=True):
        length = max((k + 1 for k in range(operand.length) if offset + k in read), default=0)
        for k in range(length):
            number[offset + k] = sum(earlier.length for earlier in inputs) + k
        inputs.append(Operand(operand.name, length))
    first = sum(operand.length for operand in inputs)
    for index in range(len(program.instructions)):
        number[program.first + index] = first + index
    return replace(
        program,
        inputs=tuple(inputs),
        instructions=tuple(
            tuple((coefficient, number[left], number[right]) for coefficient, left, right in terms)
            for terms in program.instructions
        ),
        outputs=tuple(Result(result.name, tuple(number[v] for v in result.values)) for result in program.outputs),
    )
