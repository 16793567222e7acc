"""Conversions against the exact tensor algebra, pySigLib, difference quotients of fractions, and each other."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pysiglib
import pytest
from hypothesis import given
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.algebra.hall import hall_basis
from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.algebra.tensor import Tensor, TensorAlgebra, Words, commutator, embed, lie_coordinates
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import changes, conversions, rows
from logsig_codegen.runtime.rows import apply_map, apply_transpose

Array = np.ndarray[Any, np.dtype[Any]]
Form = list[Fraction]

SMALL = [(1, 1), (1, 4), (3, 1), (2, 4), (3, 3), (2, 5)]
PEERS = [(1, 3), (4, 1), (2, 6), (3, 4), (5, 3), (10, 2), (4, 4)]
METHODS = [0, 1, 2, 3]
FORMATS = [False, True]


def close(found: Array, expected: Array, tolerance: float = 1e-13) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([*shape, seed]).normal(size=shape)


def words(problem: Problem, scalar: bool) -> list[Word]:
    return [word for n in range(not scalar, problem.degree + 1) for word in product(range(problem.dimension), repeat=n)]


def tensor(problem: Problem, values: list[Fraction], constant: int, scalar: bool) -> Tensor:
    """Coordinates on words as a tensor with the given constant part."""
    result: Tensor = [{} for _ in range(problem.degree + 1)]
    for word, value in zip(words(problem, scalar), values, strict=True):
        if word and value:
            result[len(word)][word] = value
    result[0] = {(): Fraction(1)} if constant else {}
    return result


def read(problem: Problem, element: Tensor, method: int, scalar: bool) -> list[Fraction]:
    """Coordinates of a logarithm: on words, on Lyndon words, or of the Lie element that agrees on Lyndon words."""
    basis = lyndon_basis(problem.dimension, problem.degree)
    if method == 0:
        return [element[len(word)].get(word, Fraction(0)) for word in words(problem, scalar)]
    coefficients = [element[len(word)].get(word, Fraction(0)) for word in basis.words]
    return coefficients if method == 1 else lie_coordinates(basis, lie_element(problem, coefficients))


@cache
def unit_lie_elements(problem: Problem) -> tuple[Tensor, ...]:
    """Lie elements with coefficient one on one Lyndon word and zero on the others."""
    basis = lyndon_basis(problem.dimension, problem.degree)
    units: list[Tensor] = []
    for index in reversed(range(len(basis.words))):
        element = embed(basis, [int(i == index) for i in range(len(basis.words))])
        for later, unit in zip(range(len(basis.words) - 1, index, -1), units, strict=True):
            value = element[len(basis.words[later])].get(basis.words[later], 0)
            element = plus(element, -value, unit)
        units.append(element)
    return tuple(units[::-1])


def plus(left: Tensor, factor: Any, right: Tensor) -> Tensor:
    result: Tensor = []
    for a, b in zip(left, right, strict=True):
        part: Words = {w: a.get(w, 0) + factor * b.get(w, 0) for w in (*a, *b)}
        result.append({w: c for w, c in part.items() if c})
    return result


def lie_element(problem: Problem, coefficients: list[Fraction]) -> Tensor:
    """The Lie element with the given coefficients on the Lyndon words."""
    total: Tensor = [{} for _ in range(problem.degree + 1)]
    for coefficient, unit in zip(coefficients, unit_lie_elements(problem), strict=True):
        total = plus(total, coefficient, unit)
    return total


def exact_log(problem: Problem, sig: list[Fraction], method: int, scalar: bool) -> list[Fraction]:
    logarithm = TensorAlgebra(problem.degree).log(tensor(problem, sig, 1, scalar))
    return read(problem, logarithm, method, scalar)


def exact_exp(problem: Problem, log_sig: list[Fraction], method: int, skip: bool, scalar: bool) -> list[Fraction]:
    if method == 0:
        element = tensor(problem, log_sig, 0, skip)
    elif method == 1:
        element = lie_element(problem, log_sig)
    else:
        element = embed(lyndon_basis(problem.dimension, problem.degree), log_sig)
    return read(problem, TensorAlgebra(problem.degree).exp(element), 0, scalar)


def fractions(x: Array) -> list[Fraction]:
    return [Fraction(value) for value in x.tolist()]


def floats(x: list[Fraction]) -> Array:
    return np.array([float(value) for value in x])


def slope(function: Callable[[list[Fraction]], list[Fraction]], x: Array, direction: Array, form: Array) -> float:
    """The derivative of ``<form, function>`` along a direction: a central difference with a tiny exact step."""
    step = Fraction(1, 10**12)
    ends = [
        function([a + s * b for a, b in zip(fractions(x), fractions(direction), strict=True)]) for s in (step, -step)
    ]
    return float(sum(f * (a - b) for f, a, b in zip(fractions(form), *ends, strict=True)) / (2 * step))


@pytest.mark.parametrize("scalar", FORMATS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("d", "n"), SMALL)
def test_logarithm_is_exact(d: int, n: int, method: int, scalar: bool) -> None:
    """Of any tensor, not of signatures only; the number that stands for the scalar term does not matter."""
    problem = Problem(d, n)
    sig, direction = (normal(conversions.sig_size(problem, scalar), seed=i) for i in range(2))
    found = conversions.sig_to_log_sig(sig, problem, method)
    close(found, floats(exact_log(problem, fractions(sig), method, scalar)))
    form = normal(len(found), seed=2)
    gradient = conversions.sig_to_log_sig_backprop(sig, form, problem, method)
    expected = slope(lambda x: exact_log(problem, x, method, scalar), sig, direction, form)
    close(gradient @ direction, np.array(expected), 1e-12)
    if scalar:
        assert gradient[0] == 0


@pytest.mark.parametrize("scalar", FORMATS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("d", "n"), SMALL)
def test_exponential_is_exact(d: int, n: int, method: int, scalar: bool) -> None:
    problem = Problem(d, n)
    skip = scalar and method == 0
    log_sig, direction = (normal(conversions.log_sig_size(problem, method, skip), seed=i) for i in range(2))
    found = conversions.logsig_to_sig(log_sig, problem, method, scalar)
    close(found, floats(exact_exp(problem, fractions(log_sig), method, skip, scalar)))
    form = normal(len(found), seed=2)
    gradient = conversions.logsig_to_sig_backprop(log_sig, form, problem, method, scalar)
    expected = slope(lambda x: exact_exp(problem, x, method, skip, scalar), log_sig, direction, form)
    close(gradient @ direction, np.array(expected), 1e-12)


@pytest.mark.parametrize("scalar", FORMATS)
@pytest.mark.parametrize(("d", "n"), PEERS)
def test_results_and_formats_are_those_of_pysiglib(d: int, n: int, scalar: bool) -> None:
    problem = Problem(d, n)
    pysiglib.prepare_log_sig(d, n, 2)
    sig = pysiglib.sig(normal(5, 4, d), n, scalar_term=scalar) + normal(5, conversions.sig_size(problem, scalar)) / 9
    for method in (0, 1, 2):
        log_sig = pysiglib.sig_to_log_sig(sig, d, n, method=method)
        close(conversions.sig_to_log_sig(sig, problem, method), log_sig, 1e-12)
        form = normal(*log_sig.shape)
        expected = pysiglib.sig_to_log_sig_backprop(sig, form, d, n, method=method)
        close(conversions.sig_to_log_sig_backprop(sig, form, problem, method), expected, 1e-12)
        for wanted in FORMATS:
            options = {"method": method, "scalar_term": wanted}
            expected = pysiglib.logsig_to_sig(log_sig, d, n, **options)
            close(conversions.logsig_to_sig(log_sig, problem, method, wanted), expected, 1e-12)
            form = normal(*expected.shape)
            expected = pysiglib.logsig_to_sig_backprop(log_sig, form, d, n, **options)
            close(conversions.logsig_to_sig_backprop(log_sig, form, problem, method, wanted), expected, 1e-12)


@pytest.mark.parametrize("scalar", FORMATS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "n"), [(1, 3), (3, 1), (3, 3)])
def test_straight_lines_are_those_of_pysiglib(d: int, n: int, dtype: Any, method: int, scalar: bool) -> None:
    displacement = normal(2, 3, d).astype(dtype)
    options = {"method": method, "scalar_term": scalar}
    found = changes.linear_log_sig(displacement, Problem(d, n), method, scalar)
    expected = pysiglib.linear_log_sig(displacement, d, n, **options)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    derivs = normal(*found.shape).astype(dtype)
    gradient = changes.linear_log_sig_backprop(derivs, Problem(d, n), method, scalar)
    np.testing.assert_array_equal(gradient, pysiglib.linear_log_sig_backprop(derivs, displacement, d, n, **options))
    assert not np.shares_memory(gradient, derivs)


@pytest.mark.parametrize(("d", "n"), PEERS)
def test_change_of_method_against_pysiglib(d: int, n: int) -> None:
    problem = Problem(d, n)
    pysiglib.prepare_log_sig(d, n, 2)
    path = normal(4, 5, d)
    by_method = {m: pysiglib.log_sig(path, n, method=m) for m in (0, 1, 2)}
    by_method[3] = by_method[2]
    for source, target in product(METHODS, METHODS):
        close(changes.change_method(by_method[source], problem, source, target), by_method[target], 1e-12)
        if source == 0:
            with_scalar = pysiglib.log_sig(path, n, method=0, scalar_term=True)
            close(changes.change_method(with_scalar, problem, 0, target), by_method[target], 1e-12)
        if target == 0:
            found = changes.change_method(by_method[source], problem, source, 0, scalar_term=True)
            assert not found[:, 0].any()
            close(found[:, 1:], by_method[0], 1e-12)


@given(st.data())
def test_change_of_method_backwards_is_the_transpose(data: st.DataObject) -> None:
    """On small integers, where doubles are exact: ``<derivs, A x> = <A' derivs, x>``."""
    problem = Problem(*data.draw(st.sampled_from([(1, 2), (2, 4), (3, 3)])))
    source, target = data.draw(st.tuples(*[st.sampled_from(METHODS)] * 2))
    before, after = data.draw(st.tuples(st.booleans(), st.booleans()))
    source_generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x, derivs = (
        source_generator.integers(-9, 10, conversions.log_sig_size(problem, method, scalar)).astype(np.float64)
        for method, scalar in ((source, before), (target, after))
    )
    image = changes.change_method(x, problem, source, target, scalar_term=after)
    pulled = changes.change_method_backprop(derivs, problem, source, target, scalar_term=before)
    assert image.shape == derivs.shape
    assert pulled.shape == x.shape
    assert derivs @ image == pulled @ x


