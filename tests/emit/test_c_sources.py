"""The text of the C target: what files there are, what they say, and that it is always the same text."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from jinja2 import UndefinedError
from processes import process_environment

from logsig_codegen import compiler
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.compiler import CompiledProblem, compile_problem
from logsig_codegen.emit import render as render_module
from logsig_codegen.emit.c import c_sources
from logsig_codegen.emit.render import render, template_folder, verbatim
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import Problem

BOTH = (("LOGSIG_REAL_BITS=64",), ("LOGSIG_REAL_BITS=32",))


def texts(compiled: CompiledProblem, dtypes: Sequence[str] = ("float32", "float64")) -> dict[str, str]:
    return {unit.name: unit.text for unit in c_sources(compiled, dtypes)}


def tables_of(monkeypatch: pytest.MonkeyPatch, dimension: int, degree: int) -> CompiledProblem:
    monkeypatch.setattr(compiler, "UNROLLED_OPERATIONS", -1)
    return compile_problem(Problem(dimension, degree))


def test_files_of_an_unrolled_problem() -> None:
    units = {unit.name: unit for unit in c_sources(compile_problem(Problem(5, 3)))}
    assert set(units) == {
        *("join.c", "join_backprop.c", "module.c"),
        *("logsig_d5_n3.h", "logsig_rows.h", "logsig_simd.h"),
    }
    for name, unit in units.items():
        assert unit.language == ("c" if name.endswith(".c") else "header")
        assert unit.text.endswith("\n")
        assert unit.text.isascii()
    assert units["join.c"].variants == units["join_backprop.c"].variants == BOTH
    assert units["module.c"].variants == ((),)


def test_files_of_a_table_driven_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tables_of(monkeypatch, 3, 4)
    units = {unit.name: unit for unit in c_sources(compiled)}
    assert set(units) == {
        *("join.c", "join_backprop.c", "module.c", "table_1_1.c", "table_1_2.c", "table_1_3.c", "table_2_2.c"),
        *("logsig_d3_n4.h", "logsig_rows.h", "logsig_simd.h", "logsig_tables.h", "tables.h"),
    }
    assert units["table_1_3.c"].variants == ((),)
    assert units["join.c"].variants == BOTH


@pytest.mark.parametrize(
    ("dtypes", "suffixes"),
    [(("float64",), ("f64",)), (("float32",), ("f32",)), (("float32", "float64"), ("f64", "f32"))],
)
def test_only_the_number_types_asked_for(dtypes: tuple[str, ...], suffixes: tuple[str, ...]) -> None:
    compiled = compile_problem(Problem(2, 3))
    units = {unit.name: unit for unit in c_sources(compiled, dtypes)}
    assert len(units["join.c"].variants) == len(dtypes)
    entries = re.findall(r'\{"(\w+)", "(\w+)", .*?_(f\d\d)\}', units["module.c"].text)
    wanted = [("float64", "f64"), ("float32", "f32")]
    assert entries == [
        (operation, dtype, suffix)
        for operation in ("join", "join_backprop")
        for dtype, suffix in wanted
        if suffix in suffixes
    ]


def test_the_public_header_declares_the_functions_and_the_size() -> None:
    header = texts(compile_problem(Problem(5, 3)))["logsig_d5_n3.h"]
    for name, number in (("DIMENSION", 5), ("DEGREE", 3), ("SIZE", 55)):
        assert re.search(rf"^#define LOGSIG_D5_N3_{name} {number}\b", header, re.M)
    flat = " ".join(header.split())
    for suffix, real in (("f64", "double"), ("f32", "float")):
        for operation, inputs, outputs in (
            ("join", ("log_sig", "displacement"), ("out",)),
            ("join_backprop", ("d_out", "log_sig", "displacement"), ("d_log_sig", "d_displacement")),
        ):
            rows = [f"const {real} *{name}, ptrdiff_t {name}_stride" for name in inputs]
            rows += [f"{real} *{name}, ptrdiff_t {name}_stride" for name in outputs]
            assert f"int logsig_d5_n3_{operation}_{suffix}({', '.join(rows)}, ptrdiff_t batch, int n_jobs);" in flat


@pytest.mark.parametrize(("dimension", "degree"), [(1, 2), (2, 5), (3, 3), (5, 4)])
def test_a_kernel_names_plan_operations_and_the_bracket_of_each_column(dimension: int, degree: int) -> None:
    compiled = compile_problem(Problem(dimension, degree))
    basis = lyndon_basis(dimension, degree)
    sources = texts(compiled)
    for kernel in compiled.kernels:
        text = sources[f"{kernel.operation}.c"]
        introduction = " ".join(text.split("*/")[0].replace(" * ", " ").split())
        assert f"logsig-gen --dim {dimension} --degree {degree}" in introduction
        assert f"Plan: {kernel.plan}." in introduction
        count = kernel.operations
        assert f"Operations per sample: {count.total} (" in introduction
        assert f"({count.multiply_adds} multiply-adds, {count.additions} additions, {count.scalings} scalings)" in (
            introduction
        )
        assert all(operand in text for operand in OPERATIONS[kernel.operation].operands)
    stores = re.findall(r"^ +z\[(\d+)\] = .*; /\* (\S+) \*/$", sources["join.c"], re.M)
    assert sorted((int(column), bracket) for column, bracket in stores) == [
        (column, basis.bracket(column)) for column in range(len(basis.words))
    ]


def test_lines_are_short_enough_to_read() -> None:
    for dimension, degree in ((2, 7), (5, 3)):
        for name, text in texts(compile_problem(Problem(dimension, degree))).items():
            longest = max(text.splitlines(), key=len)
            assert len(longest) <= 180, f"{name}: {longest}"


def test_nothing_of_this_machine_is_in_the_text() -> None:
    for text in texts(compile_problem(Problem(2, 3))).values():
        assert str(template_folder()) not in text
        assert "/tmp" not in text


DIGEST = """
import hashlib, sys
from logsig_codegen import compiler
from logsig_codegen.emit.c import c_sources
from logsig_codegen.problem import Problem
for limit in (compiler.UNROLLED_OPERATIONS, -1):
    compiler.UNROLLED_OPERATIONS = limit
    for problem in ((2, 3), (3, 5), (2, 7)):
        for unit in c_sources(compiler.compile_problem(Problem(*problem))):
            print(problem, limit, unit.name, unit.variants, hashlib.sha256(unit.text.encode()).hexdigest())
"""


def digests(hash_seed: str) -> str:
    """Digest of every file, straight-line and table-driven, made in a fresh process."""
    command = [sys.executable, "-c", DIGEST]
    environment = process_environment({"PYTHONHASHSEED": hash_seed})
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_text_does_not_depend_on_the_process() -> None:
    first, second = digests("1"), digests("2")
    assert first == second
    here = texts(compile_problem(Problem(2, 3)))
    for name, text in here.items():
        assert any(name in line and hashlib.sha256(text.encode()).hexdigest() in line for line in first.splitlines())


def test_templates_may_use_only_what_a_view_defines() -> None:
    with pytest.raises(UndefinedError):
        render("c/table.c.j2", view=object())


def test_hand_written_headers_are_copied_as_they_are() -> None:
    folder = template_folder()
    for name in ("logsig_simd.h", "logsig_rows.h", "logsig_tables.h"):
        assert verbatim(f"c/include/{name}") == (folder / "c" / "include" / name).read_text(encoding="utf-8")
    assert render_module.template_folder() == folder
