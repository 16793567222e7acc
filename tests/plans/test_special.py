"""The written-out plans: each one proved, and each change to one of them noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lie_programs import mutations

from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import LieProgram, Scaled
from logsig_codegen.plans.special import SPECIAL_JOINS, special_join
from logsig_codegen.symbolic.proof import prove_join_plan

DEGREES = sorted(SPECIAL_JOINS)


def plan(degree: int) -> LieProgram:
    program = special_join(degree)
    assert program is not None
    return program


def test_there_is_one_for_each_degree_up_to_six() -> None:
    assert DEGREES == [1, 2, 3, 4, 5, 6]
    assert special_join(7) is None
    assert special_join(0) is None


@pytest.mark.parametrize("degree", DEGREES)
def test_proved(degree: int) -> None:
    program = plan(degree)
    assert program.name == f"special-{degree}"
    assert program.degree == degree
    prove_join_plan(program)


@pytest.mark.parametrize("degree", DEGREES)
def test_every_change_is_rejected(degree: int) -> None:
    changed = list(mutations(plan(degree)))
    assert len(changed) >= 2 * degree
    for wrong in changed:
        with pytest.raises(PlanProofError, match=rf"special-{degree}: degree \d: the coefficient of"):
            prove_join_plan(wrong)


@pytest.mark.parametrize("degree", DEGREES[1:])
def test_swapped_outputs_are_rejected(degree: int) -> None:
    program = plan(degree)
    (port,) = program.outputs
    wrong = replace(program, outputs=(replace(port, vectors=(*port.vectors[:-1], f"l{degree}")),))
    with pytest.raises(PlanProofError):
        prove_join_plan(wrong)


@pytest.mark.parametrize("degree", DEGREES)
def test_sums_start_from_the_input_of_their_degree(degree: int) -> None:
    """What makes them cheap: no result costs an addition to start with, and only letters and ``y`` are scaled alone."""
    for statement in plan(degree).statements:
        if statement.target.name.startswith("z"):
            plain = [term.vector for term in statement.terms if isinstance(term, Scaled) and term.coefficient == 1]
            assert plain, statement.text()
