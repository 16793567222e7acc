"""Generated C: accepted without a warning by every compiler here for every kind of processor, and right."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from exact import TOLERANCE, case, error
from native import COMPILERS, STRICT, Native, build, write_sources

from logsig_codegen import compiler
from logsig_codegen.build.cpu import missing_features, required_features
from logsig_codegen.build.toolchain import FLAGS, OPENMP, describe, find_compiler
from logsig_codegen.compiler import CompiledProblem, compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.problem import Problem

MARCHES = ("native", "x86-64-v3", "x86-64") if platform.machine() == "x86_64" else ("native",)


def test_there_is_a_compiler() -> None:
    """The tests below run for the compilers found: none of them would run without one."""
    assert {"cc", "gcc"} & set(COMPILERS)
    for name in ("gcc", "clang"):
        path = shutil.which(name)
        assert path is None or os.path.realpath(path) in {os.path.realpath(str(shutil.which(c))) for c in COMPILERS}


def problem_in_form(monkeypatch: pytest.MonkeyPatch, dimension: int, degree: int, form: str) -> CompiledProblem:
    if form == "tables":
        monkeypatch.setattr(compiler, "UNROLLED_OPERATIONS", -1)
    compiled = compile_problem(Problem(dimension, degree))
    assert {kernel.form for kernel in compiled.kernels} == {form}
    return compiled


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize(
    ("march", "dimension", "degree", "form"),
    [
        *((march, 2, 5, "unrolled") for march in MARCHES),
        *((march, 2, 4, "tables") for march in MARCHES),
        *(("native", 1, 1, "unrolled"), ("native", 3, 4, "unrolled")),
    ],
)
def test_no_warnings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, march: str, dimension: int, degree: int, form: str
) -> None:
    """With the flags the package uses. Whether this machine can run the result does not matter."""
    units = c_sources(problem_in_form(monkeypatch, dimension, degree, form))
    write_sources(tmp_path, units)
    flags = [*(flag.text for flag in FLAGS), OPENMP.text, f"-march={march}", *STRICT]
    commands = [
        [name, *flags, *(f"-D{definition}" for definition in variant), "-c", unit.name, "-o", os.devnull]
        for unit in units
        if unit.language == "c"
        for variant in unit.variants
    ]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(
            lambda command: subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False), commands
        )
        for command, result in zip(commands, results, strict=True):
            assert (result.returncode, result.stderr) == (0, ""), " ".join(command)


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_public_header_stands_alone(tmp_path: Path, name: str, language: str) -> None:
    """Strict ISO C and C++, nothing included before it, twice."""
    units = {unit.name: unit for unit in c_sources(compile_problem(Problem(5, 3)))}
    write_sources(tmp_path, [units["logsig_d5_n3.h"]])
    include = '#include "logsig_d5_n3.h"\n'
    (tmp_path / "user").write_text(
        f"{include}{include}int size(void);\nint size(void) {{ return LOGSIG_D5_N3_SIZE; }}\n"
    )
    standard = "-std=c++11" if language == "c++" else "-std=c11"
    command = [name, "-x", language, standard, "-pedantic", *STRICT[:3], "-fsyntax-only", "user"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def check_against_exact(native: Native) -> None:
    """Join and gradient of both number types at rows whose exact results are known."""
    exact = case(native.problem.dimension, native.problem.degree)
    rows = len(exact.out)
    for dtype, tolerance in TOLERANCE.items():
        d_out, log_sig, displacement = (
            array[:rows].astype(dtype) for array in (exact.d_out, exact.log_sig, exact.displacement)
        )
        assert error(native.join(log_sig, displacement), exact.out, native.problem) <= tolerance
        d_log_sig, d_displacement = native.join_backprop(d_out, log_sig, displacement)
        assert error(d_log_sig, exact.d_log_sig, native.problem) <= tolerance
        assert error(d_displacement, exact.d_displacement, native.problem) <= tolerance


def check_rows_alone(native: Native, batch: int) -> None:
    """The same bits for a row in a batch and for the row alone."""
    exact = case(native.problem.dimension, native.problem.degree)
    for dtype in TOLERANCE:
        d_out, log_sig, displacement = (
            array[:batch].astype(dtype) for array in (exact.d_out, exact.log_sig, exact.displacement)
        )
        joined = native.join(log_sig, displacement)
        gradients = native.join_backprop(d_out, log_sig, displacement)
        for b in range(batch):
            row = slice(b, b + 1)
            np.testing.assert_array_equal(joined[row], native.join(log_sig[row], displacement[row]))
            alone = native.join_backprop(d_out[row], log_sig[row], displacement[row])
            np.testing.assert_array_equal(gradients[0][row], alone[0])
            np.testing.assert_array_equal(gradients[1][row], alone[1])


def runs_here(march: str) -> bool:
    """Whether this processor has what the compiler may use for ``march``."""
    return not missing_features(describe(find_compiler(), march).features)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 4), (3, 5), (5, 3)])
def test_tables_and_straight_lines_agree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dimension: int, degree: int
) -> None:
    results = {}
    exact = case(dimension, degree)
    for form in ("unrolled", "tables"):
        folder = tmp_path / form
        folder.mkdir()
        native = build(folder, problem_in_form(monkeypatch, dimension, degree, form))
        check_against_exact(native)
        check_rows_alone(native, 21)
        results[form] = (
            native.join(exact.log_sig, exact.displacement),
            *native.join_backprop(exact.d_out, exact.log_sig, exact.displacement),
        )
    for unrolled, tables in zip(results["unrolled"], results["tables"], strict=True):
        np.testing.assert_allclose(tables, unrolled, rtol=1e-12, atol=1e-13 * np.abs(unrolled).max())


@pytest.mark.parametrize("march", MARCHES)
def test_table_driven_kernels_on_every_kind_of_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, march: str
) -> None:
    if not runs_here(march):
        pytest.skip(f"this processor lacks {missing_features(describe(find_compiler(), march).features)}")
    native = build(tmp_path, problem_in_form(monkeypatch, 3, 4, "tables"), march=march)
    check_against_exact(native)
    check_rows_alone(native, 33)


@pytest.mark.parametrize("vector_bytes", [8, 16, 32])
def test_narrower_vectors_and_no_vectors(tmp_path: Path, vector_bytes: int) -> None:
    """The same sources with vectors of one number (two for floats), sixteen and thirty-two bytes."""
    definitions = (f"LOGSIG_MAX_VECTOR_BYTES={vector_bytes}",)
    native = build(tmp_path, compile_problem(Problem(2, 5)), definitions=definitions)
    check_against_exact(native)
    check_rows_alone(native, 37)


def test_features_of_a_march_are_known() -> None:
    """What decides whether a test runs: the baseline needs nothing, and a newer processor more."""
    assert required_features("#define __AVX2__ 1\n#define __FMA__ 1\n") == ("avx2", "fma")
    if platform.machine() == "x86_64":
        assert runs_here("x86-64")
        assert "avx2" in describe(find_compiler(), "x86-64-v3").features
