"""Whole paths: compiled kernels against pySigLib, finite differences and themselves, for every option and layout."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import peer
import pytest
import together
import torch
from differences import numeric_gradient

import logsig_codegen as lg
from logsig_codegen.operations import STATES, WHOLE_STEPS
from logsig_codegen.runtime.groups import LoadedGroups, Opened, not_loaded
from logsig_codegen.sliding import slides

CASES = [(2, 1), (2, 5), (3, 3), (4, 2)]
MORE = [(1, 3), (7, 2)]
"""For these tests alone."""
LENGTHS = [0, 1, 2, 3, 17, 33, WHOLE_STEPS, WHOLE_STEPS + 1, 1000]
RNG = np.random.default_rng(2)


def walk(*shape: int) -> Any:
    return RNG.normal(size=shape).cumsum(axis=-2) / np.sqrt(max(shape[-2], 1))


def relative(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-300))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("dimension", "degree"), CASES + MORE)
def test_forward_and_backward_are_pysiglib_s(dimension: int, degree: int, state: str) -> None:
    kernel = (together.load if (dimension, degree) in MORE else lg.load)(dimension, degree)
    for length in LENGTHS:
        for batch in ((), (5,), (2, 9)):
            path = walk(*batch, length, dimension)
            found = kernel.log_sig(path, state=state)
            expected = peer.log_sig(path, degree)
            assert found.shape == expected.shape
            assert np.abs(found - expected).max(initial=0) < 1e-12
            d_out = RNG.normal(size=found.shape)
            gradient = kernel.log_sig_backprop(d_out, path, state=state)
            if length > 1:
                assert relative(gradient, peer.log_sig_backprop(d_out, path, degree)) < 1e-11
            else:
                assert gradient.shape == path.shape
                assert not gradient.any()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_one_gradient_serves_both_states(order: tuple[int, ...]) -> None:
    """It is opened once, in whatever order, with the forward pass of the default state; it builds no other."""
    opened: list[str] = []

    def open_group(name: str) -> Opened:
        opened.append(name)
        return known.group(name)

    known, path, d_out = lg.load(3, 3).loaded, walk(9, 20, 3), RNG.normal(size=(9, 14))
    groups, names = LoadedGroups(known.problem, open_group), ("log_sig", "log_sig_backprop", "log_sig_by_signature")
    assert groups.log_sig_backprop("signature") is not_loaded
    groups.group("log_sig_backprop")
    assert opened == ["log_sig_backprop", "log_sig"]
    assert groups.log_sig_backprop("signature") is not_loaded
    for k in order:
        groups.group(names[k])
    assert sorted(opened) == sorted(names)
    for state in (None, *STATES):
        found = groups.log_sig_backprop(state)(d_out, path, None, None, 1)
        assert np.array_equal(found, lg.load(3, 3).log_sig_backprop(d_out, path, state=state))


@pytest.mark.parametrize("state", STATES)
def test_float32_is_computed_in_float32(state: str) -> None:
    path = walk(40, 300, 3).astype(np.float32)
    kernel = lg.load(3, 3)
    found = kernel.log_sig(path, state=state)
    assert found.dtype == np.float32
    assert relative(found, peer.log_sig(path, 3)) < 5e-6
    d_out = RNG.normal(size=found.shape).astype(np.float32)
    gradient = kernel.log_sig_backprop(d_out, path, state=state)
    assert gradient.dtype == np.float32
    assert relative(gradient, peer.log_sig_backprop(d_out, path, 3)) < 1e-5


@pytest.mark.parametrize("state", STATES)
def test_no_bit_depends_on_the_company(state: str) -> None:
    kernel, path = lg.load(3, 3), walk(37, 450, 3)
    d_out = RNG.normal(size=(37, kernel.size))
    together = kernel.log_sig(path, state=state), kernel.log_sig_backprop(d_out, path, state=state)
    for rows in (slice(0, 1), slice(3, 20), slice(36, 37)):
        assert np.array_equal(kernel.log_sig(path[rows], state=state), together[0][rows])
        assert np.array_equal(kernel.log_sig_backprop(d_out[rows], path[rows], state=state), together[1][rows])
    assert np.array_equal(kernel.log_sig(path, state=state, n_jobs=2), together[0])
    assert np.array_equal(kernel.log_sig_backprop(d_out, path, state=state, n_jobs=2), together[1])
    stream = kernel.log_sig(path, stream=True)
    assert np.array_equal(kernel.log_sig(path[5:9], stream=True, n_jobs=2), stream[5:9])


def layouts(path: Any) -> dict[str, Any]:
    read_only = path.copy()
    read_only.flags.writeable = False
    return {
        "fortran": np.asfortranarray(path),
        "swapped": np.ascontiguousarray(np.swapaxes(path, 0, 1)).swapaxes(0, 1),
        "negative": np.ascontiguousarray(path[::-1, ::-1])[::-1, ::-1],
        "strided": np.repeat(np.repeat(path, 2, axis=0), 2, axis=2)[::2, :, ::2],
        "read-only": read_only,
        "misaligned": np.frombuffer(b"x" + path.tobytes(), np.uint8)[1:].view(path.dtype).reshape(path.shape),
    }


def test_any_layout_gives_the_same_bits() -> None:
    kernel, path = lg.load(3, 3), walk(6, 20, 3)
    d_out = RNG.normal(size=(6, kernel.size))
    expected, gradient = kernel.log_sig(path), kernel.log_sig_backprop(d_out, path)
    for name, other in layouts(path).items():
        assert np.array_equal(kernel.log_sig(other), expected), name
        assert np.array_equal(kernel.log_sig_backprop(d_out, other), gradient), name
    shared = np.broadcast_to(path[0], path.shape)
    assert np.array_equal(kernel.log_sig(shared), np.broadcast_to(expected[0], expected.shape))
    assert kernel.log_sig_backprop(d_out, shared).shape == path.shape
    assert np.array_equal(kernel.log_sig_backprop(d_out[0], path)[0], gradient[0])  # d_out broadcasts


@pytest.mark.parametrize("state", STATES)
def test_ragged_paths_are_the_single_paths(state: str) -> None:
    kernel = lg.load(3, 3)
    points = [5, 0, 1, 2, 300, 17, 64, 1000, 193, 3]
    paths = [walk(n, 3) for n in points]
    d_out = RNG.normal(size=(len(paths), kernel.size))
    found, gradients = kernel.log_sig(paths, state=state), kernel.log_sig_backprop(d_out, paths, state=state)
    padded = np.full((len(paths), max(points), 3), np.nan)
    for row, path in zip(padded, paths, strict=True):
        row[: len(path)] = path
    by_lengths = kernel.log_sig(padded, lengths=points, state=state)
    back = kernel.log_sig_backprop(d_out, padded, lengths=np.array(points), state=state)
    for i, path in enumerate(paths):
        assert np.array_equal(kernel.log_sig(path, state=state), found[i])
        assert np.array_equal(kernel.log_sig_backprop(d_out[i], path, state=state), gradients[i])
        assert np.array_equal(by_lengths[i], found[i])
        assert np.array_equal(back[i, : len(path)], gradients[i])
        assert not back[i, len(path) :].any()


def test_ragged_streams_and_windows_stand_still_at_the_end() -> None:
    kernel, path = lg.load(3, 3), walk(3, 9, 3)
    lengths = np.array([9, 4, 1])
    stopped = path.copy()
    for row, length in zip(stopped, lengths, strict=True):
        row[length:] = row[length - 1]
    for options in ({"stream": True}, {"windows": (4, 2)}):
        found = kernel.log_sig(path, lengths=lengths, **options)
        assert np.array_equal(found, kernel.log_sig(stopped, **options))
        d_out = RNG.normal(size=found.shape)
        gradient = kernel.log_sig_backprop(d_out, path, lengths=lengths, **options)
        difference = numeric_gradient(lambda x, o=options: kernel.log_sig(x, lengths=lengths, **o), path, d_out)
        np.testing.assert_allclose(gradient, difference, atol=1e-7)


def test_streams_and_windows_are_the_prefixes_and_slices() -> None:
    kernel, path = lg.load(2, 5), walk(11, 30, 2)
    stream = kernel.log_sig(path, stream=True)
    assert stream.shape == (11, 29, kernel.size)
    for t in range(29):
        np.testing.assert_allclose(stream[:, t], kernel.log_sig(path[:, : t + 2]), atol=1e-13)
    for size, stride in ((1, 1), (2, 1), (7, 3), (7, 9), (30, 1), (31, 2)):
        found = kernel.log_sig(path, windows=(size, stride))
        starts = range(0, 30 - size + 1, stride)
        assert found.shape == (11, len(starts), kernel.size)
        for k, start in enumerate(starts):
            whole = kernel.log_sig(path[:, start : start + size])
            assert relative(found[:, k], whole) < (1e-14 if slides(kernel.problem, size, stride) else 1e-300)
    assert kernel.log_sig(path[:, :1], stream=True).shape == (11, 0, kernel.size)


def test_initial_is_what_came_before() -> None:
    kernel, path = lg.load(3, 3), walk(4, 20, 3)
    before = kernel.log_sig(path[:, :8])
    np.testing.assert_allclose(kernel.log_sig(path[:, 7:], initial=before), kernel.log_sig(path), atol=1e-14)
    stream = kernel.log_sig(path[:, 7:], initial=before, stream=True)
    np.testing.assert_allclose(stream, kernel.log_sig(path, stream=True)[:, 7:], atol=1e-14)
    one = kernel.log_sig(path[:, 7:], initial=before[0])
    assert np.array_equal(one[1], kernel.log_sig(path[1, 7:], initial=before[0]))
    assert kernel.log_sig(path[0], initial=before).shape == (4, kernel.size)


OPTIONS: list[dict[str, Any]] = [
    {}, {"stream": True}, {"windows": (4, 2)}, {"windows": (3, 5)}, {"method": 0}, {"method": 1},
    {"state": "signature"}, {"state": "log_derivative"}, {"stream": True, "method": 1},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("initial", [False, True])
def test_gradients_are_finite_differences(options: dict[str, Any], initial: bool) -> None:
    if initial and "windows" in options:
        with pytest.raises(ValueError, match="initial"):
            lg.load(2, 3).log_sig(walk(2, 6, 2), initial=np.zeros(5), **options)
        return
    kernel, path = lg.load(2, 3), walk(2, 6, 2)
    more = {"initial": RNG.normal(size=(2, kernel.size))} if initial else {}
    found = kernel.log_sig(path, **options, **more)
    d_out = RNG.normal(size=found.shape)
    gradients = kernel.log_sig_backprop(d_out, path, **options, **more)
    d_path, *rest = gradients if initial else (gradients,)
    np.testing.assert_allclose(
        d_path, numeric_gradient(lambda x: kernel.log_sig(x, **options, **more), path, d_out), atol=1e-8
    )
    tensors = [torch.tensor(x, requires_grad=True) for x in (path, *more.values())]
    keywords = {"initial": tensors[1]} if initial else {}
    result = kernel.log_sig(tensors[0], **options, **keywords)
    assert np.array_equal(result.detach().numpy(), found)
    result.backward(torch.from_numpy(d_out))
    np.testing.assert_allclose(tensors[0].grad, d_path, atol=1e-13)
    if initial:
        difference = numeric_gradient(lambda x: kernel.log_sig(path, initial=x, **options), more["initial"], d_out)
        np.testing.assert_allclose(rest[0], difference, atol=1e-8)
        np.testing.assert_allclose(tensors[1].grad, rest[0], atol=1e-13)


def rooms(shape: tuple[int, ...]) -> dict[str, Any]:
    """Arrays of a shape in which a result can be put, with every kind of layout."""
    wide = np.full((*shape[:-1], shape[-1] + 2), 7.0)
    *front, rows, width = shape
    return {
        "plain": np.full(shape, 7.0),
        "rows apart": wide[..., 1:-1],
        "columns apart": np.full((*front, rows, 2 * width), 7.0)[..., ::2],
        "backwards": np.full(shape, 7.0)[::-1],
        "fortran": np.full(shape, 7.0, order="F"),
        "misaligned": np.full(8 * int(np.prod(shape)) + 1, 7, np.uint8)[1:].view(np.float64).reshape(shape),
        "subclass": np.full(shape, 7.0).view(np.recarray),
    }


OUT_CASES = [
    (options, initial)
    for options in (*OPTIONS, {"lengths": np.array([3, 6, 1])})
    for initial in (False, True)
    if not (initial and "windows" in options)
]


@pytest.mark.parametrize(("options", "initial"), OUT_CASES, ids=str)
@pytest.mark.parametrize("length", [6, WHOLE_STEPS + 3, 1])
def test_out_receives_the_same_bits(options: dict[str, Any], initial: bool, length: int) -> None:
    kernel, path = lg.load(2, 3), walk(3, length, 2)
    options = {**options, **({"initial": RNG.normal(size=(3, kernel.size))} if initial else {})}
    if "lengths" in options:
        options["lengths"] = np.minimum(options["lengths"], length)
    expected = kernel.log_sig(path, **options)
    d_out = RNG.normal(size=expected.shape)
    gradients = kernel.log_sig_backprop(d_out, path, **options)
    for name, room in rooms(expected.shape).items():
        assert kernel.log_sig(path, out=room, **options) is room, name
        assert np.array_equal(room, expected), name
    for name, room in rooms(path.shape).items():
        out = (room, np.empty_like(gradients[1])) if initial else room
        found = kernel.log_sig_backprop(d_out, path, out=out, **options)
        for one, target, gradient in zip(
            *((found, out, gradients) if initial else ([found], [out], [gradients])), strict=True
        ):
            assert one is target, name
            assert np.array_equal(target, gradient), name


def test_out_leaves_the_space_between_its_rows_alone() -> None:
    kernel, path = lg.load(3, 3), walk(5, 8, 3)
    room = np.full((5, kernel.size + 2), 7.0)
    kernel.log_sig(path, out=room[:, 1:-1])
    assert (room[:, [0, -1]] == 7).all()
    beside = np.concatenate([path.reshape(5, -1), np.empty((5, kernel.size))], axis=1)  # rows that alternate
    inside = np.lib.stride_tricks.as_strided(beside, (5, 8, 3), (beside.strides[0], 24, 8), writeable=False)
    assert np.array_equal(kernel.log_sig(inside, out=beside[:, 24:]), kernel.log_sig(path))


def test_out_of_a_list_of_paths() -> None:
    kernel, paths = lg.load(3, 3), [walk(n, 3) for n in (4, 0, 300, 1)]
    out = np.empty((4, kernel.size))
    assert kernel.log_sig(paths, out=out) is out
    assert np.array_equal(out, kernel.log_sig(paths))
    with pytest.raises(ValueError, match=r"out: .*overlaps path\[2\]"):
        kernel.log_sig(paths, out=paths[2][: 4 * kernel.size // 3 + 1].reshape(-1)[: 4 * kernel.size].reshape(4, -1))
    with pytest.raises(ValueError, match="out: expected None with a list of paths"):
        kernel.log_sig_backprop(out, paths, out=out)


def test_wrong_out() -> None:
    kernel = lg.load(3, 3)
    path, before, d_out = walk(2, 14, 3), np.zeros((2, 14)), np.zeros((2, 14))
    good, back = np.zeros((2, 14)), np.zeros((2, 14, 3))
    frozen = np.zeros((2, 14))
    frozen.flags.writeable = False
    for out, error, message in (
        ([0.0], TypeError, "out: expected a numpy array, got list"),
        (np.zeros((2, 14), np.float32), TypeError, "out: expected dtype float64"),
        (np.ma.zeros((2, 14)), TypeError, "out: expected a numpy array, got MaskedArray"),
        (np.zeros((2, 13)), ValueError, r"out: expected shape \(2, 14\), got \(2, 13\)"),
        (frozen, ValueError, "out: .*read-only"),
        (np.lib.stride_tricks.as_strided(np.zeros(30), (2, 14), (8, 8)), ValueError, "out: .*overlaps itself"),
        (path[:, :, 1], ValueError, "out: .*overlaps path"),
        (before, ValueError, "out: .*overlaps initial"),
        (torch.zeros(2, 14), TypeError, "out: expected a numpy array, got Tensor"),
    ):
        with pytest.raises(error, match=message):
            kernel.log_sig(path, initial=before, out=out)
    room = np.zeros(14)
    room[:1].view(np.intp)[0] = 9
    with pytest.raises(ValueError, match=r"out: .*overlaps lengths"):
        kernel.log_sig(path[:1], lengths=room[:1].view(np.intp), out=room[None])
    for pair, error, message in (
        (back, TypeError, r"out: expected a pair of arrays \(d_path, d_initial\), got ndarray"),
        ((back, good[:1]), ValueError, r"out\[1\]: expected shape"),
        ((path, good), ValueError, r"out\[0\]: .*overlaps path"),
        ((back, d_out), ValueError, r"out\[1\]: .*overlaps d_out"),
        ((back, back.reshape(-1)[:28].reshape(2, 14)), ValueError, r"out\[1\]: .*overlaps out\[0\]"),
    ):
        with pytest.raises(error, match=message):
            kernel.log_sig_backprop(d_out, path, initial=before, out=pair)
    with pytest.raises(TypeError, match="only calls on numpy arrays take it"):
        kernel.log_sig(torch.zeros(2, 4, 3), out=torch.zeros(2, 14, dtype=torch.float32))


def test_gradients_of_lists_of_tensors() -> None:
    paths = [torch.tensor(walk(n, 2), requires_grad=True) for n in (4, 7, 1)]
    lg.log_sig(paths, 3, method=2).sum().backward()
    for path in paths:
        expected = torch.tensor(path.detach().numpy(), requires_grad=True)
        lg.log_sig(expected, 3, method=2).sum().backward()
        torch.testing.assert_close(path.grad, expected.grad)
    x = torch.tensor(walk(4, 2), requires_grad=True)
    (gradient,) = torch.autograd.grad(lg.log_sig(x, 3).sum(), x, create_graph=True)
    gradient.sum().backward()
    assert x.grad is not None


def test_nan_stays_in_its_sample() -> None:
    kernel, path = lg.load(3, 3), walk(20, 40, 3)
    expected = kernel.log_sig(path), kernel.log_sig_backprop(np.ones((20, 14)), path)
    path[7, 5, 1] = np.nan
    path[9, 0, 0] = np.inf
    others = [i for i in range(20) if i not in (7, 9)]
    assert np.array_equal(kernel.log_sig(path)[others], expected[0][others])
    assert np.array_equal(kernel.log_sig_backprop(np.ones((20, 14)), path)[others], expected[1][others])
    assert np.isnan(kernel.log_sig(path)[7]).any()


def test_backward_memory_does_not_grow_with_the_length() -> None:
    kernel = lg.load(3, 3)
    d_out, peaks = np.ones((2, kernel.size)), []
    for length in (2_000, 200_000):
        path = walk(2, length, 3)
        kernel.log_sig_backprop(d_out, path)
        tracemalloc.start()
        gradient = kernel.log_sig_backprop(d_out, path)
        peaks.append(tracemalloc.get_traced_memory()[1] - gradient.nbytes)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"path": np.zeros(3)}, ValueError, "path: expected shape"),
    ({"path": np.zeros((4, 2))}, ValueError, "path: expected last dimension 3, got 2"),
    ({"path": np.zeros((4, 3), int)}, TypeError, "path: expected dtype"),
    ({"path": [[1.0, 2.0, 3.0]]}, TypeError, "path.0.: expected a numpy array"),
    ({"path": []}, ValueError, "path: expected at least one path"),
    ({"path": [np.zeros((2, 4, 3))]}, ValueError, "path.0.: expected shape"),
    ({"path": [np.zeros((4, 3)), np.zeros((4, 3), np.float32)]}, TypeError, "dtype"),
    ({"path": [np.zeros((4, 3))], "lengths": [4]}, ValueError, "lengths: expected None"),
    ({"lengths": [3, 4, 5]}, ValueError, "lengths: expected shape"),
    ({"lengths": [3, 5]}, ValueError, "lengths: expected values from 0 to 4"),
    ({"lengths": [0.5, 1.0]}, TypeError, "lengths: expected integers"),
    ({"stream": 1}, TypeError, "stream"),
    ({"stream": True, "windows": (2, 1)}, ValueError, "windows"),
    ({"windows": 3}, TypeError, "windows"),
    ({"windows": (0, 1)}, ValueError, "windows.0."),
    ({"windows": (2, True)}, TypeError, "windows.1."),
    ({"state": "tensor"}, ValueError, "state"),
    ({"method": 4}, ValueError, "method"),
    ({"method": True}, TypeError, "method"),
    ({"initial": np.zeros((2, 13))}, ValueError, "initial: expected last dimension 14"),
    ({"initial": np.zeros((3, 14))}, ValueError, "initial: expected a leading shape"),
    ({"initial": np.zeros((3, 2, 14)), "stream": True}, ValueError, "initial: expected a leading shape"),
    ({"n_jobs": 0}, ValueError, "n_jobs"),
    ({"d_out": np.zeros((2, 13))}, ValueError, "d_out: expected shape"),
    ({"d_out": torch.zeros(2, 14)}, TypeError, "d_out"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG, ids=lambda x: str(x)[:40])
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    kernel = lg.load(3, 3)
    arguments = {"path": np.zeros((2, 4, 3)), **arguments}
    call = kernel.log_sig_backprop if "d_out" in arguments else kernel.log_sig
    with pytest.raises(error, match=message):
        call(**arguments)


def test_combine() -> None:
    kernel = lg.load(3, 3)
    first, second = RNG.normal(size=(2, 6, kernel.size))
    d_out = RNG.normal(size=first.shape)
    gradients = kernel.combine_backprop(d_out, first, second)
    np.testing.assert_allclose(
        gradients[0], numeric_gradient(lambda x: kernel.combine(x, second), first, d_out), atol=1e-6
    )
    np.testing.assert_allclose(
        gradients[1], numeric_gradient(lambda x: kernel.combine(first, x), second, d_out), atol=1e-6
    )
    out = np.empty_like(first)
    assert kernel.combine(first, second, out=out) is out
    assert np.array_equal(out, lg.log_sig_combine(first, second, 3, 3))
    with pytest.raises(ValueError, match="log_sig2: expected last dimension 14"):
        kernel.combine(first, second[:, :13])
