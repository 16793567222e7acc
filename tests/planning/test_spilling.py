"""Spilling to shared memory on a GPU: which kernels spill, what, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emulated import Emulation

import logsig_codegen as lg
from logsig_codegen.compiler import Kernel, compile_problem
from logsig_codegen.gpu.planner import plan_kernel
from logsig_codegen.gpu.rows import RowsPlan, rows_plan

TABLE = ((2, 4), (2, 7), (3, 3), (3, 5), (5, 3), (5, 4), (10, 3), (20, 2))
SPILL = {
    (2, 7): {("join", "float64"), ("join_backprop", "float32"), ("join_backprop", "float64")},
    (3, 5): {("join_backprop", "float64")},
    (5, 4): {("join_backprop", "float64")},
}


@pytest.mark.parametrize("problem", TABLE, ids=str)
def test_values_are_spilled_where_registers_do_not_hold_them(problem: tuple[int, int]) -> None:
    found = set()
    for kernel in compile_problem(lg.Problem(*problem)).kernels:
        assert isinstance(kernel, Kernel)
        plain = rows_plan(kernel)
        for dtype in ("float32", "float64"):
            best = plan_kernel(lg.Problem(*problem), kernel, dtype)
            assert isinstance(best, RowsPlan)
            occupancy = best.occupancy(dtype)
            assert occupancy.resident_warps >= 1
            for limit in (64, 99, 163):  # KB of a block, on devices of several kinds
                assert (occupancy.warp_bytes <= limit * 1024) == (plain.occupancy(dtype).warp_bytes <= limit * 1024)
            if best.schedule.slots:
                found.add((kernel.operation, dtype))
                assert plain.occupancy(dtype).spills
                assert best.live < plain.live
            else:
                assert best == plain
    assert found == SPILL.get(problem, set())


def test_a_grid_of_them(tmp_path: Path) -> None:
    """Strides, and a tile that is not full; against the kernel for the CPU, which has the same order of operations."""
    d, n, batch = 3, 5, 45
    size, source = lg.Problem(d, n).size, np.random.default_rng(0)
    emulation = Emulation(tmp_path, compile_problem(lg.Problem(d, n)))
    kernel = emulation.kernel("join_backprop", "float64")
    assert "logsig_row s = at +" in emulation.unit(kernel.kernel.source).text
    d_out, log_sig = (source.standard_normal((batch, size + 3)) for _ in range(2))
    v = source.standard_normal((batch, d))
    d_l, d_v = np.full((batch, size + 1), np.nan), np.full((batch, d + 2), np.nan)
    operands = ((d_out, size + 3), (log_sig, size + 3), (v, d), (d_l, size + 1), (d_v, d + 2))
    kernel([*(argument for operand in operands for argument in operand), batch], warps=2, blocks=1)
    expected = lg.log_sig_join_backprop(d_out[:, :size].copy(), log_sig[:, :size].copy(), v, d, n)
    np.testing.assert_array_equal(d_l[:, :size], expected[0])
    np.testing.assert_array_equal(d_v[:, :d], expected[1])
    assert np.isnan(d_l[:, size:]).all()
    assert np.isnan(d_v[:, d:]).all()
