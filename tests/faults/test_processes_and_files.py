"""Killed processes and damaged files; see kills.py and damage.py for what is demanded of what is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import programs

LONG = (pytest.mark.slow, pytest.mark.long)


@pytest.mark.parametrize("count", [2, pytest.param(12, marks=LONG)])
def test_kills(tmp_path: Path, count: int) -> None:
    found = programs.report("kills", [count, count, tmp_path])
    assert found["findings"] == {}, programs.listed(found["findings"])
    assert sum(found["sent"].values()) >= count


@pytest.mark.parametrize("times", [5, pytest.param(60, marks=LONG)])
def test_damaged_files(tmp_path: Path, times: int) -> None:
    found = programs.report("damage", [times, times, tmp_path])
    assert found["findings"] == {}, programs.listed(found["findings"])
    assert sum(found["tried"].values()) == times
