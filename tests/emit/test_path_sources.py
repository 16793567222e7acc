"""C that goes along paths: accepted without a warning for every kind of processor, and right on each, in both forms."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import peer
import pytest
from native import COMPILERS, STRICT, Native, build, write_sources

from logsig_codegen import compiler
from logsig_codegen.build.cpu import missing_features
from logsig_codegen.build.toolchain import FLAGS, OPENMP, describe, find_compiler
from logsig_codegen.compiler import CompiledProblem, compile_problem
from logsig_codegen.emit.c import DTYPES, c_sources
from logsig_codegen.operations import GROUPS, WHOLE_STEPS
from logsig_codegen.problem import Problem

MARCHES = ("native", "x86-64-v3", "x86-64") if platform.machine() == "x86_64" else ("native",)
QUICK = (("native", "unrolled"), ("native", "tables"), ("x86-64", "unrolled"))
"""Both forms, the widest and the narrowest vectors; ``build`` wants no warnings."""
RNG = np.random.default_rng(8)


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize(
    ("march", "form", "dtypes"),
    [
        ("native", "tables", ("float64",)),
        pytest.param("native", "tables", ("float32",), marks=pytest.mark.slow),
        pytest.param("x86-64", "tables", DTYPES, marks=pytest.mark.slow),
        *(pytest.param(march, "unrolled", DTYPES, marks=pytest.mark.slow) for march in MARCHES),
    ],
)
def test_no_warnings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, march: str, form: str, dtypes: tuple[str, ...]
) -> None:
    if form == "tables":
        monkeypatch.setattr(compiler, "UNROLLED_OPERATIONS", -1)
    units = c_sources(compile_problem(Problem(2, 3), groups=tuple(GROUPS)), dtypes)
    write_sources(tmp_path, units)
    flags = [*(flag.text for flag in FLAGS), OPENMP.text, f"-march={march}", *STRICT]
    if march == "x86-64-v3":
        flags.append("-fsyntax-only")  # what optimisers find they find for wider and narrower vectors
    for unit in units:
        for variant in unit.variants if unit.language == "c" else ():
            command = [name, *flags, *(f"-D{macro}" for macro in variant), "-c", unit.name, "-o", os.devnull]
            result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert (result.returncode, result.stderr) == (0, ""), " ".join(command)


def pointer(array: Any) -> Any:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def size_t(number: int) -> Any:
    return ctypes.c_ssize_t(number)


class Products(ctypes.Structure):
    """The struct ``logsig_products``."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("log_sig", "combine", "combine_backprop")]


def functions(native: Native, state: str, dtype: str) -> tuple[Any, Any, Products]:
    prefix, suffix = f"logsig_{native.problem.name}", {"float64": "f64", "float32": "f32"}[dtype]
    names = [f"log_sig{state}", "log_sig_backprop", "combine", "combine_backprop"]
    found = [getattr(native.library, f"{prefix}_{name}_{suffix}") for name in names]
    members = [ctypes.cast(found[k], ctypes.c_void_p).value for k in (0, 2, 3)]
    return found[0], found[1], Products(*members)


def check(native: Native, state: str, dtype: str, tolerance: float) -> None:
    problem = native.problem
    size, d = problem.size, problem.dimension
    log_sig, backprop, products = functions(native, state, dtype)
    for batch, length in ((1, 2), (5, 9), (19, 40), (3, WHOLE_STEPS + 1), (2, 700)):
        path = (RNG.normal(size=(batch, length, d)).cumsum(axis=1) / np.sqrt(length)).astype(dtype)
        found, d_path = np.full((batch, size), np.nan, dtype), np.full_like(path, np.nan)
        d_out = RNG.normal(size=found.shape).astype(dtype)
        given = (
            pointer(path),
            size_t(length * d),
            size_t(length),
            pointer(None),
            pointer(None),
            ctypes.byref(products),
        )
        assert log_sig(*given, pointer(found), size_t(size), size_t(batch), 1) == 0
        rows = (pointer(d_out), size_t(size), pointer(found), size_t(size))
        assert backprop(*rows, *given, pointer(d_path), size_t(length * d), size_t(batch), 1) == 0
        expected = peer.log_sig(path, problem.degree), peer.log_sig_backprop(d_out, path, problem.degree)
        for ours, theirs in zip((found, d_path), expected, strict=True):
            assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def compiled(form: str, monkeypatch: pytest.MonkeyPatch) -> CompiledProblem:
    """The operations that ``check`` calls."""
    states = ("", "_by_signature")
    if form == "tables":
        monkeypatch.setattr(compiler, "UNROLLED_OPERATIONS", -1)
        states = ("",)
    groups = ["log_sig_backprop", *(f"log_sig{state}" for state in states)]
    return compile_problem(Problem(3, 3), groups=("combine", "combine_backprop", *groups))


@pytest.mark.parametrize(
    ("march", "form"),
    [
        pytest.param(march, form, marks=() if (march, form) in QUICK else pytest.mark.slow)
        for march in MARCHES
        for form in ("unrolled", "tables")
    ],
)
def test_every_kind_of_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, march: str, form: str) -> None:
    missing = missing_features(describe(find_compiler(), march).features)
    if missing:
        pytest.skip(f"this processor lacks {missing}")
    native = build(tmp_path, compiled(form, monkeypatch), march=march)
    for state in ("", "_by_signature") if form == "unrolled" else ("",):
        check(native, state, "float64", 1e-11)
        check(native, state, "float32", 1e-4)


@pytest.mark.parametrize("vector_bytes", [8, *(pytest.param(b, marks=pytest.mark.slow) for b in (16, 32))])
def test_narrower_vectors_and_no_vectors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vector_bytes: int) -> None:
    definitions = (f"LOGSIG_MAX_VECTOR_BYTES={vector_bytes}",)
    native = build(tmp_path, compiled("unrolled", monkeypatch), definitions=definitions)
    check(native, "", "float64", 1e-11)
    check(native, "_by_signature", "float32", 1e-4)


def test_the_length_of_whole_paths_is_that_of_the_header() -> None:
    (header,) = (
        u.text for u in c_sources(compile_problem(Problem(2, 2), groups=("log_sig",))) if u.name == "logsig_paths.h"
    )
    assert f"#define LOGSIG_PIECE_STEPS {WHOLE_STEPS // 2}\n" in header
