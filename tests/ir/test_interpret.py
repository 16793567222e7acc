"""The interpreters: any numbers, wrong inputs, and the memory that schedules must respect."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scalar_programs import program_of

from logsig_codegen.ir.interpret import interpret, interpret_schedule
from logsig_codegen.ir.program import NONE
from logsig_codegen.ir.schedule import Compute, Event, Fetch, Flush, Read, Reload, Save, Schedule, Store

PROGRAM = program_of(
    {"log_sig": 2, "displacement": 1},
    [((Fraction(1, 2), 0, 2), (-1, 1, NONE))],
    {"out": (3, NONE)},
)
INPUTS = {"log_sig": [Fraction(3), Fraction(5)], "displacement": [Fraction(7)]}
TERMS = PROGRAM.instructions[0]


def test_fractions_stay_exact() -> None:
    assert interpret(PROGRAM, INPUTS) == {"out": [Fraction(11, 2), 0]}


def test_numpy_arrays_hold_one_sample_each() -> None:
    inputs = {"log_sig": [np.array([3.0, 1.0]), np.array([5.0, 1.0])], "displacement": [np.array([7.0, 4.0])]}
    result = interpret(PROGRAM, inputs, number=float, zero=np.zeros(2))["out"]
    np.testing.assert_array_equal(result, [[5.5, 1.0], [0.0, 0.0]])


def test_coefficients_pass_through_number_and_zero_is_chosen() -> None:
    seen = []

    def number(coefficient: object) -> float:
        seen.append(coefficient)
        return float(coefficient)  # type: ignore[arg-type]

    result = interpret(PROGRAM, {"log_sig": [3.0, 5.0], "displacement": [7.0]}, number=number, zero="nothing")
    assert result == {"out": [5.5, "nothing"]}
    assert seen == [Fraction(1, 2), -1]


@pytest.mark.parametrize("name", ["log_sig", "displacement"])
def test_wrong_number_of_scalars(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: expected {len(INPUTS[name])} scalars, got {len(INPUTS[name]) + 1}"):
        interpret(PROGRAM, {**INPUTS, name: [*INPUTS[name], Fraction(0)]})


def run(*parts: tuple[Event, ...], in_place: int = -1) -> list[object]:
    schedule = Schedule(PROGRAM, parts, slots=1, in_place=(in_place,), prefixes=(2, 1))
    return interpret_schedule(schedule, INPUTS, zero=Fraction(0))["out"]


FETCH: tuple[Event, ...] = (Fetch(0, 2), Fetch(1, 1))
FINISH: tuple[Event, ...] = (Store(3, 0, 0), Store(NONE, 0, 1), Flush(0, 2))


def test_a_schedule_in_one_part() -> None:
    assert run((*FETCH, Compute(3, TERMS), *FINISH)) == [Fraction(11, 2), 0]


def test_a_sum_in_pieces_across_parts() -> None:
    first = (*FETCH, Compute(3, TERMS[:1], last=False), Save(3, 0))
    second = (Reload(3, slot=0), Compute(3, TERMS[1:], first=False), *FINISH)
    assert run(first, second) == [Fraction(11, 2), 0]


def test_a_value_read_back_from_an_output() -> None:
    first = (*FETCH, Compute(3, TERMS), Store(3, 0, 0))
    second = (Reload(3, result=0, column=0), Store(3, 0, 1), Flush(0, 2))
    assert run(first, second) == [Fraction(11, 2), Fraction(11, 2)]


def test_an_output_overwrites_its_input() -> None:
    """Stored too early, a value replaces the input that a later sum reads; a copy in a local variable survives."""
    careless = (*FETCH, Store(NONE, 0, 0), Compute(3, TERMS), Store(3, 0, 0), Store(NONE, 0, 1), Flush(0, 2))
    assert run(careless, in_place=0) == [Fraction(-5), 0]
    careful = (*FETCH, Read(0), *careless[2:])
    assert run(careful, in_place=0) == [Fraction(11, 2), 0]
    assert run(careless) == [Fraction(11, 2), 0]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(((Fetch(0, 2), Compute(3, TERMS), *FINISH),), id="an operand never fetched"),
        pytest.param(((Fetch(0, 1), FETCH[1], Compute(3, TERMS), *FINISH),), id="a column not yet fetched"),
        pytest.param(((*FETCH, Compute(3, TERMS)), FINISH), id="a local variable of another part"),
        pytest.param(((*FETCH, Compute(3, TERMS[1:], first=False), *FINISH),), id="a sum continued before its start"),
        pytest.param(((*FETCH, Compute(3, TERMS), Flush(0, 2)),), id="a column flushed before it was stored"),
        pytest.param(((*FETCH, Compute(3, TERMS), Store(3, 0, 0), Store(NONE, 0, 1)),), id="a column never flushed"),
        pytest.param(((*FETCH, Reload(3, slot=0), *FINISH),), id="an empty slot"),
        pytest.param(((*FETCH, Reload(3, result=0, column=0), *FINISH),), id="an empty column"),
    ],
)
def test_breaking_the_rules_of_memory(parts: tuple[tuple[Event, ...], ...]) -> None:
    with pytest.raises(KeyError):
        run(*parts)
