"""Proofs of plans of paths: right ones are accepted, at every degree; every wrong coefficient is seen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from lie_programs import Dual, slope

from logsig_codegen.algebra.tensor import TensorAlgebra
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement, Vector
from logsig_codegen.plans import path_gradient, path_step
from logsig_codegen.symbolic import path_proof
from logsig_codegen.symbolic.matrices import PRIME, Diagonal, MatrixForms
from logsig_codegen.symbolic.path_proof import PATH_PROOF_LIMIT, log_change, verify_path_plan
from logsig_codegen.symbolic.proof import FreeAlgebra

STEPS = [path_step.step, path_gradient.step_back]
CONVERSIONS = [path_step.to_log_sig, path_gradient.start]
PLANS = STEPS + CONVERSIONS


def changed(program: LieProgram) -> Iterator[LieProgram]:
    """Every coefficient changed a little, every bracket or action turned round, every term left out."""
    for index, statement in enumerate(program.statements):
        for place, term in enumerate(statement.terms):
            others: list[Any] = [replace(term, coefficient=term.coefficient + Fraction(1, 1000)), None]
            if not isinstance(term, Scaled):
                others.append(replace(term, coefficient=-term.coefficient))
            for other in others:
                terms = (*statement.terms[:place], *([other] if other else []), *statement.terms[place + 1 :])
                statements = list(program.statements)
                statements[index] = replace(statement, terms=terms)
                yield replace(program, statements=tuple(statements))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5, 7, PATH_PROOF_LIMIT, PATH_PROOF_LIMIT + 1, 13])
@pytest.mark.parametrize("plan", PLANS)
def test_right_plans_are_accepted(plan: Callable[[int], LieProgram], degree: int) -> None:
    verify_path_plan(plan(degree))


@pytest.mark.parametrize("degree", [2, 3, 5])
@pytest.mark.parametrize("plan", PLANS)
def test_every_change_is_seen(plan: Callable[[int], LieProgram], degree: int) -> None:
    wrong = list(changed(plan(degree)))
    assert len(wrong) > degree
    for program in wrong:
        with pytest.raises(PlanProofError, match=r"degree \d: the coefficient of"):
            verify_path_plan(program)


@pytest.mark.parametrize("plan", CONVERSIONS)
def test_every_change_is_seen_at_a_random_point(
    plan: Callable[[int], LieProgram], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_proof, "PATH_PROOF_LIMIT", 0)
    for program in changed(plan(5)):
        with pytest.raises(PlanProofError, match=r"wrong at a random point|not the transpose"):
            verify_path_plan(program)


def test_what_a_wrong_plan_is_told() -> None:
    program = path_step.step(2)
    *statements, second, first = program.statements
    assert second.target.name == "z2"
    terms = (second.terms[0], replace(second.terms[1], coefficient=2 * second.terms[1].coefficient))
    wrong = replace(program, statements=(*statements, replace(second, terms=terms), first))
    with pytest.raises(PlanProofError, match="next_state: degree 2: the coefficient of v w1 in z2 is -2, expected -1"):
        verify_path_plan(wrong)
    with pytest.raises(PlanProofError, match="z2 uses xy before it is defined"):
        verify_path_plan(replace(program, statements=(second, first)))
    with pytest.raises(PlanProofError, match="expected a plan of a path of degree 2"):
        verify_path_plan(replace(program, inputs=program.inputs[:1]))
    high = Statement(Vector("a", 1), (Bracket(1, "v", "w1"),))
    with pytest.raises(PlanProofError, match="a is declared of degree 1 but contains v w1"):
        verify_path_plan(replace(program, statements=(*program.statements, high)))


def test_the_form_of_a_change_on_the_other_side_is_refused() -> None:
    """With ``-l`` for ``l`` it is that of ``(1 + y) S``."""
    right = path_gradient.start(4)

    def turned(term: Any) -> Any:
        return replace(term, coefficient=-term.coefficient) if isinstance(term, Coadjoint) else term

    statements = tuple(replace(one, terms=tuple(map(turned, one.terms))) for one in right.statements)
    verify_path_plan(right)
    with pytest.raises(PlanProofError, match="d_state: degree"):
        verify_path_plan(replace(right, statements=statements))


def test_coadjoint_actions_of_matrices() -> None:
    """``<ad*_a f, x> = <f, [a, x]>``, and what it means for words."""
    source, algebra = random.Random(1), MatrixForms(6)
    for p, q in ((1, 1), (2, 3), (3, 1), (1, 5), (4, 2)):
        actor, x, form = (algebra.random(weight, source) for weight in (p, q, p + q))
        left = algebra.pair(algebra.coadjoint(actor, form), x)
        assert left == algebra.pair(form, algebra.bracket(actor, x))
    assert algebra.pair(Diagonal(5, (2, 3)), Diagonal(5, (PRIME - 1, 1))) == 1
    assert algebra.coadjoint(algebra.zero(), form) == algebra.zero()


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_log_change_is_the_derivative_of_the_logarithm(degree: int) -> None:
    """Against ``log(e^l (1 + y))`` with dual numbers in the words of ``l`` and ``y``."""
    algebra = TensorAlgebra(degree, Dual)
    letters: list[dict[Any, Any]] = [{}, *({(k,): Dual(Fraction(1))} for k in range(1, degree + 1))]
    # The letter pair (k, 0) marks the change of degree k: it occurs once, with a slope.
    change: list[dict[Any, Any]] = [{(): Dual(Fraction(1))}]
    change.extend({(k, 0): Dual(Fraction(0), Fraction(1))} for k in range(1, degree + 1))
    log = algebra.log(algebra.product(algebra.exp(letters), change))
    words, moved = ({k: {(k, *end): Fraction(1)} for k in range(1, degree + 1)} for end in ((), (0,)))
    found = log_change(FreeAlgebra(), degree, words, moved)
    for n in range(1, degree + 1):
        assert found[n] == {w: slope(x) for w, x in log[n].items() if slope(x)}
