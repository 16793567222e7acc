"""Power series of rows: every way of computing them gives the same bits, and they are the series."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from lie_programs import Dual, slope

from logsig_codegen.algebra.basis_maps import expanded_size, expanded_to_words
from logsig_codegen.algebra.tensor import TensorAlgebra
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import conversions, registry, rows
from logsig_codegen.runtime.groups import Opened
from logsig_codegen.runtime.interpreted.library import interpreted_library
from logsig_codegen.runtime.kernel import LogSigKernel

SMALL = [Problem(*p) for p in ((1, 1), (1, 5), (2, 1), (2, 2), (2, 6), (3, 4), (7, 2))]
PROBLEMS = [*SMALL, Problem(2, 10), Problem(5, 5), Problem(11, 3)]  # the last ones are too large for tables
RNG = np.random.default_rng(12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_lyndon_words_alone_have_the_bits_they_have_among_all(problem: Problem) -> None:
    coefficients = rows.logarithm(problem.degree)
    places = list(expanded_to_words(problem.dimension, problem.degree).indices)
    x = RNG.normal(size=(20, expanded_size(problem.dimension, problem.degree)))
    every = rows.series(problem, coefficients, x)[0]
    for count in (1, 2, 7, 8, 20):
        part = np.ascontiguousarray(x[:count])
        assert np.array_equal(rows.series(problem, coefficients, part)[0], every[:count])
        assert np.array_equal(rows.series_on_lyndon_words(problem, coefficients, part), every[:count, places])


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("interpreted", [False, True], ids=["compiled", "interpreted"])
def test_no_bit_of_a_derivative_depends_on_the_company(
    problem: Problem, interpreted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if interpreted:
        kernel = LogSigKernel(problem, lambda group: Opened(None, interpreted_library(problem, group)))
        monkeypatch.setattr(conversions, "_forms", {})
        monkeypatch.setattr(registry, "obtain", lambda *numbers: kernel)
    size = expanded_size(problem.dimension, problem.degree)
    sig, log_sig = RNG.normal(size=(2, 20, size)) / 4
    d_sig, d_log_sig = RNG.normal(size=(20, size)), RNG.normal(size=(20, problem.size))
    calls: list[Any] = [
        lambda rows: conversions.sig_to_log_sig_backprop(sig[rows], d_log_sig[rows], problem, 2),
        lambda rows: conversions.sig_to_log_sig_backprop(sig[rows], d_sig[rows], problem, 0),
        lambda rows: conversions.logsig_to_sig_backprop(log_sig[rows, : problem.size], d_sig[rows], problem, 2),
        lambda rows: conversions.sig_to_log_sig(sig[rows], problem, 2),
        lambda rows: conversions.logsig_to_sig(log_sig[rows, : problem.size], problem, 1),
    ]
    for call in calls:
        together = call(slice(0, 20))
        for part in (slice(0, 1), slice(3, 5), slice(6, 13), slice(5, 20)):
            assert np.array_equal(call(part), together[part])


def tensor(problem: Problem, numbers: Any) -> list[dict[Any, Any]]:
    """Expanded coordinates as words, with constant part one."""
    words: list[dict[Any, Any]] = [{(): Dual(Fraction(1))}]
    numbers = iter(numbers)
    for length in range(1, problem.degree + 1):
        shape = (problem.dimension,) * length
        words.append({word: next(numbers) for word in np.ndindex(*shape)})
    return words


@pytest.mark.parametrize("problem", [*SMALL[1:], Problem(2, 10), Problem(11, 3)], ids=lambda p: p.name)
def test_logarithms_and_their_derivatives_are_exact(problem: Problem) -> None:
    """Of elements that are no signatures: against fractions, in one direction, by dual numbers."""
    size = expanded_size(problem.dimension, problem.degree)
    sig, change = RNG.integers(-8, 9, size=(2, size)) / 8
    numbers = [Dual(Fraction(x), Fraction(y)) for x, y in zip(sig.tolist(), change.tolist(), strict=True)]
    log = TensorAlgebra(problem.degree, Dual).log(tensor(problem, numbers))
    words = [word for n in range(1, problem.degree + 1) for word in np.ndindex(*(problem.dimension,) * n)]
    exact = [log[len(word)].get(word, 0) for word in words]
    places = list(expanded_to_words(problem.dimension, problem.degree).indices)
    for method, chosen in ((0, range(size)), (1, places)):
        values = np.array([float(exact[i].value) if exact[i] else 0.0 for i in chosen])
        scale = max(np.abs(values).max(), 1.0)
        np.testing.assert_allclose(conversions.sig_to_log_sig(sig, problem, method), values, rtol=0, atol=1e-12 * scale)
        form = RNG.integers(-4, 5, size=len(values)).astype(float)
        pulled = conversions.sig_to_log_sig_backprop(sig, form, problem, method)
        expected = float(sum(Fraction(f) * slope(exact[i]) for f, i in zip(form.tolist(), chosen, strict=True)))
        parts = np.abs(pulled * change).sum() + 1.0
        assert abs((pulled * change).sum() - expected) < 1e-12 * parts
