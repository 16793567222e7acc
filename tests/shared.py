"""What the processes of one run of the tests share: a folder in which each thing is made once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

INCLUDE = re.compile(r'^\s*#\s*include "([^"]+)"', re.MULTILINE)
VARIABLE = "LOGSIG_CODEGEN_TESTS"
_folder: Path | None = None  # set once per process, by `open_folder`


def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run: pytest's own, which is the parent of those of the workers of pytest-xdist.

    ``$LOGSIG_CODEGEN_TESTS`` names another, which several runs may share one after the other.
    """
    global _folder
    named = os.environ.get(VARIABLE)
    if named:
        _folder = Path(named)
        _folder.mkdir(parents=True, exist_ok=True)
        return _folder
    base = tmp_path_factory.getbasetemp()
    _folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return _folder


def once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder ``name`` of this run, filled by ``make`` in the first process that asks; others wait until it is done.

    What ``make`` writes must not depend on the process. If it raises, the next process that asks tries again.
    """
    assert _folder is not None
    folder = _folder / "shared" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder / ".done"
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def digest(command: Sequence[str], text: str, folders: Sequence[Path]) -> str:
    """What decides the result of compiling ``text``: the command, and every file that is included from ``folders``."""
    found = hashlib.sha256("\0".join((*command, text)).encode())
    for name, content in sorted(_included(text, folders, {}).items()):
        found.update(f"\0{name}\0{content}".encode())
    return found.hexdigest()[:32]


def _included(text: str, folders: Sequence[Path], known: dict[str, str]) -> dict[str, str]:
    for path in _paths(text, folders):
        if path.name not in known:
            known[path.name] = path.read_text(encoding="utf-8")
            _included(known[path.name], folders, known)
    return known


def _paths(text: str, folders: Sequence[Path]) -> Iterator[Path]:
    for name in INCLUDE.findall(text):
        yield from [path for folder in folders if (path := folder / name).exists()][:1]
