"""Streams: what they answer is what the same points give as a path."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import peer
import pysiglib
import pysiglib.torch_api
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import logsig_codegen as lg
import logsig_codegen.torch_api as lt

D, N = 2, 3
RNG = np.random.default_rng(5)


def points(*shape: int) -> Any:
    return RNG.normal(size=(*shape, D))


def direct(path: Any, method: int = 2) -> Any:
    return lg.log_sig(path, N, method=method)


def numbers(result: Any) -> Any:
    return result.detach().numpy() if isinstance(result, torch.Tensor) else result


STEP = st.one_of(st.just(("push",)), st.tuples(st.just("batch"), st.integers(0, 5)), st.just(("pop",)))


@pytest.mark.parametrize("kind", ["numpy", "torch", "gradient"])
@settings(deadline=None, max_examples=40)
@given(st.lists(STEP, max_size=25))
def test_any_sequence_of_pushes_and_pops(kind: str, steps: list[tuple[Any, ...]]) -> None:
    rng = np.random.default_rng(len(steps))
    given_as = {
        "numpy": lambda x: x,
        "torch": torch.from_numpy,
        "gradient": lambda x: torch.tensor(x, requires_grad=True),
    }[kind]
    stream, held, start = lg.LogSigStream(D, N), np.empty((0, D)), 0
    for step in steps:
        if step[0] == "pop":
            if len(held) - start > 1:
                stream.pop_front()
                start += 1
            else:
                with pytest.raises(ValueError, match="pop_front"):
                    stream.pop_front()
        else:
            new = rng.normal(size=(1 if step[0] == "push" else step[1], D))
            stream.push(given_as(new[0])) if step[0] == "push" else stream.push_batch(given_as(new))
            held = np.concatenate([held, new])
    assert (stream.size, len(stream), stream.start_index) == (len(held) - start, len(held) - start, start)
    for first in range(start, len(held)):
        for last in range(first, len(held)):
            assert np.array_equal(numbers(stream.sig(first, last)), direct(held[first : last + 1]))
    if len(held) > start:
        every = numbers(stream.sig_all())
        expected = [direct(held[: last + 1]) for last in range(start, len(held))]
        np.testing.assert_allclose(every, np.stack(expected), atol=1e-12)


def test_pysiglib_gives_the_same() -> None:
    path = points(3, 12)
    peer.prepare(D, N)
    theirs = pysiglib.LogSigStream(D, N)
    ours = lg.LogSigStream(D, N)
    for t in range(12):
        theirs.push(path[:, t].copy())
        ours.push(path[:, t])
    np.testing.assert_allclose(ours.sig(2, 9), theirs.sig(2, 9), atol=1e-12)
    np.testing.assert_allclose(ours.sig_all(), theirs.sig_all(), atol=1e-12)
    pairs = [(0, 3), (4, 4), (1, 11)]
    np.testing.assert_allclose(ours.sig_batch(pairs), theirs.sig_batch(pairs), atol=1e-12)
    assert ours.batch_shape == theirs.batch_shape == (3,)
    for _ in range(4):
        assert (ours.start_index, ours.end_index, ours.size) == (theirs.start_index, theirs.end_index, theirs.size)
        theirs.pop_front()
        ours.pop_front()
    np.testing.assert_allclose(ours.sig_all(), theirs.sig_all(), atol=1e-12)
    np.testing.assert_allclose(ours.sig(5, 11), theirs.sig(5, 11), atol=1e-11)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_pysiglib_s_streams_of_tensors_give_the_same(shape: tuple[int, ...]) -> None:
    path = points(*shape, 8)
    peer.prepare(D, N)
    results, gradients = [], []
    for module in (pysiglib.torch_api, lt):
        tensor = torch.tensor(path, requires_grad=True)
        stream = module.LogSigStream(D, N)
        for t in range(8):
            stream.push(tensor[..., t, :])
        result = torch.cat([stream.sig(2, 6)[None], stream.sig_batch([(0, 7), (3, 5)]), stream.sig_all()])
        weights = torch.linspace(-1, 1, result.numel(), dtype=torch.float64).reshape(result.shape)
        (result * weights).sum().backward()
        results.append(result.detach().numpy())
        gradients.append(tensor.grad)
    np.testing.assert_allclose(results[1], results[0], atol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0], atol=1e-11)


def test_intervals_may_be_an_array() -> None:
    stream = lg.LogSigStream(D, N)
    stream.push_batch(points(6))
    pairs = [(0, 3), (2, 2), (1, 5)]
    assert np.array_equal(stream.sig_batch(np.array(pairs)), stream.sig_batch(pairs))
    for wrong in ([], np.empty((0, 2), int)):
        with pytest.raises(ValueError, match="intervals: expected at least one pair"):
            stream.sig_batch(wrong)
    with pytest.raises(ValueError, match=r"intervals\[1\]: expected a pair .*got 3 numbers"):
        stream.sig_batch([(0, 1), (0, 1, 2)])


def test_what_is_pushed_is_copied() -> None:
    stream, path = lg.LogSigStream(D, N), points(5)
    expected = direct(path)
    stream.push_batch(path)
    path[:] = 0
    assert np.array_equal(stream.sig(0, 4), expected)


@pytest.mark.parametrize("method", [0, 1, 2, 3])
def test_methods(method: int) -> None:
    path = points(6)
    stream = lg.LogSigStream(D, N, method=method)
    stream.push_batch(path)
    np.testing.assert_allclose(stream.sig(1, 5), direct(path[1:], method), atol=1e-14)


@pytest.mark.parametrize(
    ("start", "end", "error"),
    [(-1, 2, IndexError), (0, 5, IndexError), (3, 2, ValueError), (0.0, 2, TypeError), (True, 2, TypeError)],
)
def test_bad_intervals(start: Any, end: Any, error: type[Exception]) -> None:
    stream = lg.LogSigStream(D, N)
    stream.push_batch(points(5))
    with pytest.raises(error, match=r"start|end"):
        stream.sig(start, end)


def test_pushes_that_do_not_fit() -> None:
    stream = lg.LogSigStream(D, N)
    with pytest.raises(IndexError, match="nothing was pushed"):
        stream.sig(0, 0)
    stream.push_batch(points(3, 4))
    with pytest.raises(ValueError, match="batch shape"):
        stream.push(points())
    with pytest.raises(ValueError, match="last dimension"):
        stream.push(np.zeros((3, D + 1)))
    with pytest.raises(TypeError, match="as before"):
        stream.push(np.zeros((3, D), np.float32))
    with pytest.raises(TypeError, match="as before"):
        stream.push(torch.zeros(3, D, dtype=torch.float64))
    of_tensors = lg.LogSigStream(D, N)
    of_tensors.push(torch.zeros(D))
    with pytest.raises(TypeError, match="float32 on cpu as before, got torch tensor of torch"):
        of_tensors.push(torch.zeros(D, device="meta"))
    assert stream.size == 4


def test_pickles_and_copies() -> None:
    stream, path = lg.LogSigStream(D, N), points(2, 6)
    stream.push_batch(path)
    stream.pop_front()
    for other in (pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)):
        other.push(path[:, 0])
        assert np.array_equal(other.sig(1, 5), stream.sig(1, 5))
        assert (other.size, stream.size) == (6, 5)


def test_copies_of_tensors_have_the_numbers_without_gradients() -> None:
    stream, window = lg.LogSigStream(D, N), lg.LogSigWindowStream(D, N, 3)
    leaf = torch.tensor(points(7), requires_grad=True)
    for one in (stream, window):
        one.push_batch(2 * leaf[:4])
        one.push_batch(leaf[4:])
    stream.pop_front()
    for other in (pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)):
        assert torch.equal(other.sig_all(), stream.sig_all())
        assert not other.sig_all().requires_grad
    for other in (pickle.loads(pickle.dumps(window)), copy.deepcopy(window)):
        assert torch.equal(other.sig(), window.sig())
    assert stream.sig_all().requires_grad
    assert window.sig().requires_grad


def test_points_pushed_without_gradients_stay_without() -> None:
    stream, leaf = lg.LogSigStream(D, N), torch.tensor(points(4), requires_grad=True)
    with torch.no_grad():
        stream.push_batch(leaf[:2])
    with torch.inference_mode():
        stream.push_batch(leaf[2:3])
    stream.push_batch(leaf[3:])
    stream.sig(0, 3).sum().backward()
    assert leaf.grad is not None
    assert not leaf.grad[:3].any()
    assert leaf.grad[3].any()


def test_gradients_reach_every_push() -> None:
    tensors = [torch.tensor(points(), requires_grad=True) for _ in range(5)]
    stream = lg.LogSigStream(D, N)
    for tensor in tensors:
        stream.push(tensor)
    for _ in range(2):  # a second query needs no first one's graph
        stream.sig(1, 4).sum().backward()
    path = torch.stack([tensor.detach() for tensor in tensors[1:]]).requires_grad_()
    lg.log_sig(path, N, method=2).sum().backward()
    assert tensors[0].grad is None or not tensors[0].grad.any()
    assert path.grad is not None
    for tensor, expected in zip(tensors[1:], path.grad, strict=True):
        torch.testing.assert_close(tensor.grad, 2 * expected)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 9), st.lists(st.integers(0, 7), max_size=10))
def test_windows(size: int, stride: int, pushes: list[int]) -> None:
    rng = np.random.default_rng(sum(pushes))
    stream, kept, held = lg.LogSigWindowStream(D, N, size, stride=stride), None, np.empty((0, D))
    kept = lg.LogSigWindowStream(D, N, size, stride=stride, keep=2)
    for number in pushes:
        new = rng.normal(size=(number, D))
        stream.push_batch(new)
        for point in new:
            kept.push(point)
        held = np.concatenate([held, new])
    expected = [direct(held[k : k + size]) for k in range(0, len(held) - size + 1, stride)]
    assert stream.num_windows == kept.num_windows == len(expected)
    if expected:
        assert np.array_equal(stream.sig(), np.stack(expected))
        assert np.array_equal(kept.sig(), np.stack(expected[-2:]))
    else:
        with pytest.raises(ValueError, match="complete window"):
            stream.sig()


def test_windows_of_a_batch_and_of_tensors() -> None:
    path = points(3, 20)
    ours, theirs = lg.LogSigWindowStream(D, N, 6, stride=4), pysiglib.LogSigWindowStream(D, N, 6, stride=4)
    peer.prepare(D, N)
    ours.push_batch(path)
    theirs.push_batch(path.copy())
    np.testing.assert_allclose(ours.sig(), theirs.sig(), atol=1e-12)
    tensor = torch.tensor(path, requires_grad=True)
    stream = lg.LogSigWindowStream(D, N, 6, stride=4)
    stream.push_batch(tensor[:, :11])
    stream.push_batch(tensor[:, 11:])
    stream.sig().sum().backward()
    expected = torch.tensor(path, requires_grad=True)
    lg.log_sig(expected, N, method=2, windows=(6, 4)).sum().backward()
    torch.testing.assert_close(tensor.grad, expected.grad)


def test_a_window_stream_forgets_its_points() -> None:
    stream = lg.LogSigWindowStream(D, N, 8, stride=3, keep=1)
    sizes = []
    for _ in range(50):
        stream.push_batch(points(1000))
        sizes.append(len(pickle.dumps(stream)))
    assert max(sizes[10:]) <= max(sizes[:10])
    pickle.loads(pickle.dumps(stream)).push(points())


@pytest.mark.parametrize("batch", [(), (3,), (2, 1)])
def test_pushes_of_any_layout_are_copied_and_checked(batch: tuple[int, ...]) -> None:
    """Ordinary points take a short way, others the one with all checks; both write the same rows."""
    stream, path = lg.LogSigStream(D, N), points(*batch, 40)
    for place in range(40):
        point = path[..., place, :].copy()
        if place % 3 == 1:
            point = np.repeat(point, 2, axis=-1)[..., ::2]  # strided
        elif place % 3 == 2:
            point = point.view(np.memmap)  # a subclass
        stream.push(point)
        point[...] = np.nan
        if place % 10 == 9 and place < 39:
            stream.pop_front()
            stream = copy.deepcopy(stream)
    assert (stream.start_index, stream.size, stream.batch_shape) == (3, 37, batch)
    np.testing.assert_array_equal(stream.sig(3, 39), direct(path[..., 3:, :]))
    for wrong, error in (
        (path[..., 0, :].astype(np.float32), TypeError),
        (np.zeros((*batch, D + 1)), ValueError),
        (np.zeros((*batch, 1, D)), ValueError),
        (np.float64(1.0), TypeError),
    ):
        with pytest.raises(error, match="point"):
            stream.push(wrong)
    assert stream.size == 37
