"""The series: against Bernoulli numbers, symmetries, their definition in words, and each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction

import pytest
import sympy
from sympy.abc import z

from logsig_codegen.algebra.tensor import (
    TensorAlgebra,
    add_scaled,
    commutator,
    exponential_coefficients,
    logarithm_coefficients,
)
from logsig_codegen.symbolic.series import SERIES_LIMIT, bch_series, phi
from logsig_codegen.symbolic.terms import Commutator, LieSeries, LieTerm, Product, right_nested
from logsig_codegen.symbolic.words import bch_words, right_normed_words


def evaluate(monomial, symbols):
    """Words of a monomial, given the words of each symbol."""
    if isinstance(monomial, Commutator):
        return commutator(evaluate(monomial.left, symbols), evaluate(monomial.right, symbols))
    if isinstance(monomial, Product):
        words = {(): 1}
        for letter in monomial.letters:
            words = {u + w: a * b for u, a in words.items() for w, b in symbols[letter].items()}
        return words
    return symbols[monomial]


def total(series, symbols):
    result = {}
    for term in series.terms:
        add_scaled(result, term.coefficient, evaluate(term.monomial, symbols))
    return result


def merged(words):
    return {word: value for part in words for word, value in part.items()}


@pytest.mark.parametrize(
    ("coefficients", "function"),
    [
        (exponential_coefficients, sympy.exp(z)),
        (logarithm_coefficients, sympy.log(1 + z)),
        (phi, (1 - sympy.exp(-z)) / z),
    ],
)
def test_scalar_functions(coefficients, function):
    expansion = sympy.series(function, z, 0, 8).removeO()
    assert coefficients(7) == tuple(Fraction(str(expansion.coeff(z, k))) for k in range(8))


def test_bernoulli_numbers_stand_on_the_words_with_one_v():
    # The part of log(e^l e^v) that is linear in v is the series x/(1 - e^-x) of ad_l, applied to v.
    for words in bch_words(10)[1:]:
        length = len(next(iter(words)))
        word = (0,) * (length - 1) + (1,)
        bernoulli = Fraction(1, 2) if length == 2 else Fraction(str(sympy.bernoulli(length - 1)))
        factorial = Fraction(str(sympy.factorial(length - 1)))
        assert words.get(word, 0) == bernoulli / factorial


def test_exchanging_the_factors_changes_signs():
    # log(e^l e^v) = -log(e^-v e^-l)
    for length, words in enumerate(bch_words(8)):
        swapped = {tuple(1 - letter for letter in word): -((-1) ** length) * value for word, value in words.items()}
        assert swapped == words


def test_degree_three_by_hand():
    assert bch_words(3)[3] == {
        (0, 0, 1): Fraction(1, 12),
        (0, 1, 0): Fraction(-1, 6),
        (1, 0, 0): Fraction(1, 12),
        (0, 1, 1): Fraction(1, 12),
        (1, 0, 1): Fraction(-1, 6),
        (1, 1, 0): Fraction(1, 12),
    }


@pytest.mark.parametrize("degree", [1, 2, 5, 10])
def test_all_forms_are_the_same_series(degree):
    series = bch_series(degree)
    symbols = {"l": {(0,): 1}, "v": {(1,): 1}}
    expected = merged(bch_words(degree))
    assert total(series.words, symbols) == expected
    assert total(series.right_normed, symbols) == expected
    assert total(series.lyndon, symbols) == expected


def test_sympy_expressions_of_all_forms_agree():
    series = bch_series(5)
    words = series.words.expression()
    assert sympy.expand(series.right_normed.expression() - words) == 0
    assert sympy.expand(series.lyndon.expression() - words) == 0
    l, v = sympy.symbols("l v", commutative=False)  # noqa: E741
    assert words.coeff(l**4 * v) == sympy.Rational(-1, 720)


@pytest.mark.parametrize("degree", [1, 2, 3, 6])
def test_logarithmic_derivative_by_its_definition(degree):
    # omega = e^-L D(e^L), where D multiplies words of weight k by k; letter k stands for l_k.
    algebra = TensorAlgebra(degree)
    element = [{}, *({(k,): Fraction(1)} for k in range(1, degree + 1))]
    symbols = {f"l_{k}": element[k] for k in range(1, degree + 1)}
    omega = derivative_of_exponential(algebra, element)
    forms = bch_series(degree).log_derivative
    for k in range(1, degree + 1):
        assert total(forms.to_omega[k - 1], symbols) == omega[k]
        back = {**symbols, f"omega_{k}": omega[k]}
        assert total(forms.to_log[k - 1], back) == element[k]
        assert {name for term in forms.to_log[k - 1].terms for name in names(term.monomial)} <= {
            f"omega_{k}",
            *(f"l_{j}" for j in range(1, k)),
        }


def test_logarithmic_derivative_of_a_step():
    degree, step = 5, 0
    algebra = TensorAlgebra(degree)
    element = [{}, *({(k,): Fraction(1)} for k in range(1, degree + 1))]
    letter = [{}, {(step,): Fraction(1)}, *({} for _ in range(2, degree + 1))]
    joined = algebra.log(algebra.product(algebra.exp(element), algebra.exp(letter)))
    before, after = (derivative_of_exponential(algebra, x) for x in (element, joined))
    symbols = {"v": letter[1], **{f"omega_{k}": before[k] for k in range(1, degree + 1)}}
    for k, series in enumerate(bch_series(degree).log_derivative.step, start=1):
        assert series.name == f"Omega_{k}"
        assert total(series, symbols) == after[k]


def derivative_of_exponential(algebra, element):
    derived = [{word: k * value for word, value in part.items()} for k, part in enumerate(algebra.exp(element))]
    inverse = algebra.exp([{word: -value for word, value in part.items()} for part in element])
    return algebra.product(inverse, derived)


def names(monomial):
    if isinstance(monomial, Commutator):
        return [*names(monomial.left), *names(monomial.right)]
    return [monomial]


def test_right_normed_words_keep_a_lie_polynomial():
    words = bch_words(6)[6]
    normed = right_normed_words(words)
    result = {}
    for word, value in normed.items():
        assert word[-2:] == (0, 1)
        add_scaled(result, value, evaluate(right_nested(tuple(map(str, word))), {"0": {(0,): 1}, "1": {(1,): 1}}))
    assert result == words
    assert right_normed_words({(1,): Fraction(2)}) == {(1,): 2}


def test_text():
    series = bch_series(3)
    assert series.words.text() == (
        "z = l + v + 1/2 l v - 1/2 v l + 1/12 l l v - 1/6 l v l + 1/12 l v v + 1/12 v l l - 1/6 v l v + 1/12 v v l"
    )
    assert series.right_normed.text() == "z = l + v + 1/2 [l,v] + 1/12 [l,[l,v]] - 1/12 [v,[l,v]]"
    assert series.lyndon.text() == "z = l + v + 1/2 [l,v] + 1/12 [l,[l,v]] + 1/12 [[l,v],v]"
    derivative = series.log_derivative
    assert derivative.to_omega[2].text() == "omega_3 = 3 l_3 - 1/2 [l_1,l_2]"
    assert derivative.to_log[2].text() == "l_3 = 1/3 omega_3 + 1/6 [l_1,l_2]"
    assert derivative.step[0].text() == "Omega_1 = omega_1 + v"
    assert derivative.step[2].text() == "Omega_3 = omega_3 - [v,omega_2] + 1/2 [v,[v,omega_1]]"
    for line in (series.lyndon.text(), derivative.step[2].text()):
        assert line in series.text().splitlines()


def test_latex():
    series = bch_series(2)
    assert series.lyndon.latex() == r"z = l + v + \frac{1}{2} [l,v]"
    assert series.words.latex() == r"z = l + v + \frac{1}{2} l v - \frac{1}{2} v l"
    assert series.log_derivative.step[1].latex() == r"\Omega_{2} = \omega_{2} - [v,\omega_{1}]"
    assert r"\[ z = l + v + \frac{1}{2} [l,v] \]" in series.latex().splitlines()


def test_json():
    data = json.loads(bch_series(3).json())
    assert data["degree"] == 3
    assert data["lyndon"]["terms"][-1] == {"coefficient": "1/12", "bracket": [["l", "v"], "v"]}
    assert data["words"]["terms"][3] == {"coefficient": "-1/2", "word": ["v", "l"]}
    assert data["log_derivative"]["phi"] == ["1", "-1/2", "1/6", "-1/24"]
    assert json.loads(bch_series(3).lyndon.json()) == data["lyndon"]


def test_an_empty_and_a_negative_sum():
    assert LieSeries("x", ()).text() == "x = 0"
    assert LieSeries("x", (LieTerm(Fraction(-2), Commutator("l", "v")),)).text() == "x = -2 [l,v]"
    assert LieSeries("x", ()).expression() == 0


@pytest.mark.parametrize("degree", [0, -1, SERIES_LIMIT + 1])
def test_degree_out_of_range(degree):
    with pytest.raises(ValueError, match=r"degree: expected at (least 1|most 10), got"):
        bch_series(degree)


@pytest.mark.parametrize("degree", [True, 2.0, "2"])
def test_degree_of_the_wrong_type(degree):
    with pytest.raises(TypeError, match="degree: expected an integer"):
        bch_series(degree)


def test_output_does_not_depend_on_hash_seeds():
    code = "from logsig_codegen.symbolic.series import bch_series as b; s = b(6); print(s.text(), s.latex(), s.json())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
