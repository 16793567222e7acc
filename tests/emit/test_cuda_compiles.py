"""CUDA sources compiled for three architectures: registers, spills and memory against the cost model.

By nvcc for one problem; for the others by NVRTC. ``cuda_reports.py`` says which kernels are compiled.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

import cuda_reports
import pytest
from cuda_reports import BY_NVCC, FIRST_GROUPS, NVCC, SECOND, TABLE, by_nvcc, by_nvrtc, nvcc_version, nvrtc_version
from native import write_sources

import logsig_codegen as lg
from logsig_codegen.build.nvidia import ARCHITECTURES
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import CudaKernel, CudaSources, cuda_sources
from logsig_codegen.gpu.hardware import MOST_SHARED_BYTES, REGISTERS, REGISTERS_PER_THREAD, SHARED_BYTES, WARP
from logsig_codegen.operations import DERIVED_GROUPS, OPERATIONS

needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")

QUICK = (((3, 3), ("join",)),)
"""A thread per sample; the whole table has all groups, and blocks."""


def check(
    sources: CudaSources, compiler: str, log: cuda_reports.Log, spilling: Collection[str] = tuple(OPERATIONS)
) -> None:
    """``spilling``: of which operations kernels are compiled that may spill."""
    assert sources.kernels
    for kernel in sources.kernels:
        shape = kernel.shape
        bytes_of_block = shape.warp_bytes * (1 if kernel.form == "block" else shape.warps)
        limit = MOST_SHARED_BYTES if kernel.form == "block" else SHARED_BYTES
        assert bytes_of_block <= limit, kernel.symbol
    for kernel, architectures in cuda_reports.compiled(sources, spilling):
        shape = kernel.shape
        for arch, found in cuda_reports.reports_of(sources, kernel, architectures, compiler, log).items():
            where = f"{kernel.symbol} for {arch}: {found}; {shape}"
            assert found.registers <= REGISTERS_PER_THREAD, where
            assert found.registers * WARP * shape.warps * shape.blocks <= REGISTERS, where
            assert found.shared == 0, where  # all of it is asked for at the launch
            if not shape.spills:
                assert found.spilled == found.stack == 0, where


def check_by_nvcc(problem: tuple[int, int], groups: Sequence[str], folder: Path) -> None:
    sources = cuda_reports.sources_of(problem, groups)
    check(sources, nvcc_version(), by_nvcc(folder, sources))


def check_by_nvrtc(problem: tuple[int, int], groups: Sequence[str]) -> None:
    sources = cuda_reports.sources_of(problem, groups)
    check(sources, nvrtc_version(), by_nvrtc(sources), cuda_reports.spilling(problem, groups))


@needs_nvcc
@pytest.mark.parametrize(("problem", "groups"), QUICK, ids=str)
def test_reports(problem: tuple[int, int], groups: tuple[str, ...], tmp_path: Path) -> None:
    check_by_nvcc(problem, groups, tmp_path)


@pytest.mark.slow
@needs_nvcc
def test_reports_of_all_operations_by_nvcc(tmp_path: Path) -> None:
    check_by_nvcc(BY_NVCC, FIRST_GROUPS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("problem", TABLE, ids=str)
def test_reports_of_the_whole_table(problem: tuple[int, int]) -> None:
    check_by_nvrtc(problem, FIRST_GROUPS)


@pytest.mark.slow
@pytest.mark.parametrize("problem", SECOND, ids=str)
def test_reports_of_second_derivatives(problem: tuple[int, int]) -> None:
    check_by_nvrtc(problem, DERIVED_GROUPS)


def test_the_compiler_is_asked_about_what_is_not_kept_and_some_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = cuda_reports.sources_of((2, 3), ("join",))
    kernel = sources.kernels[0]
    log, version, asked = by_nvrtc(sources), nvrtc_version(), list[str]()

    def listed(kernel: CudaKernel, architectures: Sequence[str]) -> str:
        asked.extend(architectures)
        return log(kernel, architectures)

    digests = cuda_reports.digests(sources, kernel, ARCHITECTURES, version)
    said = cuda_reports.read(log(kernel, ARCHITECTURES), kernel.symbol)
    reports = {digests[arch]: said[arch] for arch in ARCHITECTURES[1:]}
    monkeypatch.setattr(cuda_reports, "kept", lambda: reports)
    monkeypatch.setattr(cuda_reports, "ASKED_AGAIN", digests[ARCHITECTURES[1]])
    assert cuda_reports.reports_of(sources, kernel, ARCHITECTURES, version, listed) == said
    assert asked == list(ARCHITECTURES[:2])
    reports[digests[ARCHITECTURES[1]]] = cuda_reports.Report(1, 1, 1, 1)
    with pytest.raises(AssertionError, match="refresh_reports"):
        cuda_reports.reports_of(sources, kernel, ARCHITECTURES, version, listed)
    others = [cuda_reports.digests(sources, kernel, ARCHITECTURES, "another"), digests]
    others.append(cuda_reports.digests(sources, sources.kernels[1], ARCHITECTURES, version))
    assert len({digest for some in others for digest in some.values()}) == 9


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
