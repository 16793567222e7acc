"""An extension of torch whose kernels for GPUs run on the host, and CUDA tensors in the host's memory: fixtures."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from emulated import CXX, HEADERS, Emulation
from native import unoptimised
from processes import RunPython
from shared import once

import logsig_codegen as lg
from logsig_codegen.build import extension, nvidia
from logsig_codegen.build.artifact import read_artifact
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import CudaSources, Image
from logsig_codegen.emit.view import SUFFIXES
from logsig_codegen.operations import GROUPS, OPERATIONS
from logsig_codegen.problem import Problem
from logsig_codegen.targets import cuda

INTERVALS = {"log_sig_intervals", "log_sig_intervals_backprop"}
_OTHERS = ("stream", "log_sig_by", "windows", *(one.name for one in GROUPS["conversions"]))
NATIVE = {name for name in OPERATIONS if not name.startswith(_OTHERS)} | INTERVALS
"""The operators an extension has: those of the generated kernels that are no options of others, and of intervals."""
OnHost = Callable[..., "CompletedProcess[str]"]


def unoptimised_operators(patched: pytest.MonkeyPatch) -> None:
    """Let the package compile extensions of torch without optimisation: what is in C++ computes nothing."""
    patched.setattr(extension, "_SCRIPT", extension._SCRIPT.replace('"-O2"', '"-O0"'))


@dataclass(frozen=True)
class Built:
    """An extension.

    Attributes
    ----------
    path : Path
    cuda : frozenset of (str, str)
        Operations and number types for which it has a kernel for GPUs: emulated, of compute capability 9.0.
    """

    path: Path
    cuda: frozenset[tuple[str, str]]


def emulated_images(work: Path, problem: Problem) -> Callable[..., Sequence[Image]]:
    """What stands in for ``targets.cuda.compile_images``: the binary of a kernel names a library for the host."""

    def compile_images(folder: Path, sources: CudaSources, *_: Any, **__: Any) -> Sequence[Image]:
        emulation = Emulation(work, compile_problem(problem, groups=tuple(GROUPS)))
        images = []
        for kernel in sources.kernels:
            library = emulation.kernel(kernel.operation, kernel.dtype).library._name
            file = f"{kernel.symbol}.image"
            (folder / file).write_bytes(library.encode() + b"\0")
            images.append(Image(kernel, 90, file))
        return images

    return compile_images


@pytest.fixture(scope="session")
def built(session_cache: Path) -> Built:
    """An extension for dimension 2 and degree 3; g++ and an emulated grid stand in for nvcc and a GPU."""

    def make(out: Path) -> None:
        (out / "emulated").mkdir()
        with pytest.MonkeyPatch.context() as patched:
            unoptimised(patched)
            unoptimised_operators(patched)
            patched.setattr(cuda, "compile_images", emulated_images(out / "emulated", Problem(2, 3)))
            patched.setattr(nvidia, "find_cuda_compiler_ahead", lambda: nvidia.CudaCompiler("nvcc", "0", "none"))
            lg.generate(2, 3, out, targets=("torch",))

    folder = read_artifact(once("torch", make) / "d2_n3")
    library = folder.path / folder.manifest["extension"]["library"]
    assert library.name in folder.manifest["files"]
    kernels = {name for name in folder.manifest["files"] if name.endswith(".image")}
    symbols = {
        f"logsig_d2_n3_{name}_{suffix}.image": (name, dtype)
        for name in OPERATIONS
        for dtype, suffix in SUFFIXES.items()
    }
    return Built(library, frozenset(symbols[name] for name in kernels if name in symbols))


def emulated_kernels(dimension: int, degree: int) -> Path:
    """A folder of folders of kernels for GPUs: that of one problem, emulated."""

    def make(out: Path) -> None:
        (out / "emulated").mkdir()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(cuda, "compile_images", emulated_images(out / "emulated", Problem(dimension, degree)))
            patched.setattr(nvidia, "nvcc_if_any", lambda: nvidia.CudaCompiler("nvcc", "0", "none"))
            lg.generate(dimension, degree, out / "folders", targets=("cuda",), operations=tuple(GROUPS))

    return once(f"cuda_d{dimension}_n{degree}", make) / "folders"


@pytest.fixture(scope="session")
def emulated_folder(session_cache: Path) -> Path:
    """Emulated kernels for GPUs of dimension 3 and degree 2."""
    return emulated_kernels(3, 2)


SHARED = (CXX, "-shared", "-fPIC", "-w")


def compile_driver(folder: Path) -> None:
    """Write ``libcuda.so.1``, which runs kernels on the host."""
    source, target = str(HEADERS / "cuda_on_host.c"), str(folder / "libcuda.so.1")
    subprocess.run([*SHARED, "-xc", source, "-o", target, "-ldl"], check=True)


@pytest.fixture(scope="session")
def host_cuda(session_cache: Path) -> Path:
    """A folder with ``libcuda.so.1``, which runs kernels on the host, and ``cuda_tensors.so``, for torch."""
    from torch.utils import cpp_extension

    def make(folder: Path) -> None:
        compile_driver(folder)
        libraries, *_ = cpp_extension.library_paths()
        includes = [argument for path in cpp_extension.include_paths() for argument in ("-isystem", path)]
        link = [f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-ltorch_cpu", "-lc10"]
        source, target = str(HEADERS / "cuda_tensors.cpp"), str(folder / "cuda_tensors.so")
        subprocess.run([*SHARED, "-std=c++20", "-O0", *includes, source, "-o", target, *link], check=True)

    return once("host_cuda", make)


@pytest.fixture
def on_host(built: Built, host_cuda: Path, run_python: RunPython) -> OnHost:
    """Run Python with CUDA tensors in the host's memory (``up``, ``down``) and the extension's operators (``ops``).

    ``before`` is run between torch and the extension.
    """

    def run(code: str, before: str = "", **environment: str) -> CompletedProcess[str]:
        lines = [
            "import os, sys, torch",
            before,
            f"torch.ops.load_library({str(built.path)!r})",
            "up, down, ops = torch.ops.host.up, torch.ops.host.down, torch.ops.logsig_codegen",
            textwrap.dedent(code),
            "sys.stdout.flush(); sys.stderr.flush(); os._exit(0)  # threads of the autograd engine are still there",
        ]
        preload = {"LD_LIBRARY_PATH": str(host_cuda), "LD_PRELOAD": str(host_cuda / "cuda_tensors.so")}
        return run_python("\n".join(lines), env={**preload, **environment})

    return run