@given(st.data())
def test_round_trips(data: st.DataObject) -> None:
    problem = Problem(*data.draw(st.sampled_from([(1, 3), (2, 5), (3, 3), (5, 2)])))
    method, scalar = data.draw(st.sampled_from(METHODS)), data.draw(st.booleans())
    width = conversions.log_sig_size(problem, method)
    number = st.floats(-2, 2, width=32)
    log_sig = np.array(data.draw(st.lists(number, min_size=width, max_size=width)))
    sig = conversions.logsig_to_sig(log_sig, problem, method, scalar)
    close(conversions.sig_to_log_sig(sig, problem, method)[..., -width:], log_sig, 1e-10)


@pytest.mark.parametrize(("d", "n"), [(2, 6), (3, 4), (4, 3)])
def test_hall_coordinates_are_those_of_the_same_element(d: int, n: int) -> None:
    """The Hall elements, written out in words and added up, give the element that the Lyndon brackets give."""
    problem = Problem(d, n)
    log_sig = np.random.default_rng(7).integers(-9, 10, problem.size).astype(np.float64)
    hall = changes.change_hall("log_sig_to_hall", log_sig, problem)
    basis, total, table = hall_basis(d, n), [{} for _ in range(n + 1)], []
    for index, (left, right) in enumerate(basis.factors):
        table.append({(index,): 1} if left < 0 else commutator(table[left], table[right]))
        degree = len(next(iter(table[-1])))
        total[degree] = plus([total[degree]], int(hall[index]), [table[-1]])[0]
    assert lie_coordinates(lyndon_basis(d, n), total) == log_sig.tolist()
    np.testing.assert_array_equal(changes.change_hall("log_sig_from_hall", hall, problem), log_sig)
    derivs = np.random.default_rng(8).integers(-9, 10, problem.size).astype(np.float64)
    assert derivs @ hall == changes.change_hall("log_sig_to_hall_backprop", derivs, problem) @ log_sig
    assert derivs @ log_sig == changes.change_hall("log_sig_from_hall_backprop", derivs, problem) @ hall


