"""Every function that pySigLib has as well, with every flag: the same results and gradients, for numpy and torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pysiglib
import pysiglib.torch_api
import pytest
import torch

import logsig_codegen as lg
import logsig_codegen.torch_api as lt

D, N = 2, 3
RNG = np.random.default_rng(11)
PATH = RNG.normal(size=(4, 6, D)).cumsum(axis=1)
FLAGS = [{"time_aug": a, "lead_lag": b} for a, b in product((False, True), repeat=2)]
SHAPES = [(), (4,), (2, 3)]
METHODS = [0, 1, 2]


@cache
def prepare() -> None:
    for flags, method in product(FLAGS, (1, 2, 3)):
        pysiglib.prepare_log_sig(D, N, method, **flags)


def channels(flags: dict[str, bool]) -> int:
    return D * (2 if flags["lead_lag"] else 1) + flags["time_aug"]


def close(found: Any, expected: Any, tolerance: float) -> None:
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert tuple(found.shape) == tuple(expected.shape)
    scale = max(float(np.abs(np.asarray(expected)).max(initial=0)), 1.0)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=tolerance * scale)


def same(call: Callable[[Any], Any], *more: Callable[[Any], Any], dtype: Any = np.float64) -> Any:
    """Both libraries give the same to ``call``, which gets the module; returns ours."""
    prepare()
    tolerance = 1e-11 if dtype == np.float64 else 2e-5
    for one in (call, *more):
        close(one(lg), one(pysiglib), tolerance)
    return call(lg)


def same_gradients(function: Callable[[Any, Any], Any], argument: Any) -> None:
    """The gradients of ``function(module, tensor)`` for both torch modules, and what they are of."""
    prepare()
    tensors = [torch.tensor(argument, requires_grad=True) for _ in range(2)]
    results = [function(module, x) for module, x in zip((lt, pysiglib.torch_api), tensors, strict=True)]
    close(results[0].detach(), results[1].detach(), 1e-11)
    weights = torch.from_numpy(np.random.default_rng(1).normal(size=tuple(results[0].shape)))
    for result in results:
        (result * weights).sum().backward()
    close(tensors[0].grad, tensors[1].grad, 1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize("method", [0, 1, 2, 3])
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_log_sig(flags: dict[str, bool], method: int, scalar_term: bool, dtype: Any) -> None:
    options: dict[str, Any] = {**flags, "method": method, "scalar_term": scalar_term, "end_time": 0.75}
    for length in (2, 3, 6):
        path = PATH[:, :length].astype(dtype)
        found = same(lambda m, p=path: m.log_sig(p, N, **options), dtype=dtype)
        same(lambda m, p=path: m.log_sig(p[0].copy(), N, **options), dtype=dtype)
        assert found.shape[-1] == (
            lg.sig_length(D, N, **flags, scalar_term=scalar_term) if method == 0 else lg.log_sig_length(D, N, **flags)
        )
    if method < 3 and dtype is np.float64:
        same_gradients(lambda m, x: m.log_sig(x, N, **options), PATH)
        d_out = RNG.normal(size=found.shape)
        tensor = torch.tensor(PATH, requires_grad=True)
        lt.log_sig(tensor, N, **options).backward(torch.from_numpy(d_out))
        np.testing.assert_allclose(lg.log_sig_backprop(d_out, PATH, N, **options), tensor.grad, atol=1e-13)


@pytest.mark.parametrize("scalar_term", [False, True])
def test_streams_of_expanded_log_signatures(scalar_term: bool) -> None:
    """Of which pySigLib has none: every prefix by itself."""
    prepare()
    options: dict[str, Any] = {"method": 0, "scalar_term": scalar_term}
    found = lg.log_sig(PATH, N, stream=True, **options)
    windows = lg.log_sig(PATH, N, windows=(3, 2), **options)
    for t in range(1, 6):
        close(found[:, t - 1], pysiglib.log_sig(PATH[:, : t + 1].copy(), N, **options), 1e-11)
    for k in range(2):
        close(windows[:, k], pysiglib.log_sig(PATH[:, 2 * k : 2 * k + 3].copy(), N, **options), 1e-11)
    d_out = RNG.normal(size=found.shape)
    gradient = np.zeros_like(PATH)
    for t in range(1, 6):
        tensor = torch.tensor(PATH[:, : t + 1].copy(), requires_grad=True)
        pysiglib.torch_api.log_sig(tensor, N, **options).backward(torch.from_numpy(d_out[:, t - 1]))
        assert tensor.grad is not None
        gradient[:, : t + 1] += tensor.grad.numpy()
    close(lg.log_sig_backprop(d_out, PATH, N, stream=True, **options), gradient, 1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_sig_to_log_sig(flags: dict[str, bool], scalar: bool, method: int) -> None:
    options: dict[str, Any] = {**flags, "method": method}
    for shape in SHAPES:
        path = RNG.normal(size=(*shape, 5, D)).cumsum(axis=-2)
        sig = pysiglib.sig(path, N, scalar_term=scalar, **flags)
        found = same(lambda m, s=sig: m.sig_to_log_sig(s, D, N, **options))
        d_out = RNG.normal(size=found.shape)
        same(lambda m, s=sig, g=d_out: m.sig_to_log_sig_backprop(s, g, D, N, **options))
        same_gradients(lambda m, x: m.sig_to_log_sig(x, D, N, **options), sig)
    single = sig.astype(np.float32)
    same(lambda m: m.sig_to_log_sig(single, D, N, **options), dtype=np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_logsig_to_sig(flags: dict[str, bool], scalar: bool, method: int) -> None:
    options: dict[str, Any] = {**flags, "method": method, "scalar_term": scalar}
    width = channels(flags)
    size = lg.sig_length(width, N) + scalar if method == 0 else lg.log_sig_length(width, N)
    for shape in SHAPES:
        log_sig = RNG.normal(size=(*shape, size)) / 2
        if method == 0 and scalar:
            log_sig[..., 0] = 0
        found = same(lambda m, x=log_sig: m.logsig_to_sig(x, D, N, **options))
        assert found.shape[-1] == lg.sig_length(D, N, **flags, scalar_term=scalar)
        d_out = RNG.normal(size=found.shape)
        gradient = [m.logsig_to_sig_backprop(log_sig, d_out, D, N, **options) for m in (lg, pysiglib)]
        place = 1 if method == 0 and scalar else 0  # the coefficient of the empty word is constant
        close(gradient[0][..., place:], gradient[1][..., place:], 1e-10)
    same_gradients(lambda m, x: m.logsig_to_sig(x, D, N, **options)[..., place:], log_sig)
    single = log_sig.astype(np.float32)
    same(lambda m: m.logsig_to_sig(single, D, N, **options), dtype=np.float32)


@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("method", [0, 1, 2, 3])
def test_linear_log_sig(method: int, scalar: bool) -> None:
    options: dict[str, Any] = {"method": method, "scalar_term": scalar}
    for shape in SHAPES:
        step = RNG.normal(size=(*shape, D))
        found = same(lambda m, x=step: m.linear_log_sig(x, D, N, **options))
        d_out = RNG.normal(size=found.shape)
        same(lambda m, x=step, g=d_out: m.linear_log_sig_backprop(g, x, D, N, **options))
        same_gradients(lambda m, x: m.linear_log_sig(x, D, N, **options), step)
    single = step.astype(np.float32)
    same(lambda m: m.linear_log_sig(single, D, N, **options), dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("end_time", [1.0, 0.25, 1e3, -2.0])
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_transform_path(flags: dict[str, bool], end_time: float, dtype: Any) -> None:
    for shape, length in product(SHAPES, (2, 3, 7)):
        path = RNG.normal(size=(*shape, length, D)).astype(dtype)
        found = same(lambda m, p=path: m.transform_path(p, end_time=end_time, **flags), dtype=dtype)
        d_out = RNG.normal(size=found.shape).astype(dtype)
        same(lambda m, g=d_out: m.transform_path_backprop(g, end_time=end_time, **flags), dtype=dtype)
    same_gradients(lambda m, x: m.transform_path(x, end_time=end_time, **flags), path.astype(np.float64))


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_log_sig_combine(flags: dict[str, bool]) -> None:
    size = lg.log_sig_length(D, N, **flags)
    for shape in SHAPES:
        first, second, d_out = RNG.normal(size=(3, *shape, size)).copy()
        first, second, d_out = first.copy(), second.copy(), d_out.copy()
        same(lambda m, a=first, b=second: m.log_sig_combine(a, b, D, N, **flags))
        for k in (0, 1):
            same(
                lambda m, a=first, b=second, g=d_out, k=k: m.log_sig_combine_backprop(g, a, b, D, N, **flags)[k],
            )
        same_gradients(lambda m, x, b=second: m.log_sig_combine(x, torch.tensor(b), D, N, **flags), first)


def test_lengths_and_words() -> None:
    for d, n in ((1, 1), (2, 5), (3, 4)):
        for scalar, (a, b) in product((False, True), product((False, True), repeat=2)):
            flags = {"time_aug": a, "lead_lag": b}
            assert lg.sig_length(d, n, scalar_term=scalar, **flags) == pysiglib.sig_length(
                d, n, scalar_term=scalar, **flags
            )
            assert lg.log_sig_length(d, n, **flags) == pysiglib.log_sig_length(d, n, **flags)
        assert lg.lyndon_words(d, n) == pysiglib.lyndon_words(d, n)
        assert lg.words(d, n) == pysiglib.words(d, n)
        for index, word in enumerate(pysiglib.words(d, n)):
            theirs = pysiglib.word_to_idx(word, d, scalar_term=True)
            assert lg.word_to_idx(word, d, scalar_term=True) == theirs == index
            assert lg.idx_to_word(index, d, scalar_term=True) == word
            if word:
                assert lg.word_to_idx(word, d) == pysiglib.word_to_idx(word, d) == index - 1
                assert lg.idx_to_word(index - 1, d) == pysiglib.idx_to_word(index - 1, d) == word


@pytest.mark.parametrize("end_time", [None, "1", True])
def test_a_wrong_end_time_is_an_error_without_time_as_well(end_time: Any) -> None:
    lg.log_sig(PATH, N)  # the kernel is known now
    with pytest.raises(TypeError, match="end_time"):
        lg.log_sig(PATH, N, end_time=end_time)
    with pytest.raises(TypeError, match="end_time"):
        lg.log_sig_backprop(np.zeros((4, 5)), PATH, N, end_time=end_time)
