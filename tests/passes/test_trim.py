"""Trimmed inputs and the count of live values."""

from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given, settings
from scalar_programs import programs

from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import NONE, Operand, Program, Result
from logsig_codegen.ir.schedule import Compute, Read, Store
from logsig_codegen.passes.dead import drop_dead_instructions
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.schedule import schedule
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.problem import Problem


@settings(max_examples=50)
@given(programs())
def test_nothing_is_computed_differently(program: Program) -> None:
    trimmed = trim_inputs(program)
    numbers = random.Random(1)
    inputs = {o.name: [Fraction(numbers.randint(-9, 9), 7) for _ in range(o.length)] for o in program.inputs}
    short = {o.name: inputs[o.name][: o.length] for o in trimmed.inputs}
    assert interpret(trimmed, short) == interpret(program, inputs)
    assert all(a.length <= b.length for a, b in zip(trimmed.inputs, program.inputs, strict=True))


def test_trailing_columns_go() -> None:
    program = Program(
        Problem(2, 2),
        "p",
        (Operand("log_sig", 3), Operand("displacement", 2)),
        (((1, 0, 3),),),
        (Result("out", (5, NONE)),),
    )
    trimmed = trim_inputs(program)
    assert [operand.length for operand in trimmed.inputs] == [1, 1]
    assert trimmed.instructions == (((1, 0, 1),),)
    assert trimmed.outputs[0].values == (2, NONE)


def test_one_part_and_inputs_that_are_read_where_they_are_used() -> None:
    """Before: inputs that several sums read wait in variables. After, with ``held=0``: none does."""
    terms = tuple(((1, a, b),) for a, b in ((0, 1), (0, 2), (1, 2)))
    program = drop_dead_instructions(
        Program(Problem(3, 1), "p", (Operand("log_sig", 3),), terms, (Result("out", (3, 4, 5)),))
    )
    kept = schedule(program, in_place=(-1,), descending=False, whole=True)
    reread = schedule(program, in_place=(-1,), descending=False, whole=True, held=0)
    assert sum(isinstance(event, Read) for event in kept.parts[0]) == 3
    assert not any(isinstance(event, Read) for event in reread.parts[0])
    assert [type(event) for event in reread.parts[0]].count(Compute) == 3
    assert [type(event) for event in reread.parts[0]].count(Store) == 3
    assert (live_values(kept), live_values(reread)) == (4, 1)
