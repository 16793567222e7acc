"""Spilling: the results are the same to the last bit, and no more local variables are alive than were asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scalar_programs import inputs_of, meaning, programs

import logsig_codegen as lg
from logsig_codegen.compiler import Kernel, compile_problem
from logsig_codegen.gpu.rows import rows_plan
from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.ir.interpret import interpret_schedule
from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Forget, Reload, Save, Schedule
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.spill import accesses, spill


def whole(program: Program) -> Schedule:
    return thread_schedule(program, (-1,) * len(program.outputs), descending=False)


def whole_of(problem: tuple[int, int], operation: str) -> Schedule:
    (kernel,) = (k for k in compile_problem(lg.Problem(*problem)).kernels if k.operation == operation)
    assert isinstance(kernel, Kernel)
    return rows_plan(kernel).schedule


def run(schedule: Schedule, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    return interpret_schedule(schedule, inputs, number=float)


@given(data=st.data(), program=programs(unit=True), registers=st.integers(0, 12))
def test_random_programs_mean_the_same(data: st.DataObject, program: Program, registers: int) -> None:
    inputs = data.draw(inputs_of(program))
    spilled = spill(whole(program), registers)
    assert interpret_schedule(spilled, inputs) == meaning(program, inputs)
    assert live_values(spilled) <= live_values(whole(program))


@pytest.mark.parametrize("problem", [(2, 6), (3, 5), (2, 7)], ids=str)
@pytest.mark.parametrize("share", [0.9, 0.6, 0.4])
def test_gradients_of_joins(problem: tuple[int, int], share: float) -> None:
    before = whole_of(problem, "join_backprop")
    registers = int(share * live_values(before))
    after = spill(before, registers)
    assert live_values(after) <= registers
    assert 0 < after.slots <= sum(isinstance(event, Save) for event in after.parts[0]) < accesses(after)
    source = random.Random(0)
    operands = before.program.inputs
    inputs = {operand.name: [source.uniform(-1, 1) for _ in range(operand.length)] for operand in operands}
    assert run(after, inputs) == run(before, inputs)
    rest = [event for event in after.parts[0] if not isinstance(event, Save | Forget | Reload)]
    assert rest == list(before.parts[0])  # the computations and their order are what they were


def test_what_fits_stays() -> None:
    before = whole_of((3, 3), "join")
    assert spill(before, live_values(before)) == before


@pytest.mark.parametrize("most_slots", [0, 1, 20])
def test_slots_may_be_few(most_slots: int) -> None:
    before = whole_of((3, 5), "join_backprop")
    after = spill(before, 60, most_slots)
    assert after.slots == most_slots
    assert live_values(after) < live_values(before) or not most_slots
    assert (accesses(after) > 0) == (most_slots > 0)
