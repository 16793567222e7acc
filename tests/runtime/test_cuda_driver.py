"""From a call to the driver: NVRTC, cache, modules, launches; bindings are the real ones, the driver has no device."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from golden import ROOT
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen.build import cache, nvidia
from logsig_codegen.build.artifact import read_artifact
from logsig_codegen.build.launcher import copy_launcher
from logsig_codegen.build.nvidia import compile_kernel, find_cuda_compiler, find_nvcc, find_nvrtc
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import cuda_sources
from logsig_codegen.runtime.cuda.driver import NoKernelError
from logsig_codegen.runtime.cuda.programs import CudaPrograms
from logsig_codegen.targets import CUDA, C
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import make_request

bindings = pytest.importorskip("cuda.bindings.nvrtc", reason="NVIDIA's Python packages are not installed")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1 that has no device."""
    folder = tmp_path_factory.mktemp("stub")
    source = ROOT / "tests" / "emulation" / "cuda_stub.c"
    command = ["cc", "-shared", "-fPIC", "-w", str(source), "-o", str(folder / "libcuda.so.1"), "-ldl"]
    subprocess.run(command, check=True)
    return folder


def environment(stub: Path) -> dict[str, str | None]:
    return {"LD_LIBRARY_PATH": str(stub), "LOGSIG_STUB": str(stub / "libcuda.so.1")}


LAUNCH = """
import logsig_codegen as lg
from logsig_codegen.runtime.loader import obtain
launcher = obtain(2, 3).cuda.launcher("join", "float32", 0)
for batch in (1, 1000, 32 * 4 * 1000, 0):
    launcher(batch, [11, 12, 13, 14, 15, 16], 0xABC)
try:
    launcher(32 * 4 * 7777, [11, 12, 13, 14, 15, 16], 0)
except lg.CudaError as error:
    print(error)
try:
    obtain(2, 3).cuda.launcher("join", "float32", 7)
except lg.CudaError as error:
    print(error)
"""


def test_launches(stub: Path, run_python: RunPython) -> None:
    CudaPrograms(lg.Problem(2, 3)).prepare("join", "float32", "sm_90")  # this process has no driver, and needs none
    (kernel,) = (
        k for k in cuda_sources(compile_problem(lg.Problem(2, 3)), ("float32",)).kernels if k.operation == "join"
    )
    done = run_python(LAUNCH, env=environment(stub))
    shape = kernel.shape
    assert done.stderr.splitlines() == [
        f"shared {kernel.symbol} {shape.warps * shape.warp_bytes}",
        *(
            f"launch {kernel.symbol} grid {grid},1,1 block {32 * warps},1,1 shared {warps * shape.warp_bytes} "
            f"stream {stream} arguments 11 12 13 14 15 16 {batch}"
            for batch, grid, warps, stream in (
                (1, 1, 1, "0xabc"),
                (1000, 32, 1, "0xabc"),
                (128_000, 1000, 4, "0xabc"),
                (32 * 4 * 7777, 7777, 4, "(nil)"),
            )
        ),
    ]
    assert done.stdout.splitlines() == [
        "cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
        "cuDeviceGet: CUDA_ERROR_INVALID_DEVICE: invalid device ordinal",
    ]


def test_without_a_driver(run_python: RunPython) -> None:
    code = """
    import logsig_codegen as lg
    from logsig_codegen.runtime.loader import obtain
    try:
        obtain(2, 3).cuda.launcher("join", "float32", 0)
    except lg.CudaError as error:
        print(error)
    """
    if os.path.exists("/dev/nvidiactl"):
        pytest.skip("there is a driver")
    assert "the CUDA driver cannot be loaded" in run_python(code).stdout


def test_without_nvidias_package(run_python: RunPython) -> None:
    code = """
    import sys
    sys.modules["cuda"] = None
    import logsig_codegen as lg
    from logsig_codegen.runtime.loader import obtain
    try:
        obtain(2, 3).cuda.prepare("join", "float32", "sm_86")
    except lg.LogSigError as error:
        print(type(error).__name__, error)
    """
    output = run_python(code, env={"NVCC": "/nowhere/nvcc"}).stdout
    assert output.startswith("CompilerNotFoundError No compiler for the GPU: NVRTC cannot be used")
    assert "pip install 'logsig-codegen[cuda]'" in output
    assert "'/nowhere/nvcc'" in output


def test_kernels_that_are_there_need_no_package_of_nvidias(stub: Path, run_python: RunPython) -> None:
    CudaPrograms(lg.Problem(2, 3)).prepare("join", "float32", "sm_90")
    code = """
    import sys
    sys.modules["cuda"] = None
    from logsig_codegen.runtime.loader import obtain
    obtain(2, 3).cuda.launcher("join", "float32", 0)(1, [11, 12, 13, 14, 15, 16], 0)
    """
    done = run_python(code, env={**environment(stub), "NVCC": "/nowhere/nvcc"})
    assert "launch logsig_d2_n3_join_f32 grid 1,1,1" in done.stderr


def test_without_a_c_compiler(tmp_path: Path, stub: Path, run_python: RunPython) -> None:
    """The launcher comes from a folder that has it, or the message says what to do."""
    code = """
    import logsig_codegen as lg
    from logsig_codegen.runtime.cuda.driver import library
    try:
        print(library(FOLDERS))
    except lg.CompilerNotFoundError as error:
        print(error)
    """
    nowhere = {**environment(stub), "CC": "/nowhere/cc", "LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache")}
    refused = run_python(code.replace("FOLDERS", ""), env=nowhere).stdout
    assert refused.startswith("Kernels for GPUs are started by a small C library. $CC is '/nowhere/cc'")
    assert "copy the folder it writes here" in refused
    (name,) = copy_launcher(tmp_path)
    found = run_python(code.replace("FOLDERS", repr([str(tmp_path)])), env=nowhere).stdout
    assert name in found


