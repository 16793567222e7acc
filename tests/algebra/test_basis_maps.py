"""Sparse maps against dense ones, and the maps between coordinates against polynomials in words."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pysiglib
import pytest
from hypothesis import given
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.algebra import basis_maps
from logsig_codegen.algebra.basis_maps import (
    SparseMap,
    brackets_to_expanded,
    brackets_to_words,
    expanded_size,
    expanded_to_words,
    word_place,
    words_to_brackets,
)
from logsig_codegen.algebra.lyndon import Word, lyndon_basis, lyndon_words
from logsig_codegen.algebra.tensor import bracket_words, embed, lie_coordinates
from logsig_codegen.errors import ProblemTooLargeError

PROBLEMS = [(1, 1), (1, 4), (2, 1), (2, 7), (3, 4), (4, 3), (11, 2)]
LARGE = [(10, 4), (5, 5), (2, 10)]
Matrix = list[list[int]]


def dense(linear: SparseMap) -> Matrix:
    rows = [[0] * linear.columns for _ in range(linear.rows)]
    for r in range(linear.rows):
        for entry in range(linear.starts[r], linear.starts[r + 1]):
            rows[r][linear.indices[entry]] = linear.coefficients[entry]
    return rows


def applied(linear: SparseMap, x: list[int]) -> list[int]:
    return [sum(c * x[k] for k, c in linear.row(r).items()) for r in range(linear.rows)]


def is_identity(linear: SparseMap) -> bool:
    size = tuple(range(linear.rows))
    return linear.rows == linear.columns and linear.indices == size and linear.coefficients == (1,) * len(size)


def all_words(dimension: int, degree: int) -> list[Word]:
    return [word for length in range(1, degree + 1) for word in product(range(dimension), repeat=length)]


@st.composite
def matrices(draw: st.DrawFn, rows: int | None = None, columns: int | None = None) -> Matrix:
    height = draw(st.integers(1, 6)) if rows is None else rows
    width = draw(st.integers(1, 6)) if columns is None else columns
    number = st.one_of(st.just(0), st.integers(-3, 3))
    return draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=height, max_size=height))


def sparse(matrix: Matrix) -> SparseMap:
    return SparseMap.from_rows(len(matrix[0]), (dict(enumerate(row)) for row in matrix))


@given(matrices())
def test_from_rows_keeps_entries_in_order_without_zeros(matrix: Matrix) -> None:
    linear = sparse(matrix)
    assert dense(linear) == matrix
    assert all(linear.coefficients)
    assert len(linear.starts) == len(matrix) + 1
    for r in range(linear.rows):
        columns = linear.indices[linear.starts[r] : linear.starts[r + 1]]
        assert list(columns) == sorted(set(columns))


@given(matrices())
def test_transpose(matrix: Matrix) -> None:
    assert dense(sparse(matrix).transpose()) == [list(column) for column in zip(*matrix, strict=True)]


@given(st.data())
def test_compose_is_the_matrix_product(data: st.DataObject) -> None:
    a = data.draw(matrices())
    b = data.draw(matrices(rows=len(a[0])))
    expected = [[sum(x * row[k] for x, row in zip(line, b, strict=True)) for k in range(len(b[0]))] for line in a]
    result = sparse(a).compose(sparse(b))
    assert dense(result) == expected
    assert all(result.coefficients)


def test_compose_wants_fitting_maps() -> None:
    with pytest.raises(ValueError, match="first: expected 3 rows, got 2"):
        sparse([[1, 0, 2]]).compose(sparse([[1], [2]]))


@given(st.data())
def test_block(data: st.DataObject) -> None:
    matrix = data.draw(matrices())
    rows = range(*sorted(data.draw(st.tuples(*[st.integers(0, len(matrix))] * 2))))
    columns = range(*sorted(data.draw(st.tuples(*[st.integers(0, len(matrix[0]))] * 2))))
    part = sparse(matrix).block(rows, columns)
    assert (part.rows, part.columns) == (len(rows), len(columns))
    assert dense(part) == [[matrix[r][c] for c in columns] for r in rows]


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_places_count_the_words_of_a_length(dimension: int, degree: int) -> None:
    words = all_words(dimension, degree)
    assert words == [tuple(word) for word in pysiglib.words(dimension, degree)[1:]]
    assert expanded_size(dimension, degree) == len(words)
    assert [expanded_size(dimension, len(word) - 1) + word_place(word, dimension) for word in words] == list(
        range(len(words))
    )


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_brackets_to_expanded_writes_brackets_out(dimension: int, degree: int) -> None:
    table = bracket_words(dimension, degree)
    expected = [[words.get(word, 0) for words in table] for word in all_words(dimension, degree)]
    assert dense(brackets_to_expanded(dimension, degree)) == expected


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_brackets_to_words_keeps_lyndon_words(dimension: int, degree: int) -> None:
    table = bracket_words(dimension, degree)
    expected = [[words.get(word, 0) for words in table] for word in lyndon_words(dimension, degree)]
    assert dense(brackets_to_words(dimension, degree)) == expected


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_expanded_to_words_selects(dimension: int, degree: int) -> None:
    linear = expanded_to_words(dimension, degree)
    words = all_words(dimension, degree)
    assert [words[index] for index in linear.indices] == list(lyndon_words(dimension, degree))
    assert set(linear.coefficients) == {1}
    assert linear.starts == tuple(range(linear.rows + 1))


@given(st.data())
def test_words_to_brackets_reads_coordinates(data: st.DataObject) -> None:
    dimension, degree = data.draw(st.sampled_from([(2, 6), (3, 4), (4, 3)]))
    basis = lyndon_basis(dimension, degree)
    size = len(basis.words)
    coordinates = data.draw(st.lists(st.integers(-9, 9), min_size=size, max_size=size))
    tensor = embed(basis, coordinates)
    coefficients = [tensor[len(word)].get(word, 0) for word in basis.words]
    assert lie_coordinates(basis, tensor) == coordinates
    assert applied(words_to_brackets(dimension, degree), coefficients) == coordinates


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS + LARGE)
def test_the_maps_fit_together(dimension: int, degree: int) -> None:
    forth, back = brackets_to_words(dimension, degree), words_to_brackets(dimension, degree)
    assert is_identity(back.compose(forth))
    assert is_identity(forth.compose(back))
    through = expanded_to_words(dimension, degree).compose(brackets_to_expanded(dimension, degree))
    assert (through.starts, through.indices, through.coefficients) == (forth.starts, forth.indices, forth.coefficients)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS + LARGE)
def test_brackets_and_words_are_unitriangular_degree_by_degree(dimension: int, degree: int) -> None:
    words = lyndon_words(dimension, degree)
    for linear in (brackets_to_words(dimension, degree), words_to_brackets(dimension, degree)):
        for r in range(linear.rows):
            row = linear.row(r)
            assert row[r] == 1
            assert max(row) == r
            assert all(len(words[k]) == len(words[r]) for k in row)


@pytest.mark.parametrize("build", [brackets_to_words, words_to_brackets, brackets_to_expanded, expanded_to_words])
def test_maps_are_kept_and_hashed_by_identity(build: object) -> None:
    assert callable(build)
    linear = build(3, 3)
    assert build(3, 3) is linear
    assert len({linear, linear.transpose().transpose()}) == 2


@pytest.mark.parametrize(("dimension", "degree"), [(2, 8), (3, 6), (5, 4)])
def test_the_bound_on_the_size_of_a_map_is_one(dimension: int, degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of as many numbers as a map really has are never refused for being larger than they are."""
    basis = lyndon_basis(dimension, degree)
    entries = sum(map(len, bracket_words(dimension, degree)))
    monkeypatch.setattr(basis_maps, "MOST_ENTRIES", entries - 1)
    with pytest.raises(ProblemTooLargeError, match=rf"\(dimension={dimension}, degree={degree}\): other coordinates"):
        basis_maps.check_entries(basis)


@pytest.mark.parametrize("change", [lg.log_sig_to_hall, lg.log_sig_from_hall, lambda x, *n: lg.logsig_to_sig(x, *n)])
def test_maps_that_would_fill_the_memory(change: Any) -> None:
    with pytest.raises(ProblemTooLargeError, match="need tables of up to"):
        change(np.zeros(lg.log_sig_length(2, 18)), 2, 18)
