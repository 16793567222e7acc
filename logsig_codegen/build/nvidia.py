"""NVIDIA's compilers: NVRTC, a library that comes with NVIDIA's and torch's Python packages, and nvcc.

NVRTC compiles a kernel for the current device at its first use; nvcc, where it is installed, compiles ahead of time for
several architectures at once.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen.build.cache.failures import check
from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.build.processes import Crew, run
from logsig_codegen.errors import CompilerError, CompilerNotFoundError, shown
from logsig_codegen.stages import stage

if TYPE_CHECKING:
    from logsig_codegen.emit.cuda.sources import CudaKernel
    from logsig_codegen.emit.unit import SourceUnit

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
"""The architectures that are compiled for ahead of time by default."""
MISSING = (
    "install NVIDIA's packages with: pip install 'logsig-codegen[cuda]', or put nvcc on PATH, or name a folder written "
    "by logsig-gen --target cuda in $LOGSIG_CODEGEN_PATH or load(..., artifacts=...)"
)
_ARCHITECTURE = re.compile(r"sm_[1-9][0-9]{1,2}[af]?\Z")


@dataclass(frozen=True)
class CudaCompiler:
    """A compiler for GPUs.

    Attributes
    ----------
    name : str
        ``"nvrtc"`` or ``"nvcc"``.
    version : str
    path : str
        Of nvcc; empty for the library.
    """

    name: str
    version: str
    path: str = ""

    def identity(self) -> list[str]:
        """Identifies the compiler in cache keys."""
        return [self.name, self.version, self.path]


def check_architectures(names: Sequence[str], *, some: bool = True) -> tuple[str, ...]:
    """Return architectures such as ``"sm_90"``, each once; with ``some`` there has to be one.

    Raises
    ------
    TypeError, ValueError
        If one cannot be the name of an architecture.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"architectures: expected a sequence of strings, got {type(names).__name__} {shown(names)}")
    for name in names:
        if not isinstance(name, str) or not _ARCHITECTURE.match(name):
            raise ValueError(f"architectures: expected names such as 'sm_90', got {shown(name)}")
    if some and not names:
        raise ValueError("architectures: expected at least one, such as 'sm_90', got none")
    return tuple(dict.fromkeys(names))


def number_of(arch: str) -> int:
    """90 for ``"sm_90"``."""
    return int(re.sub(r"\D", "", arch))


def find_cuda_compiler() -> CudaCompiler:
    """NVRTC if its package is there, else nvcc.

    Raises
    ------
    CompilerNotFoundError
        With what to install.
    """
    return _first_of(find_nvrtc, find_nvcc)


def find_cuda_compiler_ahead() -> CudaCompiler:
    """nvcc if there is one, else NVRTC: for several architectures at once.

    Raises
    ------
    CompilerNotFoundError
        With what to install.
    """
    return _first_of(find_nvcc, find_nvrtc)


def _first_of(*finders: Callable[[], CudaCompiler]) -> CudaCompiler:
    reasons = []
    for find in finders:
        try:
            return find()
        except CompilerNotFoundError as error:
            reasons.append(str(error))
    raise CompilerNotFoundError(f"No compiler for the GPU: {'; '.join(reasons)}: {MISSING}")


def find_nvrtc() -> CudaCompiler:
    """NVRTC, through NVIDIA's Python package; it finds the library in the wheels of NVIDIA and torch.

    Raises
    ------
    CompilerNotFoundError
        If the package or the library is missing.
    """
    try:
        from cuda.bindings import nvrtc

        status, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError, OSError) as error:
        raise CompilerNotFoundError(f"NVRTC cannot be used ({_first_line(error)})") from error
    _check(nvrtc, status, "nvrtcVersion")
    return CudaCompiler("nvrtc", f"{major}.{minor}")


def find_nvcc() -> CudaCompiler:
    """The nvcc of ``$NVCC``, or on ``$PATH``, or below ``$CUDA_HOME``, or where the toolkit is usually installed.

    Raises
    ------
    CompilerNotFoundError
        If there is none.
    """
    chosen = os.environ.get("NVCC", "").strip()
    homes = (os.environ.get("CUDA_HOME", ""), os.environ.get("CUDA_PATH", ""), "/usr/local/cuda")
    places = [chosen] if chosen else ["nvcc", *(os.path.join(home, "bin", "nvcc") for home in homes if home)]
    for place in places:
        program = shutil.which(place)
        if program is not None:
            done = run((os.path.abspath(program), "--version"), Path(tempfile.gettempdir()), limit=60.0)
            release = re.search(r"release ([0-9.]+)", done.stdout)
            return CudaCompiler("nvcc", release[1] if release else "unknown", os.path.realpath(program))
    where = f"$NVCC is {chosen!r}, which is not an executable file" if chosen else "there is no nvcc"
    raise CompilerNotFoundError(where)


