"""Dead code goes, everything else stays."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from lie_programs import evaluate_lie, lie_programs, points_of
from scalar_programs import parts, program_of, programs, same_meaning

from logsig_codegen.ir.lie import Bracket, LieProgram, Port, Scaled, Statement, Vector
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.passes.dead import drop_dead_instructions, drop_dead_statements


def test_example_of_the_documentation_on_scalars() -> None:
    before = program_of({"log_sig": 2}, [((1, 0, 1),), ((1, 0, NONE), (1, 1, NONE))], {"out": (3,)})
    after = drop_dead_instructions(before)
    assert parts(after) == ((((1, 0, NONE), (1, 1, NONE)),), ((2,),))


def test_example_of_the_documentation_on_vectors() -> None:
    statements = (
        Statement(Vector("c", 2), (Bracket(1, "a", "b"),)),
        Statement(Vector("z", 1), (Scaled(1, "a"), Scaled(1, "b"))),
    )
    before = LieProgram("example", 2, (Port("left", ("a",)), Port("right", ("b",))), statements, (Port("out", ("z",)),))
    assert drop_dead_statements(before) == replace(before, statements=statements[1:])


@settings(deadline=None)
@given(st.data())
def test_instructions(data: st.DataObject) -> None:
    before = data.draw(programs(dead=True))
    after = drop_dead_instructions(before)
    after.verify()
    same_meaning(data.draw, before, after)
    assert drop_dead_instructions(after) == after
    assert len(after.instructions) <= len(before.instructions)


@settings(deadline=None)
@given(programs())
def test_programs_without_dead_instructions_stay_as_they_are(program: Program) -> None:
    assert drop_dead_instructions(program) == program


@settings(deadline=None)
@given(st.data())
def test_statements(data: st.DataObject) -> None:
    before, problem = data.draw(lie_programs())
    after = drop_dead_statements(before)
    point = data.draw(points_of(before, problem))
    assert evaluate_lie(after, problem, point) == evaluate_lie(before, problem, point)
    assert drop_dead_statements(after) == after
    used = {name for port in after.outputs for name in port.vectors}
    used.update(name for statement in after.statements for term in statement.terms for name in term.operands)
    assert [s.target.name for s in after.statements if s.target.name not in used] == []
