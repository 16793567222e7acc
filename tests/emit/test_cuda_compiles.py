"""CUDA sources compiled for three architectures: registers, spills and memory against the cost model.

By nvcc for one problem; for the others by NVRTC, the same compiler without a process for each of its passes.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import pytest
from native import write_sources

import logsig_codegen as lg
from logsig_codegen.build.nvidia import ARCHITECTURES, nvcc_if_any
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import CudaKernel, CudaSources, cuda_sources
from logsig_codegen.emit.unit import CUDA_FLAGS
from logsig_codegen.gpu.hardware import MOST_SHARED_BYTES, REGISTERS, REGISTERS_PER_THREAD, SHARED_BYTES, WARP
from logsig_codegen.operations import DERIVED_GROUPS, GROUPS, OPERATIONS

NVCC = nvcc_if_any()
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")

QUICK = (((3, 3), ("join",)),)
"""A thread per sample; the whole table has all groups, and blocks."""
TABLE = ((2, 4), (2, 7), (3, 5), (3, 6), (5, 3), (5, 4), (5, 5), (10, 3), (10, 4), (20, 2), (20, 3))
IN_PART = {(3, 6): ("combine", "log_sig_by_signature"), (5, 4): (), (5, 5): ("log_sig_by_signature",), (20, 3): ()}
"""Of kernels that may spill the test knows only what the launch bounds enforce, and they take longest to compile. Of
these problems it compiles those operations that spill in this form and number type in no other problem of the table."""
SECOND = ((2, 4), (3, 3), (5, 3), (5, 4))
Log = Callable[[CudaKernel, Sequence[str]], str]
"""What the assembler says of a kernel compiled for architectures."""


def by_nvcc(folder: Path, kernel: CudaKernel, architectures: Sequence[str]) -> str:
    """The sources lie in ``folder``."""
    assert NVCC is not None
    targets = [f"-gencode=arch={arch.replace('sm_', 'compute_')},code={arch}" for arch in architectures]
    command = [NVCC.path, *CUDA_FLAGS, "-fatbin", *targets, "-Xptxas", "-v", f"-D{kernel.definition}", kernel.source]
    command += ["-Werror", "all-warnings", "-o", f"{kernel.symbol}.fatbin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def by_nvrtc(sources: CudaSources, kernel: CudaKernel, architectures: Sequence[str]) -> str:
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="NVIDIA's Python packages are not installed")
    texts = {unit.name: unit.text.encode() for unit in sources.units}
    headers = [unit.name for unit in sources.units if unit.language == "header"]
    found = []
    for arch in architectures:
        options = [*CUDA_FLAGS, f"--gpu-architecture={arch}", f"-D{kernel.definition}", "--ptxas-options=-v"]
        files = [texts[name] for name in headers], [name.encode() for name in headers]
        status, program = nvrtc.nvrtcCreateProgram(texts[kernel.source], b"kernel.cu", len(headers), *files)
        assert int(status) == 0
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        nvrtc.nvrtcDestroyProgram(program)
        found.append(log.decode())
        assert int(status) == 0, found[-1]
        assert "warning" not in found[-1], found[-1]
    return "".join(found)


def reports(log: str, symbol: str) -> dict[str, tuple[int, int, int, int]]:
    """By architecture: registers, spilled bytes, stack frame, static shared memory."""
    found = {}
    for part in re.split(r"Compiling entry function", log)[1:]:
        name, arch = re.findall(r"'(\w+)'", part)[:2]
        assert name == symbol
        stack, stores, loads = map(int, re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", part)[:3])
        shared = re.search(r"(\d+) bytes smem", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert registers
        found[arch] = int(registers[1]), stores + loads, stack, int(shared[1]) if shared else 0
    return found


def check(sources: CudaSources, log: Log, spilling: Collection[str] = tuple(OPERATIONS)) -> None:
    """``spilling``: of which operations kernels are compiled that may spill."""
    assert sources.kernels
    for k, kernel in enumerate(sources.kernels):
        shape = kernel.shape
        bytes_of_block = shape.warp_bytes * (1 if kernel.form == "block" else shape.warps)
        limit = MOST_SHARED_BYTES if kernel.form == "block" else SHARED_BYTES
        assert bytes_of_block <= limit, kernel.symbol
        if shape.spills and kernel.operation not in spilling:
            continue
        # The launch bounds hold the compiler to the registers. Where a kernel may spill, nothing else is asserted in
        # which architectures could differ: each such kernel is compiled for one of them, in turn.
        architectures = (ARCHITECTURES[k % len(ARCHITECTURES)],) if shape.spills else ARCHITECTURES
        found = reports(log(kernel, architectures), kernel.symbol)
        assert sorted(found) == sorted(architectures)
        for arch, (registers, spilled, stack, shared) in found.items():
            where = f"{kernel.symbol} for {arch}: {registers} registers, {spilled} bytes spilled; {shape}"
            assert registers <= REGISTERS_PER_THREAD, where
            assert registers * WARP * shape.warps * shape.blocks <= REGISTERS, where
            assert shared == 0, where  # all of it is asked for at the launch
            if not shape.spills:
                assert spilled == stack == 0, where


def check_by_nvrtc(problem: tuple[int, int], groups: Sequence[str]) -> None:
    sources = cuda_sources(compile_problem(lg.Problem(*problem), groups=groups))
    whole = groups == DERIVED_GROUPS or problem not in IN_PART
    check(sources, partial(by_nvrtc, sources), OPERATIONS if whole else IN_PART[problem])


def check_by_nvcc(problem: tuple[int, int], groups: Sequence[str], folder: Path) -> None:
    sources = cuda_sources(compile_problem(lg.Problem(*problem), groups=groups))
    write_sources(folder, sources.units)
    check(sources, partial(by_nvcc, folder))


@needs_nvcc
@pytest.mark.parametrize(("problem", "groups"), QUICK, ids=str)
def test_reports(problem: tuple[int, int], groups: tuple[str, ...], tmp_path: Path) -> None:
    check_by_nvcc(problem, groups, tmp_path)


@pytest.mark.long
@pytest.mark.slow
@needs_nvcc
def test_reports_of_all_operations_by_nvcc(tmp_path: Path) -> None:
    check_by_nvcc((3, 3), [group for group in GROUPS if group not in DERIVED_GROUPS], tmp_path)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("problem", TABLE, ids=str)
def test_reports_of_the_whole_table(problem: tuple[int, int]) -> None:
    check_by_nvrtc(problem, [group for group in GROUPS if group not in DERIVED_GROUPS])


@pytest.mark.slow
@pytest.mark.parametrize("problem", SECOND, ids=str)
def test_reports_of_second_derivatives(problem: tuple[int, int]) -> None:
    check_by_nvrtc(problem, DERIVED_GROUPS)


def test_join_of_small_problems_does_not_spill() -> None:
    for problem in ((3, 3), (5, 3), (10, 3), (5, 4)):
        sources = cuda_sources(compile_problem(lg.Problem(*problem)), ("float32",))
        assert not any(kernel.shape.spills for kernel in sources.kernels), problem


@needs_nvcc
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
