"""Problems: sizes against a count of words, and what is not a problem."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pysiglib
import pytest

from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.problem import Problem, check_positive_integer, moebius, witt


def brute_force_moebius(n: int) -> int:
    primes = [p for p in range(2, n + 1) if n % p == 0 and all(p % q for q in range(2, p))]
    return 0 if any(n % (p * p) == 0 for p in primes) else (-1) ** len(primes)


def test_moebius() -> None:
    assert [moebius(n) for n in range(1, 200)] == [brute_force_moebius(n) for n in range(1, 200)]


@pytest.mark.parametrize(("dimension", "degree"), [(1, 1), (1, 6), (2, 10), (3, 7), (5, 4), (13, 2), (40, 1)])
def test_witt_counts_primitive_necklaces(dimension: int, degree: int) -> None:
    """A primitive necklace is a word that is strictly smaller than its rotations."""
    count = sum(
        all(word < word[cut:] + word[:cut] for cut in range(1, degree))
        for word in product(range(dimension), repeat=degree)
    )
    assert witt(dimension, degree) == count


@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), (2, 12), (3, 8), (5, 5), (10, 4), (20, 3), (100, 2)])
def test_size_is_pysiglib_s(dimension: int, degree: int) -> None:
    problem = Problem(dimension, degree)
    assert problem.size == sum(problem.sizes) == pysiglib.log_sig_length(dimension, degree)
    assert len(problem.sizes) == degree


def test_one_letter() -> None:
    assert Problem(1, 5).sizes == (1, 0, 0, 0, 0)
    assert Problem(1, 5).size == 1


def test_a_problem_is_a_plain_value() -> None:
    assert Problem(5, 3).name == "d5_n3"
    assert Problem(5, 3) == Problem(np.int64(5), np.uint8(3))
    assert hash(Problem(5, 3)) == hash(Problem(5, 3))
    assert type(Problem(np.int32(5), 3).dimension) is int
    assert Problem(5, 3) != Problem(3, 5)


@pytest.mark.parametrize("value", [True, False, np.True_, 2.0, np.float64(2), "2", None, 1 + 0j])
def test_not_an_integer(value: Any) -> None:
    with pytest.raises(TypeError, match="dimension: expected an integer, got "):
        Problem(value, 3)
    with pytest.raises(TypeError, match="degree: expected an integer, got "):
        Problem(3, value)


@pytest.mark.parametrize("value", [0, -1, -(10**18), np.int64(0)])
def test_too_small(value: Any) -> None:
    with pytest.raises(ValueError, match=rf"dimension: expected at least 1, got {int(value)}"):
        Problem(value, 3)
    with pytest.raises(ValueError, match=rf"degree: expected at least 1, got {int(value)}"):
        Problem(3, value)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 100), (10, 30), (2**40, 2), (10**18, 5), (2, 10**18)])
def test_more_coordinates_than_any_memory_holds(dimension: int, degree: int) -> None:
    """Refused without computing how many, which would take for ever for the largest degrees."""
    with pytest.raises(ProblemTooLargeError, match=f"dimension {dimension} and degree {degree}"):
        Problem(dimension, degree)


@pytest.mark.parametrize(("dimension", "degree"), [(10**100, 5), (2, 10**100), (1, 10**30)])
def test_numbers_that_fit_no_array(dimension: int, degree: int) -> None:
    with pytest.raises(ProblemTooLargeError, match=r"(dimension|degree): with one of \d+ bits"):
        Problem(dimension, degree)


def test_large_problems_have_sizes() -> None:
    """Close to the limit: what the necklaces of all lengths that divide the degree add up to."""
    for dimension, degree in ((2, 60), (2**31, 2), (8, 20)):
        problem = Problem(dimension, degree)
        total = sum(k * problem.sizes[k - 1] for k in range(1, degree + 1) if degree % k == 0)
        assert total == dimension**degree


def test_one_letter_has_a_largest_degree_too() -> None:
    assert Problem(1, 10_000).size == 1
    for degree in (10_001, 10**18):
        with pytest.raises(ProblemTooLargeError, match=f"degree: expected at most 10000, got {degree}"):
            Problem(1, degree)


def test_the_message_shows_name_type_and_value() -> None:
    with pytest.raises(TypeError, match=r"^jobs: expected an integer, got str 'four'$"):
        check_positive_integer("jobs", "four")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^jobs: expected an integer, got bool True$"):
        check_positive_integer("jobs", True)
    assert check_positive_integer("jobs", 7) == 7
