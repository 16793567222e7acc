"""Products lose their coefficients to scaled copies of their factors."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_programs import parts, program_of, programs, same_meaning

from logsig_codegen.algebra.surd import SQRT5
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.passes.unit_products import make_products_unit

# Values 0, 1, 2 are a, b, c; 3, 4 are x, y.
OPERANDS = {"log_sig": 3, "displacement": 2}


def test_example_of_the_documentation() -> None:
    before = program_of(OPERANDS, [((1, 3, NONE), (2, 0, 1)), ((1, 4, NONE), (-2, 0, 2))], {"out": (5, 6)})
    assert parts(make_products_unit(before)) == (
        (((2, 0, NONE),), ((1, 3, NONE), (1, 5, 1)), ((1, 4, NONE), (-1, 5, 2))),
        ((6, 7),),
    )


def test_the_factor_that_most_products_have_in_common_is_scaled() -> None:
    lines = [((Fraction(1, 3), 0, 2),), ((Fraction(-1, 3), 1, 2),), ((Fraction(1, 3), 2, 3),)]
    after = make_products_unit(program_of(OPERANDS, lines, {"out": (5, 6, 7)}))
    assert [terms for terms in after.instructions if terms[0][2] == NONE] == [((Fraction(1, 3), 2, NONE),)]


def test_square_roots_keep_their_sign() -> None:
    after = make_products_unit(program_of(OPERANDS, [((1 - SQRT5, 0, 1),)], {"out": (5,)}))
    (copy,), (product,) = after.instructions
    assert copy[0] == SQRT5 - 1
    assert product[0] == -1


def test_linear_terms_keep_their_coefficients() -> None:
    before = program_of(OPERANDS, [((2, 0, NONE), (-1, 1, 1), (1, 2, 3))], {"out": (5,)})
    assert make_products_unit(before) == before


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_meaning_is_kept_and_products_are_plain(data: st.DataObject) -> None:
    before = data.draw(programs())
    after = make_products_unit(before)
    after.verify()
    same_meaning(data.draw, before, after)
    assert all(c in (1, -1) for terms in after.instructions for c, _, right in terms if right != NONE)
    assert make_products_unit(after) == after


@settings(deadline=None)
@given(programs(unit=True))
def test_plain_products_stay_as_they_are(program: Program) -> None:
    assert make_products_unit(program) == program