def test_the_cache_tells_architectures_and_compilers_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path))  # nobody else's entries are counted
    problem = lg.Problem(2, 2)
    programs = CudaPrograms(problem)
    programs.prepare("join", "float64", "sm_90")
    before = cache.entries()
    programs.prepare("join", "float64", "sm_90")
    assert cache.entries() == before
    programs.prepare("join", "float64", "sm_80")
    assert len(cache.entries()) == len(before) + 1
    version = find_nvrtc()
    keys = {
        make_request(CUDA, BuildSpec(problem, ("join",), (dtype,), architectures=(arch,)), compiler).key
        for dtype in ("float32", "float64")
        for arch in ("sm_80", "sm_90")
        for compiler in (version, nvidia.CudaCompiler("nvcc", "13.0"))
    }
    assert len(keys) == 8


def test_nvrtc_says_what_is_wrong() -> None:
    (unit, *_), (kernel, *_) = (
        getattr(cuda_sources(compile_problem(lg.Problem(2, 2))), part) for part in ("units", "kernels")
    )
    broken = type(unit)(kernel.source, "this is no program", "cuda")
    with pytest.raises(lg.CompilerError, match=r"(?s)NVRTC failed.*--gpu-architecture=sm_90.*error"):
        compile_kernel(find_nvrtc(), (broken,), kernel, "sm_90")


def test_ptx_for_a_device_that_nvrtc_does_not_know() -> None:
    sources = cuda_sources(compile_problem(lg.Problem(2, 2)), ("float32",))
    assert compile_kernel(find_nvrtc(), sources.units, sources.kernels[0], "sm_90")[:4] == b"\x7fELF"
    assert b".target sm_" in compile_kernel(find_nvrtc(), sources.units, sources.kernels[0], "sm_999")


def test_nvrtc_comes_before_nvcc(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_cuda_compiler().name == "nvrtc"
    monkeypatch.setenv("NVCC", "/nowhere/nvcc")
    with pytest.raises(lg.CompilerNotFoundError, match="/nowhere/nvcc"):
        find_nvcc()


@pytest.mark.parametrize("names", [(), ("sm90",), ("compute_90",), ("sm_90; rm",)])
def test_names_that_are_no_architectures(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="architectures: expected"):
        nvidia.check_architectures(names)


def test_a_folder_written_ahead(tmp_path: Path, stub: Path, run_python: RunPython) -> None:
    if nvidia.nvcc_if_any() is None:
        pytest.skip("no nvcc")
    wanted = {"operations": ("join",), "dtypes": ("float32",), "architectures": ("sm_90",)}
    folder = lg.generate(2, 2, tmp_path, targets=("cuda",), **wanted)  # type: ignore[arg-type]
    assert folder.path == tmp_path / "d2_n2_cuda"
    assert folder.manifest["architectures"] == ["sm_90"]
    artifact = read_artifact(folder.path)
    CUDA.check(artifact, lg.Problem(2, 2))
    with pytest.raises(lg.ArtifactError, match="holds the target 'cuda', not 'c'"):
        C.check(artifact, lg.Problem(2, 2))
    with pytest.raises(lg.ArtifactError, match=r"not for \(dimension=2, degree=3\)"):
        CUDA.check(artifact, lg.Problem(2, 3))
    binary = folder.path / folder.manifest["kernels"][0]["binary"]
    binary.write_bytes(binary.read_bytes()[:-1])
    with pytest.raises(lg.ArtifactError, match="is damaged"):
        CUDA.check(artifact, lg.Problem(2, 2))


def test_sources_alone(tmp_path: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, targets=("cuda",), emit_only=True)
    assert folder.manifest["compiler"] is None
    with pytest.raises(lg.ArtifactError, match="holds source text only"):
        CUDA.check(read_artifact(folder.path), lg.Problem(2, 2))


def test_what_has_no_kernel_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = CudaPrograms(lg.Problem(2, 2))
    asked: list[str] = []

    def refuse(error: Exception) -> None:
        def binary(operation: str, dtype: str, arch: str, group: str | None) -> None:
            asked.append(operation)
            raise error

        monkeypatch.setattr(programs, "binary", binary)

    monkeypatch.setattr("logsig_codegen.runtime.cuda.programs.device", lambda _: SimpleNamespace(arch="sm_90"))
    monkeypatch.setattr("logsig_codegen.runtime.cuda.programs.library", lambda *_: None)

    def refused(error: type[Exception], times: int) -> None:
        for _ in range(times):
            with pytest.raises(error):
                programs.launcher("stream", "float32", 0)

    refuse(lg.CudaError("the driver is beyond use"))
    refused(lg.CudaError, 1)
    refuse(lg.CompilerNotFoundError("no compiler"))
    refused(lg.CompilerNotFoundError, 2)  # there may be one later
    refuse(NoKernelError("too large"))
    refused(NoKernelError, 3)
    assert len(asked) == 4
    loaded = object()
    monkeypatch.setattr(programs, "binary", lambda *_: (b"", {}))
    monkeypatch.setattr(programs._loaded, "add", lambda *_: loaded)
    assert programs.launcher("stream", "float64", 0) is loaded
