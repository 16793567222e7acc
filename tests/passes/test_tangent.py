"""The tangent of random programs against dual numbers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import Dual, evaluate_lie, lie_programs, points_of, slope

from logsig_codegen.passes.tangent import tangent
from logsig_codegen.plans.notation import parse_join


def test_example_of_the_documentation() -> None:
    result = tangent(parse_join("example", 2, "z1 = l1 + v\nz2 = l2 + [l1, v]"))
    assert [port.operand for port in result.inputs] == ["log_sig", "displacement", "t_log_sig", "t_displacement"]
    assert [port.operand for port in result.outputs] == ["t_out"]
    assert not any(vector.dual for vector in result.vectors.values())
    assert len(result.statements) == 2


@settings(max_examples=60)
@given(st.data())
def test_tangents_are_slopes(data: st.DataObject) -> None:
    program, problem = data.draw(lie_programs(forms=False))
    point, direction = data.draw(points_of(program, problem)), data.draw(points_of(program, problem))
    moving = {name: list(map(Dual, numbers, direction[name])) for name, numbers in point.items()}
    expected = evaluate_lie(program, problem, moving)["out"]
    derived = tangent(program)
    found = evaluate_lie(derived, problem, {**point, **{f"t_{name}": u for name, u in direction.items()}})
    assert found["t_out"] == [slope(number) for number in expected]
