"""What the roofline counts, the comparison of instruction counts, and the adapter for the public suite.

Trusts counts by hand, made-up counts, the text of callgrind's documentation for its format, and pySigLib.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib
import pytest
from golden import ROOT

from logsig_codegen.compiler import compile_problem
from logsig_codegen.operations import CONVERSION, MAP, OPERATIONS
from logsig_codegen.problem import Problem

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "suite"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def script(name: str) -> Any:
    return importlib.import_module(name)


# (2,2): a point has 2 numbers, a log-signature 3. By hand: operands times their number.
MOVED = {
    ("join", (10,)): 10 * (3 + 2 + 3),
    ("combine_backprop", (10,)): 10 * (3 + 3 + 3 + 3 + 3),
    ("log_sig", (4, 5)): 4 * (5 * 2 + 3),
    ("log_sig_backprop", (4, 5)): 4 * (3 + 3 + 5 * 2 + 5 * 2),
    ("stream", (4, 5)): 4 * (5 * 2 + 3 + 4 * 3),
    ("stream_backprop", (4, 5)): 4 * (4 * 3 + 4 * 3 + 5 * 2 + 3 + 5 * 2 + 3),
    ("windows", (1, 10, 4, 2)): 10 * 2 + 4 * 3,
    ("windows_backprop", (1, 10, 4, 2)): 4 * 3 + 10 * 2 + 10 * 2,
}


@pytest.mark.parametrize(("operation", "shape"), MOVED)
def test_numbers_moved_are_those_counted_by_hand(operation: str, shape: tuple[int, ...]) -> None:
    calls = script("calls")
    assert calls.numbers_moved(OPERATIONS[operation], Problem(2, 2), calls.Shape(*shape)) == MOVED[operation, shape]


def test_multiplications_are_those_counted_by_hand() -> None:
    """Area ``l2 + (l0/2) v1 - (l1/2) v0``: two halves, two multiply-adds; steps of a path leave the half to the end."""
    calls, groups = script("calls"), ("join", "combine", "log_sig", "join_left", "windows")
    counts = compile_problem(Problem(2, 2), groups=groups).report()["operations"]
    expected = {
        ("join", (10,)): 10 * 4,
        ("combine", (10,)): 10 * 4,
        ("log_sig", (4, 5)): 4 * (4 * 2 + 1),
        ("windows", (1, 10, 4, 2)): 4 * (2 * 4 + 2 * 4 + 4),
    }
    for (name, shape), count in expected.items():
        assert calls.multiply_adds(counts, OPERATIONS[name], calls.Shape(*shape)) == count, name
    assert (
        calls.steps_at_once(
            {**counts, "log_sig.steps": {"total": 4 * counts["log_sig.step"]["total"]}}, OPERATIONS["log_sig"]
        )
        == 4
    )


def test_every_operation_has_programs_that_the_compiler_reports() -> None:
    calls = script("calls")
    groups = tuple(dict.fromkeys(one.group for one in OPERATIONS.values()))
    counts = compile_problem(Problem(2, 2), groups=groups).report()["operations"]
    for operation in (one for one in OPERATIONS.values() if one.kind not in (CONVERSION, MAP)):
        assert calls.multiply_adds(counts, operation, calls.Shape(1, 10, 4, 2)) > 0, operation.name


# -- instruction counts ---------------------------------------------------------------------------------------------


def test_moved_counts_are_named() -> None:
    instructions = script("instructions")
    one = instructions.Count(3, 3, "float64", "join", "67", "unrolled", 10_000)
    more, gone = dataclasses.replace(one, instructions=10_201), dataclasses.replace(one, operation="combine")
    assert instructions.moved([one, gone], [one, gone]) == []
    assert instructions.moved([dataclasses.replace(one, instructions=9_801)], [one]) == []
    (line,) = instructions.moved([more], [one])
    assert line == "(3,3) join, float64, 67: 10,000 -> 10,201 (+2.0%)"
    assert instructions.moved([one], [one, gone]) == ["(3,3) combine, float64, 67: only in the baseline"]
    assert instructions.moved([one, gone], [one]) == ["(3,3) combine, float64, 67: only in this list"]
    (line,) = instructions.moved([dataclasses.replace(one, form="tables")], [one])
    assert line.endswith("(+0.0%), unrolled -> tables")


def test_a_baseline_of_another_compiler_is_not_compared(tmp_path: Path) -> None:
    instructions, harness = script("instructions"), script("harness")
    one = instructions.Count(3, 3, "float64", "join", "67", "unrolled", 10_000)
    file = tmp_path / "baseline.csv"
    harness.save(file, "callgrind, x86-64-v3, gcc 12; 2026-11-29. Instructions.", [one])
    more = dataclasses.replace(one, instructions=20_000)
    status, text = instructions.compare([more], "callgrind, x86-64-v3, gcc 13", file)
    assert (status, text[:12]) == (0, "NOT COMPARED")
    assert "gcc 12" in text
    assert "gcc 13" in text
    status, text = instructions.compare([more], "callgrind, x86-64-v3, gcc 12", file)
    assert status == 1
    assert "10,000 -> 20,000 (+100.0%)" in text
    assert "--accept" in text
    assert instructions.compare([one], "callgrind, x86-64-v3, gcc 12", file)[0] == 0


def test_only_instructions_of_the_library_count() -> None:
    """A file as callgrind's documentation describes it: names once, then numbers; after ``calls=`` there is no cost."""
    written = """version: 1
events: Ir
ob=(1) /tmp/calls
fl=(1) calls.c
fn=(1) measured
12 5
cob=(2) /tmp/lib.so
cfn=(2) logsig_d2_n2_join_f64
calls=1 0
12 110

ob=(2)
fn=(2)
0 100
+3 7
cob=(3) /lib/libc.so.6
cfn=(3) memset
calls=1 0
* 3
-1 1

ob=(3)
fn=(3)
0 3
totals: 116
"""
    assert script("instructions").executed(written, "/tmp/lib.so") == 108


