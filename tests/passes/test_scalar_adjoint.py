"""The adjoint of scalar programs, against dual numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lie_programs import Dual, slope
from scalar_programs import inputs_of, meaning, programs

from logsig_codegen.ir.program import NONE, Operand, Program, Result
from logsig_codegen.passes.dead import drop_dead_instructions
from logsig_codegen.passes.scalar_adjoint import scalar_adjoint
from logsig_codegen.problem import Problem


@given(st.data())
def test_every_derivative(data: Any) -> None:
    drawn = data.draw(programs())
    named = tuple(Result(f"r{index}", result.values) for index, result in enumerate(drawn.outputs))
    program = replace(drawn, outputs=named)  # an operand may be called d_out
    inputs = data.draw(inputs_of(program))
    seeds = {
        f"d_{result.name}": [data.draw(st.integers(-3, 3).map(Fraction)) for _ in result.values]
        for result in program.outputs
    }
    adjoint = scalar_adjoint(program)
    assert [operand.name for operand in adjoint.inputs] == [*seeds, *inputs]
    found = meaning(adjoint, {**seeds, **inputs})
    for name, values in inputs.items():
        for index in range(len(values)):
            varied = {other: [Dual(x) for x in row] for other, row in inputs.items()}
            varied[name][index] = Dual(values[index], Fraction(1))
            exact = meaning(program, varied)
            expected = sum(
                seed * slope(x)
                for result in program.outputs
                for seed, x in zip(seeds[f"d_{result.name}"], exact[result.name], strict=True)
            )
            assert found[f"d_{name}"][index] == expected


def test_the_example() -> None:
    program = Program(Problem(2, 2), "f", (Operand("x", 2),), (((1, 0, 1), (1, 0, NONE)),), (Result("z", (2, NONE)),))
    adjoint = drop_dead_instructions(scalar_adjoint(program))
    adjoint.verify()
    assert meaning(adjoint, {"d_z": [5, 7], "x": [2, 3]}) == {"d_x": [5 * 3 + 5, 5 * 2]}
