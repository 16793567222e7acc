"""Windows that overlap, on the GPU's side of the run time, with the device replaced by an emulated grid.

Trusts exact rationals, and the C kernels, which do the same products in the same order where a unit has no middle. In
gradients they keep what is undone here, and add up in another order.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from emulated import NUMPY, EmulatedPrograms, Emulation, emulate_launches, launcher_on_host

import logsig_codegen as lg
from logsig_codegen.algebra.tensor import join_oracle
from logsig_codegen.compiler import compile_problem
from logsig_codegen.runtime.cuda import driver, paths
from logsig_codegen.runtime.cuda._launcher_abi import ffi
from logsig_codegen.runtime.cuda.paths import PathCall
from logsig_codegen.runtime.request import PathOptions, path_request
from logsig_codegen.sliding import slides, sliding_costs

D, N, SIZE = 2, 3, 5
GROUPS = ("log_sig", "log_sig_backprop", "combine", "combine_backprop", "windows", "windows_backprop")
WALKED = {"log_sig_by_signature"}


@pytest.fixture(scope="module")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    return Emulation(tmp_path_factory.mktemp("cuda"), compile_problem(lg.Problem(D, N), groups=GROUPS))


@pytest.fixture
def programs(emulation: Emulation, monkeypatch: pytest.MonkeyPatch) -> EmulatedPrograms:
    return emulate_launches(emulation, monkeypatch)


@pytest.fixture
def kernel(programs: EmulatedPrograms) -> lg.LogSigKernel:
    return lg.load(D, N)


def walk(*shape: int, dtype: str = "float64") -> Any:
    return (0.3 * np.random.default_rng(shape).standard_normal(shape)).astype(dtype)


def on_gpu(kernel: lg.LogSigKernel, path: Any, windows: tuple[int, int], lengths: Any = None) -> Any:
    """The windows of paths, and how many kernels were started."""
    tensor, before = torch.from_numpy(path), driver.launches()
    request = path_request(tensor, D, N, PathOptions(windows=windows), lengths=lengths)
    return PathCall(kernel, request, 1).forward(tensor).numpy(), driver.launches() - before


def back_on_gpu(
    kernel: lg.LogSigKernel, path: Any, d_out: Any, windows: tuple[int, int], lengths: Any = None
) -> tuple[list[Any], int]:
    """Gradients of windows by paths, an array or a list of them, and how many kernels were started."""
    tensors, before = [torch.from_numpy(one) for one in (path if isinstance(path, list) else [path])], driver.launches()
    given = tensors if isinstance(path, list) else tensors[0]
    request = path_request(given, D, N, PathOptions(windows=windows), lengths=lengths)
    found = PathCall(kernel, request, len(tensors)).backward(torch.from_numpy(d_out), None, *tensors)
    return [one.numpy() for one in found], driver.launches() - before


@pytest.mark.parametrize(
    ("batch", "points", "windows", "launches"),
    [
        (33, 40, (15, 1), 1),
        (3, 60, (37, 4), 1),
        (2, 11, (11, 1), 1),
        (3, 50, (20, 2), 3),  # a step in the middle: where it begins, a walk, windows
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_that_are_those_of_the_cpu_have_its_bits(
    kernel: lg.LogSigKernel, batch: int, points: int, windows: tuple[int, int], launches: int, dtype: str
) -> None:
    """Whatever the lengths; what is behind the end of a path is not read."""
    assert slides(kernel.problem, *windows)
    path = walk(batch, points, D, dtype=dtype)
    lengths = np.random.default_rng(points).integers(0, points + 1, batch)
    for given in (None, lengths):
        if given is not None:
            path[np.arange(points) >= lengths[:, None]] = np.nan
        found, started = on_gpu(kernel, path, windows, given)
        assert started == launches
        assert np.array_equal(found, kernel.log_sig(path, windows=windows, lengths=given))


@pytest.mark.parametrize(
    ("batch", "points", "windows", "launches"),
    [
        (33, 40, (15, 1), 3),  # zero, units, sums
        (3, 60, (37, 4), 3),
        (2, 11, (11, 1), 3),
        (2, 50, (20, 2), 10),  # a step in the middle: its points are copied, and what is found of them is added
        (3, 75, (60, 1), 25),  # four segments, which are products of two; steps
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_those_of_the_cpu(
    kernel: lg.LogSigKernel, batch: int, points: int, windows: tuple[int, int], launches: int, dtype: str
) -> None:
    """Whatever the lengths; what is behind the end of a path is not read, and its derivative is zero."""
    path = walk(batch, points, D, dtype=dtype)
    lengths = np.random.default_rng(points).integers(0, points + 1, batch)
    lengths[0] = points
    d_out = walk(batch, (points - windows[0]) // windows[1] + 1, SIZE, dtype=dtype)
    for given in (None, lengths):
        if given is not None:
            path[np.arange(points) >= lengths[:, None]] = np.nan
        (found,), started = back_on_gpu(kernel, path, d_out, windows, given)
        truth = kernel.log_sig_backprop(d_out.astype(float), path.astype(float), windows=windows, lengths=given)
        assert started == launches
        assert np.abs(found - truth).max() < (1e-13 if dtype == "float64" else 1e-5) * np.abs(truth).max()
        assert not found[np.arange(points) >= lengths[:, None]].any() or given is None


def exact(path: Any, window: int, step: int, chosen: list[int]) -> Any:
    """Some windows of one path from rationals."""
    moves = [[Fraction(int(y) - int(x)) for x, y in zip(*pair, strict=True)] for pair in pairwise(path)]
    rows = []
    for first in (step * index for index in chosen):
        state: list[Any] = [Fraction(0)] * SIZE
        for move in moves[first : first + window - 1]:
            state = join_oracle(D, N, state, move)
        rows.append(state)
    return np.array(rows, object).astype(float)


@pytest.mark.parametrize(
    ("points", "windows", "launches"),
    [
        (45, (33, 1), 3),  # a segment in the middle
        (75, (60, 1), 8),  # four segments: two products; steps, another one
        (140, (103, 3), 7),  # two segments, and steps
    ],
    ids=str,
)
def test_windows_are_exact(
    kernel: lg.LogSigKernel,
    points: int,
    windows: tuple[int, int],
    launches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert slides(kernel.problem, *windows)
    path = np.random.default_rng(points).integers(-2, 3, (3, points, D)).astype(float)
    lengths = np.array([points, 2 * points // 3, 1])
    still = path.copy()
    still[1, lengths[1] :], still[2, 1:] = still[1, lengths[1] - 1], still[2, 0]
    path[np.arange(points) >= lengths[:, None]] = np.nan
    found, _ = on_gpu(kernel, path, windows, lengths)
    chosen = [0, found.shape[1] // 2, found.shape[1] - 1]
    truth = np.stack([exact(one, *windows, chosen) for one in still[:2]])
    assert np.abs(found[:2, chosen] - truth).max() < 1e-13 * np.abs(truth).max()
    whole, started = on_gpu(kernel, still, windows)
    assert np.array_equal(whole, found)
    assert started == launches
    monkeypatch.setattr(paths, "ROOM", 1)  # one tile of units at a time: no bit depends on it, nor on other paths
    alone, _ = on_gpu(kernel, still[:1], windows)
    assert np.array_equal(alone[0], found[0])
    longer = np.concatenate([still, still[:, ::-1]], axis=1)
    assert np.array_equal(on_gpu(kernel, np.repeat(longer, 3, axis=0), windows)[0][::3, : found.shape[1]], whole)


@pytest.mark.parametrize(
    ("points", "windows"), [(56, (47, 1)), pytest.param(50, (36, 3), marks=pytest.mark.slow)], ids=str
)
def test_gradients_are_exact(
    kernel: lg.LogSigKernel, points: int, windows: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In some direction, of some windows: those of rationals, by differences that are exact for cubic polynomials."""
    source = np.random.default_rng(points)
    path, move = source.integers(-2, 3, (2, 3, points, D)).astype(float)
    rows = (points - windows[0]) // windows[1] + 1
    chosen = [0, rows - 1]
    d_out = np.zeros((3, rows, SIZE))
    d_out[:, chosen] = source.integers(-3, 4, (3, 2, SIZE))

    def value(by: int) -> float:
        return float((d_out[0, chosen] * exact(path[0] + by * move[0], *windows, chosen)).sum())

    truth = (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / 12
    (found,), _ = back_on_gpu(kernel, path, d_out, windows)
    terms = found[0] * move[0]
    assert abs(terms.sum() - truth) < 1e-13 * np.abs(terms).sum()
    monkeypatch.setattr(paths, "ROOM", 1)  # one tile of units at a time: no bit depends on it, nor on other paths
    (alone,), _ = back_on_gpu(kernel, path[:1], d_out[:1], windows)
    assert np.array_equal(alone[0], found[0])
    (several,), _ = back_on_gpu(kernel, np.repeat(path, 11, axis=0), np.repeat(d_out, 11, axis=0), windows)
    assert np.array_equal(several[::11], found)


def test_gradients_of_paths_that_follow_one_another(kernel: lg.LogSigKernel) -> None:
    """A list of paths is one array without gaps: each has the bits that it has in a padded array."""
    given = [walk(points, D) for points in (43, 51, 0, 39, 12)]
    lengths = np.array([len(one) for one in given])
    padded = np.full((len(given), lengths.max(), D), np.nan)
    for row, one in zip(padded, given, strict=True):
        row[: len(one)] = one
    for windows in ((19, 2), (30, 1)):
        d_out = walk(len(given), (51 - windows[0]) // windows[1] + 1, SIZE)
        (truth,), launches = back_on_gpu(kernel, padded, d_out, windows, lengths)
        found, again = back_on_gpu(kernel, given, d_out, windows)
        assert launches == again
        for one, row in zip(found, truth, strict=True):
            assert np.array_equal(one, row[: len(one)])


def test_what_is_not_the_result_s_is_not_written(emulation: Emulation, kernel: lg.LogSigKernel) -> None:
    """Paths apart from each other or one after the other, rows apart, a last unit of fewer windows."""
    window, step, units, m = 19, 2, 2, 9
    points, starts = np.array([43, 51, 39]), np.array([0, 100, 250])
    data, per_path = walk(400), (51 - window) // step + 1
    padded = np.zeros((3, 51, D))
    for b in range(3):
        padded[b, : points[b]] = data[starts[b] : starts[b] + points[b] * D].reshape(-1, D)
    truth = kernel.log_sig(padded, windows=(window, step), lengths=points)
    for dtype in ("float32", "float64"):
        out = np.full((3 * per_path + 1, SIZE + 2), 7, NUMPY[dtype])
        given, suffixes = data.astype(NUMPY[dtype]), np.full((2, m, SIZE, 32), np.nan, NUMPY[dtype])
        arguments = [given, 0, 51, points, starts, out, SIZE + 2, None, suffixes, window, step, m, per_path, 3, 0]
        emulation.kernel("windows", dtype)([*arguments, 3 * units], warps=2, blocks=1)
        assert (out[-1] == 7).all()
        assert (out[:, SIZE:] == 7).all()
        found = out[:-1, :SIZE].reshape(truth.shape)
        assert np.abs(found - truth).max() < (1e-13 if dtype == "float64" else 1e-5) * np.abs(truth).max()


def test_the_launcher_and_the_package_have_one_rule() -> None:
    """What the launcher looks for first: the kernel of windows, or that which begins a walk; for gradients likewise."""
    launcher = launcher_on_host()
    for degree in range(1, 13):
        described = lg.Problem(2, degree)
        joined = sliding_costs(described)[0]
        problem = ffi.new("logsig_gpu_problem *", {"dimension": 2, "degree": degree, "size": described.size})
        problem.known[launcher.LOGSIG_AT_ARRANGE] = 1  # it makes zeros for gradients
        problem.kernels[launcher.LOGSIG_AT_ARRANGE] = ffi.cast("void *", 1)
        for window in (1, 2, *range(5, 300, 3), 2**62):
            for step in (1, 2, 3, 5, 6, 9, 10, 11, 40, 2**62):
                call = ffi.new("logsig_path_call *", {"window": window, "step": step, "batch": 1, "length": 400})
                for kernel in (launcher.LOGSIG_AT_WINDOWS, launcher.LOGSIG_AT_WINDOWS_BACKPROP):
                    run, backward = ffi.new("logsig_gpu_run *"), kernel == launcher.LOGSIG_AT_WINDOWS_BACKPROP
                    status = launcher.logsig_gpu_paths(problem, call, backward, run)
                    looks = status == launcher.LOGSIG_WANTS_KERNEL and run.wanted == kernel
                    assert looks == (step <= joined and slides(described, window, step))


def test_without_the_kernel_windows_are_walked_through(
    kernel: lg.LogSigKernel, programs: EmulatedPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, windows, binary, sliding = walk(3, 20, D), (14, 1), programs.binary, {"windows", "windows_backprop"}
    d_out = walk(3, 7, SIZE)

    def none(operation: str, *others: Any) -> Any:
        if operation in sliding:
            raise lg.CompilerNotFoundError("no compiler")
        return binary(operation, *others)

    truth, _ = on_gpu(kernel, path, windows)
    (d_truth,), _ = back_on_gpu(kernel, path, d_out, windows)
    monkeypatch.setattr(programs, "binary", none)
    programs._loaded, programs._problems = driver.Loaded(), {}
    programs.refused |= WALKED
    walked, launches = on_gpu(kernel, path, windows)
    (d_walked,), turns = back_on_gpu(kernel, path, d_out, windows)
    monkeypatch.setattr(programs, "binary", binary)
    programs.refused |= sliding
    again, _ = on_gpu(kernel, path, windows)
    (d_again,), _ = back_on_gpu(kernel, path, d_out, windows)
    assert launches == 2
    assert np.array_equal(walked, again)
    assert not np.array_equal(walked, truth)
    np.testing.assert_allclose(walked, truth, rtol=1e-12, atol=1e-14)
    assert turns > 7
    assert np.array_equal(d_walked, d_again)
    assert not np.array_equal(d_walked, d_truth)
    np.testing.assert_allclose(d_walked, d_truth, rtol=1e-12, atol=1e-13)


def test_what_was_prepared_needs_nothing_more(
    kernel: lg.LogSigKernel, programs: EmulatedPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that is being captured can load no kernel."""
    programs.refused |= WALKED
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    lg.prepare_log_sig(D, N, 2, device="cuda", gradients=True)
    monkeypatch.setattr(programs, "binary", lambda *wanted: pytest.fail(f"looks for {wanted}"))
    for dtype in ("float32", "float64"):
        path = walk(2, 75, D, dtype=dtype)
        found, launches = on_gpu(kernel, path, (60, 1))
        assert launches == 8
        truth = kernel.log_sig(path, windows=(60, 1))
        assert np.abs(found - truth).max() < (1e-13 if dtype == "float64" else 1e-5) * np.abs(truth).max()
        assert back_on_gpu(kernel, path, walk(*found.shape, dtype=dtype), (60, 1))[1] == 25


@pytest.mark.parametrize("known", [True, False])
def test_gradients_that_are_walked_through(kernel: lg.LogSigKernel, programs: EmulatedPrograms, known: bool) -> None:
    programs.refused |= WALKED
    path, windows = torch.from_numpy(walk(2, 24, D)), (12, 2)
    call = PathCall(kernel, path_request(path, D, N, PathOptions(windows=windows)), 1)
    out = call.forward(path)
    d_out = torch.from_numpy(walk(*out.shape))
    (found,) = call.backward(d_out, out if known else None, path)
    truth = kernel.log_sig_backprop(d_out.numpy(), path.numpy(), windows=windows)
    np.testing.assert_allclose(found.numpy(), truth, rtol=1e-11, atol=1e-13)
