"""Repetition: several steps of a state as one program.

A step loads and stores the whole state, which costs more than its arithmetic where it adds few products to each number.
Several steps in one program load and store it once. Every sum keeps its terms and their order, so that the result is
that of single steps, bit for bit.

Before: ``next_state[0] = state[0] + displacement[0]``.
After, twice: ``t0 = state[0] + displacement[0];  next_state[0] = t0 + displacement[1]``.
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result

REGISTER_STATE = 32
"""States of at most so many numbers stay in registers between steps."""
GROUPED_OPERATIONS = 20_000
"""Several steps are put into one program where they have few products per number of the state, and no more operations
than this."""
NEAR_OPERATIONS = 1_000
"""Two steps with at most so many operations fit in the first-level instruction cache."""


def steps_at_once(operations: int, state_size: int) -> int:
    """How many steps to put into one program, by measurement (``docs/decisions/0013-several-steps-at-once.md``)."""
    if state_size <= REGISTER_STATE:
        return 1
    if operations <= 2 * state_size and 4 * operations <= GROUPED_OPERATIONS:
        return 4
    if 2 * operations <= 5 * state_size and 2 * operations <= GROUPED_OPERATIONS:
        return 2
    return 2 if operations <= min(4 * state_size, NEAR_OPERATIONS) else 1


def repeat(program: Program, times: int) -> Program:
    """``times`` steps in a row.

    Parameters
    ----------
    program : Program
        From ``state`` and ``displacement`` (the operands, in this order) to one result, the next state.
    times : int
        At least 1. The displacements of the result follow one another in one operand.
    """
    state, displacement = program.inputs
    (result,) = program.outputs
    first = state.length + times * displacement.length
    instructions: list[Instruction] = []
    current = list(range(state.length))
    for time in range(times):
        start = state.length + time * displacement.length
        numbers = [*current, *range(start, start + displacement.length)]
        base = first + len(instructions)
        numbers.extend(range(base, base + len(program.instructions)))
        for terms in program.instructions:
            renumbered = [(c, numbers[a], numbers[b] if b != NONE else NONE) for c, a, b in terms]
            instructions.append(tuple(renumbered))
        current = [numbers[value] for value in result.values]
    return replace(
        program,
        inputs=(state, Operand(displacement.name, times * displacement.length)),
        instructions=tuple(instructions),
        outputs=(Result(result.name, tuple(current)),),
    )
