"""Forward substitution: a sum that a single other sum reads, with coefficient ±1, becomes part of it.

Before: ``t0 = a*b + c*d; t1 = x - t0``. After: ``t0 = x - a*b - c*d``. Saves one addition each time.
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.program import NONE, Instruction, Program, Term
from logsig_codegen.passes.dead import drop_dead_instructions


def inline_single_uses(program: Program) -> Program:
    """Substitute single-use sums into the sums that read them; an output keeps its own instruction."""
    uses = [0] * (program.first + len(program.instructions) + 1)
    for result in program.outputs:
        for value in result.values:
            uses[value] += 2
    for terms in program.instructions:
        for _, left, right in terms:
            uses[left] += 1
            uses[right] += 1
    instructions: list[Instruction] = []
    for terms in program.instructions:
        if any(_inlines(term, uses, program.first) for term in terms):
            merged: list[Term] = []
            for term in terms:
                coefficient, left, _ = term
                if _inlines(term, uses, program.first):
                    merged.extend((coefficient * c, a, b) for c, a, b in instructions[left - program.first])
                else:
                    merged.append(term)
            terms = _merge(merged)
        instructions.append(terms)
    return drop_dead_instructions(replace(program, instructions=tuple(instructions)))


def _inlines(term: Term, uses: list[int], first: int) -> bool:
    coefficient, left, right = term
    return right == NONE and left >= first and uses[left] == 1 and coefficient in (1, -1)


def _merge(terms: list[Term]) -> Instruction:
    """Add up terms with equal factors. A sum that would cancel keeps its terms, since sums cannot be empty."""
    total: dict[tuple[int, int], Term] = {}
    for coefficient, left, right in terms:
        known = total.get((left, right))
        total[left, right] = (coefficient if known is None else known[0] + coefficient, left, right)
    merged = tuple(term for term in total.values() if term[0])
    return merged or tuple(terms)
