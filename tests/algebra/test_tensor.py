"""The oracle is trusted because of identities it must satisfy, dual numbers, and pySigLib."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pysiglib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import QQ, ring

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.surd import SQRT5, Surd
from logsig_codegen.algebra.tensor import (
    TensorAlgebra,
    add_scaled,
    bracket_words,
    commutator,
    concatenate,
    embed,
    exponential_coefficients,
    join_oracle,
    join_vjp_oracle,
    lie_coordinates,
    logarithm_coefficients,
)
from logsig_codegen.problem import Problem

PROBLEMS = [(1, 1), (1, 4), (2, 1), (2, 2), (3, 2), (2, 3), (3, 3), (2, 5), (4, 3), (3, 4)]


@dataclass(frozen=True)
class Dual:
    """A number ``value + slope * eps`` with ``eps**2 = 0``."""

    value: Fraction
    slope: Fraction = Fraction(0)

    def __add__(self, other):
        other = other if isinstance(other, Dual) else Dual(Fraction(other))
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other):
        other = other if isinstance(other, Dual) else Dual(Fraction(other))
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self):
        return self * -1

    def __bool__(self):
        return bool(self.value or self.slope)


def rationals(count, seed):
    source = random.Random(f"{count} {seed}")
    return [Fraction(source.randint(-9, 9), source.randint(1, 6)) for _ in range(count)]


def sample(dimension, degree, seed=0):
    size = Problem(dimension, degree).size
    return rationals(size, f"d_out {seed}"), rationals(size, f"l {seed}"), rationals(dimension, f"v {seed}")


fractions = st.fractions(min_value=-3, max_value=3, max_denominator=6)


@st.composite
def problem_and_elements(draw, count):
    dimension, degree = draw(st.sampled_from(PROBLEMS))
    size = Problem(dimension, degree).size
    element = st.lists(fractions, min_size=size, max_size=size)
    return dimension, degree, [draw(element) for _ in range(count)]


@st.composite
def tensors(draw, degree=3):
    letters = st.integers(0, 1)
    parts = [{}]
    for length in range(1, degree + 1):
        words = st.lists(letters, min_size=length, max_size=length).map(tuple)
        parts.append(draw(st.dictionaries(words, fractions.filter(bool), max_size=4)))
    return parts


def plus_one(tensor):
    return [{(): 1}, *tensor[1:]]


@given(tensors())
def test_exp_and_log_are_inverse(x):
    algebra = TensorAlgebra(3)
    assert algebra.log(algebra.exp(x)) == x
    assert algebra.exp(algebra.log(plus_one(x))) == plus_one(x)


@given(tensors(), tensors(), tensors())
def test_product_is_associative(x, y, z):
    algebra = TensorAlgebra(3)
    x, y, z = plus_one(x), plus_one(y), plus_one(z)
    assert algebra.product(algebra.product(x, y), z) == algebra.product(x, algebra.product(y, z))


def test_product_of_two_words_is_their_concatenation():
    algebra = TensorAlgebra(4)
    left, right = algebra.zero(), algebra.zero()
    left[1], right[3] = {(2,): Fraction(3)}, {(0, 1, 1): Fraction(1, 2)}
    assert algebra.product(left, right) == [{}, {}, {}, {}, {(2, 0, 1, 1): Fraction(3, 2)}]
    assert algebra.product(right, left) == [{}, {}, {}, {}, {(0, 1, 1, 2): Fraction(3, 2)}]


def test_weights_need_not_be_lengths():
    # One letter of weight 2 and one of weight 1, truncated at 4: exp(a + b) has the words whose weights add up.
    algebra = TensorAlgebra(4)
    x = [{}, {(1,): 1}, {(2,): 1}, {}, {}]
    assert algebra.exp(x)[4] == {
        (2, 2): Fraction(1, 2),
        (1, 1, 2): Fraction(1, 6),
        (1, 2, 1): Fraction(1, 6),
        (2, 1, 1): Fraction(1, 6),
        (1, 1, 1, 1): Fraction(1, 24),
    }


@given(tensors(), tensors(), tensors())
def test_commutator_satisfies_jacobi(x, y, z):
    a, b, c = x[1], y[2], z[3]
    total = commutator(a, commutator(b, c))
    add_scaled(total, 1, commutator(b, commutator(c, a)))
    add_scaled(total, 1, commutator(c, commutator(a, b)))
    assert total == {}


def test_add_scaled_drops_what_cancels():
    assert add_scaled({(0,): 2, (1,): 1}, -2, {(0,): 1, (1,): 1}) == {(1,): -1}
    assert concatenate({(0,): 2}, {(1,): 3, (): 1}) == {(0, 1): 6, (0,): 2}


def test_power_series_coefficients():
    assert exponential_coefficients(4) == (1, 1, Fraction(1, 2), Fraction(1, 6), Fraction(1, 24))
    assert logarithm_coefficients(4) == (0, 1, Fraction(-1, 2), Fraction(1, 3), Fraction(-1, 4))


def test_power_series_wants_no_constant_part():
    algebra = TensorAlgebra(2)
    with pytest.raises(ValueError, match="x: expected no constant part"):
        algebra.exp([{(): 1}, {}, {}])
    with pytest.raises(ValueError, match="x: expected constant part 1"):
        algebra.log([{(): 2}, {}, {}])


@pytest.mark.parametrize(("dimension", "degree"), [(2, 8), (3, 5), (5, 3), (12, 2)])
def test_basis_elements_are_their_word_plus_larger_ones(dimension, degree):
    basis = lyndon_basis(dimension, degree)
    for word, words in zip(basis.words, bracket_words(dimension, degree), strict=True):
        assert words[word] == 1
        assert min(words) == word
        assert {len(other) for other in words} == {len(word)}


def test_basis_elements_by_hand():
    assert bracket_words(2, 3)[2] == {(0, 1): 1, (1, 0): -1}
    assert bracket_words(2, 3)[3] == {(0, 0, 1): 1, (0, 1, 0): -2, (1, 0, 0): 1}
    assert bracket_words(2, 3)[4] == {(0, 1, 1): 1, (1, 0, 1): -2, (1, 1, 0): 1}


@given(problem_and_elements(1))
def test_coordinates_are_read_back(case):
    dimension, degree, (coordinates,) = case
    basis = lyndon_basis(dimension, degree)
    assert lie_coordinates(basis, embed(basis, coordinates)) == coordinates


def test_what_is_not_a_lie_element_is_refused():
    basis = lyndon_basis(2, 2)
    with pytest.raises(ValueError, match=r"not a Lie element: \(1, 0\) is left over"):
        lie_coordinates(basis, [{}, {}, {(0, 1): 1, (1, 0): 1}])
    with pytest.raises(ValueError, match="coordinates: expected at most 3, got 4"):
        embed(basis, [1, 2, 3, 4])


def test_join_of_degree_three_by_hand():
    # l = a P0 + b P1 + c P01 + …, v = e P0 + f P1: the terms 1/2 [l,v] + 1/12 [l,[l,v]] - 1/12 [v,[l,v]].
    a, b, c, e, f = (Fraction(n) for n in (3, -2, 5, 7, 4))
    y = a * f - b * e
    expected = [a + e, b + f, c + y / 2, -c * e / 2 + (a - e) * y / 12, c * f / 2 - (b - f) * y / 12]
    assert join_oracle(2, 3, [a, b, c, 0, 0], [e, f]) == expected


@settings(max_examples=30)
@given(problem_and_elements(2))
def test_joining_nothing_and_going_back(case):
    dimension, degree, (log_sig, other) = case
    step = other[:dimension]
    assert join_oracle(dimension, degree, log_sig, [0] * dimension) == log_sig
    there = join_oracle(dimension, degree, log_sig, step)
    assert join_oracle(dimension, degree, there, [-x for x in step]) == log_sig


@settings(max_examples=30)
@given(problem_and_elements(3))
def test_join_is_associative(case):
    dimension, degree, (log_sig, first, second) = case
    first, second = first[:dimension], second[:dimension]
    basis, algebra = lyndon_basis(dimension, degree), TensorAlgebra(degree)
    steps = algebra.product(algebra.exp(embed(basis, first)), algebra.exp(embed(basis, second)))
    whole = algebra.log(algebra.product(algebra.exp(embed(basis, log_sig)), steps))
    one_by_one = join_oracle(dimension, degree, join_oracle(dimension, degree, log_sig, first), second)
    assert one_by_one == lie_coordinates(basis, whole)


def test_one_letter_commutes():
    assert join_oracle(1, 4, [Fraction(2, 3)], [Fraction(1, 6)]) == [Fraction(5, 6)]
    assert join_vjp_oracle(1, 4, [7], [Fraction(2, 3)], [Fraction(1, 6)]) == ([7], [7])


@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), (3, 4), (2, 8), (5, 3), (3, 5)])
def test_agrees_with_pysiglib(dimension, degree):
    d_out, log_sig, displacement = sample(dimension, degree)
    arrays = [np.array([float(x) for x in values]) for values in (d_out, log_sig, displacement)]
    pysiglib.prepare_log_sig(dimension, degree, 3)
    join = pysiglib.log_sig_join(arrays[1], arrays[2], dimension, degree)
    gradient = np.concatenate(pysiglib.log_sig_join_backprop(*arrays, dimension, degree))
    exact = np.array([float(x) for x in join_oracle(dimension, degree, log_sig, displacement)])
    d_log_sig, d_displacement = join_vjp_oracle(dimension, degree, d_out, log_sig, displacement)
    exact_gradient = np.array([float(x) for x in d_log_sig + d_displacement])
    assert np.abs(exact - join).max() < 1e-13 * np.abs(exact).max()
    assert np.abs(exact_gradient - gradient).max() < 1e-13 * np.abs(exact_gradient).max()


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_gradient_equals_dual_numbers(dimension, degree):
    d_out, log_sig, displacement = sample(dimension, degree)
    point = log_sig + displacement
    expected = []
    for index in range(len(point)):
        moved = [Dual(value, Fraction(int(position == index))) for position, value in enumerate(point)]
        result = join_oracle(dimension, degree, moved[: len(log_sig)], moved[len(log_sig) :])
        slopes = [(value + Dual(Fraction(0))).slope for value in result]
        expected.append(sum(weight * slope for weight, slope in zip(d_out, slopes, strict=True)))
    d_log_sig, d_displacement = join_vjp_oracle(dimension, degree, d_out, log_sig, displacement)
    assert d_log_sig + d_displacement == expected


def test_gradient_is_linear_in_its_seed():
    d_out, log_sig, displacement = sample(3, 3)
    once = join_vjp_oracle(3, 3, d_out, log_sig, displacement)
    twice = join_vjp_oracle(3, 3, [2 * x for x in d_out], log_sig, displacement)
    assert twice == ([2 * x for x in once[0]], [2 * x for x in once[1]])
    assert join_vjp_oracle(3, 3, [0] * 14, log_sig, displacement) == ([0] * 14, [0] * 3)


def test_polynomials_evaluate_to_the_numbers():
    d_out, log_sig, displacement = sample(2, 4)
    _, *symbols = ring([f"g{i}" for i in range(8)] + [f"l{i}" for i in range(8)] + ["v0", "v1"], QQ)

    def number(c):
        return QQ(c.numerator, c.denominator)

    point = list(zip(symbols, map(number, d_out + log_sig + displacement), strict=True))
    join = join_oracle(2, 4, symbols[8:16], symbols[16:], number=number)
    assert [p.evaluate(point) for p in join] == [number(x) for x in join_oracle(2, 4, log_sig, displacement)]
    gradient = join_vjp_oracle(2, 4, symbols[:8], symbols[8:16], symbols[16:], number=number)
    exact = join_vjp_oracle(2, 4, d_out, log_sig, displacement)
    assert [p.evaluate(point) for p in gradient[0] + gradient[1]] == [number(x) for x in exact[0] + exact[1]]
    total = sum(g * z for g, z in zip(symbols[:8], join, strict=True))
    assert gradient[0] + gradient[1] == [total.diff(x) for x in symbols[8:]]


def test_surds_are_numbers_too():
    # Conjugation is a field automorphism, so it commutes with the join.
    def conjugate(x):
        return Surd(x.rational, -x.root) if isinstance(x, Surd) else x

    _, log_sig, displacement = sample(2, 4)
    log_sig = [x + (k % 3) * SQRT5 for k, x in enumerate(log_sig)]
    displacement = [SQRT5 * x for x in displacement]
    result = join_oracle(2, 4, log_sig, displacement)
    mirrored = join_oracle(2, 4, [conjugate(x) for x in log_sig], [conjugate(x) for x in displacement])
    assert [conjugate(x) for x in result] == mirrored
    assert any(isinstance(x, Surd) and x.root for x in result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0] * 4, [0] * 2), "log_sig: expected 5 numbers, got 4"),
        (([0] * 6, [0] * 2), "log_sig: expected 5 numbers, got 6"),
        (([0] * 5, [0] * 3), "displacement: expected 2 numbers, got 3"),
    ],
)
def test_wrong_lengths_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        join_oracle(2, 3, *arguments)
    with pytest.raises(ValueError, match=message):
        join_vjp_oracle(2, 3, [0] * 5, *arguments)


def test_wrong_seed_length_is_refused():
    with pytest.raises(ValueError, match="d_out: expected 5 numbers, got 4"):
        join_vjp_oracle(2, 3, [0] * 4, [0] * 5, [0] * 2)
