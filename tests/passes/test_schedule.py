"""Schedules compute what their programs mean, inside memory that is fetched, kept and overwritten by the rules."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from fractions import Fraction
from functools import lru_cache
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import inputs_of, meaning, program_of, programs

from logsig_codegen.compiler import choose_plan, optimise
from logsig_codegen.ir.interpret import interpret_schedule
from logsig_codegen.ir.lower import lower
from logsig_codegen.ir.program import NONE, Instruction, Program, count_terms
from logsig_codegen.ir.schedule import Compute, Fetch, Flush, Forget, Read, Reload, Save, Schedule, Store
from logsig_codegen.passes import order as order_module
from logsig_codegen.passes import schedule as schedule_module
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.schedule import PART_OPERATIONS, schedule
from logsig_codegen.problem import Problem

PROBLEMS = [(1, 3), (2, 2), (2, 5), (3, 4), (5, 3), (2, 7)]


@lru_cache(maxsize=16)
def real_program(dimension: int, degree: int, operation: str) -> Program:
    problem = Problem(dimension, degree)
    join = choose_plan(problem)
    return optimise(lower(join if operation == "join" else adjoint(join), problem))


def check_memory(schedule: Schedule) -> None:
    """What the interpreter does not check: columns moved once and in order, slots and columns within their bounds."""
    program = schedule.program
    fetched, flushed = [0] * len(program.inputs), [0] * len(program.outputs)
    stored: Counter[tuple[int, int]] = Counter()
    for event in (event for part in schedule.parts for event in part):
        if isinstance(event, Fetch):
            assert fetched[event.operand] < event.upto <= schedule.prefixes[event.operand]
            fetched[event.operand] = event.upto
        elif isinstance(event, Flush):
            assert flushed[event.result] < event.upto <= len(program.outputs[event.result].values)
            flushed[event.result] = event.upto
        elif isinstance(event, Store):
            stored[event.result, event.column] += 1
            assert event.column >= flushed[event.result]
            assert program.outputs[event.result].values[event.column] == event.value
        elif isinstance(event, Save) or (isinstance(event, Reload) and event.result < 0):
            assert 0 <= event.slot < schedule.slots
    assert flushed == [len(result.values) for result in program.outputs]
    offsets = program.offsets
    for r, result in enumerate(program.outputs):
        for k, value in enumerate(result.values):
            o = schedule.in_place[r]
            stays = o >= 0 and value == offsets[o] + k
            assert stored[r, k] == (0 if stays else 1)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_random_programs(data: st.DataObject) -> None:
    """In many small parts, with short groups of columns and small accumulators."""
    program = data.draw(programs(most=25))
    first = data.draw(st.sampled_from((0, -1)))
    in_place = (first, *(-1 for _ in program.outputs[1:]))
    limits = {
        (schedule_module, "PART_OPERATIONS"): data.draw(st.sampled_from((3, 10, 400))),
        (schedule_module, "GROUP_COLUMNS"): data.draw(st.integers(1, 4)),
        (schedule_module, "TILE_COLUMNS"): data.draw(st.integers(1, 4)),
        (order_module, "ACCUMULATOR_TERMS"): data.draw(st.integers(2, 4)),
    }
    with ExitStack() as stack:
        for (module, name), value in limits.items():
            stack.enter_context(mock.patch.object(module, name, value))
        result = schedule(
            program,
            in_place=in_place,
            descending=data.draw(st.booleans()),
            accumulators=data.draw(st.integers(0, 5)),
            in_tiles=data.draw(st.booleans()),
        )
    check_memory(result)
    assert not result.in_tiles or (len(result.parts) == 1 and not result.slots and set(result.in_place) <= {NONE})
    inputs = data.draw(inputs_of(program))
    assert interpret_schedule(result, inputs) == meaning(program, inputs)


def passing_values(program: Program, operand: int) -> range:
    start = program.offsets[operand]
    return range(start, start + program.inputs[operand].length)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_groups_and_a_passing_operand(data: st.DataObject) -> None:
    """Demands in any order, in groups that are not cut; an operand that is read where it is used."""
    program = data.draw(programs(most=25))
    demands = data.draw(st.permutations([value for result in program.outputs for value in result.values]))
    cut = data.draw(st.integers(0, len(demands)))
    groups = [group for group in (demands[:cut], demands[cut:]) if group]
    passing = data.draw(st.integers(0, len(program.inputs) - 1))
    limits = {"PART_OPERATIONS": data.draw(st.sampled_from((3, 400))), "NEAR": data.draw(st.integers(1, 8))}
    with mock.patch.multiple(schedule_module, **limits):
        first = data.draw(st.sampled_from((0, -1))) if passing else -1
        in_place = (first, *(-1 for _ in program.outputs[1:]))
        result = schedule(program, in_place=in_place, descending=True, accumulators=0, groups=groups, passing=passing)
    check_memory(result)
    assert len(result.parts) <= max(len(groups), 1)
    for event in (event for part in result.parts for event in part):
        if isinstance(event, Read):
            assert event.kept == (event.value in passing_values(program, passing))
        elif isinstance(event, Forget):
            assert event.value in passing_values(program, passing)
    inputs = data.draw(inputs_of(program))
    assert interpret_schedule(result, inputs) == meaning(program, inputs)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
@pytest.mark.parametrize("operation", ["join", "join_backprop"])
@pytest.mark.parametrize("accumulators", [0, 16])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("source", [-1, 0, 1])
def test_real_programs(
    dimension: int, degree: int, operation: str, accumulators: int, descending: bool, source: int
) -> None:
    """Also where the gradient of the log-signature overwrites ``d_out`` or ``log_sig``."""
    program = real_program(dimension, degree, operation)
    if program.inputs[max(source, 0)].length != len(program.outputs[0].values):
        source = 0  # a displacement has too few columns
    in_place = (source, *(-1 for _ in program.outputs[1:]))
    result = schedule(program, in_place=in_place, descending=descending, accumulators=accumulators)
    assert result.in_place == in_place
    check_memory(result)
    numbers = random.Random(degree)
    inputs = {
        operand.name: [Fraction(numbers.randint(-9, 9), numbers.randint(1, 9)) for _ in range(operand.length)]
        for operand in program.inputs
    }
    assert interpret_schedule(result, inputs) == meaning(program, inputs)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 8), (5, 4), (4, 5)])
@pytest.mark.parametrize("operation", ["join", "join_backprop"])
def test_parts_are_bounded(dimension: int, degree: int, operation: str) -> None:
    """No function grows with the program: compilers need more than linear time for long ones."""
    program = real_program(dimension, degree, operation)
    result = schedule(program, in_place=(-1,) * len(program.outputs), descending=operation != "join")
    largest = max(count_terms(terms).total for terms in program.instructions)
    sizes = [
        sum(count_terms(event.terms).total for event in part if isinstance(event, Compute)) for part in result.parts
    ]
    assert max(sizes) <= 1.5 * PART_OPERATIONS + largest
    assert len(sizes) <= 2 * program.operations.total / PART_OPERATIONS + 1
    assert result.slots < len(program.instructions)


def test_an_output_may_permute_the_input_it_overwrites() -> None:
    """Every column is needed after something else has been put in its place."""
    program = program_of({"log_sig": 3}, [((2, 0, NONE), (1, 1, 2))], {"out": (1, 2, 0), "d_log_sig": (3,)})
    for descending in (False, True):
        result = schedule(program, in_place=(0, -1), descending=descending)
        check_memory(result)
        inputs = {"log_sig": [Fraction(2), Fraction(3), Fraction(5)]}
        assert interpret_schedule(result, inputs) == {"out": [3, 5, 2], "d_log_sig": [19]}


def test_columns_that_stay_are_not_moved() -> None:
    program = program_of({"log_sig": 3}, [((2, 0, NONE),)], {"out": (0, 1, 3)})
    result = schedule(program, in_place=(0,), descending=False)
    assert sum(isinstance(event, Store) for part in result.parts for event in part) == 1


def test_only_the_columns_that_are_read_are_fetched() -> None:
    program = program_of({"log_sig": 4, "displacement": 3, "d_out": 2}, [((1, 1, 4),)], {"out": (9, NONE)})
    result = schedule(program, in_place=(-1,), descending=False)
    assert result.prefixes == (2, 1, 0)


def test_scratch_memory_is_used_again() -> None:
    """A long chain of parts hands on one value at a time."""
    lines: list[Instruction] = [((1, 0, k), (1, 1, k), (1, k, k)) for k in range(1, 200)]
    program = program_of({"log_sig": 2}, lines, {"out": (200,)})
    with mock.patch.object(schedule_module, "PART_OPERATIONS", 10):
        result = schedule(program, in_place=(-1,), descending=False)
    assert len(result.parts) > 20
    assert result.slots <= 2
