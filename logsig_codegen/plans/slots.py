"""The last degree of the form that goes back along a path: a product of two matrices.

The last degree of the form (:mod:`.path_gradient`) is the same all along a path, and the last but one changes by
``ad*_v`` of it, ``m_j -= sum_i v_i s_ij`` with the *slots* ``s_ij = <m_N, [letter i, P_j]>``. Slots are computed once,
and displacements times slots for several steps at a time by a loop, ``templates/c/include/logsig_gradients.h``. The
program of a step then finds the last degree but one ``before`` and ``after`` it.

On a GPU a step is one program with the same sums in the same order. The warps of a block keep slots, :func:`step_with`;
a thread by itself makes them of the last degree in every step, :func:`step_of_form`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result, Term
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


def slot_terms(problem: Problem) -> list[tuple[tuple[int, int], ...]]:
    """What each slot is made of, ordered by ``j``, then by letter: coordinates of the last degree and coefficients."""
    dimension, degree = problem.dimension, problem.degree
    slots: list[tuple[tuple[int, int], ...]] = [()] * layout(problem).slots
    for i, j, entries in structure_constants(dimension, degree).slots(1, degree - 1):
        slots[j * dimension + i] = tuple(entries)
        if degree == 2:
            slots[i * dimension + j] = tuple((k, -c) for k, c in entries)
    return slots


def start_with(program: Program) -> Program:
    """The start of a backward pass with slots instead of the last degree in ``d_state``, as in :class:`Layout`."""
    problem = program.problem
    lower, count, middle = layout(problem)
    (result,) = program.outputs
    last = result.values[lower + middle :]
    slots = slot_terms(problem)
    assert len(slots) == count
    instructions, values = list(program.instructions), []
    for entries in slots:
        terms = [(c, last[k], NONE) for k, c in entries]
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


def step_with(program: Program) -> Program:
    """The optimised program of :func:`step_beside` and the loop: a step of ``d_state`` as in :class:`Layout`."""
    problem = program.problem
    lower, count, middle = layout(problem)
    slots = [(1, lower + k if terms else NONE) for k, terms in enumerate(slot_terms(problem))]
    return _whole(program, Operand("d_state", lower + count + middle), (), slots, lower + count)


def start_of_form(start: Program) -> Program:
    """The program of :func:`start_with`, optimised, with the form itself in ``d_state``."""
    (result,) = start.outputs
    lower, slots, middle = layout(start.problem)
    last = range(lower + middle, start.problem.size)  # that of d_out, the first operand
    d_state = (*result.values[:lower], *result.values[lower + slots :], *last)
    return drop_dead_instructions(replace(start, outputs=(Result(result.name, d_state),)))


def step_of_form(start: Program, program: Program) -> Program:
    """As :func:`step_with`, on the form itself; the program of :func:`start_with` tells how slots are made."""
    problem, (result,) = start.problem, start.outputs
    lower, count, _ = layout(problem)
    made = Result(result.name, result.values[lower : lower + count])
    making = drop_dead_instructions(replace(start, outputs=(made,)))
    shift = problem.dimension - problem.size  # the form is that of d_out there, and the displacement no log-signature
    moved = [
        value if value < problem.size else value + shift for value in range(making.first + len(making.instructions))
    ]
    instructions = tuple(tuple((c, moved[a], NONE) for c, a, _ in terms) for terms in making.instructions)
    plain = {value: terms[0] for value, terms in making.numbered() if len(terms) == 1 and abs(terms[0][0]) == 1}
    slots = []
    for value in making.outputs[0].values:
        sign, of, _ = plain.get(value, (1, value, NONE))
        slots.append((sign, moved[of] if of != NONE else NONE))
    return _whole(program, Operand("d_state", problem.size), instructions, slots, lower)


def _whole(
    program: Program,
    d_state: Operand,
    making: Sequence[Instruction],
    slots: Sequence[tuple[Coefficient, int]],
    before: int,
) -> Program:
    """A step with the sums of the loop: products of displacements and ``slots``, each a sign and what ``making`` made.

    ``before`` is where ``d_state`` has the last degree but one.
    """
    lower, _, middle = layout(program.problem)
    displacement = program.inputs[-1]
    instructions, first = list(making), d_state.length + displacement.length
    letters = range(d_state.length, first)

    def emit(terms: Iterable[Term]) -> int:
        instructions.append(tuple(terms))
        return first + len(instructions) - 1

    after = []
    for j in range(middle):
        some = zip(letters, slots[j * len(letters) : (j + 1) * len(letters)], strict=True)
        products = [(sign, v, slot) for v, (sign, slot) in some if slot != NONE]
        change = [(-1, emit(products), NONE)] if products else []
        after.append(emit([(1, before + j, NONE), *change]))
    numbers = [*range(lower), *range(before, before + middle), *after, *letters]
    for terms in program.instructions:
        numbers.append(emit((c, numbers[a], NONE if b == NONE else numbers[b]) for c, a, b in terms))
    below, derivatives = (tuple(numbers[value] for value in result.values) for result in program.outputs)
    d_previous = [*below, *range(lower, d_state.length)]
    d_previous[before : before + middle] = after
    outputs = (Result("d_previous_state", tuple(d_previous)), Result("d_displacement", derivatives))
    whole = replace(program, inputs=(d_state, displacement), instructions=tuple(instructions), outputs=outputs)
    return drop_dead_instructions(whole)
