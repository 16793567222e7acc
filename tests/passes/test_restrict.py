"""Restriction against the interpreter: zeros for the inputs that go, and nothing for the outputs."""

from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import programs

from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import Operand, Program, Result
from logsig_codegen.passes.restrict import restrict
from logsig_codegen.problem import Problem


@settings(max_examples=80)
@given(programs(), st.randoms(use_true_random=False))
def test_like_zeros_for_the_inputs_that_go(program: Program, numbers: random.Random) -> None:
    columns = {}
    for name, length in (
        *((operand.name, operand.length) for operand in program.inputs),
        *((result.name, len(result.values)) for result in program.outputs),
    ):
        if numbers.random() < 0.7:
            columns[name] = tuple(numbers.sample(range(length), numbers.randint(0, length)))
    restricted = restrict(program, columns)
    restricted.verify()
    inputs = {o.name: [Fraction(numbers.randint(-9, 9), 7) for _ in range(o.length)] for o in program.inputs}
    short = {name: [values[k] for k in columns.get(name, range(len(values)))] for name, values in inputs.items()}
    whole = {
        name: [value if k in columns.get(name, range(len(values))) else Fraction(0) for k, value in enumerate(values)]
        for name, values in inputs.items()
    }
    expected = interpret(program, whole)
    found = interpret(restricted, short)
    for result in program.outputs:
        wanted = columns.get(result.name, range(len(result.values)))
        assert found[result.name] == [expected[result.name][k] for k in wanted]


def test_sums_keep_their_order() -> None:
    program = Program(
        Problem(2, 2),
        "p",
        (Operand("state", 3), Operand("displacement", 2)),
        (((1, 0, -1), (1, 1, 3), (1, 2, 4)), ((1, 5, -1), (1, 0, 3)), ((1, 2, 3),)),
        (Result("next_state", (5, 6, 7)),),
    )
    restricted = restrict(program, {"state": (0, 1), "next_state": (1,)})
    assert restricted.instructions == (((1, 0, -1), (1, 1, 2)), ((1, 4, -1), (1, 0, 2)))
    assert restricted.outputs == (Result("next_state", (5,)),)