def test_the_baseline_has_forty_calls_of_every_form() -> None:
    instructions, harness = script("instructions"), script("harness")
    _, kept = harness.restore(instructions.BASELINE, instructions.Count)
    listed = {(p.dimension, p.degree, t, name, str(s)) for p, t, s, names in instructions.CALLS for name in names}
    assert {(one.dimension, one.degree, one.dtype, one.operation, one.shape) for one in kept} == listed
    assert len(kept) == 40
    assert {one.form for one in kept} == {"unrolled", "tables", "loops"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind (Debian: valgrind)")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the baseline is for x86-64")
def test_instructions_are_counted_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice as many rows execute about twice as many instructions; a count that differs from that kept is told."""
    instructions, calls = script("instructions"), script("calls")
    some = tuple((Problem(2, 2), "float64", calls.Shape(rows), ("join",)) for rows in (6_400, 12_800))
    monkeypatch.setattr(instructions, "CALLS", some)
    file = tmp_path / "baseline.csv"
    arguments = ["instructions", "--baseline", str(file)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--accept"])
    assert instructions.main() == 0
    once, twice = (int(line.split(",")[-1]) for line in file.read_text().splitlines()[2:])
    assert 1.9 < twice / once < 2.1
    monkeypatch.setattr(sys, "argv", arguments)
    assert instructions.main() == 0
    file.write_text(file.read_text().replace(f",{once}\n", f",{2 * once}\n"))
    capsys.readouterr()
    assert instructions.main() == 1
    assert "(-50.0%)" in capsys.readouterr().out
    monkeypatch.setenv("PATH", "/nowhere")
    assert instructions.main() == 2


@pytest.mark.slow
def test_the_roofline_runs_and_saves(tmp_path: Path) -> None:
    result, figure = tmp_path / "roofline.csv", tmp_path / "roofline.png"
    command = [
        sys.executable,
        str(BENCHMARKS / "roofline.py"),
        "--problem",
        "2,2",
        "--rounds",
        "2",
        "--seconds",
        "1e-5",
    ]
    done = subprocess.run(
        [*command, "--results", str(result), "--plot", str(figure)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = script("harness").restore(result, script("roofline").Row)[1]
    assert {"join", "join_left_backprop", "log_sig", "stream_backprop", "windows_backprop"} <= {
        r.operation for r in rows
    }
    assert all(r.time > 0 and r.copy > 0 and r.arithmetic > 0 for r in rows)
    assert "LANES" in done.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")


# -- the public suite -----------------------------------------------------------------------------------------------

TINY = {
    "N": 12, "d": 2, "m": 3, "batch_size": 3, "path_kind": "brownian", "seed": 5, "repeats": 2, "warmup_iterations": 1,
    "timing_statistic": "min", "backend": "cpu", "operation": "logsignature",
}  # fmt: skip


def test_the_adapter_of_the_public_suite_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the suite starts it: the configuration as JSON in, a line of JSON out."""
    file = BENCHMARKS / "suite" / "run_logsig_codegen.py"
    monkeypatch.setattr(sys, "argv", [str(file), json.dumps(TINY)])
    runpy.run_path(str(file), run_name="__main__")
    row = json.loads(capsys.readouterr().out)
    assert (row["library"], row["N"], row["d"], row["m"], row["batch_size"]) == ("logsig-codegen", 12, 2, 3, 3)
    assert len(row["samples_ms"]) == 2
    assert row["t_ms"] == min(row["samples_ms"]) > 0


def test_the_adapter_computes_what_pysiglib_does() -> None:
    adapters, suite = script("run_logsig_codegen"), script("public_suite")
    adapter = adapters.LogsigCodegenAdapter(TINY)
    path = adapter.make_path_input()
    assert (path.shape, path.dtype) == ((3, 12, 2), np.float32)
    pysiglib.prepare_log_sig(2, 3, 2)
    np.testing.assert_allclose(adapter.run_logsignature(path, 2, 3)(), pysiglib.log_sig(path, 3, method=2), atol=1e-5)
    rows = list(suite.measure(1, (2,), N=12, batch_size=3))  # raises where the two differ
    assert [(row.operation, row.d, row.m) for row in rows] == [
        (operation, 2, m) for m in (2, 3) for operation in ("logsignature", "logsignature_backprop")
    ]
    assert all(row.ours > 0 and row.peer > 0 for row in rows)
    assert adapters.LogsigCodegenAdapter({**TINY, "operation": "signature"})._run_benchmark() is None
