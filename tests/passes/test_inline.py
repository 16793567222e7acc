"""Forward substitution keeps the meaning and never adds operations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import parts, program_of, programs, same_meaning

from logsig_codegen.ir.program import NONE, Instruction
from logsig_codegen.passes.inline import inline_single_uses

# Values 0-3 are a, b, c, d; 4 is x.
PRODUCTS: Instruction = ((1, 0, 1), (1, 2, 3))


def test_example_of_the_documentation() -> None:
    before = program_of({"log_sig": 4, "displacement": 1}, [PRODUCTS, ((1, 4, NONE), (-1, 5, NONE))], {"out": (6,)})
    after = inline_single_uses(before)
    assert parts(after) == ((((1, 4, NONE), (-1, 0, 1), (-1, 2, 3)),), ((5,),))
    assert before.operations.total - after.operations.total == 1


@pytest.mark.parametrize(
    ("readers", "outputs"),
    [
        pytest.param((((1, 4, NONE), (2, 5, NONE)),), (6,), id="a scaled use"),
        pytest.param((((1, 4, 5),),), (6,), id="a factor"),
        pytest.param((((1, 4, NONE), (1, 5, NONE)), ((1, 4, NONE), (-1, 5, NONE))), (6, 7), id="two uses"),
        pytest.param((((1, 4, NONE), (1, 5, NONE)),), (5, 6), id="a result"),
        pytest.param((((1, 4, NONE), (1, 5, NONE), (1, 5, 0)),), (6,), id="two uses in one sum"),
    ],
)
def test_left_alone(readers: tuple[Instruction, ...], outputs: tuple[int, ...]) -> None:
    before = program_of({"log_sig": 4, "displacement": 1}, [PRODUCTS, *readers], {"out": outputs})
    assert inline_single_uses(before) == before


def test_chains_collapse_into_one_sum() -> None:
    lines: list[Instruction] = [PRODUCTS, ((-1, 5, NONE), (3, 4, NONE)), ((1, 0, 0), (-1, 6, NONE))]
    before = program_of({"log_sig": 4, "displacement": 1}, lines, {"out": (7,)})
    assert parts(inline_single_uses(before)) == ((((1, 0, 0), (1, 0, 1), (1, 2, 3), (-3, 4, NONE)),), ((5,),))


def test_equal_products_are_added_up() -> None:
    before = program_of({"log_sig": 4}, [PRODUCTS, ((2, 0, 1), (1, 4, NONE))], {"out": (5,)})
    assert parts(inline_single_uses(before)) == ((((3, 0, 1), (1, 2, 3)),), ((4,),))


def test_what_cancels_disappears() -> None:
    before = program_of({"log_sig": 4}, [PRODUCTS, ((-1, 0, 1), (1, 4, NONE))], {"out": (5,)})
    assert parts(inline_single_uses(before)) == ((((1, 2, 3),),), ((4,),))


def test_a_sum_that_cancels_altogether_is_still_a_valid_program() -> None:
    before = program_of({"log_sig": 4}, [PRODUCTS, ((-1, 0, 1), (-1, 2, 3), (1, 4, NONE))], {"out": (5,)})
    after = inline_single_uses(before)
    after.verify()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_meaning_is_kept_and_operations_are_not_added(data: st.DataObject) -> None:
    before = data.draw(programs())
    after = inline_single_uses(before)
    after.verify()
    same_meaning(data.draw, before, after)
    assert after.operations.total <= before.operations.total
