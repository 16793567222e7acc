"""What the cache keeps: keys by content, the least recently used go first, and the command that shows and cleans.

Trusts the file system's sizes and times. Entries are made by a target that compiles nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from processes import ROOT, RunPython
from toy_target import ToyTarget

import logsig_codegen as lg
from logsig_codegen import cache_command, cli
from logsig_codegen.build import cache
from logsig_codegen.build.cache import marks, places, retention
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.problem import Problem
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import cached

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def entry(degree: int, *, age: float = 0.0) -> Path:
    """An entry last used ``age`` seconds ago."""
    path = cached(ToyTarget(), BuildSpec(Problem(2, degree), ("join",)), lambda: None).path
    os.utime(path / marks.MARK, (time.time() - age,) * 2)
    return path


def size(*folders: Path) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.iterdir())


def test_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = entry(4)
    bytes_wanted = size(wanted)
    marks.remove(wanted)
    paths = [entry(degree, age=age * DAY) for degree, age in ((1, 3), (2, 1), (3, 2))]
    monkeypatch.setenv(retention.SIZE, str(size(paths[1]) + bytes_wanted))
    assert entry(4) == wanted
    assert [path.exists() for path in (*paths, wanted)] == [False, True, False, True]
    monkeypatch.setenv(retention.SIZE, "0")  # the one that is wanted now stays
    assert entry(1).exists()
    assert [path.exists() for path in (*paths, wanted)] == [True, False, False, False]


def test_use_is_noted(root: Path) -> None:
    path = entry(2, age=2 * DAY)
    (found,) = cache.contents()
    assert found.path == path
    assert found.size == size(path)
    assert abs(time.time() - 2 * DAY - found.used) < 60
    entry_again = cached(ToyTarget(), BuildSpec(Problem(2, 2), ("join",)), lambda: None).path
    assert entry_again == path
    assert abs(time.time() - cache.contents()[0].used) < 60


def test_cleaning_by_age_and_size() -> None:
    paths = [entry(degree, age=age * DAY) for degree, age in ((1, 40), (2, 20), (3, 10))]
    assert [one.path for one in cache.clean(older_than=30 * DAY)] == paths[:1]
    assert [one.path for one in cache.clean(max_size=size(paths[2]))] == [paths[1]]
    assert [path.exists() for path in paths] == [False, False, True]


def test_nothing_goes_while_it_is_built_or_loaded(root: Path) -> None:
    def use(artifact: object) -> list[str]:
        cache.clean(older_than=0.0, max_size=0)
        cache.clear()
        return list(cache.entries())

    assert len(cached(ToyTarget(), BuildSpec(Problem(2, 2), ("join",)), lambda: None, use)) == 1
    cache.clear()
    assert cache.entries() == ()


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("17", 17), ("1k", 1024), ("1.5 K", 1536), ("500MB", 500 << 20), ("2GiB", 2 << 30)]
)
def test_sizes(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retention.SIZE, text)
    assert retention.size_limit() == count


def test_a_size_that_is_none_is_found_before_anything_is_built(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("much", "-1", "1e9", "2X"):
        monkeypatch.setenv(retention.SIZE, wrong)
        with pytest.raises(ValueError, match=rf"\$LOGSIG_CODEGEN_CACHE_SIZE: expected a size such .* got '{wrong}'"):
            entry(2)
    assert not root.exists()
    monkeypatch.setenv(retention.SIZE, "none")
    assert retention.size_limit() is None
    monkeypatch.delenv(retention.SIZE)
    assert retention.size_limit() == 2 << 30


def test_times() -> None:
    assert cache_command.seconds("30d") == 30 * DAY
    assert cache_command.seconds("1.5h") == 5400
    for wrong in ("30", "d", "-1d", "1y"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a time such as"):
            cache_command.seconds(wrong)


def test_the_key_follows_content_not_times(tmp_path: Path, run_python: RunPython) -> None:
    """A package that is installed again has other times; an edited one has other text."""
    for name in ("logsig_codegen", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name)
    code = f"""
    import os, sys
    sys.path.insert(0, {str(tmp_path)!r})
    from pathlib import Path
    from logsig_codegen.build.cache.fingerprint import package_fingerprint

    def fingerprint():
        package_fingerprint.cache_clear()
        return package_fingerprint()

    header = Path({str(tmp_path)!r}, "templates", "c", "include", "logsig_calls.h")
    first, text, status = fingerprint(), header.read_text(), header.stat()
    os.utime(header, (1, 1))
    os.utime(Path({str(tmp_path)!r}, "logsig_codegen", "errors.py"), (1, 1))
    assert fingerprint() == first
    header.write_text(text.replace("the", "teh", 1))
    os.utime(header, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint() != first
    print(first)
    """
    assert run_python(code).stdout.strip() == cache.package_fingerprint()


def test_the_compiler_counts_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "cc"
    program.write_text("#!/bin/sh\nexec gcc # 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    first = find_compiler().identity()
    os.utime(program, (1, 1))
    assert find_compiler().identity() == first
    program.write_text("#!/bin/sh\nexec gcc # 2\n")
    assert find_compiler().identity() != first


def test_the_command_lists(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out == f"{root}: 0 entries, 0 B (at most 2.0 GiB)\n"
    path = entry(2, age=DAY)
    damaged = entry(3)
    (damaged / "manifest.json").write_text("{")
    assert cli.main(["cache", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["(d,N)", "target", "groups", "size", "last", "use", "entry"]
    assert lines[1].split()[:3] == ["-", "-", "-"]  # the last used first
    assert lines[2].split()[:3] == ["(2,2)", "toy", "join"]
    assert lines[2].endswith(path.name)
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - DAY)) in lines[2]
    assert lines[3].startswith(f"{root}: 2 entries, ")
    assert cli.main(["cache", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["path"], data["size"], data["limit"]) == (str(root), size(path, damaged), 2 << 30)
    assert [one["degree"] for one in data["entries"]] == [None, 2]
    assert data["entries"][1]["groups"] == ["join"]
    assert data["failed"] == []


def test_the_command_cleans_and_clears(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = entry(2, age=40 * DAY), entry(3)
    assert cli.main(["cache", "clean", "--older-than", "30d", "--json"]) == 0
    assert [one["entry"] for one in json.loads(capsys.readouterr().out)["removed"]] == [str(old)]
    assert cli.main(["cache", "clean", "--max-size", "1G"]) == 0
    assert capsys.readouterr().out == "removed 0 entries, 0 B\n"
    assert new.exists()
    assert cli.main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 entry, ")
    assert os.listdir(root) == [marks.MARK]
    assert cli.main(["cache", "clean"]) == 2
    assert "expected --older-than, --max-size or both" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["cache", "clean", "--max-size", "much"])
    assert "expected a size such as 500M or 2G, got 'much'" in capsys.readouterr().err


def test_the_interface_agrees(root: Path) -> None:
    entry(2)
    assert len(cache.entries()) == 1
    lg.clear_cache(use_disk=True)
    assert cache.contents() == ()
    assert dataclasses.is_dataclass(cache.Entry)
