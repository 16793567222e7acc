"""Scalar programs: what ``verify`` lets through, how operations are counted, and what the text means."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import inputs_of, meaning, program_of, programs

from logsig_codegen.algebra.surd import SQRT5, Surd
from logsig_codegen.errors import GenerationError
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import NONE, Instruction, OperationCount, Program, count_terms

# a = values 0 and 1, b = value 2; out = (a0*b + a1, 2*a0, 0), and d_log_sig = (a1).
EXAMPLE = program_of(
    {"log_sig": 2, "displacement": 1},
    [((1, 0, 2), (1, 1, NONE)), ((2, 0, NONE),)],
    {"out": (3, 4, NONE), "d_log_sig": (1,)},
)


@settings(deadline=None)
@given(programs())
def test_valid_programs_are_accepted(program: Program) -> None:
    program.verify()


@settings(deadline=None)
@given(programs(dead=True))
def test_dead_instructions_are_found(program: Program) -> None:
    used = {value for result in program.outputs for value in result.values}
    used.update(operand for terms in program.instructions for _, *operands in terms for operand in operands)
    if all(value in used for value, _ in program.numbered()):
        program.verify()
    else:
        with pytest.raises(GenerationError, match=r"random: value \d+ is never used"):
            program.verify()


def with_last(terms: Instruction) -> Program:
    return replace(EXAMPLE, instructions=(EXAMPLE.instructions[0], terms))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (with_last(()), "value 4 is an empty sum"),
        (with_last(((0, 0, NONE),)), "value 4 has a zero coefficient"),
        (with_last(((Surd(Fraction(0), Fraction(0)), 0, 1),)), "value 4 has a zero coefficient"),
        (with_last(((1, 4, NONE),)), "value 4 uses 4, -1 before they are defined"),
        (with_last(((1, 0, 4),)), "value 4 uses 0, 4 before they are defined"),
        (with_last(((1, NONE, 0),)), "value 4 uses -1, 0 before they are defined"),
        (with_last(((1, 0, -2),)), "value 4 uses 0, -2 before they are defined"),
        (replace(EXAMPLE, outputs=(replace(EXAMPLE.outputs[0], values=(3, 4, 5)),)), "an output names a value"),
        (replace(EXAMPLE, outputs=(replace(EXAMPLE.outputs[0], values=(3, 4, -2)),)), "an output names a value"),
        (replace(EXAMPLE, outputs=EXAMPLE.outputs[1:]), "value 4 is never used"),
    ],
)
def test_broken_programs_are_refused(wrong: Program, message: str) -> None:
    EXAMPLE.verify()
    with pytest.raises(GenerationError, match=f"example: {message}"):
        wrong.verify()


def test_numbering() -> None:
    assert EXAMPLE.first == 3
    assert EXAMPLE.offsets == (0, 2)
    assert list(EXAMPLE.numbered()) == [(3, EXAMPLE.instructions[0]), (4, EXAMPLE.instructions[1])]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (((1, 0, NONE),), OperationCount(0, 0, 0)),
        (((-1, 0, NONE),), OperationCount(0, 0, 0)),
        (((2, 0, NONE),), OperationCount(0, 0, 1)),
        (((SQRT5, 0, NONE),), OperationCount(0, 0, 1)),
        (((1, 0, 1),), OperationCount(1, 0, 0)),
        (((-3, 0, 1),), OperationCount(1, 0, 0)),
        (((1, 0, NONE), (-1, 1, NONE), (1, 2, NONE)), OperationCount(0, 2, 0)),
        (((1, 0, NONE), (2, 1, NONE)), OperationCount(1, 0, 0)),
        (((2, 0, NONE), (3, 1, NONE)), OperationCount(1, 0, 1)),
        (((1, 0, NONE), (1, 0, 1), (1, 1, 1)), OperationCount(2, 0, 0)),
        (((2, 0, NONE), (1, 0, 1)), OperationCount(2, 0, 0)),
        (((1, 0, NONE), (1, 1, NONE), (2, 2, NONE), (1, 0, 1)), OperationCount(2, 1, 0)),
    ],
)
def test_operations_of_a_sum(terms: Instruction, expected: OperationCount) -> None:
    assert count_terms(terms) == expected


def test_operations_of_a_program() -> None:
    assert EXAMPLE.operations == OperationCount(multiply_adds=1, additions=0, scalings=1)
    assert EXAMPLE.operations.total == 2
    assert EXAMPLE.operations + OperationCount(1, 2, 3) == OperationCount(2, 2, 4)


def run_text(text: str, inputs: dict[str, list[Fraction]]) -> dict[str, Any]:
    """Execute the text of a program as Python, with exact numbers."""
    number = r"(-?\d+(?:/\d+)?)"
    text = re.sub(rf"\(\({number} \+ {number}\*sqrt\(5\)\)\)", r"Surd(Fraction('\1'), Fraction('\2'))", text)
    text = re.sub(rf"\({number}\)", r"Fraction('\1')", text)
    names: dict[str, Any] = {"Fraction": Fraction, "Surd": Surd, **inputs}
    outputs: dict[str, dict[int, Any]] = {}
    for line in text.splitlines():
        target, expression = line.split(" = ")
        value = eval(expression, names)
        if "[" in target:
            name, index = target.rstrip("]").split("[")
            outputs.setdefault(name, {})[int(index)] = value
        else:
            names[target] = value
    return {name: [values[k] for k in range(len(values))] for name, values in outputs.items()}


def test_text() -> None:
    assert EXAMPLE.text() == (
        "t0 = log_sig[0]*displacement[0] + log_sig[1]\n"
        "t1 = (2)*log_sig[0]\n"
        "out[0] = t0\n"
        "out[1] = t1\n"
        "out[2] = 0\n"
        "d_log_sig[0] = log_sig[1]\n"
    )


@settings(deadline=None)
@given(st.data())
def test_text_definition_and_interpreter_agree(data: st.DataObject) -> None:
    program = data.draw(programs())
    inputs = data.draw(inputs_of(program))
    expected = meaning(program, inputs)
    assert interpret(program, inputs) == expected
    printed = run_text(program.text(), inputs)
    assert printed == {name: values for name, values in expected.items() if values}
