"""A folder that replaces another one: what others put there stays, and there is no moment without either."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import logsig_codegen as lg
from logsig_codegen.build import replace
from logsig_codegen.build.artifact import MANIFEST

JOIN: dict[str, Any] = {"operations": ("join",), "emit_only": True}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """``out/d2_n2`` with sources, and a file, a link, a pipe and a folder of somebody's own."""
    folder = lg.generate(2, 2, tmp_path / "out", **JOIN).path
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "link").symlink_to("notes.txt")
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "objects" / "1").write_text("history", encoding="utf-8")
    os.mkfifo(folder / "pipe")
    return tmp_path / "out"


def is_kept(folder: Path) -> bool:
    return (
        (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
        and os.readlink(folder / "link") == "notes.txt"
        and (folder / ".git" / "objects" / "1").read_text(encoding="utf-8") == "history"
        and (folder / "pipe").is_fifo()
    )


@pytest.mark.parametrize("exchange", [True, False])
def test_what_others_put_there_stays(out: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    inode = (out / "d2_n2" / "notes.txt").stat().st_ino
    folder = lg.generate(2, 2, out, dtypes=("float32",), **JOIN).path
    assert is_kept(folder)
    assert (folder / "notes.txt").stat().st_ino == inode
    assert json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["dtypes"] == ["float32"]
    assert os.listdir(out) == ["d2_n2"]


def test_what_cannot_be_linked_is_copied(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    (out / "d2_n2" / "pipe").unlink()
    monkeypatch.setattr(os, "link", refuse)
    folder = lg.generate(2, 2, out, **JOIN).path
    os.mkfifo(folder / "pipe")
    assert is_kept(folder)


def test_a_file_under_the_name_of_a_generated_one(out: Path) -> None:
    (out / "d2_n2" / "combine.c").write_text("mine", encoding="utf-8")
    with pytest.raises(lg.ArtifactError, match=r"combine\.c: is not a file that was generated, but has the name of"):
        lg.generate(2, 2, out, operations=("combine",), emit_only=True)
    assert (out / "d2_n2" / "combine.c").read_text(encoding="utf-8") == "mine"
    assert (out / "d2_n2" / "join.c").exists()
    assert is_kept(out / "d2_n2")
    assert os.listdir(out) == ["d2_n2"]


def test_a_second_rename_that_fails_gives_the_older_folder_back(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, count = os.rename, 0

    def fail_once(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(28, "No space left on device")
        rename(source, target)

    before = (out / "d2_n2" / MANIFEST).read_bytes()
    monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(lg.OutputError, match=r"out: .* cannot be written: .*No space left"):
        lg.generate(2, 2, out, dtypes=("float32",), **JOIN)
    assert count == 3
    assert (out / "d2_n2" / MANIFEST).read_bytes() == before
    assert is_kept(out / "d2_n2")
    assert os.listdir(out) == ["d2_n2"]


@pytest.mark.skipif(sys.platform != "linux", reason="the exchange in one step is Linux's")
def test_there_is_no_moment_without_a_folder(tmp_path: Path) -> None:
    """Somebody looks all the time while two folders change places a thousand times."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "file").write_text(folder.name, encoding="utf-8")
    if not replace._exchange(one, other):
        pytest.skip("this file system cannot exchange two folders")
    stop, missed = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            try:
                (one / "file").read_bytes()
            except OSError as error:
                missed.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(1000):
            replace.put_in_place(other, one)
    finally:
        stop.set()
        thread.join()
    assert missed == []


SEVEN = {"format": 2, "abi_version": 1, "key": "", "dimension": 2, "degree": 2, "groups": [], "files": {}}


@pytest.mark.parametrize("manifest", [{**SEVEN, "library": None}, "other problem", "other target"])
def test_a_manifest_that_is_not_of_this_folder(tmp_path: Path, manifest: Any) -> None:
    target = tmp_path / "d2_n2"
    if manifest == "other problem":
        lg.generate(2, 1, tmp_path, **JOIN).path.rename(target)
    elif manifest == "other target":
        lg.generate(2, 2, tmp_path, targets=("cuda",), **JOIN).path.rename(target)
    else:
        target.mkdir()
        (target / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    before = sorted(os.listdir(target))
    with pytest.raises(lg.ArtifactError, match="it is left as it is"):
        lg.generate(2, 2, tmp_path, **JOIN)
    assert sorted(os.listdir(target)) == before
    assert os.listdir(tmp_path) == ["d2_n2"]


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o700), (0o027, 0o750), (0o022, 0o755)])
def test_the_mode_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):  # a new folder, and one in place of it
            folder = lg.generate(2, 2, tmp_path, **JOIN).path
            assert folder.stat().st_mode & 0o777 == mode
            assert (folder / "join.c").stat().st_mode & 0o777 == mode & 0o666
    finally:
        os.umask(before)


def test_a_link_to_a_folder_stays_a_link(out: Path, tmp_path: Path) -> None:
    (out / "d2_n2").rename(tmp_path / "elsewhere")
    (out / "d2_n2").symlink_to(tmp_path / "elsewhere")
    assert lg.generate(2, 2, out, dtypes=("float32",), **JOIN).path == out / "d2_n2"
    assert (out / "d2_n2").is_symlink()
    assert is_kept(tmp_path / "elsewhere")
    assert json.loads((tmp_path / "elsewhere" / MANIFEST).read_text(encoding="utf-8"))["dtypes"] == ["float32"]
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "out"]


@pytest.mark.parametrize("out", [3, b"x", None, ["x"]])
def test_an_out_that_is_no_path(out: Any) -> None:
    with pytest.raises(TypeError, match="out: expected a path, got"):
        lg.generate(2, 2, out, emit_only=True)


def test_an_out_that_no_system_has() -> None:
    with pytest.raises(ValueError, match="out: expected a path, got"):
        lg.generate(2, 2, "a\0b", emit_only=True)
    with pytest.raises(lg.OutputError, match=r"out: .* cannot be written: .*name too long"):
        lg.generate(2, 2, "x" * 5000, emit_only=True)
