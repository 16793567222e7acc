"""Random scalar programs, and what they mean, spelled out once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from logsig_codegen.algebra.surd import SQRT5, Coefficient
from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result, Term
from logsig_codegen.problem import Problem

COEFFICIENTS: tuple[Coefficient, ...] = (1, -1, 2, -3, Fraction(1, 2), Fraction(-2, 3), SQRT5 / 20 + 1, -SQRT5)
INPUT_NAMES = ("log_sig", "displacement", "d_out")
OUTPUT_NAMES = ("out", "d_log_sig", "d_displacement")

rationals = st.fractions(-9, 9, max_denominator=7)


def meaning(program: Program, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The outputs of a program, by the definition in its grammar."""
    values = [scalar for operand in program.inputs for scalar in inputs[operand.name]]
    for terms in program.instructions:
        values.append(sum(c * values[left] * (1 if right == NONE else values[right]) for c, left, right in terms))
    return {result.name: [0 if k == NONE else values[k] for k in result.values] for result in program.outputs}


@st.composite
def inputs_of(draw: st.DrawFn, program: Program) -> dict[str, list[Fraction]]:
    """Rational numbers for each operand."""
    return {
        operand.name: draw(st.lists(rationals, min_size=operand.length, max_size=operand.length))
        for operand in program.inputs
    }


@st.composite
def _terms(draw: st.DrawFn, values: int, earlier: Sequence[Instruction], products: bool) -> Instruction:
    """A sum of products of the first ``values`` values; often one that was there before, shuffled or negated."""
    if earlier and draw(st.integers(0, 3)) == 0:
        sign = draw(st.sampled_from((1, -1)))
        again = draw(st.permutations(draw(st.sampled_from(earlier))))
        swap = draw(st.booleans())
        return tuple(
            (sign * c, right, left) if swap and right != NONE else (sign * c, left, right) for c, left, right in again
        )
    term = st.tuples(
        st.sampled_from(COEFFICIENTS),
        st.integers(0, values - 1),
        st.integers(NONE, values - 1) if products else st.just(NONE),
    )
    terms: list[Term] = draw(st.lists(term, min_size=1, max_size=5))
    return tuple(terms)


@st.composite
def programs(draw: st.DrawFn, *, dead: bool = False, unit: bool = False, most: int = 12) -> Program:
    """A valid program.

    ``dead`` leaves instructions that nothing reads (else they are made outputs), ``unit`` gives products coefficient
    ±1. The first output has as many columns as the first input, so that it may overwrite it.
    """
    inputs = tuple(Operand(name, draw(st.integers(1, 5))) for name in INPUT_NAMES[: draw(st.integers(1, 3))])
    first = sum(operand.length for operand in inputs)
    instructions: list[Instruction] = []
    for _ in range(draw(st.integers(0, most))):
        instructions.append(draw(_terms(first + len(instructions), instructions, products=True)))
    if unit:
        instructions = [
            tuple((c if b == NONE else (1 if float(c) > 0 else -1), a, b) for c, a, b in terms)
            for terms in instructions
        ]
    last = first + len(instructions)
    chosen = draw(st.lists(st.integers(NONE, last - 1), min_size=inputs[0].length, max_size=inputs[0].length))
    others = draw(st.lists(st.lists(st.integers(NONE, last - 1), max_size=4), max_size=1))
    used = {value for values in (chosen, *others) for value in values}
    used.update(operand for terms in instructions for _, *operands in terms for operand in operands)
    if not dead:
        others.append([value for value in range(first, last) if value not in used])
    results = [Result(name, tuple(values)) for name, values in zip(OUTPUT_NAMES, (chosen, *others), strict=False)]
    return Program(Problem(2, 3), "random", inputs, tuple(instructions), tuple(results))


def same_meaning(draw: Any, before: Program, after: Program) -> None:
    """Assert that two programs have the same operands and compute the same, at a random rational point."""
    assert after.inputs == before.inputs
    assert [(r.name, len(r.values)) for r in after.outputs] == [(r.name, len(r.values)) for r in before.outputs]
    point = draw(inputs_of(before))
    assert meaning(after, point) == meaning(before, point)


def program_of(
    inputs: Mapping[str, int], lines: Sequence[Instruction], outputs: Mapping[str, Sequence[int]]
) -> Program:
    """A program from its parts."""
    return Program(
        Problem(2, 3),
        "example",
        tuple(Operand(name, length) for name, length in inputs.items()),
        tuple(lines),
        tuple(Result(name, tuple(values)) for name, values in outputs.items()),
    )


def parts(program: Program) -> tuple[tuple[Instruction, ...], tuple[tuple[int, ...], ...]]:
    """Instructions and output values: what passes change."""
    return program.instructions, tuple(result.values for result in program.outputs)
