"""Windows that overlap, on the GPU's side of the run time, with the device replaced by an emulated grid.

Trusts exact rationals, and the C kernels, which do the same products in the same order where a unit has no middle.
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
GROUPS = ("log_sig", "log_sig_backprop", "combine", "combine_backprop", "windows")
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
    """What the launcher looks for first: the kernel of windows, or that which begins a walk."""
    launcher = launcher_on_host()
    for degree in range(1, 13):
        described = lg.Problem(2, degree)
        joined = sliding_costs(described)[0]
        problem = ffi.new("logsig_gpu_problem *", {"dimension": 2, "degree": degree, "size": described.size})
        for window in (1, 2, *range(5, 300, 3), 2**62):
            for step in (1, 2, 3, 5, 6, 9, 10, 11, 40, 2**62):
                call = ffi.new("logsig_path_call *", {"window": window, "step": step, "batch": 1, "length": 400})
                run = ffi.new("logsig_gpu_run *")
                status = launcher.logsig_gpu_paths(problem, call, 0, run)
                looks = status == launcher.LOGSIG_WANTS_KERNEL and run.wanted == launcher.LOGSIG_AT_WINDOWS
                assert looks == (step <= joined and slides(described, window, step))


def test_without_the_kernel_windows_are_walked_through(
    kernel: lg.LogSigKernel, programs: EmulatedPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, windows, binary = walk(3, 30, D), (14, 1), programs.binary

    def none(operation: str, *others: Any) -> Any:
        if operation == "windows":
            raise lg.CompilerNotFoundError("no compiler")
        return binary(operation, *others)

    truth, _ = on_gpu(kernel, path, windows)
    monkeypatch.setattr(programs, "binary", none)
    programs._loaded, programs._problems = driver.Loaded(), {}
    walked, launches = on_gpu(kernel, path, windows)
    monkeypatch.setattr(programs, "binary", binary)
    programs.refused |= {"windows"}
    again, _ = on_gpu(kernel, path, windows)
    assert launches == 2
    assert np.array_equal(walked, again)
    assert not np.array_equal(walked, truth)
    np.testing.assert_allclose(walked, truth, rtol=1e-12, atol=1e-14)


def test_what_was_prepared_needs_nothing_more(
    kernel: lg.LogSigKernel, programs: EmulatedPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that is being captured can load no kernel."""
    programs.refused |= WALKED
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    lg.prepare_log_sig(D, N, 2, device="cuda")
    monkeypatch.setattr(programs, "binary", lambda *wanted: pytest.fail(f"looks for {wanted}"))
    for dtype in ("float32", "float64"):
        path = walk(2, 75, D, dtype=dtype)
        found, launches = on_gpu(kernel, path, (60, 1))
        assert launches == 8
        truth = kernel.log_sig(path, windows=(60, 1))
        assert np.abs(found - truth).max() < (1e-13 if dtype == "float64" else 1e-5) * np.abs(truth).max()


@pytest.mark.parametrize("known", [True, False])
def test_gradients_are_those_of_the_cpu(kernel: lg.LogSigKernel, programs: EmulatedPrograms, known: bool) -> None:
    programs.refused |= WALKED
    path, windows = torch.from_numpy(walk(2, 24, D)), (12, 2)
    call = PathCall(kernel, path_request(path, D, N, PathOptions(windows=windows)), 1)
    out = call.forward(path)
    d_out = torch.from_numpy(walk(*out.shape))
    (found,) = call.backward(d_out, out if known else None, path)
    truth = kernel.log_sig_backprop(d_out.numpy(), path.numpy(), windows=windows)
    np.testing.assert_allclose(found.numpy(), truth, rtol=1e-11, atol=1e-13)
