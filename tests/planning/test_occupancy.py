"""The cost model of a kernel on a GPU: how many warps a multiprocessor of compute capability 9.0 takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import cuda_sources
from logsig_codegen.gpu.occupancy import Occupancy, independent_warps


def resident(warps: int, warp_bytes: int, registers: int) -> int:
    """Warps of a multiprocessor: 228 KB of shared memory, 1 KB of it for each block; 64 K registers, by eights."""
    block = warps * warp_bytes
    if block > 227 * 1024:
        return 0
    per_scheduler = 16_384 // (32 * -(-registers // 8) * 8)
    return warps * min(228 * 1024 // (block + 1024), 4 * per_scheduler // warps, 32)


def of(found: Occupancy, warps: int) -> int:
    """With the registers that the compiler may use: an eighth more than the estimate."""
    return resident(warps, found.warp_bytes, max(72, found.registers + found.registers // 8 + 8))


@given(live=st.integers(1, 160), numbers=st.integers(1, 50_000), dtype=st.sampled_from(("float32", "float64")))
def test_no_other_number_of_warps_is_much_better(live: int, numbers: int, dtype: str) -> None:
    found = independent_warps(live, numbers, dtype)
    assert 1 <= found.warps <= 4
    most = max(of(found, warps) for warps in range(1, 5))
    if found.registers < 219 and most:  # with an eighth more of them they are fewer than there are
        assert 5 * of(found, found.warps) > 4 * most


@pytest.mark.parametrize(("dtype", "warps"), [("float32", 4), ("float64", 2)])
def test_gradients_take_the_place_of_displacements(dtype: str, warps: int) -> None:
    """At (10, 3) shared memory of its own for the gradient would cost one of these warps."""
    sources = cuda_sources(compile_problem(lg.Problem(10, 3)), (dtype,))
    (found,) = (kernel.shape for kernel in sources.kernels if kernel.operation == "join_backprop")
    assert resident(found.warps, found.warp_bytes, 255) == warps
