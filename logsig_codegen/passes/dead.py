"""Dead-code elimination on Lie programs and on scalar programs."""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.lie import LieProgram, Statement
from logsig_codegen.ir.program import NONE, Instruction, Program, Result


def drop_dead_statements(program: LieProgram) -> LieProgram:
    """Remove the statements no output depends on.

    Before: ``c = [a, b]; z = a + b`` with output ``z``. After: ``z = a + b``.
    """
    needed = {name for port in program.outputs for name in port.vectors}
    kept: list[Statement] = []
    for statement in reversed(program.statements):
        if statement.target.name in needed:
            kept.append(statement)
            needed.update(name for term in statement.terms for name in term.operands)
    return replace(program, statements=tuple(reversed(kept)))


def drop_dead_instructions(program: Program) -> Program:
    """Remove the instructions no output depends on and renumber the rest.

    Before: ``t0 = a*b; t1 = a + b`` with output ``t1``. After: ``t0 = a + b`` with output ``t0``.
    """
    first, count = program.first, len(program.instructions)
    live = [False] * (first + count + 1)
    for result in program.outputs:
        for value in result.values:
            live[value] = True
    live[NONE] = True
    for value in range(first + count - 1, first - 1, -1):
        if live[value]:
            for _, left, right in program.instructions[value - first]:
                live[left] = live[right] = True
    number = list(range(first)) + [NONE] * (count + 1)
    kept: list[Instruction] = []
    for value, terms in program.numbered():
        if live[value]:
            number[value] = first + len(kept)
            kept.append(tuple((c, number[left], number[right]) for c, left, right in terms))
    outputs = tuple(Result(r.name, tuple(number[v] for v in r.values)) for r in program.outputs)
    return replace(program, instructions=tuple(kept), outputs=outputs)
