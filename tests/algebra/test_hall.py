"""The Hall basis against printed ones, its defining rules, and its maps against commutators of words."""

from __future__ import annotations

import numpy as np
import pytest

from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.algebra.hall import HallBasis, Nested, brackets_to_hall, hall_basis, hall_to_brackets
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import Words, commutator, lie_coordinates
from logsig_codegen.problem import Problem

PROBLEMS = [(1, 1), (1, 5), (2, 1), (2, 8), (3, 5), (4, 4), (11, 2)]
LARGE = [(10, 4), (5, 5), (2, 10)]

# As another library of iterated integrals prints them, which counts letters from one.
PRINTED = {
    (2, 6): """
        1 2
        [1,2]
        [1,[1,2]] [2,[1,2]]
        [1,[1,[1,2]]] [2,[1,[1,2]]] [2,[2,[1,2]]]
        [1,[1,[1,[1,2]]]] [2,[1,[1,[1,2]]]] [2,[2,[1,[1,2]]]] [2,[2,[2,[1,2]]]] [[1,2],[1,[1,2]]] [[1,2],[2,[1,2]]]
        [1,[1,[1,[1,[1,2]]]]] [2,[1,[1,[1,[1,2]]]]] [2,[2,[1,[1,[1,2]]]]] [2,[2,[2,[1,[1,2]]]]]
        [2,[2,[2,[2,[1,2]]]]] [[1,2],[1,[1,[1,2]]]] [[1,2],[2,[1,[1,2]]]] [[1,2],[2,[2,[1,2]]]]
        [[1,[1,2]],[2,[1,2]]]
    """,
    (3, 3): """
        1 2 3
        [1,2] [1,3] [2,3]
        [1,[1,2]] [1,[1,3]] [2,[1,2]] [2,[1,3]] [2,[2,3]] [3,[1,2]] [3,[1,3]] [3,[2,3]]
    """,
}


def counted_from_one(basis: HallBasis, coordinate: int) -> str:
    text = basis.bracket(coordinate)
    for letter in range(basis.dimension, 0, -1):
        text = text.replace(str(letter - 1), str(letter))
    return text


def is_identity(linear: SparseMap) -> bool:
    size = tuple(range(linear.rows))
    return linear.rows == linear.columns and linear.indices == size and linear.coefficients == (1,) * len(size)


def words_of(nested: Nested) -> Words:
    """A nested bracket as a polynomial in words."""
    return {(nested,): 1} if isinstance(nested, int) else commutator(words_of(nested[0]), words_of(nested[1]))


@pytest.mark.parametrize(("dimension", "degree"), PRINTED)
def test_elements_are_those_of_other_libraries(dimension: int, degree: int) -> None:
    basis = hall_basis(dimension, degree)
    texts = [counted_from_one(basis, coordinate) for coordinate in range(len(basis.factors))]
    assert texts == PRINTED[dimension, degree].split()


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS + LARGE)
def test_elements_obey_the_rules_and_none_is_missing(dimension: int, degree: int) -> None:
    """As many as Witt's formula counts, in order, without repetition, and each of them a Hall element."""
    basis = hall_basis(dimension, degree)
    assert tuple(len(basis.coordinates(k)) for k in range(1, degree + 1)) == Problem(dimension, degree).sizes
    degrees = {index: k for k in range(1, degree + 1) for index in basis.coordinates(k)}
    assert basis.factors[:dimension] == ((-1, -1),) * dimension
    pairs = basis.factors[dimension:]
    assert len(set(pairs)) == len(pairs)
    for index, (i, j) in enumerate(pairs, start=dimension):
        assert degrees[index] == degrees[i] + degrees[j]
        assert i < j
        assert basis.factors[j][0] <= i
    for k in range(2, degree + 1):
        of_degree = [basis.factors[index] for index in basis.coordinates(k)]
        assert of_degree == sorted(of_degree)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_text_and_nested_pairs_agree(dimension: int, degree: int) -> None:
    basis = hall_basis(dimension, degree)
    for index, factors in enumerate(basis.factors):
        nested = basis.nested(index)
        assert str(nested).replace("(", "[").replace(")", "]").replace(" ", "") == basis.bracket(index)
        if isinstance(nested, tuple):
            assert nested == tuple(basis.nested(factor) for factor in factors)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_hall_to_brackets_writes_elements_in_lyndon_brackets(dimension: int, degree: int) -> None:
    hall, basis = hall_basis(dimension, degree), lyndon_basis(dimension, degree)
    columns = hall_to_brackets(dimension, degree).transpose()
    for k in range(1, degree + 1):
        for index in hall.coordinates(k):
            tensor: list[Words] = [{} for _ in range(degree + 1)]
            tensor[k] = words_of(hall.nested(index))
            coordinates = lie_coordinates(basis, tensor)
            assert columns.row(index) == {i: c for i, c in enumerate(coordinates) if c}


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS + LARGE)
def test_the_maps_are_inverse(dimension: int, degree: int) -> None:
    forth, back = hall_to_brackets(dimension, degree), brackets_to_hall(dimension, degree)
    assert is_identity(forth.compose(back))
    assert is_identity(back.compose(forth))


def test_maps_are_kept() -> None:
    assert hall_to_brackets(3, 3) is hall_to_brackets(3, 3)
    assert brackets_to_hall(3, 3) is brackets_to_hall(3, 3)


# Its compiled formulas are as accurate as double precision; beyond them it projects with numbers of single precision.
@pytest.mark.parametrize(
    ("dimension", "degree", "tolerance"), [(2, 6, 1e-14), (9, 3, 1e-14), (2, 11, 1e-6), (3, 7, 1e-6), (5, 5, 1e-6)]
)
def test_log_signatures_are_those_of_iisignature(dimension: int, degree: int, tolerance: float) -> None:
    iisignature = pytest.importorskip(
        "iisignature", reason="iisignature is not installed; CONTRIBUTING.md says how it can be"
    )
    basis, linear = hall_basis(dimension, degree), brackets_to_hall(dimension, degree)
    prepared = iisignature.prepare(dimension, degree, "H")
    texts = [counted_from_one(basis, coordinate) for coordinate in range(len(basis.factors))]
    assert list(iisignature.basis(prepared)) == texts
    path = np.random.default_rng(5).normal(size=(4, dimension)) * 0.5
    lyndon = iisignature.logsig(path, iisignature.prepare(dimension, degree))
    found = [sum(c * lyndon[k] for k, c in linear.row(r).items()) for r in range(linear.rows)]
    expected = iisignature.logsig(path, prepared)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
