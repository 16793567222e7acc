"""Common subexpressions are computed once, whatever their sign and the order of their terms."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import parts, program_of, programs, same_meaning

from logsig_codegen.algebra.surd import SQRT5
from logsig_codegen.ir.program import NONE, Instruction
from logsig_codegen.passes.cse import eliminate_common_subexpressions

# Values 0, 1, 2 are a, b, c.
SUM: Instruction = ((1, 0, 1), (-1, 2, NONE))
OPPOSITE: Instruction = ((1, 2, NONE), (-1, 0, 1))


def test_example_of_the_documentation() -> None:
    before = program_of({"log_sig": 3}, [SUM, OPPOSITE, ((1, 3, 4),)], {"out": (5,)})
    after = eliminate_common_subexpressions(before)
    assert parts(after) == ((SUM, ((-1, 3, 3),)), ((4,),))


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(SUM, id="equal"),
        pytest.param(SUM[::-1], id="in another order"),
        pytest.param(((1, 1, 0), (-1, 2, NONE)), id="with factors swapped"),
        pytest.param(OPPOSITE, id="opposite"),
        pytest.param(((-1, 1, 0), (1, 2, NONE)), id="opposite, with factors swapped"),
    ],
)
def test_merged(again: Instruction) -> None:
    before = program_of({"log_sig": 3}, [SUM, again, ((1, 3, 2), (1, 4, 1))], {"out": (5,)})
    assert len(eliminate_common_subexpressions(before).instructions) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(((1, 0, 1), (1, 2, NONE)), id="one sign differs"),
        pytest.param(((2, 0, 1), (-2, 2, NONE)), id="twice as large"),
        pytest.param(((1, 0, 1), (-1, 2, 2)), id="another product"),
        pytest.param(((1, 0, 1),), id="a term less"),
        pytest.param(((1, 0, 1), (-SQRT5 / 2, 2, NONE)), id="another coefficient"),
    ],
)
def test_kept_apart(other: Instruction) -> None:
    before = program_of({"log_sig": 3}, [SUM, other], {"out": (3, 4)})
    assert eliminate_common_subexpressions(before) == before


def test_merging_goes_on_in_the_sums_that_read_merged_values() -> None:
    lines: list[Instruction] = [SUM, OPPOSITE, ((1, 3, 0),), ((-1, 4, 0),), ((Fraction(1, 2), 5, 6),)]
    before = program_of({"log_sig": 3}, lines, {"out": (7,)})
    assert parts(eliminate_common_subexpressions(before)) == (
        (SUM, ((1, 0, 3),), ((Fraction(1, 2), 4, 4),)),
        ((5,),),
    )


def test_an_opposite_value_that_is_a_result_is_negated() -> None:
    before = program_of({"log_sig": 3}, [SUM, OPPOSITE], {"out": (3, 4)})
    assert parts(eliminate_common_subexpressions(before)) == ((SUM, ((-1, 3, NONE),)), ((3, 4),))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_meaning_is_kept(data: st.DataObject) -> None:
    before = data.draw(programs())
    after = eliminate_common_subexpressions(before)
    after.verify()
    same_meaning(data.draw, before, after)
    # Of equal sums only the negation of a result may be left. (Sums with the same product twice are not looked into.)
    sums = [
        terms
        for terms in after.instructions
        if (len(terms) > 1 or terms[0][2] != NONE) and len({frozenset(factors) for _, *factors in terms}) == len(terms)
    ]
    assert not any(equal_or_opposite(one, other) for one, other in combinations(sums, 2))


def equal_or_opposite(one: Instruction, other: Instruction) -> bool:
    """Whether two sums differ at most by a sign, the order of their terms and of their factors."""
    expected = Counter((c, *sorted((a, b))) for c, a, b in one)
    return any(expected == Counter((sign * c, *sorted((a, b))) for c, a, b in other) for sign in (1, -1))
