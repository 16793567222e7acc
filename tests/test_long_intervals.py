"""Long intervals, which are products of blocks of their path: values, identities, gradients, and bits.

Trusts the same call on a slice of the path, the truncated tensor algebra over fractions, difference quotients, and
that the product of two neighbours is their whole.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.algebra.tensor import join_oracle
from logsig_codegen.operations import WHOLE_STEPS

D, N, M = 2, 3, 5
LENGTH = 1500
RNG = np.random.default_rng(46)
PATH = RNG.normal(size=(LENGTH, D)).cumsum(axis=0) / 8
ENDS = st.tuples(st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1)).map(sorted)


def random_pairs(count: int) -> Any:
    return np.sort(RNG.integers(0, LENGTH, (count, 2)))


def close(found: Any, expected: Any, tolerance: float = 1e-13) -> None:
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(ENDS, min_size=1, max_size=6))
def test_values_are_those_of_slices(pairs: Any) -> None:
    found = lg.log_sig(PATH, N, method=2, intervals=pairs)
    for row, (first, last) in zip(found, pairs, strict=True):
        close(row, lg.log_sig(PATH[first : last + 1], N, method=2))


@settings(max_examples=60, deadline=None)
@given(points=st.tuples(*[st.integers(0, LENGTH - 1)] * 3).map(sorted))
def test_an_interval_is_the_product_of_its_parts(points: Any) -> None:
    first, between, last = points
    whole, left, right = lg.log_sig(PATH, N, method=2, intervals=[[first, last], [first, between], [between, last]])
    close(lg.log_sig_combine(left, right, D, N), whole)


def test_exactly() -> None:
    numbers = [[Fraction(k * k % 7 - 3), Fraction(k * 5 % 11 - 5)] for k in range(WHOLE_STEPS + 60)]
    pairs = [(17, WHOLE_STEPS + 50), (48, WHOLE_STEPS + 48), (1, WHOLE_STEPS + 59)]
    found = lg.log_sig(np.array(numbers, float), N, method=2, intervals=pairs)
    for row, (first, last) in zip(found, pairs, strict=True):
        state = [Fraction(0)] * M
        for start, end in pairwise(numbers[first : last + 1]):
            state = join_oracle(D, N, state, [b - a for a, b in zip(start, end, strict=True)])
        close(row, np.array([float(x) for x in state]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bits_depend_on_the_interval_and_its_path_alone(dtype: Any) -> None:
    kernel, path = lg.load(D, N), np.stack([PATH, PATH[::-1], PATH[:, ::-1]]).astype(dtype)
    pairs = np.concatenate([random_pairs(80), [[5, 4], [7, 7], [0, LENGTH - 1], [48, 240], [47, 241]]])
    found = kernel.log_sig(path, intervals=pairs)
    assert np.array_equal(kernel.log_sig(path, intervals=pairs, n_jobs=2), found)
    assert np.array_equal(kernel.log_sig(path[1], intervals=pairs), found[1])
    order = RNG.permutation(len(pairs))
    each = np.stack([pairs, pairs[order], pairs])
    assert np.array_equal(kernel.log_sig(path, intervals=each)[1], found[1, order])
    for k in range(0, len(pairs), 7):
        assert np.array_equal(kernel.log_sig(path, intervals=pairs[k : k + 1]), found[:, k : k + 1])
    d_out = RNG.normal(size=found.shape).astype(dtype)
    gradient = kernel.log_sig_backprop(d_out, path, intervals=pairs)
    assert np.array_equal(kernel.log_sig_backprop(d_out, path, intervals=pairs, n_jobs=2), gradient)
    assert np.array_equal(kernel.log_sig_backprop(d_out[1], path[1], intervals=pairs), gradient[1])
    many = np.concatenate([path] * 50)  # more paths than are worked on at a time
    repeated = kernel.log_sig(many, intervals=pairs[:9])
    assert np.array_equal(repeated[-3:], found[:, :9])


def test_gradients_are_sums_of_those_of_slices() -> None:
    kernel, path = lg.load(D, N), np.stack([PATH, PATH[::-1]])
    pairs = random_pairs(60)
    for options in ({}, {"method": 0}, {"method": 1}, {"state": "signature"}):
        d_out = RNG.normal(size=kernel.log_sig(path, intervals=pairs, **options).shape)
        expected = np.zeros_like(path)
        for k, (first, last) in enumerate(pairs):
            points = slice(first, last + 1)
            expected[:, points] += kernel.log_sig_backprop(d_out[:, k], path[:, points], **options)
        close(kernel.log_sig_backprop(d_out, path, intervals=pairs, **options), expected)


def test_gradients_are_difference_quotients() -> None:
    pairs = [[3, 230], [48, 240], [0, LENGTH - 1], [10, 20]]
    d_out, direction = RNG.normal(size=(4, M)), RNG.normal(size=PATH.shape)
    h = 1e-6
    ahead, behind = (lg.log_sig(PATH + s * direction, N, method=2, intervals=pairs) for s in (h, -h))
    slope = np.vdot(lg.log_sig_backprop(d_out, PATH, N, method=2, intervals=pairs), direction)
    np.testing.assert_allclose(slope, np.vdot(d_out, ahead - behind) / (2 * h), rtol=1e-7)


def test_shorter_paths() -> None:
    kernel, lengths = lg.load(D, N), np.array([LENGTH, 700, 193, 0])
    paths = [PATH[:n] for n in lengths]
    padded = np.full((4, LENGTH, D), np.nan)
    for row, path in zip(padded, paths, strict=True):
        row[: len(path)] = path
    pairs = random_pairs(40)
    found = kernel.log_sig(padded, lengths=lengths, intervals=pairs)
    for row, n in zip(found, lengths, strict=True):
        cut = np.minimum(pairs, [n, n - 1])
        assert np.array_equal(row, kernel.log_sig(PATH, intervals=cut))
    assert np.array_equal(kernel.log_sig(paths, intervals=pairs), found)
    d_out = RNG.normal(size=found.shape)
    gradient = kernel.log_sig_backprop(d_out, padded, lengths=lengths, intervals=pairs)
    listed = kernel.log_sig_backprop(d_out, paths, intervals=pairs)
    for row, one in zip(gradient, listed, strict=True):
        assert np.array_equal(row[: len(one)], one)
        assert not row[len(one) :].any()


def test_tensors_have_the_numbers_of_arrays() -> None:
    pairs = random_pairs(40)
    path = torch.tensor(PATH, requires_grad=True)
    found = lg.log_sig(path, N, method=2, intervals=pairs)
    assert np.array_equal(found.detach(), lg.log_sig(PATH, N, method=2, intervals=pairs))
    d_out = RNG.normal(size=found.shape)
    found.backward(torch.from_numpy(d_out))
    assert path.grad is not None
    assert np.array_equal(path.grad, lg.log_sig_backprop(d_out, PATH, N, method=2, intervals=pairs))
