"""What the processes of a run share is made once, and compiled text is told apart by everything that decides it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import side_by_side
from shared import digest, once

from logsig_codegen.build.cpu import usable_processors


def test_a_thing_is_made_once_and_again_after_a_failure(session_cache: Path) -> None:
    made: list[Path] = []

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space")

    def make(folder: Path) -> None:
        assert not list(folder.iterdir())
        made.append(folder)

    with pytest.raises(OSError, match="no space"):
        once("of a test", fail)
    assert once("of a test", make) == once("of a test", make)
    assert len(made) == 1


def test_text_that_includes_other_text_is_another_text(tmp_path: Path) -> None:
    """Included directly or by what is included; files beside them do not count."""
    (tmp_path / "one.h").write_text('#include "two.h"\n')
    found = set()
    for content, command, text in (
        ("int a;", ["cc"], '#include "one.h"\n'),
        ("int b;", ["cc"], '#include "one.h"\n'),
        ("int b;", ["cc", "-DX"], '#include "one.h"\n'),
        ("int b;", ["cc"], '#include "one.h"\nint c;\n'),
    ):
        (tmp_path / "two.h").write_text(content)
        found.add(digest(command, text, (tmp_path,)))
        (tmp_path / "beside.h").write_text(content)
        assert digest(command, text, (tmp_path,)) in found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tests"], min(usable_processors(), 8)),
        (["tests/a.py::b"], 0),
        (["tests/a.py::b", "tests"], min(usable_processors(), 8)),
    ],
)
def test_number_of_processes(monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: int) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    config: Any = SimpleNamespace(args=arguments)
    assert side_by_side.pytest_xdist_auto_num_workers(config) == expected
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    assert side_by_side.pytest_xdist_auto_num_workers(config) == 3


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize(("many_long", "many_others"), [(0, 9), (5, 30), (4, 1), (12, 0)])
def test_every_process_begins_with_long_tests(processes: int, many_long: int, many_others: int) -> None:
    long, others = list(range(-many_long, 0)), list(range(many_others))
    found: Any = side_by_side.dealt(long, others, processes)
    assert sorted(found) == long + others
    assert [one for one in found if one >= 0] == others, "neighbours share what they build"
    if many_others >= many_long * processes:
        for number in range(processes):  # as pytest-xdist cuts them
            part, found = np.split(np.asarray(found), [len(found) // (processes - number)])
            count = np.count_nonzero(part < 0)
            assert many_long // processes <= count <= -(-many_long // processes)
            assert (part[:count] < 0).all()
