"""Generated C under sanitizers, in guarded memory, and where allocations fail; native_calls.py says what is trusted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from faults.native_calls import AS_BUILT, LEAST, NATIVE, SANITIZERS, SHORT, build, run
from golden import ROOT

from logsig_codegen.build.launcher import sources
from logsig_codegen.problem import Problem

SMALL = Problem(2, 2)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small problem with low limits, for the quick tests."""
    flags = ("-O0", "-std=gnu11", "-fopenmp", "-DLOGSIG_MAX_VECTOR_BYTES=32", *SHORT)
    return build(tmp_path_factory.mktemp("guarded"), SMALL, flags, LEAST)


def test_calls_touch_nothing_but_their_arrays(guarded: Path) -> None:
    assert run(guarded, 10_000, 1).calls >= 10_000


def test_a_refused_allocation_is_an_error_and_no_leak(guarded: Path) -> None:
    done = run(guarded, 10_000, 2, refuse=True)
    assert done.refused > 500


@pytest.mark.long
@pytest.mark.slow
def test_every_function_under_sanitizers(tmp_path: Path) -> None:
    program = build(tmp_path, Problem(2, 3), (*SANITIZERS, "-fopenmp", *NATIVE, *SHORT))
    assert run(program, 30_000, 3).calls >= 30_000
    assert run(program, 30_000, 4, refuse=True).refused > 1000


@pytest.mark.long
@pytest.mark.slow
def test_threads_of_the_generated_code_under_sanitizers(tmp_path: Path) -> None:
    """Where there is no OpenMP; one function starts them for all others, so that a part of these is enough."""
    program = build(tmp_path, Problem(2, 3), (*SANITIZERS, "-pthread", *NATIVE, *SHORT), LEAST)
    assert run(program, 15_000, 3).calls >= 15_000
    assert run(program, 15_000, 4, refuse=True).refused > 1000


@pytest.mark.long
@pytest.mark.slow
def test_every_function_as_it_is_built_for_users(tmp_path: Path) -> None:
    program = build(tmp_path, Problem(2, 3), (*AS_BUILT, *NATIVE))
    assert run(program, 1_000_000, 5).calls >= 1_000_000


def test_the_launcher_gives_back_what_it_has(tmp_path: Path) -> None:
    """With a driver that has devices and refuses what is wrong."""
    for name, text in sources().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    stub = tmp_path / "libcuda.so"
    emulation = ROOT / "tests" / "emulation"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-w", str(emulation / "cuda_stub.c"), "-o", str(stub), "-ldl"], check=True
    )
    definitions = [f'-DLOGSIG_CUDA_DRIVER="{stub}"', "-fsanitize=address,undefined", "-g", "-I."]
    program = [str(Path(__file__).with_name("launcher.c")), "-o", "launcher", "-ldl", "-lpthread"]
    subprocess.run(["cc", *definitions, *program], cwd=tmp_path, check=True)
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}  # the stub's own names of functions
    done = subprocess.run([str(tmp_path / "launcher")], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