def nvcc_if_any() -> CudaCompiler | None:
    """nvcc, or ``None``."""
    try:
        return find_nvcc()
    except CompilerNotFoundError:
        return None


@stage("compile CUDA")
def compile_kernel(compiler: CudaCompiler, units: Sequence[SourceUnit], kernel: CudaKernel, arch: str) -> bytes:
    """The binary of one kernel for one architecture by NVRTC; PTX if NVRTC does not know the architecture.

    Raises
    ------
    CompilerError
        With the options and what the compiler printed.
    """
    assert compiler.name == "nvrtc"
    return _nvrtc_compile(units, kernel, arch)


@stage("compile CUDA")
def compile_ahead(
    compiler: CudaCompiler,
    folder: Path,
    kernels: Sequence[CudaKernel],
    architectures: Sequence[str],
    *,
    names: dict[str, str],
    jobs: int | None = None,
) -> None:
    """Compile kernels whose sources lie in ``folder`` with nvcc, into files named by ``names[symbol]``.

    Raises
    ------
    CompilerError
        With the command and what the compiler printed.
    """
    from logsig_codegen.emit.unit import CUDA_FLAGS

    targets = [f"-gencode=arch={arch.replace('sm_', 'compute_')},code={arch}" for arch in architectures]
    virtual = architectures[-1].replace("sm_", "compute_")
    targets.append(f"-gencode=arch={virtual},code={virtual}")  # for later architectures
    commands = [
        (
            compiler.path,
            *CUDA_FLAGS,
            "-fatbin",
            *targets,
            f"-D{kernel.definition}",
            kernel.source,
            "-o",
            names[kernel.symbol],
        )
        for kernel in kernels
    ]
    workers = max(1, jobs or usable_processors())
    with ThreadPoolExecutor(max_workers=workers) as pool, Crew() as crew:
        for kernel, done in zip(kernels, pool.map(lambda command: crew.run(command, folder), commands), strict=True):
            check(done, "nvcc", folder, output=names[kernel.symbol], source=kernel.source)


def _nvrtc_compile(units: Sequence[SourceUnit], kernel: CudaKernel, arch: str) -> bytes:
    from cuda.bindings import nvrtc

    from logsig_codegen.emit.unit import CUDA_FLAGS

    texts = {unit.name: unit.text for unit in units}
    headers = [unit for unit in units if unit.language == "header"]
    status, supported = _supported(nvrtc)
    _check(nvrtc, status, "nvrtcGetSupportedArchs")
    number = number_of(arch)
    known = number in supported
    target = f"sm_{number}" if known else f"compute_{max((a for a in supported if a <= number), default=number)}"
    options = [*CUDA_FLAGS, f"--gpu-architecture={target}", f"-D{kernel.definition}"]
    status, program = nvrtc.nvrtcCreateProgram(
        texts[kernel.source].encode(),
        kernel.source.encode(),
        len(headers),
        [unit.text.encode() for unit in headers],
        [unit.name.encode() for unit in headers],
    )
    _check(nvrtc, status, "nvrtcCreateProgram")
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if int(status) != 0:
            log = _nvrtc_text(nvrtc, program, "ProgramLog").decode(errors="replace").strip("\0\n ")
            command = ("nvrtc", *options, kernel.source)
            raise CompilerError(
                f"NVRTC failed ({_error_text(nvrtc, status)}).\noptions: {shlex.join(options)}\n{log}",
                command=command,
                stderr=log,
            )
        return _nvrtc_text(nvrtc, program, "CUBIN" if known else "PTX")
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _supported(nvrtc: Any) -> tuple[Any, list[int]]:
    status, count = nvrtc.nvrtcGetNumSupportedArchs()
    if int(status) != 0:
        return status, []
    status, supported = nvrtc.nvrtcGetSupportedArchs()
    return status, [int(number) for number in supported[:count]]


def _nvrtc_text(nvrtc: Any, program: Any, what: str) -> bytes:
    status, size = getattr(nvrtc, f"nvrtcGet{what}Size")(program)
    _check(nvrtc, status, f"nvrtcGet{what}Size")
    text: bytes = b" " * size
    (status,) = getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    _check(nvrtc, status, f"nvrtcGet{what}")
    return text


def _error_text(nvrtc: Any, status: Any) -> str:
    _, text = nvrtc.nvrtcGetErrorString(status)
    return text.decode() if isinstance(text, bytes) else str(text)


def _check(nvrtc: Any, status: Any, call: str) -> None:
    if int(status) != 0:
        raise CompilerError(f"{call}: {_error_text(nvrtc, status)}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
