"""pySigLib's functions of whole paths: the same results, for numpy and torch, and the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import peer
import pysiglib
import pysiglib.torch_api
import pytest
import torch

import logsig_codegen as lg
import logsig_codegen.torch_api as lt

RNG = np.random.default_rng(4)
PATH = RNG.normal(size=(3, 7, 2)).cumsum(axis=1)
TRANSFORMS = [{"time_aug": a, "lead_lag": b, "end_time": 2.5} for a in (False, True) for b in (False, True)]


def prepare(**options: Any) -> None:
    for method in (1, 2):
        pysiglib.prepare_log_sig(2, 3, method, time_aug=options["time_aug"], lead_lag=options["lead_lag"])


@pytest.mark.parametrize("method", [0, 1, 2])
@pytest.mark.parametrize("options", TRANSFORMS, ids=str)
def test_log_sig(options: dict[str, Any], method: int) -> None:
    prepare(**options)
    found = lg.log_sig(PATH, 3, method=method, **options)
    np.testing.assert_allclose(found, pysiglib.log_sig(PATH, 3, method=method, **options), atol=1e-12)
    d_out = RNG.normal(size=found.shape)
    tensor, theirs = (torch.tensor(PATH, requires_grad=True) for _ in range(2))
    result = lt.log_sig(tensor, 3, method=method, **options)
    assert np.array_equal(result.detach().numpy(), found)
    result.backward(torch.from_numpy(d_out))
    pysiglib.torch_api.log_sig(theirs, 3, method=method, **options).backward(torch.from_numpy(d_out))
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad, theirs.grad, atol=1e-10)
    gradient = lg.log_sig_backprop(d_out, PATH, 3, method=method, **options)
    np.testing.assert_allclose(gradient, tensor.grad, atol=1e-13)


@pytest.mark.parametrize("options", TRANSFORMS, ids=str)
def test_transform_path(options: dict[str, Any]) -> None:
    found = lg.transform_path(PATH, **options)
    assert np.array_equal(found, pysiglib.transform_path(PATH, **options))
    d_out = RNG.normal(size=found.shape)
    expected = pysiglib.transform_path_backprop(d_out, **options)
    np.testing.assert_allclose(lg.transform_path_backprop(d_out, **options), expected, atol=1e-14)
    tensor = torch.tensor(PATH, requires_grad=True)
    lt.transform_path(tensor, **options).backward(torch.from_numpy(d_out))
    np.testing.assert_allclose(tensor.grad, expected, atol=1e-14)
    for length in (0, 1):
        short = lg.transform_path(PATH[:, :length], **options)
        assert short.shape[-2] == length
        assert not lg.log_sig(PATH[:, :length], 3, **options).any()
        assert lg.transform_path_backprop(np.ones_like(short), **options).shape == (3, length, 2)


@pytest.mark.parametrize("options", TRANSFORMS[1:], ids=str)
def test_ragged_paths_are_transformed_one_by_one(options: dict[str, Any]) -> None:
    lengths = np.array([7, 3, 1])
    paths = [path[:length] for path, length in zip(PATH, lengths, strict=True)]
    found = lg.log_sig(PATH, 3, lengths=lengths, **options)
    expected = np.stack([lg.log_sig(path, 3, **options) for path in paths])
    assert np.array_equal(found, expected)
    assert np.array_equal(lg.log_sig(paths, 3, **options), expected)
    d_out = RNG.normal(size=found.shape)
    padded = lg.log_sig_backprop(d_out, PATH, 3, lengths=lengths, **options)
    listed = lg.log_sig_backprop(d_out, paths, 3, **options)
    for k, length in enumerate(lengths):
        one = lg.log_sig_backprop(d_out[k], paths[k], 3, **options)
        np.testing.assert_allclose(listed[k], one, atol=1e-13)
        np.testing.assert_allclose(padded[k, :length], one, atol=1e-13)
        assert not padded[k, length:].any()


@pytest.mark.parametrize("method", [1, 2])
def test_conversions_and_combine(method: int) -> None:
    peer.prepare(2, 3)
    sig = pysiglib.sig(PATH, 3)
    log_sig = pysiglib.sig_to_log_sig(sig, 2, 3, method=method)
    np.testing.assert_allclose(lg.sig_to_log_sig(sig, 2, 3, method=method), log_sig, atol=1e-12)
    np.testing.assert_allclose(lg.logsig_to_sig(log_sig, 2, 3, method=method), sig, atol=1e-12)
    tensor = torch.tensor(log_sig, requires_grad=True)
    lt.logsig_to_sig(tensor, 2, 3, method=method, scalar_term=True).sum().backward()
    expected = lg.logsig_to_sig_backprop(log_sig, np.ones((3, 15)), 2, 3, method=method, scalar_term=True)
    np.testing.assert_allclose(tensor.grad, expected, atol=1e-13)
    np.testing.assert_allclose(
        lg.sig_to_log_sig_backprop(sig, np.ones_like(log_sig), 2, 3, method=method),
        pysiglib.sig_to_log_sig_backprop(sig, np.ones_like(log_sig), 2, 3, method=method),
        atol=1e-11,
    )
    first, second = lg.log_sig(PATH, 3, method=2), lg.log_sig(PATH[::-1], 3, method=2)
    expected = pysiglib.log_sig_combine(first, second.copy(), 2, 3)
    np.testing.assert_allclose(lg.log_sig_combine(first, second, 2, 3), expected, atol=1e-12)
    theirs = pysiglib.log_sig_combine_backprop(np.ones_like(first), first, second.copy(), 2, 3)
    for ours, other in zip(lg.log_sig_combine_backprop(np.ones_like(first), first, second, 2, 3), theirs, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-11)


def test_bases() -> None:
    log_sig = lg.log_sig(PATH, 4, method=2)
    for method in (0, 1, 2, 3):
        other = lg.log_sig_change_method(log_sig, 2, 4, 2, method)
        np.testing.assert_allclose(other, lg.log_sig(PATH, 4, method=method), atol=1e-13)
        np.testing.assert_allclose(lg.log_sig_change_method(other, 2, 4, method, 2), log_sig, atol=1e-12)
    hall = lg.log_sig_to_hall(log_sig, 2, 4)
    np.testing.assert_allclose(lg.log_sig_from_hall(hall, 2, 4), log_sig, atol=1e-13)
    for name, function, back in (
        (
            "words",
            lambda x: lg.log_sig_change_method(x, 2, 4, 2, 1),
            lambda g: lg.log_sig_change_method_backprop(g, 2, 4, 2, 1),
        ),
        ("to Hall", lambda x: lg.log_sig_to_hall(x, 2, 4), lambda g: lg.log_sig_to_hall_backprop(g, 2, 4)),
        ("from Hall", lambda x: lg.log_sig_from_hall(x, 2, 4), lambda g: lg.log_sig_from_hall_backprop(g, 2, 4)),
    ):
        d_out = RNG.normal(size=log_sig.shape)
        assert np.isclose((function(log_sig) * d_out).sum(), (log_sig * back(d_out)).sum()), name  # they are linear
        tensor = torch.tensor(log_sig, requires_grad=True)
        function(tensor).backward(torch.from_numpy(d_out))
        np.testing.assert_allclose(tensor.grad, back(d_out), atol=1e-13)
    expanded = lg.log_sig(PATH, 4, method=0, scalar_term=True)
    assert expanded.shape == (3, 31)
    assert not expanded[:, 0].any()
    d_out = RNG.normal(size=expanded.shape)
    gradient = lg.log_sig_backprop(d_out, PATH, 4, method=0, scalar_term=True)
    np.testing.assert_allclose(gradient, lg.log_sig_backprop(d_out[:, 1:], PATH, 4, method=0), atol=1e-13)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
@pytest.mark.parametrize("options", [{"method": 2}, {"method": 0, "scalar_term": True}, {"method": 1, "stream": True}])
def test_out(transform: dict[str, Any], options: dict[str, Any]) -> None:
    options = {**transform, **options}
    expected = lg.log_sig(PATH, 3, **options)
    out = np.full_like(expected, 7)
    assert lg.log_sig(PATH, 3, out=out, **options) is out
    assert np.array_equal(out, expected)
    with pytest.raises(ValueError, match="out: expected shape"):
        lg.log_sig(PATH, 3, out=out[1:], **options)
    d_out, room = RNG.normal(size=out.shape), np.full_like(PATH, 7)
    assert lg.log_sig_backprop(d_out, PATH, 3, out=room, **options) is room
    assert np.array_equal(room, lg.log_sig_backprop(d_out, PATH, 3, **options))
    with pytest.raises(ValueError, match=r"out: .*overlaps path"):
        lg.log_sig_backprop(d_out, PATH, 3, out=PATH, **options)
    wide = np.zeros(out.size + PATH.size)
    with pytest.raises(ValueError, match=r"out: .*overlaps path"):
        lg.log_sig(wide[: PATH.size].reshape(PATH.shape), 3, out=wide[1 : out.size + 1].reshape(out.shape), **options)
    tensor = torch.tensor(PATH)
    with pytest.raises(TypeError, match="out: expected None"):
        lg.log_sig(tensor, 3, out=torch.empty(out.shape, dtype=torch.float64), **options)
    with pytest.raises(TypeError, match="out: expected None"):
        lg.log_sig_backprop(torch.tensor(d_out), tensor, 3, out=torch.empty_like(tensor), **options)


def test_out_of_gradients_with_initial() -> None:
    options: dict[str, Any] = {"time_aug": True, "initial": RNG.normal(size=(3, 14)), "method": 2}
    d_out = np.ones((3, 14))
    pair = np.empty_like(PATH), np.empty((3, 14))
    found = lg.log_sig_backprop(d_out, PATH, 3, out=pair, **options)
    for one, target, expected in zip(found, pair, lg.log_sig_backprop(d_out, PATH, 3, **options), strict=True):
        assert one is target
        assert np.array_equal(target, expected)


WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: lg.log_sig_backprop(np.zeros((3, 14)), PATH, 3, method=0, scalar_term=True), ValueError, "d_out.*15"),
    (lambda: lg.log_sig_backprop([0.0], PATH, 3, method=0, scalar_term=True), TypeError, "d_out"),
    (lambda: lg.log_sig(PATH, 0), ValueError, "degree"),
    (lambda: lg.log_sig(PATH, 3, time_aug=1), TypeError, "time_aug"),
    (lambda: lg.log_sig(PATH, 3, time_aug=True, end_time="1"), TypeError, "end_time"),
    (lambda: lg.log_sig(PATH, 3, time_aug=True, end_time=float("nan")), ValueError, "end_time"),
    (lambda: lg.log_sig(PATH, 3, scalar_term=0), TypeError, "scalar_term"),
    (lambda: lg.log_sig(PATH, 3, correction=np.zeros(4)), lg.UnsupportedError, "correction"),
    (lambda: lg.log_sig(PATH[0, 0], 3), ValueError, "path"),
    (lambda: lg.log_sig([], 3), ValueError, "path"),
    (lambda: lg.log_sig(PATH, 3, method=5), ValueError, "method"),
    (lambda: lg.transform_path_backprop(np.zeros((4, 4)), lead_lag=True), ValueError, "derivs"),
    (lambda: lg.sig_to_log_sig(np.zeros(13), 2, 3), ValueError, "sig"),
    (lambda: lg.log_sig_change_method(np.zeros(5), 2, 3, 2, 4), ValueError, "method"),
    (lambda: lt.log_sig(PATH, 3), TypeError, "path: expected a torch tensor"),
    (lambda: lt.log_sig_combine(torch.zeros(5), np.zeros(5), 2, 3), TypeError, "log_sig2: expected a torch tensor"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", [0, 1, 2])
def test_ordinary_calls_have_the_bits_of_all_others(method: int, dtype: type) -> None:
    """Plain paths take a short way, in every shape; ``lengths`` and other layouts take the general one."""
    for length in range(1, 80):  # more shapes than are remembered
        path = RNG.normal(size=(2, length, 2)).astype(dtype)
        general = lg.log_sig(path, 3, method=method, lengths=np.full(2, length))
        for _ in range(2):
            found = lg.log_sig(path, 3, method=method)
            assert found.dtype == dtype
            assert np.array_equal(found, general)
        assert np.array_equal(lg.log_sig(path[0], 3, method=method), general[0])
    for other in (path[::-1], np.asfortranarray(path), path[:, ::2], path[:0], path.reshape(2, 1, -1, 2)):
        expected = lg.log_sig(other, 3, method=method, lengths=np.full(other.shape[:-2], other.shape[-2]))
        assert np.array_equal(lg.log_sig(other, 3, method=method), expected)
    wrong = ((path[0, 0], ValueError), (path.astype(np.int64), TypeError), (path[0, 0, 0], TypeError))
    for value, error in wrong:
        with pytest.raises(error, match="path"):
            lg.log_sig(value, 3, method=method)
    with pytest.raises(TypeError, match="method"):
        lg.load(2, 3).log_sig(path, method=method + 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_jobs"):
        lg.log_sig(path, 3, method=method, n_jobs=0)
