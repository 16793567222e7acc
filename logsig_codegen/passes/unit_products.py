"""Scale folding on scalar programs: every product ends up with coefficient +1 or -1.

Structure constants other than ±1 and merged scales give products ``c·a·b``, while a multiply-add has two factors. The
coefficient is moved to a scaled copy of one operand, and products share copies: the operand that most such products
have in common is scaled first.

Before: ``t0 = x + 2*a*b; t1 = y - 2*a*c``. After: ``t0 = 2*a; t1 = x + t0*b; t2 = y - t0*c``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from logsig_codegen.algebra.surd import Coefficient, magnitude
from logsig_codegen.ir.program import NONE, Instruction, Program, Result, Term


def make_products_unit(program: Program) -> Program:
    """Replace the coefficients of products by shared scaled copies of their operands."""
    popularity: Counter[tuple[int, Coefficient]] = Counter()
    for terms in program.instructions:
        for coefficient, left, right in terms:
            if right != NONE and coefficient not in (1, -1):
                scale = magnitude(coefficient)
                popularity[left, scale] += 1
                popularity[right, scale] += 1
    if not popularity:
        return program
    number_of = {value: value for value in (NONE, *range(program.first))}
    copies: dict[tuple[int, Coefficient], int] = {}
    instructions: list[Instruction] = []

    def append(terms: Instruction) -> int:
        instructions.append(terms)
        return program.first + len(instructions) - 1

    for value, terms in program.numbered():
        rewritten: list[Term] = []
        for coefficient, left, right in terms:
            if right == NONE or coefficient in (1, -1):
                rewritten.append((coefficient, number_of[left], number_of[right]))
                continue
            scale = magnitude(coefficient)
            if popularity[right, scale] > popularity[left, scale]:
                left, right = right, left
            copy = copies.get((left, scale))
            if copy is None:
                copy = copies[left, scale] = append(((scale, number_of[left], NONE),))
            rewritten.append((1 if float(coefficient) > 0 else -1, copy, number_of[right]))
        number_of[value] = append(tuple(rewritten))
    outputs = tuple(Result(r.name, tuple(number_of[v] for v in r.values)) for r in program.outputs)
    return replace(program, instructions=tuple(instructions), outputs=outputs)
