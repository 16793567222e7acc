"""Windows that overlap, in C, with units so small that every part of the scheme is used; and the rule that chooses it.

Trusts the truncated tensor algebra over fractions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from native import Native, build

from logsig_codegen import compiler
from logsig_codegen.algebra.tensor import join_oracle, join_vjp_oracle
from logsig_codegen.compiler import compile_problem
from logsig_codegen.operations import slides
from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi

D, N, SIZE = 2, 3, 5
GROUPS = ("log_sig", "log_sig_backprop", "combine", "combine_backprop", "windows", "windows_backprop")
SMALL = ("LOGSIG_UNIT_NUMBERS=1", "LOGSIG_SPAN_UNITS=1", "LOGSIG_SPANS_ROOM=1")
"""Eight windows in a unit, a unit or so in a span, as few spans at a time as the lanes allow."""
Numbers = list[Fraction]


@pytest.fixture(scope="module", params=["unrolled", pytest.param("tables", marks=pytest.mark.slow)])
def native(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Native:
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "tables":
            patched.setattr(compiler, "UNROLLED_OPERATIONS", -1)
        compiled = compile_problem(Problem(D, N), groups=GROUPS)
    return build(tmp_path_factory.mktemp("windows"), compiled, definitions=SMALL, dtypes=("float64",))


def function(native: Native, name: str) -> Any:
    """A function of the library as cffi's pointer to one that takes an address."""
    found = getattr(native.library, f"logsig_d2_n3_{name}_f64")
    return ffi.cast("logsig_windows_function", ctypes.cast(found, ctypes.c_void_p).value)


def truth(path: Any, lengths: Sequence[int], window: int, step: int, d_out: Any) -> tuple[Any, Any]:
    """Log-signatures of the windows of all paths, cut at their ends, and the gradient, exactly."""
    rows, gradient = [], np.zeros(path.shape, object)
    for b, points in enumerate(path):
        for k, first in enumerate(range(0, len(points) - window + 1, step)):
            states: list[Numbers] = [[Fraction(0)] * SIZE]
            moves = [
                [Fraction(int(y - x)) for x, y in zip(*pair, strict=True)]
                for pair in pairwise(points[first : min(first + window, max(lengths[b], first))])
            ]
            for move in moves:
                states.append(join_oracle(D, N, states[-1], move))
            rows.append(states[-1])
            slope: Any = [Fraction(int(x)) for x in d_out[b, k]]
            for t in range(len(moves) - 1, -1, -1):
                slope, d_move = join_vjp_oracle(D, N, slope, states[t], moves[t])
                gradient[b, first + t + 1] += d_move
                gradient[b, first + t] -= d_move
    return np.array(rows, object).astype(float).reshape(d_out.shape), gradient.astype(float)


def call(native: Native, path: Any, counts: Sequence[int], window: int, step: int, n_jobs: int) -> Any:
    names = ("log_sig", "log_sig_backprop", "combine", "combine_backprop", "windows", "windows_backprop")
    functions = ffi.new("logsig_path_functions *")
    for name in names:
        setattr(functions, name, ffi.cast("void (*)(void)", function(native, name)))
    lengths = ffi.new("ptrdiff_t[]", counts)
    batch, length, _ = path.shape
    made = ffi.new(
        "logsig_path_call *",
        {"struct_size": ffi.sizeof("logsig_path_call"), "method": 2, "path": ffi.cast("void *", path.ctypes.data),
         "path_stride": length * D, "batch": batch, "length": length, "lengths": lengths, "window": window,
         "step": step, "functions": functions, "n_jobs": n_jobs},
    )  # fmt: skip
    return made, functions, lengths


@pytest.mark.parametrize(
    ("points", "window", "step"),
    [
        (24, 11, 1),  # a segment in the middle, and no more
        (46, 36, 2),  # products of segments, and steps, a few steps apart
        (141, 130, 11),  # by products
        pytest.param(120, 20, 1, marks=pytest.mark.slow),
        pytest.param(120, 60, 1, marks=pytest.mark.slow),
        pytest.param(130, 49, 3, marks=pytest.mark.slow),
        pytest.param(200, 155, 12, marks=pytest.mark.slow),
    ],
)
def test_results_and_gradients_are_exact(native: Native, points: int, window: int, step: int) -> None:
    assert slides(Problem(D, N), window, step)
    lengths = (points, 3 * points // 4, 1)
    rng = np.random.default_rng(window)
    path = rng.integers(-2, 3, (3, points, D)).astype(float)
    shape = (3, (points - window) // step + 1, SIZE)
    d_out = rng.integers(-3, 4, shape).astype(float)
    out, d_path = np.full(shape, np.nan), np.full(path.shape, np.nan)
    made, *kept = call(native, path, lengths, window, step, n_jobs=2)
    made.out, made.out_stride = ffi.cast("void *", out.ctypes.data), SIZE
    assert function(native, "paths")(made) == 0
    made.d_out, made.d_out_stride = ffi.cast("void *", d_out.ctypes.data), SIZE
    made.d_path, made.d_path_stride = ffi.cast("void *", d_path.ctypes.data), points * D
    assert function(native, "paths_backprop")(made) == 0
    assert kept
    for found, exact in zip((out, d_path), truth(path, lengths, window, step, d_out), strict=True):
        assert np.abs(found - exact).max() < 1e-12 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["windows", "windows_backprop"])
def test_the_library_and_the_package_have_one_rule(native: Native, name: str) -> None:
    decide = function(native, name)
    for window in (1, 2, *range(5, 300, 3)):
        for step in (1, 2, 3, 9, 10, 11, 40, 150):
            made = ffi.new("logsig_path_call *", {"window": window, "step": step})
            request = ffi.new("void *[64]", [made])  # no paths
            assert decide(request) == (0 if slides(Problem(D, N), window, step) else -1)
