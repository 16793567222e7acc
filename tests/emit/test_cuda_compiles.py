"""CUDA sources compiled by nvcc for three architectures: registers, spills and memory against the cost model."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from native import write_sources

import logsig_codegen as lg
from logsig_codegen.build.nvidia import ARCHITECTURES, nvcc_if_any
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import CudaKernel, cuda_sources
from logsig_codegen.emit.unit import CUDA_FLAGS
from logsig_codegen.gpu.hardware import MOST_SHARED_BYTES, REGISTERS, REGISTERS_PER_THREAD, SHARED_BYTES, WARP
from logsig_codegen.operations import DERIVED_GROUPS, GROUPS

NVCC = nvcc_if_any()
pytestmark = pytest.mark.skipif(NVCC is None, reason="no nvcc")

QUICK = (((3, 3), ("join",)),)
"""A thread per sample; the whole table has all groups, and blocks."""
TABLE = ((2, 4), (2, 8), (3, 3), (3, 5), (3, 6), (5, 3), (5, 4), (5, 5), (10, 3), (10, 4), (20, 2), (20, 3))
SECOND = ((2, 4), (3, 3), (5, 3), (5, 4))


def reports(
    folder: Path, kernel: CudaKernel, architectures: Sequence[str] = ARCHITECTURES
) -> dict[str, tuple[int, int, int, int]]:
    """By architecture: registers, spilled bytes, stack frame, static shared memory."""
    assert NVCC is not None
    targets = [f"-gencode=arch={arch.replace('sm_', 'compute_')},code={arch}" for arch in architectures]
    command = [NVCC.path, *CUDA_FLAGS, "-fatbin", *targets, "-Xptxas", "-v", f"-D{kernel.definition}", kernel.source]
    command += ["-Werror", "all-warnings", "-o", f"{kernel.symbol}.fatbin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for part in re.split(r"Compiling entry function", done.stderr)[1:]:
        name, arch = re.findall(r"'(\w+)'", part)[:2]
        assert name == kernel.symbol
        stack, stores, loads = map(int, re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", part)[:3])
        shared = re.search(r"(\d+) bytes smem", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert registers
        found[arch] = int(registers[1]), stores + loads, stack, int(shared[1]) if shared else 0
    return found


def check(folder: Path, problem: tuple[int, int], groups: tuple[str, ...]) -> None:
    sources = cuda_sources(compile_problem(lg.Problem(*problem), groups=groups))
    write_sources(folder, sources.units)
    assert sources.kernels
    # The launch bounds hold the compiler to the registers. Where a kernel may spill, nothing else is asserted in which
    # architectures could differ: each such kernel is compiled for one of them, in turn. They are the largest.
    chosen = [
        (ARCHITECTURES[k % len(ARCHITECTURES)],) if kernel.shape.spills else ARCHITECTURES
        for k, kernel in enumerate(sources.kernels)
    ]
    with ThreadPoolExecutor(2) as pool:
        compiled = pool.map(partial(reports, folder), sources.kernels, chosen)
        for kernel, architectures, found in zip(sources.kernels, chosen, compiled, strict=True):
            shape = kernel.shape
            assert sorted(found) == sorted(architectures)
            for arch, (registers, spilled, stack, shared) in found.items():
                where = f"{kernel.symbol} for {arch}: {registers} registers, {spilled} bytes spilled; {shape}"
                assert registers <= REGISTERS_PER_THREAD, where
                assert registers * WARP * shape.warps * shape.blocks <= REGISTERS, where
                assert shared == 0, where  # all of it is asked for at the launch
                if not shape.spills:
                    assert spilled == stack == 0, where
            bytes_of_block = shape.warp_bytes * (1 if kernel.form == "block" else shape.warps)
            limit = MOST_SHARED_BYTES if kernel.form == "block" else SHARED_BYTES
            assert bytes_of_block <= limit, kernel.symbol


@pytest.mark.parametrize(("problem", "groups"), QUICK, ids=str)
def test_reports(problem: tuple[int, int], groups: tuple[str, ...], tmp_path: Path) -> None:
    check(tmp_path, problem, groups)


@pytest.mark.slow
@pytest.mark.parametrize("problem", TABLE, ids=str)
def test_reports_of_the_whole_table(problem: tuple[int, int], tmp_path: Path) -> None:
    check(tmp_path, problem, [group for group in GROUPS if group not in DERIVED_GROUPS])


@pytest.mark.slow
@pytest.mark.parametrize("problem", SECOND, ids=str)
def test_reports_of_second_derivatives(problem: tuple[int, int], tmp_path: Path) -> None:
    check(tmp_path, problem, DERIVED_GROUPS)


def test_join_of_small_problems_does_not_spill() -> None:
    for problem in ((3, 3), (5, 3), (10, 3), (5, 4)):
        sources = cuda_sources(compile_problem(lg.Problem(*problem)), ("float32",))
        assert not any(kernel.shape.spills for kernel in sources.kernels), problem


def test_the_head_of_a_file_says_how_to_compile_it(tmp_path: Path) -> None:
    sources = cuda_sources(compile_problem(lg.Problem(2, 2), groups=("join", "log_sig")))
    write_sources(tmp_path, sources.units)
    for unit in sources.units:
        commands = re.findall(r"^ \*     (nvcc .*)$", unit.text, re.MULTILINE)
        for command in commands:
            subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert {file.name for file in tmp_path.glob("*.fatbin")} == {
        f"{kernel.symbol}.fatbin" for kernel in sources.kernels
    }
