"""The notation of plans: what a line means, exactly, and what is wrong with a line that means nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest

from logsig_codegen.algebra.surd import SQRT5
from logsig_codegen.errors import GenerationError
from logsig_codegen.ir.lie import Bracket, Port, Scaled, Statement, Vector
from logsig_codegen.plans.notation import parse_join

END = "z1 = l1 + v\nz2 = l2 + [l1, v/2]\nz3 = l3"


def statements(*lines: str) -> dict[str, Statement]:
    """Parse lines in front of a degree-three plan; the statements by target."""
    program = parse_join("example", 3, "\n".join([*lines, END]))
    return {statement.target.name: statement for statement in program.statements}


def terms(expression: str, *before: str) -> tuple[object, ...]:
    return statements(*before, f"x = {expression}")["x"].terms


def test_ports() -> None:
    program = parse_join("example", 3, END)
    assert (program.name, program.degree) == ("example", 3)
    assert program.inputs == (Port("log_sig", ("l1", "l2", "l3")), Port("displacement", ("v",)))
    assert program.outputs == (Port("out", ("z1", "z2", "z3")),)
    assert program.dual_inputs == ()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("l1", (Scaled(1, "l1"),)),
        ("-l1", (Scaled(-1, "l1"),)),
        ("l1 + v", (Scaled(1, "l1"), Scaled(1, "v"))),
        ("l1 - v/2", (Scaled(1, "l1"), Scaled(Fraction(-1, 2), "v"))),
        ("2*l1/6", (Scaled(Fraction(1, 3), "l1"),)),
        ("l1*2*3", (Scaled(6, "l1"),)),
        ("(l1 - 2*v)/4", (Scaled(Fraction(1, 4), "l1"), Scaled(Fraction(-1, 2), "v"))),
        ("-(l1 - v)", (Scaled(-1, "l1"), Scaled(1, "v"))),
        ("l1 + l1 + v", (Scaled(2, "l1"), Scaled(1, "v"))),
        ("l1 + v - l1", (Scaled(1, "v"),)),
        ("sqrt5*l1", (Scaled(SQRT5, "l1"),)),
        ("sqrt5*sqrt5*l1", (Scaled(5, "l1"),)),
        ("l1/sqrt5", (Scaled(SQRT5 / 5, "l1"),)),
        ("(1/3 + 1/6)*l1", (Scaled(Fraction(1, 2), "l1"),)),
        ("[l1, v]", (Bracket(1, "l1", "v"),)),
        ("-[l1, v]/3", (Bracket(Fraction(-1, 3), "l1", "v"),)),
        ("2*[l1/6, 3*v]", (Bracket(1, "l1", "v"),)),
        ("[l1, v] + [v, l1]", (Bracket(1, "l1", "v"), Bracket(1, "v", "l1"))),
        ("l2 + [l1, v] + [l1, v]", (Scaled(1, "l2"), Bracket(2, "l1", "v"))),
    ],
)
def test_expressions(expression: str, expected: tuple[object, ...]) -> None:
    found = terms(expression)
    assert found == expected
    assert [type(term.coefficient) for term in found] == [type(term.coefficient) for term in expected]  # type: ignore[attr-defined]


def test_constants_are_exact_and_make_no_statement() -> None:
    found = statements("lam = 1/4 + sqrt5/20", "p = 2*lam*lam - lam", "x = l1 + p*v", "y = l1 + lam*v")
    assert set(found) == {"x", "y", "z1", "z2", "z3"}
    assert found["x"].terms == (Scaled(1, "l1"), Scaled(Fraction(-1, 10), "v"))
    assert found["y"].terms == (Scaled(1, "l1"), Scaled(Fraction(1, 4) + SQRT5 / 20, "v"))


def test_operands_that_are_sums_become_vectors_of_their_own_once() -> None:
    program = parse_join("example", 3, f"x = [l1 + v, l2]\ny = [v, [l1, v]] + [l1 + v, l2 - [l1, v]]\n{END}")
    found = {statement.target.name: statement for statement in program.statements}
    (bracket,) = found["x"].terms
    assert isinstance(bracket, Bracket)
    assert found[bracket.left].terms == (Scaled(1, "l1"), Scaled(1, "v"))
    first, second = found["y"].terms
    assert isinstance(first, Bracket)
    assert isinstance(second, Bracket)
    assert second.left == bracket.left
    assert found[first.right].terms == (Bracket(1, "l1", "v"),)
    assert found[second.right].target == Vector(second.right, 2)
    defined = {"l1", "l2", "l3", "v"}
    for statement in program.statements:
        assert all(name in defined for term in statement.terms for name in term.operands)
        defined.add(statement.target.name)


def test_degrees_are_inferred() -> None:
    found = statements("a = [l1, l1 + v]", "b = [a, l1] + l3", "c = [a, [l1, l2]]")
    assert [found[name].target.degree for name in "abc"] == [2, 3, 5]


def test_comments_and_empty_lines() -> None:
    assert parse_join("example", 3, f"# only a comment\n\n  \n{END} # the same\n") == parse_join("example", 3, END)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x = q", "cannot read 'q'"),
        ("x = [l1, q]", "cannot read 'q'"),
        ("x = l4", "cannot read 'l4'"),
        ("x = l1 + l2", r"x sums terms of degrees \[1, 2\]"),
        ("x = l2 + [l1, l2]", r"x sums terms of degrees \[2, 3\]"),
        ("x = [l1 + l2, v]", r"sums terms of degrees \[1, 2\]"),
        ("x = l1 - l1", r"x sums terms of degrees \[\]"),
        ("l1 = v", "defines l1 twice"),
        ("v = l1", "defines v twice"),
        ("sqrt5 = 2", "defines sqrt5 twice"),
        ("z1 = v", "defines z1 twice"),
        ("x = l1*v", "a product of two vectors"),
        ("x = [l1, v]*l1", "a product of two vectors"),
        ("x = l1/v", "cannot read 'l1 / v'"),
        ("x = 1/v", "cannot read '1 / v'"),
        ("x = l1 + 1", "a sum of a vector and a number"),
        ("x = 1 - l1", "a sum of a vector and a number"),
        ("x = [2, l1]", "'2' is not a vector"),
        ("x = [l1, v, l1]", r"cannot read '\[l1, v, l1\]'"),
        ("x = 0.5*l1", "cannot read '0.5'"),
        ("x = l1**2", r"cannot read 'l1 \*\* 2'"),
        ("x = f(l1)", r"cannot read 'f\(l1\)'"),
        ("x = 'l1'", "cannot read \"'l1'\""),
        ("x + l1", "is not a definition"),
        ("x[0] = l1", "is not a definition"),
        ("x = l1; y = l1", "plan line"),
        ("x = ", "plan line 'x ='"),
        ("x = (l1", "plan line"),
        ("z9 == l1", "is not a definition"),
    ],
)
def test_errors(line: str, message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        parse_join("example", 3, f"z1 = l1 + v\nz2 = l2\n{line}\nz3 = l3")


@pytest.mark.parametrize("line", ["x = l1/0", "x = y = l1", "x = True*l1", "x = l1/(sqrt5*sqrt5 - 5)"])
def test_lines_that_look_right_are_errors_too(line: str) -> None:
    with pytest.raises(GenerationError, match="plan"):
        parse_join("example", 3, f"{line}\n{END}")


def test_a_name_that_looks_like_an_internal_one_is_safe() -> None:
    """Operands get names of their own, which must not replace the plan's."""
    program = parse_join("example", 2, "t1 = 3*v\nz1 = l1 + v\nz2 = l2 + [l1 + v, v/2] + [t1, l1]")
    targets = [statement.target.name for statement in program.statements]
    assert len(targets) == len(set(targets))


@pytest.mark.parametrize(
    ("text", "missing"), [("z1 = l1", "z2"), ("z1 = l1\nz2 = l1", "z2"), ("z2 = l2", "z1"), ("", "z1")]
)
def test_results_must_be_there_with_their_degree(text: str, missing: str) -> None:
    with pytest.raises(GenerationError, match=f"plan example: {missing} is not defined with degree {missing[1]}"):
        parse_join("example", 2, text)
