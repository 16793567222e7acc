"""Repetition: several steps of a state as one program.

A step reads and writes the whole state, which costs more than its arithmetic where a step adds few products to each
number. Several steps at once read and write it once. Nothing else changes: every sum keeps its terms and their order,
so the result is that of the single steps, bit for bit.

Before: ``next_state[0] = state[0] + displacement[0]``.
After, twice: ``t0 = state[0] + displacement[0];  next_state[0] = t0 + displacement[1]``.
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result

REGISTER_STATE = 32
"""States of up to so many numbers are kept in registers from step to step."""
GROUPED_OPERATIONS = 20_000
"""Several steps of a path are done at once where they add few products to each number of the state, and where that
takes no more operations than this."""
NEAR_OPERATIONS = 1_000
"""The code of two steps of so many operations fits the first-level cache."""


def steps_at_once(operations: int, state_size: int) -> int:
    """How many steps to do at once: as measured, see ``docs/decisions/0013-several-steps-at-once.md``."""
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
