"""What holds of the bits of a result where a thread rounds otherwise, and where numbers overflow: see the documents."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import logsig_codegen as lg
from logsig_codegen.runtime import threads

UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}
"""``FE_UPWARD`` of ``fenv.h``."""
RNG = np.random.default_rng(11)


@pytest.fixture
def upward() -> Iterator[None]:
    """This thread rounds upward."""
    if platform.machine() not in UPWARD:
        pytest.skip("not known how this processor is told to round upward")
    library = ctypes.CDLL("libm.so.6")
    before = library.fegetround()
    assert library.fesetround(UPWARD[platform.machine()]) == 0
    yield
    library.fesetround(before)


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three threads, whatever this process may use."""
    monkeypatch.setattr(threads, "usable_processors", lambda: 3)


def bits(*arrays: np.ndarray) -> list[bytes]:
    return [array.tobytes() for array in arrays]


@pytest.mark.usefixtures("several")
def test_workers_round_as_the_calling_thread_does(request: pytest.FixtureRequest) -> None:
    kernel = lg.load(2, 3)
    log_sig, step, d_out = RNG.normal(size=(100, 5)), RNG.normal(size=(100, 2)), RNG.normal(size=(100, 5))
    path = RNG.normal(size=(100, 20, 2))

    def results(n_jobs: int) -> list[bytes]:
        return bits(
            kernel.join(log_sig, step, n_jobs=n_jobs),
            *kernel.join_backprop(d_out, log_sig, step, n_jobs=n_jobs),
            kernel.log_sig(path, n_jobs=n_jobs),
            kernel.log_sig_backprop(d_out, path, n_jobs=n_jobs),
            kernel.log_sig(path, stream=True, method=1, n_jobs=n_jobs),
        )

    nearest = results(1)
    assert results(3) == nearest
    request.getfixturevalue("upward")
    otherwise = results(1)
    assert all(one != other for one, other in zip(nearest, otherwise, strict=True))
    assert results(3) == otherwise


@pytest.mark.usefixtures("several")
def test_workers_take_their_own_modes_again(upward: None) -> None:
    """What else computes in the same threads is not disturbed: numbers of another thread are rounded to nearest."""
    kernel = lg.load(2, 3)
    log_sig, step = RNG.normal(size=(100, 5)), RNG.normal(size=(100, 2))
    kernel.join(log_sig, step, n_jobs=3)
    tensor = torch.full((300_000,), 0.1)
    found = torch.empty(300_000)
    torch.set_num_threads(3)
    torch.mul(tensor, tensor, out=found)  # in torch's own workers, of the same pool or of another one
    assert len(torch.unique(found)) <= 2


@pytest.mark.usefixtures("several")
def test_workers_flush_as_the_calling_thread_does() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush")
    try:
        kernel = lg.load(2, 2)
        log_sig, step = np.full((100, 3), 1e-310), np.full((100, 2), 3e-311)  # subnormal
        alone, together = kernel.join(log_sig, step), kernel.join(log_sig, step, n_jobs=3)
    finally:
        torch.set_flush_denormal(False)
    kept = kernel.join(log_sig, step)
    assert kept.tobytes() != alone.tobytes()
    assert together.tobytes() == alone.tobytes()


# -- neighbours -----------------------------------------------------------------------------------------------------


def paths_of_many_kinds() -> list[np.ndarray]:
    """Short and long, some that overflow, some with zeros of both signs."""
    made = [RNG.normal(size=(length, 2)) * scale for length in (2, 3, 9, 40) for scale in (1.0, 1e-160, 1e155)]
    made += [np.array([[0.0, 0.0], [-0.0, 1e-320], [-0.0, 0.0]]), np.array([[0.0, 1e300], [1e200, -1e300], [0.0, 0.0]])]
    return made


def test_neighbours_change_no_finite_number() -> None:
    """But for the sign of zeros; and what overflows is not finite beside any neighbour."""
    kernel, paths = lg.load(2, 3), paths_of_many_kinds()
    together = kernel.log_sig(paths)
    longest = max(map(len, paths))
    padded = np.stack([np.concatenate([path, np.full((longest - len(path), 2), np.nan)]) for path in paths])
    counted = kernel.log_sig(padded, lengths=[len(path) for path in paths])
    finite = np.zeros(len(paths), bool)
    for index, path in enumerate(paths):
        alone = kernel.log_sig(path)
        finite[index] = np.isfinite(alone).all()
        for row in (together[index], counted[index]):
            assert np.isfinite(row).all() == finite[index]
            if finite[index]:
                assert (row + 0.0).tobytes() == (alone + 0.0).tobytes()  # -0.0 + 0.0 is 0.0
    assert 4 < finite.sum() < len(paths)


def test_products_are_those_of_their_own_rows_whatever_overflows() -> None:
    kernel = lg.load(2, 3)
    log_sig, step = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 2))
    log_sig[::3] *= 1e300
    step[::4] *= -0.0
    together = kernel.join(log_sig, step)
    for index in range(40):
        assert kernel.join(log_sig[index], step[index]).tobytes() == together[index].tobytes()
