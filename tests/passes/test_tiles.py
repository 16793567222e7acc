"""Tiles: every value once, four heads by one letter at a time, and the numbers of the steps as they were."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from scalar_programs import program_of

from logsig_codegen.compiler import log_derivative_kernel, signature_kernel
from logsig_codegen.ir.interpret import interpret, interpret_schedule
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.passes.repeat import repeat
from logsig_codegen.passes.schedule import schedule
from logsig_codegen.passes.tiles import ROWS, tiles
from logsig_codegen.plans.prefix_signature import prefix_words
from logsig_codegen.problem import Problem


def steps(problem: Problem, times: int) -> Program:
    step = signature_kernel(problem).phase("step")
    assert step is not None
    assert step.program is not None
    return repeat(step.program, times)


@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize("problem", [Problem(20, 2), Problem(7, 3), Problem(5, 4)], ids=lambda p: p.name)
def test_all_collected_numbers_are_in_tiles(problem: Problem, times: int) -> None:
    program = steps(problem, times)
    found = tiles(program, times)
    assert max(Counter(value for group in found for value in group).values()) == 1
    (result,) = program.outputs
    assert set(result.values) <= {value for group in found for value in group}
    short = sum(len(word) < problem.degree for word in prefix_words(problem))
    single = [group for group in found if len(group) == 1 and group[0] in result.values[:short]]
    assert len(single) == short
    for group in found[: len(found) - short]:
        assert len(group) % times == 0
        ends = [value for value in group if value in result.values]
        assert len(ends) * times == len(group)
        heads = {max(program.instructions[value - program.first], key=lambda term: term[2])[1:] for value in group}
        assert len(heads) == len(group)  # no product twice


def test_the_order_of_a_tile() -> None:
    """As in the docstring: two steps, two heads, one letter."""
    # state 0, 1: heads; 2, 3: what they collect; displacement 4 and 5: the letter in each step
    step = [
        ((1, 2, NONE), (1, 0, 4)),
        ((1, 3, NONE), (1, 1, 4)),
        ((1, 0, NONE), (2, 4, NONE)),
        ((1, 1, NONE), (3, 4, NONE)),
    ]
    once = program_of({"state": 4, "displacement": 1}, step, {"next_state": (7, 8, 5, 6)})
    once = Program(Problem(1, 1), once.name, once.inputs, once.instructions, once.outputs)
    program = repeat(once, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logsig_codegen.passes.tiles.LETTERS", 1)
        found = tiles(program, 2)
    first, second = (value for value in program.outputs[0].values[2:])
    before = [program.instructions[value - program.first][0][1] for value in (first, second)]
    assert found == [[*before, first, second], [program.outputs[0].values[1]], [program.outputs[0].values[0]]]


def test_no_tiles_where_numbers_do_more_than_collect() -> None:
    step = log_derivative_kernel(Problem(5, 3)).phase("step")
    assert step is not None
    assert step.program is not None
    assert tiles(repeat(step.program, 4), 4) == []
    assert tiles(steps(Problem(3, 6), 4), 4) == []


@pytest.mark.parametrize("problem", [Problem(20, 2), Problem(7, 3)], ids=lambda p: p.name)
def test_the_schedule_means_the_same(problem: Problem) -> None:
    program = steps(problem, 4)
    result = schedule(program, in_place=(0,), descending=True, accumulators=0, groups=tiles(program, 4), passing=1)
    inputs = {
        operand.name: [Fraction((7 * k) % 11 - 5, 1 + k % 3) for k in range(operand.length)]
        for operand in program.inputs
    }
    assert interpret_schedule(result, inputs) == interpret(program, inputs)
    assert ROWS == 4
