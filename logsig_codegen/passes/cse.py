"""Common-subexpression elimination: equal sums are computed once.

Before: ``t0 = a*b - c; t1 = c - a*b; t2 = t0*t1``. After: ``t0 = a*b - c; t1 = t0*t0`` with coefficient -1. Sums are
compared up to the order of their terms and up to a common sign.
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.program import NONE, Instruction, Program, Result, Term
from logsig_codegen.passes.dead import drop_dead_instructions


def eliminate_common_subexpressions(program: Program) -> Program:
    """Merge instructions whose sums are equal or opposite."""
    first = program.first
    number = {value: (1, value) for value in range(first)}
    number[NONE] = (1, NONE)
    known: dict[tuple[Term, ...], int] = {}
    instructions: list[Instruction] = []
    for value, terms in program.numbered():
        renamed: list[Term] = []
        for coefficient, left, right in terms:
            (sign_left, a), (sign_right, b) = number[left], number[right]
            renamed.append((sign_left * sign_right * coefficient, *((a, b) if a <= b or b == NONE else (b, a))))
        key, sign = _canonical(renamed)
        earlier = known.get(key)
        if earlier is None:
            instructions.append(tuple(renamed))
            number[value] = (1, first + len(instructions) - 1)
            known[key] = number[value][1] if sign == 1 else ~number[value][1]
        else:
            number[value] = (sign, earlier) if earlier >= 0 else (-sign, ~earlier)
    outputs = []
    for result in program.outputs:
        values = []
        for value in result.values:
            sign, renumbered = number[value]
            if sign < 0:
                instructions.append(((-1, renumbered, NONE),))
                renumbered = first + len(instructions) - 1
            values.append(renumbered)
        outputs.append(Result(result.name, tuple(values)))
    return drop_dead_instructions(replace(program, instructions=tuple(instructions), outputs=tuple(outputs)))


def _canonical(terms: list[Term]) -> tuple[tuple[Term, ...], int]:
    """The terms in a fixed order with a positive first coefficient, and the sign that was divided out."""
    ordered = sorted(terms, key=lambda term: (term[1], term[2], float(term[0])))
    if float(ordered[0][0]) > 0:
        return tuple(ordered), 1
    return tuple((-c, left, right) for c, left, right in ordered), -1
