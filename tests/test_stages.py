"""Stages of the compiler: their names, their times, their log."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest

import logsig_codegen as lg
from logsig_codegen import cli
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.emit.cuda.sources import cuda_sources
from logsig_codegen.stages import collect_timings, stage

FRONT = ("derive", "prove", "choose", "differentiate", "fold scales", "lower", "schedule")
PASSES = ("drop dead instructions", "eliminate common subexpressions", "inline single uses", "make products unit")
FOR_GPUS = ("thread per sample", "share state among warps", "spill values", "block of samples")


def compile_everything() -> None:
    compiled = compile_problem(lg.Problem(2, 3), groups=("join", "join_backprop", "combine", "log_sig"))
    c_sources(compiled)
    cuda_sources(compiled)


def test_every_stage_is_named_and_timed() -> None:
    with collect_timings() as timings:
        begin = time.perf_counter()
        compile_everything()
        elapsed = time.perf_counter() - begin
    wanted = {*FRONT, *PASSES, *(f"plan for a GPU: {name}" for name in FOR_GPUS), "emit C", "emit CUDA"}
    assert set(timings.stages) == wanted
    assert all(timing.runs > 0 and timing.seconds >= 0 for timing in timings.stages.values())
    assert sum(timing.seconds for timing in timings.stages.values()) <= elapsed


def test_stages_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="logsig_codegen"):
        compile_everything()
    found = [record.getMessage() for record in caplog.records if record.name == "logsig_codegen"]
    assert {record.levelno for record in caplog.records if record.name == "logsig_codegen"} == {logging.DEBUG}
    for name in (*FRONT, *PASSES, "emit C", "emit CUDA"):
        assert any(message.startswith(name) and message.endswith(" s") for message in found), name


def test_time_of_a_stage_is_without_the_stages_inside_it() -> None:
    @stage("inner")
    def inner() -> None:
        time.sleep(0.05)

    with collect_timings() as timings:
        with stage("outer", "a test"):
            inner()
            inner()
        with pytest.raises(ZeroDivisionError), stage("failing"):
            raise ZeroDivisionError
    inner()  # nobody collects
    assert {name: timing.runs for name, timing in timings.stages.items()} == {"inner": 2, "outer": 1, "failing": 1}
    assert timings.stages["inner"].seconds >= 0.1
    assert timings.stages["outer"].seconds < 0.05


def test_the_command_prints_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--dim", "2", "--degree", "2", "--emit-only", "--out", str(tmp_path)]
    assert cli.main([*arguments, "--timings"]) == 0
    _, after = capsys.readouterr().out.split("\nstage ")
    assert {"prove", "lower", "emit"} <= {line.split()[0] for line in after.splitlines()[1:]}
    assert after.splitlines()[-1].startswith("all")
    assert cli.main([*arguments, "--timings", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["dimension"] == 2
    assert printed.err.startswith("stage ")
    assert cli.main(arguments) == 0
    assert "stage " not in capsys.readouterr().out


def test_the_library_is_silent_unless_asked() -> None:
    handlers = logging.getLogger("logsig_codegen").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
