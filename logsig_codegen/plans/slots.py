"""The last degree of the form that goes back along a path: a product of two matrices.

The last degree of the form (:mod:`.path_gradient`) is the same all along a path, and the last but one changes by
``ad*_v`` of it, ``m_j -= sum_i v_i s_ij`` with the *slots* ``s_ij = <m_N, [letter i, P_j]>``. Slots are computed once,
and displacements times slots for several steps at a time by a loop, ``templates/c/include/logsig_gradients.h``. The
program of a step then finds the last degree but one ``before`` and ``after`` it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.ir.program import NONE, Operand, Program, Result, Term
from logsig_codegen.passes.dead import drop_dead_instructions
from logsig_codegen.problem import Problem


class Layout(NamedTuple):
    """Numbers in ``d_state``, in this order: below the last degree but one; slots; of the last degree but one."""

    lower: int
    slots: int
    middle: int


def layout(problem: Problem) -> Layout:
    """The layout for a problem of degree two or more, and two letters or more."""
    *lower, middle, _ = problem.sizes
    return Layout(sum(lower), problem.dimension * middle, middle)


def start_with(program: Program) -> Program:
    """The start of a backward pass with slots instead of the last degree in ``d_state``, ordered as in :class:`Layout`.

    Slots are ordered by ``j``, then by letter.
    """
    problem = program.problem
    lower, count, middle = layout(problem)
    (result,) = program.outputs
    last = result.values[lower + middle :]
    slots: list[list[Term]] = [[] for _ in range(count)]
    for i, j, entries in structure_constants(problem.dimension, problem.degree).slots(1, problem.degree - 1):
        slots[j * problem.dimension + i] = [(c, last[k], NONE) for k, c in entries]
        if problem.degree == 2:
            slots[i * problem.dimension + j] = [(-c, last[k], NONE) for k, c in entries]
    instructions, values = list(program.instructions), []
    for terms in slots:
        if len(terms) == 1 and terms[0][0] == 1:
            values.append(terms[0][1])
            continue
        instructions.extend([tuple(terms)] if terms else [])
        values.append(program.first + len(instructions) - 1 if terms else NONE)
    d_state = (*result.values[:lower], *values, *result.values[lower : lower + middle])
    return replace(program, instructions=tuple(instructions), outputs=(Result(result.name, d_state),))


def step_beside(program: Program) -> Program:
    """A step of the form without its last two degrees: from ``d_state``, ``before``, ``after`` and ``displacement``.

    ``d_state`` and ``d_previous_state`` have the degrees below the last but one.
    """
    lower, _, middle = layout(program.problem)
    d_state, displacement = program.inputs
    d_previous, d_displacement = program.outputs
    inputs = (Operand("d_state", lower), Operand("before", middle), Operand("after", middle), displacement)
    first = sum(operand.length for operand in inputs)
    numbers = [*range(lower + middle), *[NONE] * (d_state.length - lower - middle)]
    numbers.extend(range(first - displacement.length, first))
    given = {value: lower + middle + j for j, value in enumerate(d_previous.values[lower : lower + middle])}
    instructions = []
    for value, terms in program.numbered():
        moved = [(c, numbers[a], numbers[b] if b != NONE else NONE, b) for c, a, b in terms]
        if value in given:
            numbers.append(given[value])
        elif any(a == NONE or (b == NONE and was != NONE) for _, a, b, was in moved):
            numbers.append(NONE)  # a part of what the loop computes
        else:
            instructions.append(tuple((c, a, b) for c, a, b, _ in moved))
            numbers.append(first + len(instructions) - 1)
    outputs = (
        Result(d_previous.name, tuple(numbers[value] for value in d_previous.values[:lower])),
        Result(d_displacement.name, tuple(numbers[value] for value in d_displacement.values)),
    )
    return drop_dead_instructions(replace(program, inputs=inputs, instructions=tuple(instructions), outputs=outputs))
