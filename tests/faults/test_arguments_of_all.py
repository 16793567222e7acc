"""Garbage arguments of everything public; see arguments.py for what is public and which outcomes are allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults import programs


def test_a_few_calls_by_hypothesis(tmp_path: Path) -> None:
    """Shrunk: what is printed is a least call with a wrong outcome."""
    found = programs.report("arguments_by_hypothesis", [120, tmp_path], timeout=300)
    assert found["findings"] == {}, programs.listed(found["findings"])
    assert found["calls"] >= 120


@pytest.mark.long
@pytest.mark.slow
def test_many_calls_at_random(tmp_path: Path) -> None:
    found = programs.report("arguments", [8_000, 1, tmp_path, "thorough"], timeout=900)
    assert found["findings"] == {}, programs.listed(found["findings"])
    assert found["counted"]["result"] > 1000
    assert found["counted"]["refused"] > 1000
    assert len(found["names"]) > 80


def test_everything_public_is_called() -> None:
    """The walk over the fronts finds what a person would name."""
    from faults.arguments import public

    names = {name for name, _ in public()}
    for name in ("numpy:load", "torch:log_sig", "nn:LogODE", "numpy:LogSigStream", "functional:words", "command:main"):
        assert name in names
    assert os.environ["LOGSIG_CODEGEN_CACHE"]
