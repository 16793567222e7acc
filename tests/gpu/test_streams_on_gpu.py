"""Streams on a GPU: one kernel forward, one backward, against the C kernels in float64 and against joins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from on_gpu import MARKS, PROBLEMS, TOLERANCE, close, exact, normal

import logsig_codegen as lg
from logsig_codegen.runtime.cuda import calls, driver

pytestmark = MARKS

BLOCKS = ((5, 5),)


def compare(
    kernel: lg.LogSigKernel, path: torch.Tensor, initial: torch.Tensor | None = None, lengths: Any = None
) -> None:
    """Result and gradients, by autograd, against those of the C kernels."""
    tolerance = TOLERANCE[path.dtype]
    inputs = [path.detach().requires_grad_(), *(() if initial is None else (initial.detach().requires_grad_(),))]
    before = None if initial is None else exact(initial)
    options: dict[str, Any] = {"stream": True, "lengths": lengths}
    out = kernel.log_sig(inputs[0], initial=None if initial is None else inputs[1], **options)
    points = np.nan_to_num(exact(path))
    close(out, kernel.log_sig(points, initial=before, **options), 10 * tolerance)
    d_out = normal(*out.shape, dtype=path.dtype)
    gradients = torch.autograd.grad(out, inputs, d_out)
    truth = kernel.log_sig_backprop(exact(d_out), points, initial=before, **options)
    for gradient, array in zip(gradients, truth if initial is not None else (truth,), strict=True):
        close(gradient, array, 100 * tolerance)


def some_lengths(batch: int, length: int) -> Any:
    """Lengths of padded paths; one has all its points."""
    lengths = np.random.default_rng().integers(0, length + 1, batch)
    lengths[-1] = length
    return lengths


def padded(path: torch.Tensor, lengths: Any) -> torch.Tensor:
    """NaN beyond the end of each path: nobody may read it."""
    beyond = torch.arange(path.shape[1])[None] >= torch.as_tensor(lengths)[:, None]
    return path.masked_fill(beyond[:, :, None].to(path.device), float("nan"))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_streams(problem: tuple[int, int], dtype: torch.dtype) -> None:
    kernel = lg.load(*problem)
    for batch, length in ((1, 2), (32, 9), (70, 33), (1000, 6)):
        path = 0.3 * normal(batch, length, kernel.dimension, dtype=dtype)
        assert calls.available(kernel, "stream", path)
        assert calls.available(kernel, "stream_backprop", path)
        lengths = some_lengths(batch, length)
        for initial in (None, normal(batch, kernel.size, dtype=dtype), normal(kernel.size, dtype=dtype)):
            compare(kernel, path, initial)
            compare(kernel, padded(path, lengths), initial, lengths)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("problem", BLOCKS, ids=str)
def test_streams_of_large_problems(problem: tuple[int, int], dtype: torch.dtype) -> None:
    kernel = lg.load(*problem)
    path, lengths = 0.3 * normal(11, 9, kernel.dimension, dtype=dtype), some_lengths(11, 9)
    assert calls.available(kernel, "stream", path)
    for initial in (None, normal(11, kernel.size, dtype=dtype), normal(kernel.size, dtype=dtype)):
        compare(kernel, path, initial)
        compare(kernel, padded(path, lengths), initial, lengths)


def test_any_layout() -> None:
    kernel = lg.load(5, 3)
    wide = 0.3 * normal(4, 10, 9, 11, dtype=torch.float32)
    paths = {
        "axes": wide[..., :5].contiguous(),
        "columns of a wider array": wide[..., 3:8],
        "every other path": wide[..., :5].contiguous()[:, ::2],
        "unaligned": wide.reshape(-1)[1 : 1 + 60 * 9 * 5].reshape(60, 9, 5),
        "one path for all": wide[0, 0, :, :5].expand(40, 9, 5),
        "one path": wide[0, 0, :, :5],
        "a point": wide[0, :, :1, :5],
        "no point": wide[0, :, :0, :5],
        "no path": wide[0, :0, :, :5],
    }
    for path in paths.values():
        apart = normal(*path.shape[:-2], 2 * kernel.size, dtype=torch.float32)
        for initial in (None, apart[..., kernel.size :], apart[..., 1 : 1 + kernel.size]):
            compare(kernel, path, initial)


def test_lists_of_paths() -> None:
    kernel = lg.load(3, 3)
    paths = [normal(length, 3).requires_grad_() for length in (3, 1, 17, 0, 40)]
    initial = normal(5, kernel.size).requires_grad_()
    out = kernel.log_sig(paths, stream=True, initial=initial)
    arrays = [exact(path) for path in paths]
    close(out, kernel.log_sig(arrays, stream=True, initial=exact(initial)), 1e-11)
    d_out = normal(*out.shape)
    *gradients, d_initial = torch.autograd.grad(out, [*paths, initial], d_out)
    truth, before = kernel.log_sig_backprop(exact(d_out), arrays, stream=True, initial=exact(initial))
    for gradient, array in zip(gradients, truth, strict=True):
        close(gradient, array, 1e-10)
    close(d_initial, before, 1e-10)


@pytest.mark.parametrize("problem", [(2, 4), (3, 3), (5, 3), (10, 3)], ids=str)
def test_same_bits_as_joins(problem: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is the join of the same program, whatever else is in the batch; without a kernel there is one per step."""
    kernel = lg.load(*problem)
    path = 0.3 * normal(200, 12, kernel.dimension, dtype=torch.float32)
    initial = normal(200, kernel.size, dtype=torch.float32)
    together = kernel.log_sig(path, stream=True, initial=initial)
    assert torch.equal(together[7:8], kernel.log_sig(path[7:8], stream=True, initial=initial[7:8]))
    d_out = torch.randn_like(together)
    gradients = kernel.log_sig_backprop(d_out, path, stream=True, initial=initial)
    monkeypatch.setattr(calls, "available", lambda *_: False)
    assert torch.equal(together, kernel.log_sig(path, stream=True, initial=initial))
    for found, expected in zip(
        gradients, kernel.log_sig_backprop(d_out, path, stream=True, initial=initial), strict=True
    ):
        close(found, exact(expected), 1e-5)


