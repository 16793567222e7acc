"""The logarithmic-derivative plan, proved for every degree a proof can reach and checked beyond."""

from __future__ import annotations

import pytest
from lie_programs import mutations

from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import Bracket
from logsig_codegen.plans.log_derivative import log_derivative_join
from logsig_codegen.symbolic.proof import check_join_plan_randomly, prove_join_plan


@pytest.mark.parametrize("degree", range(1, 9))
def test_proved(degree: int) -> None:
    program = log_derivative_join(degree)
    assert program.name == f"log-derivative-{degree}"
    prove_join_plan(program)


@pytest.mark.parametrize("degree", [9, 10, 12, 15])
def test_checked_at_a_random_point(degree: int) -> None:
    check_join_plan_randomly(log_derivative_join(degree), seed=degree)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_every_change_is_rejected(degree: int) -> None:
    for wrong in mutations(log_derivative_join(degree)):
        with pytest.raises(PlanProofError):
            prove_join_plan(wrong)


def test_changes_of_a_high_degree_are_found_at_a_random_point() -> None:
    program = log_derivative_join(12)
    changed = list(mutations(program))
    for wrong in changed[:: len(changed) // 8]:
        with pytest.raises(PlanProofError, match="log-derivative-12: degree"):
            check_join_plan_randomly(wrong)


@pytest.mark.parametrize("degree", [3, 4, 5, 6, 7, 8])
def test_brackets_of_the_top_degree(degree: int) -> None:
    """Two brackets with a letter at the top, and at most two of each other type: what makes the plan cheap."""
    program = log_derivative_join(degree)
    counts: dict[int, int] = {}
    for term in program.statements[-1].terms:
        if isinstance(term, Bracket):
            low = min(program.vectors[term.left].degree, program.vectors[term.right].degree)
            counts[low] = counts.get(low, 0) + 1
    assert counts[1] == 2
    for low, count in counts.items():
        assert count <= (2 if low < 3 else 4), (low, count)


def test_nothing_is_computed_in_vain() -> None:
    for degree in range(1, 11):
        program = log_derivative_join(degree)
        used = {name for statement in program.statements for term in statement.terms for name in term.operands}
        used.update(program.outputs[0].vectors)
        assert [s.target.name for s in program.statements if s.target.name not in used] == []
