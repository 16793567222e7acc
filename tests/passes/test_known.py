"""Known outputs against the interpreter: what is left comes out the same."""

from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import programs

from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import NONE, Operand, Program, Result
from logsig_codegen.passes.known import with_known
from logsig_codegen.problem import Problem


@settings(max_examples=80)
@given(programs(), st.randoms(use_true_random=False))
def test_what_is_left_is_the_same(program: Program, numbers: random.Random) -> None:
    (result, *_) = program.outputs
    program = Program(program.problem, "p", program.inputs, program.instructions, (result,))
    present = [column for column, value in enumerate(result.values) if value != NONE]
    columns = sorted(numbers.sample(present, numbers.randint(0, len(present))))
    left = with_known(program, columns, "known")
    left.verify()
    inputs = {o.name: [Fraction(numbers.randint(-9, 9), 7) for _ in range(o.length)] for o in program.inputs}
    expected = interpret(program, inputs)[result.name]
    found = interpret(left, {**inputs, "known": [expected[column] for column in columns]})[result.name]
    assert found == [value for column, value in enumerate(expected) if column not in columns]


def test_an_input_that_is_an_output() -> None:
    program = Program(
        Problem(2, 2),
        "p",
        (Operand("state", 2),),
        (((1, 1, NONE), (-1, 0, 0)),),
        (Result("out", (0, 2)),),
    )
    left = with_known(program, [0], "log_sig")
    assert left.instructions == (((1, 1, NONE), (-1, 2, 2)),)
    assert left.outputs == (Result("out", (3,)),)
