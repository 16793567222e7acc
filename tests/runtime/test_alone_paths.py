"""Few paths, walked one by one with a letter per lane: the bits of blocks of paths, which generated steps compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import peer
import pytest

import logsig_codegen as lg
from logsig_codegen.build.cpu import missing_features
from logsig_codegen.build.toolchain import describe, find_compiler
from logsig_codegen.compiler import WIDE_FROM, PathKernel, compile_problem
from logsig_codegen.emit.alone import walks_alone
from logsig_codegen.emit.c import c_sources
from logsig_codegen.operations import path_operation
from logsig_codegen.problem import Problem

OPERATION = path_operation("signature")
QUICK = ((4, 3), (9, 2))
"""The second one has more letters than lanes."""
SLOW = ((4, 4), (5, 4), (17, 2), (10, 3), (4, 5))
ON_OTHERS = (*QUICK, (5, 4))
"""On processors with fewer lanes: fewer letters than lanes or more, whole vectors of letters and a rest."""
CASES = (
    *((*problem, "native") for problem in QUICK),
    *(pytest.param(*problem, "native", marks=pytest.mark.slow) for problem in SLOW),
    *(pytest.param(*problem, one, marks=pytest.mark.slow) for one in ("x86-64", "x86-64-v3") for problem in ON_OTHERS),
)
BLOCK = 32
"""A multiple of all lanes."""
RNG = np.random.default_rng(64)


def walk(*shape: int) -> Any:
    return RNG.normal(size=shape).cumsum(axis=-2) / np.sqrt(max(shape[-2], 1))


@pytest.mark.parametrize(("dimension", "degree", "march"), CASES)
def test_paths_alone_have_the_bits_of_blocks(dimension: int, degree: int, march: str) -> None:
    if missing_features(describe(find_compiler(), march).features):
        pytest.skip(f"this processor cannot run code for {march}")
    kernel = lg.load(dimension, degree, march=march)
    for dtype in (np.float64, np.float32):
        for length in (1, 2, 9, 60):
            path = walk(BLOCK, length, dimension).astype(dtype)
            together = kernel.log_sig(path, state="signature")
            for first, last in ((0, 1), (3, 5), (7, 13)):
                assert np.array_equal(kernel.log_sig(path[first:last], state="signature"), together[first:last])
        ragged = [walk(n, dimension).astype(dtype) for n in (3, 40, 1, 17, 2, *range(20, 20 + BLOCK - 5))]
        together = kernel.log_sig(ragged, state="signature")
        for first in range(6):
            assert np.array_equal(
                kernel.log_sig(ragged[first : first + 2], state="signature"), together[first : first + 2]
            )


def test_a_path_alone_is_pysiglib_s() -> None:
    kernel, path = lg.load(4, 3), walk(1, 30, 4)
    assert np.abs(kernel.log_sig(path, state="signature") - peer.log_sig(path, 3)).max() < 1e-12


def test_a_number_that_is_none_stays_in_its_words() -> None:
    kernel, path = lg.load(4, 3), walk(BLOCK, 20, 4)
    path[0, 7, 2] = np.nan
    together, alone = (kernel.log_sig(part, state="signature") for part in (path, path[:1]))
    assert np.array_equal(np.isnan(alone[0]), np.isnan(together[0]))
    assert np.isnan(alone).any()
    assert not np.isnan(alone).all()


def test_which_problems_have_it() -> None:
    def header(*numbers: int) -> bool:
        problem = Problem(*numbers)
        compiled = compile_problem(problem, groups=(OPERATION,))
        there = "logsig_alone.h" in {unit.name for unit in c_sources(compiled)}
        (kernel,) = compiled.kernels
        assert isinstance(kernel, PathKernel)
        assert there == walks_alone(problem, kernel)
        return there

    assert header(4, 3)
    assert not header(3, 4)  # three letters
    assert not header(4, 2)  # a state that stays in registers
    assert not header(WIDE_FROM, 2)  # loops for any number of paths