@given(st.data())
def test_maps_on_arrays(data: st.DataObject) -> None:
    """Any map, rows and columns without entries included."""
    size = st.integers(1, 7)
    entries = st.integers(-3, 3)
    height, width = data.draw(size), data.draw(size)
    matrix = np.array(
        data.draw(st.lists(st.lists(entries, min_size=width, max_size=width), min_size=height, max_size=height))
    )
    linear = SparseMap.from_rows(width, ({k: int(c) for k, c in enumerate(row)} for row in matrix))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    for batch in ((), (3,), (0,), (2, 2)):
        x = np.random.default_rng(1).integers(-9, 10, (*batch, width)).astype(dtype)
        derivs = np.random.default_rng(2).integers(-9, 10, (*batch, height)).astype(dtype)
        for found, expected in (
            (apply_map(linear, x), x @ matrix.T),
            (apply_transpose(linear, derivs), derivs @ matrix),
        ):
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, expected)


Call = Callable[[Array, Array, Problem], Array]
CALLS: dict[str, Call] = {
    "log": lambda sig, log_sig, problem: conversions.sig_to_log_sig(sig, problem, 2),
    "log backwards": lambda sig, log_sig, problem: conversions.sig_to_log_sig_backprop(sig, log_sig, problem, 2),
    "exp": lambda sig, log_sig, problem: conversions.logsig_to_sig(log_sig, problem, 1),
    "exp backwards": lambda sig, log_sig, problem: conversions.logsig_to_sig_backprop(log_sig, sig, problem, 1),
    "change": lambda sig, log_sig, problem: changes.change_method(log_sig, problem, 1, 0),
    "change backwards": lambda sig, log_sig, problem: changes.change_method_backprop(sig, problem, 2, 0),
    "hall": lambda sig, log_sig, problem: changes.change_hall("log_sig_to_hall", log_sig, problem),
    "hall backwards": lambda sig, log_sig, problem: changes.change_hall("log_sig_from_hall_backprop", log_sig, problem),
}


