"""What NVIDIA's assembler says of kernels: registers, spills, memory.

It is kept in ``generated/cuda_reports.json`` with a digest of all that it depends on: the text, the flags, the
architecture and the compiler's version. So the compiler is asked about what has changed, and each time about a
sixteenth of the rest, which has to be as it was kept. ``python tests/refresh_reports.py`` brings the file up to date.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import golden
import pytest
from native import write_sources

import logsig_codegen as lg
from logsig_codegen.build.nvidia import ARCHITECTURES, nvcc_if_any
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import CudaKernel, CudaSources, cuda_sources
from logsig_codegen.emit.unit import CUDA_FLAGS
from logsig_codegen.operations import DERIVED_GROUPS, GROUPS, OPERATIONS

KEPT = golden.ROOT / "generated" / "cuda_reports.json"
ASKED_AGAIN = "0"
"""Digests that begin with this digit are those of kernels that are compiled although their reports are kept."""
NVCC = nvcc_if_any()
FIRST_GROUPS = tuple(group for group in GROUPS if group not in DERIVED_GROUPS)
BY_NVCC = (3, 3)
TABLE = ((2, 4), (2, 7), (3, 5), (3, 6), (5, 3), (5, 4), (5, 5), (10, 3), (10, 4), (20, 2), (20, 3))
IN_PART = {(3, 6): ("combine", "log_sig_by_signature"), (5, 4): (), (5, 5): ("log_sig_by_signature",), (20, 3): ()}
"""Of kernels that may spill the tests know only what the launch bounds enforce, and they take longest to compile. Of
these problems they compile the operations that spill in this form and number type in no other problem of the table."""
SECOND = ((2, 4), (3, 3), (5, 3), (5, 4))


@dataclass(frozen=True)
class Report:
    """Registers of a thread; bytes that it spills, of its stack, and of static shared memory."""

    registers: int
    spilled: int
    stack: int
    shared: int


Log = Callable[[CudaKernel, Sequence[str]], str]
"""What the assembler says of a kernel compiled for architectures."""


def sources_of(problem: tuple[int, int], groups: Sequence[str]) -> CudaSources:
    """All kernels of these groups."""
    return cuda_sources(compile_problem(lg.Problem(*problem), groups=groups))


def spilling(problem: tuple[int, int], groups: Sequence[str]) -> Collection[str]:
    """Of which operations kernels are compiled that may spill."""
    return OPERATIONS if groups == DERIVED_GROUPS else IN_PART.get(problem, OPERATIONS)


def compiled(sources: CudaSources, spilling: Collection[str]) -> Iterator[tuple[CudaKernel, Sequence[str]]]:
    """The kernels that are compiled, and for which architectures."""
    for k, kernel in enumerate(sources.kernels):
        if kernel.shape.spills and kernel.operation not in spilling:
            continue
        # The launch bounds hold the compiler to the registers. Where a kernel may spill, nothing else is asserted in
        # which architectures could differ: each such kernel is compiled for one of them, in turn.
        yield kernel, (ARCHITECTURES[k % len(ARCHITECTURES)],) if kernel.shape.spills else ARCHITECTURES


def by_nvcc(folder: Path, sources: CudaSources) -> Log:
    """The sources go into ``folder``."""
    assert NVCC is not None
    write_sources(folder, sources.units)
    path = NVCC.path

    def log(kernel: CudaKernel, architectures: Sequence[str]) -> str:
        targets = [f"-gencode=arch={arch.replace('sm_', 'compute_')},code={arch}" for arch in architectures]
        command = [path, *CUDA_FLAGS, "-fatbin", *targets, "-Xptxas", "-v", f"-D{kernel.definition}", kernel.source]
        command += ["-Werror", "all-warnings", "-o", f"{kernel.symbol}.fatbin"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    return log


def by_nvrtc(sources: CudaSources) -> Log:
    """The same compiler without a process for each of its passes."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="NVIDIA's Python packages are not installed")
    texts = {unit.name: unit.text.encode() for unit in sources.units}
    headers = [unit.name for unit in sources.units if unit.language == "header"]

    def log(kernel: CudaKernel, architectures: Sequence[str]) -> str:
        found = []
        for arch in architectures:
            options = [*CUDA_FLAGS, f"--gpu-architecture={arch}", f"-D{kernel.definition}", "--ptxas-options=-v"]
            files = [texts[name] for name in headers], [name.encode() for name in headers]
            status, program = nvrtc.nvrtcCreateProgram(texts[kernel.source], b"kernel.cu", len(headers), *files)
            assert int(status) == 0
            (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
            _, size = nvrtc.nvrtcGetProgramLogSize(program)
            said = b" " * size
            nvrtc.nvrtcGetProgramLog(program, said)
            nvrtc.nvrtcDestroyProgram(program)
            found.append(said.decode())
            assert int(status) == 0, found[-1]
            assert "warning" not in found[-1], found[-1]
        return "".join(found)

    return log


def nvcc_version() -> str:
    """As nvcc says it."""
    assert NVCC is not None
    done = subprocess.run([NVCC.path, "--version"], capture_output=True, text=True, check=True)
    return "nvcc " + done.stdout.split()[-1]


def nvrtc_version() -> str:
    """Of the package: the library itself tells the first two numbers only."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVIDIA's Python packages are not installed")
    return f"nvrtc {version('nvidia-cuda-nvrtc')}"


def read(log: str, symbol: str) -> dict[str, Report]:
    """By architecture."""
    found = {}
    for part in re.split(r"Compiling entry function", log)[1:]:
        name, arch = re.findall(r"'(\w+)'", part)[:2]
        assert name == symbol
        stack, stores, loads = map(int, re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", part)[:3])
        shared = re.search(r"(\d+) bytes smem", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert registers
        found[arch] = Report(int(registers[1]), stores + loads, stack, int(shared[1]) if shared else 0)
    return found


def digests(sources: CudaSources, kernel: CudaKernel, architectures: Iterable[str], compiler: str) -> dict[str, str]:
    """By architecture: of everything that a kernel's report depends on."""
    texts = {unit.name: unit.text for unit in sources.units if unit.language == "header" or unit.name == kernel.source}
    parts = [
        compiler,
        *CUDA_FLAGS,
        kernel.definition,
        kernel.symbol,
        *(text for pair in sorted(texts.items()) for text in pair),
    ]
    common = hashlib.sha256("\0".join(parts).encode())
    found = {}
    for arch in architectures:
        own = common.copy()
        own.update(arch.encode())
        found[arch] = own.hexdigest()[:24]
    return found


@cache
def kept() -> dict[str, Report]:
    """Every report that is kept, by its digest."""
    return {digest: Report(*numbers) for digest, numbers in json.loads(KEPT.read_text(encoding="utf-8")).items()}


def write(reports: dict[str, Report]) -> None:
    """A line for each."""
    lines = (f'"{digest}": {json.dumps(astuple(report))}' for digest, report in sorted(reports.items()))
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def known_and_said(
    sources: CudaSources, kernel: CudaKernel, architectures: Sequence[str], compiler: str, log: Log
) -> tuple[dict[str, str], dict[str, Report], dict[str, Report]]:
    """By architecture: digests; reports that are kept; of the others and of some of these, what the compiler says."""
    named = digests(sources, kernel, architectures, compiler)
    known = {arch: kept()[digest] for arch, digest in named.items() if digest in kept()}
    asked = [arch for arch in architectures if arch not in known or named[arch].startswith(ASKED_AGAIN)]
    said = read(log(kernel, asked), kernel.symbol) if asked else {}
    assert sorted(said) == sorted(asked)
    return named, known, said


def reports_of(
    sources: CudaSources, kernel: CudaKernel, architectures: Sequence[str], compiler: str, log: Log
) -> dict[str, Report]:
    """By architecture, what is kept or said; what is both has to be the same."""
    _, known, said = known_and_said(sources, kernel, architectures, compiler, log)
    for arch in set(said) & set(known):
        assert said[arch] == known[arch], f"{kernel.symbol} for {arch}: python tests/refresh_reports.py"
    return {**known, **said}
