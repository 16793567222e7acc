"""Compiled kernels against iisignature: whole paths, their gradients, the bases, for problems nobody tuned anything to.

It computes log-signatures in double precision, by formulas of its own (method O), and gradients in single precision.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import logsig_codegen as lg
from logsig_codegen.operations import STATES, WHOLE_STEPS

iisignature: Any = pytest.importorskip(
    "iisignature", reason="iisignature is not installed; CONTRIBUTING.md says how it can be"
)

CASES = [(2, 1), (2, 4), (2, 8), (3, 1), (3, 5), (4, 4), (6, 3), (9, 2), (23, 2), (33, 2)]
# From degree 7 on the signature's conversions are long programs, and not the default.
WITH_STATES = [(d, n, state) for d, n in CASES for state in STATES if state == "log_derivative" or n < 7]
GRADIENTS = [case for case in WITH_STATES if case[:2] in {(2, 1), (2, 8), (3, 5), (6, 3), (9, 2), (33, 2)}]
LENGTHS = [1, 2, 3, 4, 18, 65, WHOLE_STEPS + 1, 700]
BATCHES = [(), (3,), (2, 5)]
RNG = np.random.default_rng(8)


def walk(*shape: int) -> Any:
    return RNG.normal(size=shape).cumsum(axis=-2) / np.sqrt(max(shape[-2], 1))


@lru_cache(maxsize=64)
def prepared(dimension: int, degree: int, methods: str) -> Any:
    return iisignature.prepare(dimension, degree, methods)


def close(found: Any, expected: Any, tolerance: float, sizes: Any = None) -> None:
    """Each degree is measured by its largest coordinate in the sample; gradients, without ``sizes``, as a whole."""
    assert found.shape == expected.shape
    blocks = [slice(None)] if sizes is None else [slice(sum(sizes[:k]), sum(sizes[: k + 1])) for k in range(len(sizes))]
    for block in blocks:
        one, other = found[..., block], expected[..., block]
        scale = np.abs(other).max(axis=-1, keepdims=True) if sizes is not None else np.abs(other).max(initial=0)
        assert (np.abs(one - other) <= tolerance * scale + 1e-14).all()


@pytest.mark.parametrize(("dimension", "degree", "state"), WITH_STATES)
def test_log_signatures(dimension: int, degree: int, state: str) -> None:
    kernel = lg.load(dimension, degree)
    for length in LENGTHS:
        for batch in BATCHES:
            path = walk(*batch, length, dimension)
            expected = iisignature.logsig(path, prepared(dimension, degree, "O"), "O")
            close(kernel.log_sig(path, state=state), expected, 1e-11, kernel.problem.sizes)
    assert not kernel.log_sig(walk(3, 0, dimension), state=state).any()


@pytest.mark.parametrize(("dimension", "degree", "state"), GRADIENTS)
def test_gradients(dimension: int, degree: int, state: str) -> None:
    kernel = lg.load(dimension, degree)
    for length in LENGTHS[1:-1]:
        path = walk(4, length, dimension)
        d_out = RNG.normal(size=(4, kernel.size))
        expected = iisignature.logsigbackprop(d_out, path, prepared(dimension, degree, "S"), "S")
        close(kernel.log_sig_backprop(d_out, path, state=state), expected, 3e-6)
    assert not kernel.log_sig_backprop(np.ones((2, kernel.size)), walk(2, 1, dimension), state=state).any()


@pytest.mark.parametrize(("dimension", "degree"), CASES)
def test_the_hall_basis(dimension: int, degree: int) -> None:
    path = walk(5, 20, dimension)
    found = lg.log_sig_to_hall(lg.log_sig(path, degree, method=2), dimension, degree)
    expected = iisignature.logsig(path, prepared(dimension, degree, "HO"), "O")
    close(found, expected, 1e-11, lg.load(dimension, degree).problem.sizes)
    back = lg.log_sig_from_hall(expected, dimension, degree)
    lyndon = iisignature.logsig(path, prepared(dimension, degree, "O"), "O")
    close(back, lyndon, 1e-11, lg.load(dimension, degree).problem.sizes)


@pytest.mark.parametrize(("dimension", "degree"), CASES)
def test_brackets_and_expanded_coordinates(dimension: int, degree: int) -> None:
    def counted_from_one(text: str) -> str:
        for letter in range(dimension, 0, -1):
            text = text.replace(str(letter - 1), f"<{letter}>") if letter <= 10 else text
        return text.replace("<", "").replace(">", "")

    if dimension <= 10:
        brackets = [counted_from_one(bracket) for bracket in lg.load(dimension, degree).brackets]
        assert brackets == list(iisignature.basis(prepared(dimension, degree, "O")))
    path = walk(3, 12, dimension)
    expected = iisignature.logsig(path, prepared(dimension, degree, "X"), "X")
    np.testing.assert_allclose(
        lg.log_sig(path, degree, method=0), expected, rtol=0, atol=1e-11 * np.abs(expected).max()
    )


@pytest.mark.parametrize(("dimension", "degree"), [(2, 6), (3, 4), (5, 3)])
def test_signatures(dimension: int, degree: int) -> None:
    """The conversions between log-signatures and signatures, which it has as well."""
    path = walk(4, 9, dimension)
    log_sig, sig = lg.log_sig(path, degree, method=2), iisignature.sig(path, degree)
    np.testing.assert_allclose(lg.logsig_to_sig(log_sig, dimension, degree, method=2), sig, rtol=0, atol=1e-12)
    np.testing.assert_allclose(lg.sig_to_log_sig(sig, dimension, degree, method=2), log_sig, rtol=0, atol=1e-11)