def arguments(problem: Problem, batch: int) -> tuple[Array, Array]:
    return normal(batch, conversions.sig_size(problem)), normal(batch, problem.size)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("d", "n"), [(1, 3), (2, 5), (3, 3), (9, 2)])
def test_a_row_does_not_depend_on_the_others(d: int, n: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, call = Problem(d, n), CALLS[name]
    sig, log_sig = arguments(problem, 23)
    expected = call(sig, log_sig, problem)
    for start, stop in ((0, 1), (4, 5), (3, 5), (7, 23)):
        np.testing.assert_array_equal(call(sig[start:stop], log_sig[start:stop], problem), expected[start:stop])
    np.testing.assert_array_equal(call(sig[9], log_sig[9], problem), expected[9])
    monkeypatch.setattr(rows, "_WORK_BYTES", 1)
    np.testing.assert_array_equal(call(sig, log_sig, problem), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", [0, 1, 2])
def test_no_bit_depends_on_threads_or_on_the_way_of_a_call(method: int, dtype: Any) -> None:
    """The first call of a conversion is checked in full; ordinary ones after it are quick."""
    problem = Problem(3, 3)
    sig, log_sig = (x.astype(dtype) for x in arguments(problem, 37))
    form = sig if method == 0 else log_sig
    calls: list[tuple[Callable[..., Array], tuple[Array, ...]]] = [
        (lg.sig_to_log_sig, (sig,)),
        (lg.sig_to_log_sig_backprop, (sig, form)),
        (lg.logsig_to_sig, (form,)),
        (lg.logsig_to_sig_backprop, (form, sig)),
    ]
    for function, operands in calls:
        expected = function(*map(np.asfortranarray, operands), 3, 3, method=method)
        assert expected.dtype == dtype
        for jobs in (1, 2, -1):
            np.testing.assert_array_equal(function(*operands, 3, 3, method=method, n_jobs=jobs), expected)
            np.testing.assert_array_equal(function(*(x[5] for x in operands), 3, 3, method=method), expected[5])
        with pytest.raises(ValueError, match="n_jobs: expected"):
            function(*operands, 3, 3, method=method, n_jobs=0)
        with pytest.raises((TypeError, ValueError)):
            function(*operands, True, 3, method=method)


@pytest.mark.parametrize("name", CALLS)
def test_layout_and_leading_shape_do_not_matter(name: str) -> None:
    problem, call = Problem(3, 3), CALLS[name]
    sig, log_sig = arguments(problem, 6)
    expected = call(sig, log_sig, problem)
    kept = sig.copy(), log_sig.copy()
    np.testing.assert_array_equal(call(np.asfortranarray(sig), np.asfortranarray(log_sig), problem), expected)
    np.testing.assert_array_equal(call(sig[::-1], log_sig[::-1], problem), expected[::-1])
    shaped = call(sig.reshape(2, 1, 3, -1), log_sig.reshape(2, 1, 3, -1), problem)
    np.testing.assert_array_equal(shaped, expected.reshape(2, 1, 3, -1))
    assert call(sig[:0], log_sig[:0], problem).shape == (0, expected.shape[1])
    assert call(np.zeros((2, 0, 39)), np.zeros((2, 0, 14)), problem).shape == (2, 0, expected.shape[1])
    np.testing.assert_array_equal(sig, kept[0])
    np.testing.assert_array_equal(log_sig, kept[1])


@pytest.mark.parametrize("name", CALLS)
def test_single_precision_is_double_precision_rounded_once(name: str) -> None:
    problem, call = Problem(3, 4), CALLS[name]
    sig, log_sig = (x.astype(np.float32) for x in arguments(problem, 5))
    found = call(sig, log_sig, problem)
    assert found.dtype == np.float32
    expected = call(sig.astype(np.float64), log_sig.astype(np.float64), problem)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("error")
def test_infinities_and_nan_stay_in_their_row(name: str, value: float) -> None:
    problem, call = Problem(2, 4), CALLS[name]
    sig, log_sig = arguments(problem, 5)
    expected = call(sig, log_sig, problem)
    sig[2], log_sig[2] = value, value
    found = call(sig, log_sig, problem)
    assert not np.isfinite(found[2]).all()
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(found[others], expected[others])


def test_derivatives_broadcast() -> None:
    problem = Problem(2, 3)
    sig, log_sig = arguments(problem, 6)
    sig = sig.reshape(2, 3, -1)
    found = conversions.sig_to_log_sig_backprop(sig, log_sig[:3], problem, 2)
    expected = conversions.sig_to_log_sig_backprop(sig, np.stack([log_sig[:3]] * 2), problem, 2)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"derivs: expected a leading shape that broadcasts to \(2, 3\), got \(4,\)"):
        conversions.sig_to_log_sig_backprop(sig, log_sig[:4], problem, 2)


def test_wrong_arguments() -> None:
    problem = Problem(2, 3)
    sig, log_sig, displacement = normal(2, 14), normal(2, 5), normal(2, 2)
    where = r"for \(dimension=2, degree=3"
    for method in (-1, 4):
        said = f"method: expected 0, 1, 2 or 3, got {method}"
        for call in (
            lambda m: conversions.sig_to_log_sig(sig, problem, m),
            lambda m: conversions.sig_to_log_sig_backprop(sig, log_sig, problem, m),
            lambda m: conversions.logsig_to_sig(log_sig, problem, m),
            lambda m: conversions.logsig_to_sig_backprop(log_sig, sig, problem, m),
            lambda m: changes.linear_log_sig(displacement, problem, m),
            lambda m: changes.linear_log_sig_backprop(log_sig, problem, m),
            lambda m: changes.change_method(log_sig, problem, m, 1),
            lambda m: changes.change_method(log_sig, problem, 1, m),
            lambda m: changes.change_method_backprop(log_sig, problem, 1, m),
            lambda m: changes.change_method_backprop(log_sig, problem, m, 1),
        ):
            with pytest.raises(ValueError, match=said):
                call(method)
    with pytest.raises(ValueError, match=rf"sig: expected last dimension 14 or 15 {where}\), got 5"):
        conversions.sig_to_log_sig(log_sig, problem, 1)
    with pytest.raises(ValueError, match=rf"log_sig: expected last dimension 5 {where}, method=1\), got 14"):
        conversions.logsig_to_sig(sig, problem, 1)
    with pytest.raises(ValueError, match=rf"log_sig: expected last dimension 14 or 15 {where}\), got 5"):
        changes.change_method(log_sig, problem, 0, 1)
    with pytest.raises(ValueError, match=rf"derivs: expected last dimension 14 {where}, method=0\), got 15"):
        conversions.sig_to_log_sig_backprop(sig, normal(2, 15), problem, 0)
    with pytest.raises(ValueError, match=rf"derivs: expected last dimension 15 {where}\), got 14"):
        conversions.logsig_to_sig_backprop(log_sig, sig, problem, 2, True)
    with pytest.raises(ValueError, match=rf"displacement: expected last dimension 2 {where}\), got 5"):
        changes.linear_log_sig(log_sig, problem, 1)
    with pytest.raises(ValueError, match=rf"derivs: expected last dimension 15 {where}, method=0\), got 14"):
        changes.linear_log_sig_backprop(sig, problem, 0, True)
    with pytest.raises(ValueError, match=rf"log_sig: expected last dimension 5 {where}\), got an array without axes"):
        changes.change_hall("log_sig_to_hall", np.array(1.0), problem)
    with pytest.raises(ValueError, match="x: expected last dimension 3 for this map, got 2"):
        apply_map(SparseMap.from_rows(3, [{0: 1}]), displacement)
