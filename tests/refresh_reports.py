"""Bring ``generated/cuda_reports.json`` up to date: ``python tests/refresh_reports.py``.

It takes five minutes where nothing is kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import cuda_reports
from cuda_reports import BY_NVCC, FIRST_GROUPS, SECOND, TABLE, Report

from logsig_codegen.operations import DERIVED_GROUPS

Case = tuple[tuple[int, int], tuple[str, ...], bool]


def cases() -> Iterator[Case]:
    """Problem, groups, and whether nvcc compiles them."""
    yield BY_NVCC, FIRST_GROUPS, True
    yield from zip(TABLE, repeat(FIRST_GROUPS), repeat(False))
    yield from zip(SECOND, repeat(DERIVED_GROUPS), repeat(False))


def of(case: Case) -> dict[str, Report]:
    """The reports of a case by their digests."""
    problem, groups, nvcc = case
    sources = cuda_reports.sources_of(problem, groups)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        log = cuda_reports.by_nvcc(Path(folder), sources) if nvcc else cuda_reports.by_nvrtc(sources)
        version = cuda_reports.nvcc_version() if nvcc else cuda_reports.nvrtc_version()
        for kernel, architectures in cuda_reports.compiled(sources, cuda_reports.spilling(problem, groups)):
            named, known, said = cuda_reports.known_and_said(sources, kernel, architectures, version, log)
            found.update({named[arch]: report for arch, report in {**known, **said}.items()})
    return found


def main() -> None:
    """Reports of kernels that are no longer compiled disappear."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        reports = {digest: report for some in pool.map(of, cases()) for digest, report in some.items()}
    before = cuda_reports.kept()
    cuda_reports.write(reports)
    print(f"{len(reports)} reports, of which {len(reports.keys() - before.keys())} are new")


if __name__ == "__main__":
    main()