def test_same_bits_as_the_processor() -> None:
    kernel = lg.load(3, 3)
    path = 0.3 * normal(1000, 20, 3, dtype=torch.float32)
    assert torch.equal(kernel.log_sig(path, stream=True).cpu(), kernel.log_sig(path.cpu(), stream=True))


@pytest.mark.parametrize("problem", [(3, 3), (5, 3), (5, 5)], ids=str)
def test_nothing_else_is_written(problem: tuple[int, int]) -> None:
    """Gaps between the rows of one path and those of the next one stay as they are, in every operand."""
    kernel = lg.load(*problem)
    d, size, batch, length, gap = kernel.dimension, kernel.size, 45, 8, 3
    steps, dtype = length - 1, torch.float32
    path, d_out = 0.3 * normal(batch, length * d + gap, dtype=dtype), normal(batch, steps * size + gap, dtype=dtype)
    initial = normal(batch, size + gap, dtype=dtype)
    out, d_path, d_initial = (torch.full_like(like, 7.0) for like in (d_out, path, initial))
    along = (path.data_ptr(), length * d + gap, length, 0, 0, initial.data_ptr(), size + gap)
    width = steps * size + gap
    calls.launch(kernel, "stream", path, batch, (*along, out.data_ptr(), width))
    back = (d_out.data_ptr(), width, out.data_ptr(), width, *along, d_path.data_ptr(), length * d + gap)
    calls.launch(kernel, "stream_backprop", path, batch, (*back, d_initial.data_ptr(), size + gap))
    torch.cuda.synchronize()
    for written in (out, d_path, d_initial):
        assert (written[:, -gap:] == 7.0).all()
    points, before = exact(path[:, : length * d].reshape(batch, length, d)), exact(initial[:, :size])
    close(out[:, : steps * size].reshape(batch, steps, size), kernel.log_sig(points, stream=True, initial=before), 2e-4)
    form = exact(d_out[:, : steps * size].reshape(batch, steps, size))
    truth = kernel.log_sig_backprop(form, points, stream=True, initial=before)
    close(d_path[:, : length * d].reshape(batch, length, d), truth[0], 2e-3)
    close(d_initial[:, :size], truth[1], 2e-3)


def launches(work: Callable[[], Any]) -> int:
    """How many of our kernels ``work`` starts."""
    before = driver.launches()
    work()
    return driver.launches() - before


@pytest.mark.parametrize("problem", [(3, 3), (5, 5)], ids=str)
def test_a_call_is_one_launch(problem: tuple[int, int]) -> None:
    kernel = lg.load(*problem)
    path, initial = 0.3 * normal(40, 30, kernel.dimension), normal(40, kernel.size)
    out = kernel.log_sig(path, stream=True, initial=initial)
    d_out = torch.randn_like(out)
    lengths = some_lengths(40, 30)
    forward = {"stream": True, "initial": initial}
    assert launches(lambda: kernel.log_sig(path, **forward)) == 1
    assert launches(lambda: kernel.log_sig(path, lengths=lengths, **forward)) == 1
    inputs = [path.requires_grad_(), initial.requires_grad_()]
    result = kernel.log_sig(path, **forward)
    assert launches(lambda: torch.autograd.grad(result, inputs, d_out)) == 2  # the first one writes zeros


def test_graph() -> None:
    kernel = lg.load(5, 3)
    path, initial = 0.3 * normal(100, 20, 5), normal(100, kernel.size)
    d_out = normal(100, 19, kernel.size)

    def work() -> tuple[torch.Tensor, ...]:
        return kernel.log_sig(path, stream=True, initial=initial), *kernel.log_sig_backprop(
            d_out, path, stream=True, initial=initial
        )

    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    for tensor in (path, initial, d_out):
        tensor.copy_(torch.randn_like(tensor))
    graph.replay()
    torch.cuda.synchronize()
    for found, expected in zip(captured, work(), strict=True):
        assert torch.equal(found, expected)


def test_current_stream() -> None:
    kernel = lg.load(3, 3)
    source = 0.3 * normal(10_000, 10, 3, dtype=torch.float32)
    path = torch.zeros_like(source)
    kernel.log_sig(path, stream=True)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)  # whatever does not wait for this stream reads zeros
        path.copy_(source)
        out = kernel.log_sig(path, stream=True)
    side.synchronize()
    assert torch.equal(out, kernel.log_sig(source, stream=True))


def test_many_paths() -> None:
    kernel = lg.load(2, 4)
    path = 0.3 * normal(300_017, 5, 2, dtype=torch.float32)
    out = kernel.log_sig(path, stream=True)
    last = torch.zeros(len(path), kernel.size, device="cuda")
    for t in range(4):
        last = kernel.join(last, path[:, t + 1] - path[:, t])
        assert torch.equal(out[:, t], last)


def test_second_derivatives() -> None:
    kernel = lg.load(2, 3)
    path = normal(3, 4, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: kernel.log_sig(x, stream=True), (path,), atol=1e-6)
