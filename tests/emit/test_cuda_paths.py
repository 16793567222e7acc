"""Gradients of whole paths, a thread per path, on an emulated grid: the bits of the C kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emulated import NUMPY, Emulation

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem

TYPES = ["float32", "float64"]


@pytest.mark.parametrize(
    ("problem", "dtypes"),
    [
        ((3, 3), TYPES[:1]),
        *(pytest.param(one, TYPES, marks=pytest.mark.slow) for one in ((1, 3), (3, 1), (2, 2), (3, 4))),
        *(pytest.param(one, TYPES[:1], marks=pytest.mark.slow) for one in ((2, 7), (3, 5), (5, 3), (8, 2))),
    ],
    ids=str,
)
def test_gradients_have_the_bits_of_the_cpu(problem: tuple[int, int], dtypes: list[str], tmp_path: Path) -> None:
    emulation = Emulation(tmp_path, compile_problem(lg.Problem(*problem), groups=("log_sig_backprop",)))
    kernel, source, (d, _) = lg.load(*problem), np.random.default_rng(problem), problem
    for dtype in dtypes:
        path = (0.3 * source.standard_normal((40, 70, d))).astype(NUMPY[dtype])
        lengths = np.array([70, 0, 1, 2, *source.integers(0, 71, 36)])
        log_sig = np.array([kernel.log_sig(one[:count]) for one, count in zip(path, lengths, strict=True)])
        d_out, found = source.standard_normal(log_sig.shape).astype(path.dtype), np.zeros_like(path)
        size = kernel.size
        stride = path.shape[1] * d
        given = [d_out, size, log_sig, size, path, stride, path.shape[1], lengths, None, found, stride, None, len(path)]
        launched = emulation.kernel("log_sig_backprop", dtype)
        assert launched.kernel.form == "thread"
        launched(given, blocks=2)
        truth = kernel.log_sig_backprop(d_out, [one[:count] for one, count in zip(path, lengths, strict=True)])
        for row, expected, count in zip(found, truth, lengths, strict=True):
            assert np.array_equal(row[:count], expected)
            assert not row[count:].any()
