"""Copies and pickles of kernels: they come from where the original came from."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import RunPython
from shared import once

import logsig_codegen as lg

PROBE = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])
ANSWER = [6.0, 9.0, 1.5]  # 3 + (1 * 7 - 2 * 5) / 2
COPIES: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda kernel: pickle.loads(pickle.dumps(kernel))]


@pytest.fixture
def folder() -> Path:
    return once("copies", lambda at: lg.generate(2, 2, at, operations=("join",))) / "d2_n2"


@pytest.fixture(autouse=True)
def nothing_loaded() -> None:
    lg.clear_cache()


@pytest.mark.parametrize("make", COPIES)
def test_a_copy_of_a_kernel_from_a_folder_needs_no_compiler(
    folder: Path, make: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = lg.load(2, 2, artifacts=folder, max_terms=1000)
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert make(kernel) is kernel
    lg.clear_cache()
    copied = make(kernel)
    assert copied.path == folder
    assert copied.join(*PROBE).tolist() == ANSWER
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("make", COPIES)
def test_a_copy_remembers_the_processor_and_the_limit(make: Callable[[Any], Any]) -> None:
    kernel = lg.load(2, 2, march="x86-64", max_terms=7)
    lg.clear_cache()
    copied = make(kernel)
    assert copied.report.march == "x86-64"
    assert copied is lg.load(2, 2, march="x86-64", max_terms=7)
    lg.load(2, 3)
    lg.clear_cache()
    limited = lg.load(2, 3, max_terms=1)  # from the cache
    lg.clear_cache()
    with pytest.raises(lg.ProblemTooLargeError, match="the limit is 1"):
        make(limited).source("cuda")


def test_a_kernel_is_unpickled_where_there_is_no_compiler(folder: Path, run_python: RunPython, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(pickle.dumps(lg.load(2, 2, artifacts=folder)))
    code = f"""
        import pickle, numpy as np
        kernel = pickle.loads(open({str(tmp_path / "kernel")!r}, "rb").read())
        print(kernel.join(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])).tolist(), kernel.path)
    """
    env = {"PATH": str(tmp_path), "CC": None, "LOGSIG_CODEGEN_CACHE": str(tmp_path / "empty")}
    assert run_python(code, env).stdout == f"{ANSWER} {folder}\n"
    assert not (tmp_path / "empty").exists()


def test_pickles_of_earlier_versions_are_read() -> None:
    from logsig_codegen.runtime import registry

    assert registry.obtain(2, 2) is lg.load(2, 2)
