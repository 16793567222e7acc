"""The order of evaluation: every sum complete, operands first, long sums piece by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import program_of, programs

from logsig_codegen.ir.program import NONE, Instruction, Program
from logsig_codegen.ir.schedule import Compute
from logsig_codegen.passes import order as order_module
from logsig_codegen.passes.order import order


def ancestors(program: Program, roots: Sequence[int]) -> set[int]:
    """The values that the given ones are computed from, and they themselves; inputs are left out."""
    needed: set[int] = set()
    stack = [value for value in roots if value >= program.first]
    while stack:
        value = stack.pop()
        if value not in needed:
            needed.add(value)
            terms = program.instructions[value - program.first]
            stack.extend(operand for _, *operands in terms for operand in operands if operand >= program.first)
    return needed


def check(program: Program, steps: Sequence[Compute], demands: Sequence[int]) -> None:
    """The rules of an order: each needed sum once, its pieces together its terms, operands complete before use."""
    pieces: dict[int, list[Compute]] = {}
    done = set(range(program.first)) | {NONE}
    for step in steps:
        assert step.terms
        assert all(operand in done for _, *operands in step.terms for operand in operands)
        assert step.first == (step.value not in pieces)
        pieces.setdefault(step.value, []).append(step)
        if step.last:
            done.add(step.value)
    assert set(pieces) == ancestors(program, demands)
    for value, parts in pieces.items():
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        found = Counter(term for part in parts for term in part.terms)
        assert found == Counter(program.instructions[value - program.first])


def demanded(program: Program) -> list[int]:
    return [value for result in program.outputs for value in result.values]


@settings(deadline=None, max_examples=50)
@given(programs(most=25), st.integers(0, 8), st.integers(2, 6))
def test_rules(program: Program, accumulators: int, terms: int) -> None:
    with mock.patch.object(order_module, "ACCUMULATOR_TERMS", terms):
        steps = order(program, demanded(program), accumulators)
    check(program, steps, demanded(program))
    piecemeal = {step.value for step in steps if not step.last}
    assert len(piecemeal) <= accumulators
    assert all(len(program.instructions[value - program.first]) >= terms for value in piecemeal)


@settings(deadline=None)
@given(programs(), st.data())
def test_demands_come_in_order(program: Program, data: st.DataObject) -> None:
    """Without accumulators nothing is computed before it is needed."""
    demands = data.draw(st.permutations(demanded(program)))
    steps = order(program, demands, 0)
    check(program, steps, demands)
    position = 0
    for index, value in enumerate(demands):
        needed = ancestors(program, demands[: index + 1])
        assert {step.value for step in steps[: len(needed)]} == needed
        if value >= program.first and len(needed) > position:
            assert steps[len(needed) - 1].value == value
        position = len(needed)


def test_example_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_module, "ACCUMULATOR_TERMS", 2)
    lines: list[Instruction] = [((1, 0, 1),), ((1, 2, 3),), ((1, 6, 4), (1, 7, 5))]  # a, b, c, d, x, y are 0 … 5
    program = program_of({"log_sig": 4, "displacement": 2}, lines, {"out": (8,)})
    assert order(program, [8], 1) == [
        Compute(6, ((1, 0, 1),)),
        Compute(8, ((1, 6, 4),), first=True, last=False),
        Compute(7, ((1, 2, 3),)),
        Compute(8, ((1, 7, 5),), first=False, last=True),
    ]
    assert [step.value for step in order(program, [8], 0)] == [6, 7, 8]


def test_a_plain_value_starts_a_sum() -> None:
    """A chain of multiply-adds begins with something that costs nothing, if there is such a term."""
    lines: list[Instruction] = [((1, 0, 1), (-1, 2, NONE), (1, 3, NONE))]
    program = program_of({"log_sig": 4}, lines, {"out": (4,)})
    assert order(program, [4], 0) == [Compute(4, ((1, 3, NONE), (-1, 2, NONE), (1, 0, 1)))]


def test_deep_programs_need_no_recursion() -> None:
    lines: list[Instruction] = [((1, 0, k),) for k in range(5000)]
    program = program_of({"log_sig": 1}, lines, {"out": (5000,)})
    assert [step.value for step in order(program, [5000], 4)] == list(range(1, 5001))
