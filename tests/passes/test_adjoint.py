"""The adjoint against derivatives: of random programs by dual numbers, of the join by its definition, and of itself."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import directions, evaluate_lie, lie_programs, points_of, slope
from scalar_programs import meaning

from logsig_codegen.algebra.tensor import join_vjp_oracle
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.lie import Coadjoint, LieProgram, Port, Scaled
from logsig_codegen.ir.lower import lower
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.dead import drop_dead_statements
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.plans.log_derivative import log_derivative_join
from logsig_codegen.plans.notation import parse_join
from logsig_codegen.plans.right_normed import right_normed_join
from logsig_codegen.plans.special import special_join
from logsig_codegen.problem import Problem

Numbers = dict[str, list[Any]]


def random_point(program: LieProgram, problem: Problem, seed: int = 0) -> Numbers:
    source = random.Random(seed)
    return {
        port.operand: [
            Fraction(source.randint(-9, 9), source.randint(1, 5))
            for _ in range(sum(problem.sizes[: len(port.vectors)]))
        ]
        for port in program.inputs
    }


def expected_gradient(program: LieProgram, problem: Problem, cotangents: Numbers, point: Numbers) -> Numbers:
    """The derivatives of ``<cotangents, program(point)>``, one input coordinate after the other."""
    gradient: Numbers = {f"d_{name}": [] for name in point}
    for name, _, moved in directions(point):
        outputs = evaluate_lie(program, problem, moved)
        gradient[f"d_{name}"].append(
            sum(
                c * slope(x)
                for operand, xs in outputs.items()
                for c, x in zip(cotangents[f"d_{operand}"], xs, strict=True)
            )
        )
    return gradient


def test_example_of_the_documentation() -> None:
    program = parse_join("example", 2, "h = v/2\nz1 = l1 + v\nz2 = l2 + [l1, h]")
    result = adjoint(program)
    assert {statement.target.name: set(statement.terms) for statement in result.statements} == {
        "h": {Scaled(Fraction(1, 2), "v")},
        "h_bar": {Coadjoint(1, "l1", "d_z2")},
        "l1_bar": {Scaled(1, "d_z1"), Coadjoint(-1, "h", "d_z2")},
        "v_bar": {Scaled(1, "d_z1"), Scaled(Fraction(1, 2), "h_bar")},
    }
    assert [(port.operand, port.vectors) for port in result.inputs] == [
        ("d_out", ("d_z1", "d_z2")),
        ("log_sig", ("l1", "l2")),
        ("displacement", ("v",)),
    ]
    assert [(port.operand, port.vectors) for port in result.outputs] == [
        ("d_log_sig", ("l1_bar", "d_z2")),
        ("d_displacement", ("v_bar",)),
    ]
    assert result.dual_inputs == ("d_out",)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_adjoint_of_random_programs_is_the_gradient(data: st.DataObject) -> None:
    """Brackets, coadjoint actions, shared operands, unused inputs, outputs that are inputs: in coordinates, exactly."""
    program, problem = data.draw(lie_programs())
    result = adjoint(program)
    point = data.draw(points_of(result, problem))
    originals = {port.operand: point[port.operand] for port in program.inputs}
    cotangents = {name: numbers for name, numbers in point.items() if name not in originals}
    assert evaluate_lie(result, problem, point) == expected_gradient(program, problem, cotangents, originals)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 1), (1, 3), (2, 2), (2, 5), (3, 4), (4, 3)])
@pytest.mark.parametrize("plan", [special_join, log_derivative_join, right_normed_join])
def test_adjoint_of_the_join(plan: Any, dimension: int, degree: int) -> None:
    problem = Problem(dimension, degree)
    program = adjoint(plan(degree))
    point = random_point(program, problem, seed=degree)
    d_log_sig, d_displacement = join_vjp_oracle(
        dimension, degree, point["d_out"], point["log_sig"], point["displacement"]
    )
    found = evaluate_lie(program, problem, point)
    assert found == {"d_log_sig": d_log_sig, "d_displacement": d_displacement}
    assert meaning(lower(program, problem), point) == found


@pytest.mark.parametrize(("dimension", "degree"), [(2, 2), (2, 3), (3, 3), (2, 4)])
def test_adjoint_twice_is_the_second_derivative(dimension: int, degree: int) -> None:
    """Against the definition of the gradient, differentiated with dual numbers."""
    problem = Problem(dimension, degree)
    plan = special_join(degree)
    assert plan is not None
    first = adjoint(drop_dead_statements(fold_scales(plan, problem)))
    second = adjoint(first)
    point = random_point(second, problem)
    found = evaluate_lie(second, problem, point)
    arguments = {name: point[name] for name in ("d_out", "log_sig", "displacement")}
    expected: Numbers = {f"d_{name}": [] for name in arguments}
    for name, _, moved in directions(arguments):
        gradients = join_vjp_oracle(dimension, degree, moved["d_out"], moved["log_sig"], moved["displacement"])
        weights = (point["d_d_log_sig"], point["d_d_displacement"])
        expected[f"d_{name}"].append(
            sum(w * slope(x) for ws, xs in zip(weights, gradients, strict=True) for w, x in zip(ws, xs, strict=True))
        )
    assert found == expected
    assert meaning(lower(second, problem), point) == found


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_adjoint_twice_of_random_programs(data: st.DataObject) -> None:
    program, problem = data.draw(lie_programs(forms=False))
    first = adjoint(program)
    second = adjoint(first)
    point = data.draw(points_of(second, problem))
    originals = {port.operand: point[port.operand] for port in first.inputs}
    cotangents = {name: numbers for name, numbers in point.items() if name not in originals}
    assert evaluate_lie(second, problem, point) == expected_gradient(first, problem, cotangents, originals)


def test_outputs_are_not_recomputed() -> None:
    """The gradient needs what the products need, and no more."""
    plan = special_join(4)
    assert plan is not None
    kept = {statement.target.name for statement in adjoint(plan).statements if not statement.target.dual}
    assert kept.isdisjoint({"z3", "z4"})
    assert {"y", "U", "c"} <= kept


def test_inputs_that_are_not_used_have_zero_gradients() -> None:
    ports = (Port("log_sig", ("l1", "l2")), Port("displacement", ("v",)))
    program = LieProgram("example", 2, ports, (), (Port("out", ("v", "l2")),))
    problem = Problem(2, 2)
    lowered = lower(fold_scales(adjoint(program), problem), problem)
    lowered.verify()
    cotangent = [Fraction(2), Fraction(3), Fraction(5)]
    point = {"d_out": cotangent, "log_sig": [Fraction(1)] * 3, "displacement": [Fraction(1)] * 2}
    assert interpret(lowered, point) == {"d_log_sig": [0, 0, 5], "d_displacement": [2, 3]}
