"""The formulas: against the exact oracle at random points, SymPy's own differentiation, and each other."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from fractions import Fraction

import pytest
import sympy

from logsig_codegen.algebra.tensor import join_oracle, join_vjp_oracle
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.formulas import FORMATS, SECTIONS, formulas
from logsig_codegen.symbolic.polynomials import coordinate_names

PROBLEMS = [(1, 1), (1, 3), (2, 1), (3, 2), (2, 4), (3, 3), (2, 5), (11, 2)]


def point(dimension, degree):
    """Random values of ``g``, ``l`` and ``v`` and the names they go by, derived here from the Lyndon words."""
    problem, source = Problem(dimension, degree), random.Random(7)
    sizes = (problem.size, problem.size, dimension)
    values = [[Fraction(source.randint(-9, 9), source.randint(1, 6)) for _ in range(size)] for size in sizes]
    names = [equation.name[2:] for equation in formulas(problem).coordinates.equations]
    table = {
        f"{p}_{name}": x
        for p, group in zip("gl", values[:2], strict=True)
        for name, x in zip(names, group, strict=True)
    }
    table.update({f"v_{name}": x for name, x in zip(names[:dimension], values[2], strict=True)})
    return values, table


def numeric(expression, table):
    values = {symbol: sympy.Rational(str(table[symbol.name])) for symbol in expression.free_symbols}
    return Fraction(str(expression.xreplace(values)))


def from_terms(equation, table):
    total = Fraction(0)
    for term in equation["terms"]:
        product = Fraction(term["coefficient"])
        for factor in term["factors"]:
            product *= table[factor]
        total += product
    return total


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_coordinates_at_a_random_point(dimension, degree):
    (_, log_sig, displacement), table = point(dimension, degree)
    exact = join_oracle(dimension, degree, log_sig, displacement)
    section = formulas(Problem(dimension, degree)).coordinates
    assert [numeric(expression, table) for expression in section] == exact
    assert [from_terms(equation, table) for equation in json.loads(section.json())] == exact
    assert [numeric(sympy.sympify(equation.right_hand_side()), table) for equation in section.equations] == exact


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_adjoint_at_a_random_point(dimension, degree):
    (d_out, log_sig, displacement), table = point(dimension, degree)
    d_log_sig, d_displacement = join_vjp_oracle(dimension, degree, d_out, log_sig, displacement)
    section = formulas(Problem(dimension, degree)).adjoint
    assert [numeric(expression, table) for expression in section] == d_log_sig + d_displacement
    assert [from_terms(equation, table) for equation in json.loads(section.json())] == d_log_sig + d_displacement


@pytest.mark.parametrize(("dimension", "degree"), [(1, 2), (2, 4), (3, 3)])
def test_adjoint_is_the_derivative_of_the_coordinates(dimension, degree):
    section = formulas(Problem(dimension, degree))
    coordinates = section.coordinates
    weights = [sympy.Symbol(equation.name.replace("z", "g")) for equation in coordinates.equations]
    total = sum(weight * coordinate for weight, coordinate in zip(weights, coordinates, strict=True))
    for equation in section.adjoint.equations:
        derivative = sympy.diff(total, sympy.Symbol(equation.name.removeprefix("d_")))
        assert sympy.expand(derivative - equation.expression) == 0


def test_text():
    section = formulas(Problem(2, 3))
    assert section.show("coordinates").splitlines() == [
        "# the join: z = log(exp(l) exp(v))",
        "z_0 = l_0 + v_0  # 0",
        "z_1 = l_1 + v_1  # 1",
        "z_01 = l_01 + 1/2*(l_0*v_1 - l_1*v_0)  # [0,1]",
        "z_001 = l_001 - 1/2*l_01*v_0 + 1/12*(l_0**2*v_1 - l_0*l_1*v_0 - l_0*v_0*v_1 + l_1*v_0**2)",
        "    # [0,[0,1]]",
        "z_011 = l_011 + 1/2*l_01*v_1 + 1/12*(-l_0*l_1*v_1 + l_0*v_1**2 + l_1**2*v_0 - l_1*v_0*v_1)",
        "    # [[0,1],1]",
    ]
    adjoint = section.show("adjoint", "text").splitlines()
    assert "d_l_01 = g_01 + 1/2*(-g_001*v_0 + g_011*v_1)  # [0,1]" in adjoint
    assert [line.partition(" ")[0] for line in adjoint[1:] if line[0] != " "] == [
        *("d_l_0", "d_l_1", "d_l_01", "d_l_001", "d_l_011", "d_v_0", "d_v_1")
    ]


def test_latex():
    coordinates = formulas(Problem(2, 3)).show("coordinates", "latex").splitlines()
    assert coordinates[3] == r"\[ z_{01} = l_{01} + \frac{1}{2} \bigl(l_{0} v_{1} - l_{1} v_{0}\bigr) \]  % [0,1]"
    assert r"\frac{1}{12} \bigl(l_{0}^{2} v_{1} - l_{0} l_{1} v_{0}" in coordinates[4]
    adjoint = formulas(Problem(2, 2)).show("adjoint", "latex").splitlines()
    assert adjoint[3] == r"\[ \bar{l}_{01} = g_{01} \]  % [0,1]"
    assert adjoint[4] == r"\[ \bar{v}_{0} = g_{0} - \frac{1}{2} g_{01} l_{1} \]  % 0"


def test_json():
    assert json.loads(formulas(Problem(2, 2)).show("coordinates", "json"))[2] == {
        "name": "z_01",
        "bracket": "[0,1]",
        "expression": "l_01 + 1/2*(l_0*v_1 - l_1*v_0)",
        "terms": [
            {"coefficient": "1", "factors": ["l_01"]},
            {"coefficient": "1/2", "factors": ["l_0", "v_1"]},
            {"coefficient": "-1/2", "factors": ["l_1", "v_0"]},
        ],
    }


@pytest.mark.parametrize(("dimension", "degree"), [(1, 1), (2, 4)])
def test_sympy_is_python_that_gives_exact_values(dimension, degree):
    (d_out, log_sig, displacement), table = point(dimension, degree)
    section, names = formulas(Problem(dimension, degree)), {}
    exec(section.show("coordinates", "sympy"), names)
    exec(section.show("adjoint", "sympy"), names)
    found = [numeric(expression, table) for expression in names["coordinates"].values()]
    assert found == join_oracle(dimension, degree, log_sig, displacement)
    gradient = join_vjp_oracle(dimension, degree, d_out, log_sig, displacement)
    assert [numeric(expression, table) for expression in names["adjoint"].values()] == [*gradient[0], *gradient[1]]
    assert list(names["coordinates"]) == [equation.name for equation in section.coordinates.equations]


def test_sympy_of_the_series_is_the_logarithm_of_exponentials():
    """All forms agree with the definition, in noncommutative symbols; omega of the last form goes back to l."""
    names = {}
    exec(formulas(Problem(2, 3)).show("series", "sympy"), names)
    before, step, t = names["l"], names["v"], sympy.Symbol("t")

    def power_series(x, coefficients):
        total, power = sympy.Integer(0), sympy.Integer(1)
        for coefficient in coefficients:
            total, power = total + coefficient * power, sympy.expand(power * x)
            power = sum(power.coeff(t, k) * t**k for k in range(4))
        return sympy.expand(total)

    exponential = [sympy.Rational(1, sympy.factorial(k)) for k in range(4)]
    product = sympy.expand(power_series(t * before, exponential) * power_series(t * step, exponential)) - 1
    product = sum(product.coeff(t, k) * t**k for k in range(1, 4))
    logarithm = power_series(product, [0, *(sympy.Rational((-1) ** (k + 1), k) for k in range(1, 4))])
    expected = sympy.expand(sum(logarithm.coeff(t, k) for k in range(4)))
    for form in ("words", "right_normed", "lyndon"):
        assert sympy.expand(names[form]["z"] - expected) == 0
    omega = {names[name]: value for name, value in names["to_omega"].items()}
    for name, value in names["to_log"].items():
        assert sympy.expand(value.subs(omega) - names[name]) == 0


def test_notebooks_get_latex_of_a_section():
    shown = formulas(Problem(2, 2)).coordinates._repr_latex_()
    assert shown.splitlines() == [
        r"$$\begin{aligned}",
        r"z_{0} &= l_{0} + v_{0} \\",
        r"z_{1} &= l_{1} + v_{1} \\",
        r"z_{01} &= l_{01} + \frac{1}{2} \bigl(l_{0} v_{1} - l_{1} v_{0}\bigr)",
        r"\end{aligned}$$",
    ]


def test_names_are_unambiguous_above_ten_letters():
    words = ((1,), (11,), (1, 11), (11, 1), (1, 1, 1))
    assert coordinate_names("l", words, 12) == ["l_1", "l_11", "l_1_11", "l_11_1", "l_1_1_1"]
    assert coordinate_names("l", ((0, 9), (0, 0, 9)), 10) == ["l_09", "l_009"]
    coordinates = formulas(Problem(12, 2)).coordinates
    assert len({equation.name for equation in coordinates.equations}) == Problem(12, 2).size
    last = coordinates.equations[-1]
    assert last.text() == "z_10_11 = l_10_11 + 1/2*(l_10*v_11 - l_11*v_10)"
    assert last.latex().startswith("z_{10,11} = l_{10,11}")


def test_sections_behave_like_sequences():
    coordinates = formulas(Problem(2, 2)).coordinates
    l_0, v_0 = sympy.symbols("l_0 v_0")
    assert len(coordinates) == 3
    assert coordinates[0] == l_0 + v_0
    assert coordinates[:1] == (l_0 + v_0,)
    assert list(coordinates)[-1] == coordinates[-1]
    with pytest.raises(IndexError):
        coordinates[3]


def test_groups_stay_together_in_expressions():
    expression = formulas(Problem(2, 3)).coordinates[3]
    assert str(expression) == "l_001 - l_01*v_0/2 + (l_0**2*v_1 - l_0*l_1*v_0 - l_0*v_0*v_1 + l_1*v_0**2)/12"


def test_series_belongs_to_every_dimension():
    large = formulas(Problem(50, 10))
    assert large.show("series") == formulas(Problem(2, 10)).show("series")
    assert "1/12 [l,[l,v]]" in large.show("series")
    assert json.loads(large.show("series", "json"))["degree"] == 10


@pytest.mark.parametrize("what", ["coordinates", "adjoint"])
def test_too_large_to_expand(what):
    message = r"dimension=10, degree=4: .* about 40000 terms, and at most \d+ are expanded; the program text"
    with pytest.raises(ProblemTooLargeError, match=message):
        formulas(Problem(10, 4)).show(what)


def test_too_large_a_degree_for_the_series():
    with pytest.raises(ProblemTooLargeError, match="degree=11: the series is written out up to degree 10; the program"):
        formulas(Problem(2, 11)).show("series")


@pytest.mark.parametrize("what", SECTIONS)
@pytest.mark.parametrize("format", FORMATS)
def test_every_section_has_every_format(what, format):
    section = formulas(Problem(2, 2))
    assert section.show(what, format) == getattr(getattr(section, what), format)()


def test_unknown_section_and_format():
    section = formulas(Problem(2, 2))
    with pytest.raises(
        ValueError, match=r"what: expected one of \('series', 'coordinates', 'adjoint'\), got 'problem'"
    ):
        section.show("problem")
    with pytest.raises(ValueError, match=r"format: expected one of \('text', 'latex', 'json', 'sympy'\), got 'html'"):
        section.show("series", "html")


def test_output_does_not_depend_on_hash_seeds():
    code = (
        "from logsig_codegen.problem import Problem; from logsig_codegen.symbolic.formulas import formulas\n"
        "f = formulas(Problem(3, 3))\n"
        "for what in ('coordinates', 'adjoint'):\n"
        "    print(*(f.show(what, format) for format in ('text', 'latex', 'json', 'sympy')), *getattr(f, what))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
