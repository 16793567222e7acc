"""Generated CUDA text compiled by the host's compiler: device functions called alone, kernels on an emulated grid."""

from __future__ import annotations

import atexit
import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import ROOT
from native import write_sources
from shared import digest, once

from logsig_codegen.build.launcher import compile_launcher
from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.cuda.sources import CudaKernel, CudaSources, cuda_sources
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.runtime.cuda import calls, driver
from logsig_codegen.runtime.cuda._launcher_abi import ffi
from logsig_codegen.runtime.cuda.driver import NoKernelError
from logsig_codegen.runtime.cuda.programs import CudaPrograms
from logsig_codegen.runtime.loaded_kernel import LoadedKernel

Array = np.ndarray[Any, np.dtype[Any]]
HEADERS = ROOT / "tests" / "emulation"
NUMPY = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
CXX = next((name for name in ("g++", "clang++", "c++") if shutil.which(name)), "g++")
FLAGS = ("-std=c++17", "-fPIC", "-shared", "-ffp-contract=off", "-mfma", "-fno-math-errno", "-w", "-U_FORTIFY_SOURCE")
"""Fortified jumps between stacks end the program."""


def compile_text(folder: Path, name: str, text: str, definitions: Sequence[str]) -> ctypes.CDLL:
    """Compile C++ that lies among generated headers in ``folder``; the same text is compiled once in a run."""
    macros = ["-O0", *(f"-D{definition}" for definition in definitions)]  # more takes longer than it saves
    command = [CXX, *FLAGS, *macros, f"-I{folder}", f"-I{HEADERS}"]

    def compile_into(target: Path) -> None:
        source = target / f"{name}.cpp"
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [*command, str(source), "-o", str(target / f"{name}.so")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[:4000]

    key = digest((CXX, *FLAGS, *macros), text, (folder, HEADERS))
    return ctypes.CDLL(str(once(f"emulated/{key}", compile_into) / f"{name}.so"))


@dataclass
class EmulatedKernel:
    """One kernel on the host."""

    kernel: CudaKernel
    library: ctypes.CDLL
    """With ``emulate``, which takes the kernel's parameters, and ``launch``, which takes their addresses."""

    def __call__(self, arguments: Sequence[Array | int | None], *, warps: int = 1, blocks: int = 1) -> None:
        """Run a grid of ``blocks`` blocks of up to ``warps`` warps; arrays are passed by address."""
        together = self.kernel.form == "block"
        warps = self.kernel.shape.warps if together else min(warps, self.kernel.shape.warps)
        shared = self.kernel.shape.warp_bytes * (1 if together else warps)
        values: list[Any] = [ctypes.c_uint(blocks), ctypes.c_uint(32 * warps), ctypes.c_size_t(shared)]
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                values.append(ctypes.c_void_p(argument.ctypes.data))
            else:
                values.append(ctypes.c_void_p(None) if argument is None else ctypes.c_longlong(argument))
        status = self.library.emulate(*values)
        assert status == 0, {1: "more shared memory than there is", 2: "wrote beyond its shared memory"}[status]


class Emulation:
    """The kernels of a problem, compiled when they are first used."""

    def __init__(self, folder: Path, compiled: CompiledProblem) -> None:
        self.folder = folder
        self.problem = compiled.problem
        self.sources: CudaSources = cuda_sources(compiled)
        write_sources(folder, self.sources.units)
        self.compiled: dict[tuple[str, str], EmulatedKernel] = {}

    def kernel(self, operation: str, dtype: str) -> EmulatedKernel:
        """A kernel of one operation and number type."""
        found = self.compiled.get((operation, dtype))
        if found is None:
            (kernel,) = (k for k in self.sources.kernels if (k.operation, k.dtype) == (operation, dtype))
            unit = self.unit(kernel.source)
            match = re.search(r"\n    ENTRY\(([^{]*)\)\n\{", unit.text)
            assert match
            parameters = " ".join(match[1].split())
            names = ", ".join(re.findall(r"(\w+)(?:,|$)", parameters))
            types = [re.sub(r"\w+$", "", one).strip() for one in parameters.split(",")]
            values = ", ".join(f"*({one} *)addresses[{k}]" for k, one in enumerate(types))
            text = (
                f'#include "{kernel.source}"\n'
                f'extern "C" int emulate(unsigned grid, unsigned block, size_t shared, {parameters})\n'
                f"{{ return logsig_emulate(grid, block, shared, [&] {{ ENTRY({names}); }}); }}\n"
                f'extern "C" int launch(unsigned grid, unsigned block, size_t shared, void **addresses)\n'
                f"{{ return logsig_emulate(grid, block, shared, [&] {{ ENTRY({values}); }}); }}\n"
            )
            definitions = (kernel.definition, "LOGSIG_EMULATION")
            library = compile_text(self.folder, f"{operation}_{dtype}", text, definitions)
            found = self.compiled[operation, dtype] = EmulatedKernel(kernel, library)
        return found

    def unit(self, name: str) -> SourceUnit:
        """A source file."""
        return next(unit for unit in self.sources.units if unit.name == name)


@lru_cache(maxsize=1)
def launcher_on_host() -> Any:
    """The launcher, with a driver whose devices are emulated grids."""
    folder = Path(tempfile.mkdtemp(prefix="logsig-emulated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "libcuda.so"
    command = [CXX, "-shared", "-fPIC", "-w", "-xc", str(HEADERS / "cuda_on_host.c"), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    compile_launcher(folder / "launcher.so", (f'LOGSIG_CUDA_DRIVER="{library}"',))
    return ffi.dlopen(str(folder / "launcher.so"))


class EmulatedPrograms(CudaPrograms):
    """Kernels of one problem that run on the host.

    Attributes
    ----------
    refused : set of str
        Operations that are to have no kernel.
    """

    def __init__(self, emulation: Emulation) -> None:
        super().__init__(emulation.problem)
        self.emulation = emulation
        self.refused: set[str] = set()

    def binary(self, operation: str, dtype: str, arch: str, group: str | None = None) -> tuple[bytes, dict[str, Any]]:
        """The path of a library, which the emulated driver loads."""
        known = {kernel.operation for kernel in self.emulation.sources.kernels}
        if operation in self.refused or operation not in known:
            raise NoKernelError(f"{operation}: too large")
        emulated = self.emulation.kernel(operation, dtype)
        return emulated.library._name.encode(), emulated.kernel.data()


def emulate_launches(emulation: Emulation, monkeypatch: pytest.MonkeyPatch) -> EmulatedPrograms:
    """Let the GPU's side of the run time start kernels on the emulated grid, on tensors in host memory."""
    programs = EmulatedPrograms(emulation)
    monkeypatch.setattr(driver, "_library", launcher_on_host())
    monkeypatch.setattr(LoadedKernel, "cuda", property(lambda self: programs))
    monkeypatch.setattr("logsig_codegen.runtime.cuda.programs.device", lambda _: driver.Device("sm_90", 2))
    monkeypatch.setattr(calls, "ordinal_of", lambda _: 0)
    monkeypatch.setattr(calls, "stream_of", lambda _: 0x5740)
    return programs
