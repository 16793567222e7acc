"""Errors of the layers below arrive as ours: no home folder, no file descriptors, no such user."""

from __future__ import annotations

import pwd
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen import nn
from logsig_codegen.build import cache


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, as in a container that runs under any number."""

    def unknown(*_: Any) -> Any:
        raise KeyError("unknown user")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOGSIG_CODEGEN_CACHE", raising=False)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("home", ["", None, "relative"])
def test_a_cache_without_a_home_folder(home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    folder = cache.cache_dir()
    assert folder.parent == tmp_path
    assert cache.writable_root().is_relative_to(folder)


@pytest.mark.usefixtures("nobody")
def test_a_cache_in_a_home_folder_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", "~somebody/cache")
    lg.clear_cache()
    for call in (lambda: lg.load(2, 2), lambda: lg.log_sig(np.zeros((3, 2)), 2)):
        with pytest.raises(lg.CacheError, match=r"\$LOGSIG_CODEGEN_CACHE: '~somebody/cache' is below a home folder"):
            call()


def test_out_of_file_descriptors(run_python: RunPython, tmp_path: Path) -> None:
    """What needs one says so; what is in memory works on, and nothing in the cache is lost."""
    lg.load(2, 2)
    run_python(
        f"""
        import os, resource
        import numpy as np, logsig_codegen as lg
        from logsig_codegen.doctor import examine
        kernel = lg.load(2, 2)
        folder = lg.generate(2, 2, {str(tmp_path)!r}, operations=("join",), emit_only=True).path
        path = kernel.path
        lg.clear_cache()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for _ in range(4):
            for call in (
                lambda: lg.load(2, 2),
                lambda: lg.load(3, 5),
                lambda: lg.load(2, 2, artifacts=folder),
                lambda: lg.log_sig(np.zeros((3, 2)), 2),
                lambda: lg.generate(2, 2, {str(tmp_path)!r}, emit_only=True),
                lambda: kernel.sources,
            ):
                try:
                    call()
                except lg.LogSigError as error:
                    assert str(error)
                lg.clear_cache()
            assert examine()["version"]
            assert kernel.join(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])).tolist() == [6.0, 9.0, 1.5]
            os.close(taken.pop())
        for one in taken:
            os.close(one)
        assert lg.load(2, 2).path == path
        """,
        {"PYTHONWARNINGS": "ignore"},
    )


def test_no_array_is_masked_where_nobody_makes_such(run_python: RunPython) -> None:
    """``numpy.ma`` is imported by numpy when it is first named, which costs time and may fail."""
    run_python(
        """
        import sys, numpy as np, logsig_codegen as lg
        lg.transform_path(np.zeros((3, 2)), time_aug=True)
        loaded = "numpy.ma" in sys.modules
        import numpy.ma
        try:
            lg.transform_path(numpy.ma.zeros((3, 2)), time_aug=True)
        except TypeError as error:
            assert "masked array" in str(error)
        else:
            raise AssertionError
        assert not loaded or np.__version__ < "2"
        """
    )


# -- values that nobody expects -------------------------------------------------------------------------------------


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


PATH, TENSOR = np.zeros((4, 3, 2)), torch.zeros(4, 3, 2).double()
FOREIGN: list[tuple[str, Callable[[], Any]]] = [
    ("lengths", lambda: lg.log_sig(TENSOR, 2, lengths=torch.zeros(4, device="meta", dtype=torch.int64))),
    ("lengths", lambda: lg.log_sig(TENSOR, 2, lengths=torch.zeros(4, dtype=torch.int64).to_sparse())),
    ("lengths", lambda: lg.log_sig(TENSOR, 2, lengths=torch.zeros(4), times=[0, 1, 2])),
    ("lengths", lambda: lg.log_sig(TENSOR, 2, lengths=torch.zeros(2, 0).long(), times=[0, 1, 2])),
    ("intervals", lambda: lg.log_sig(TENSOR, 2, intervals=torch.zeros(4, 2, device="meta", dtype=torch.int64))),
    ("intervals", lambda: lg.log_sig(TENSOR, 2, intervals=torch.zeros(4, 2, dtype=torch.int64).to_sparse())),
    ("intervals", lambda: lg.log_sig(PATH, 2, intervals=Unprintable())),
    ("intervals", lambda: lg.log_sig(TENSOR, 2, intervals=[[0, "1"]])),
    ("intervals", lambda: lg.log_sig(PATH, 2, intervals=[[0, 1], [2]])),
    ("times", lambda: lg.log_sig(TENSOR, 2, times=torch.zeros(4, device="meta"))),
    ("times", lambda: lg.log_sig(TENSOR, 2, times=Unprintable())),
    ("times", lambda: lg.log_sig(PATH, 2, times=["now"])),
    ("times", lambda: lg.log_sig([TENSOR[0]], 2, times=[np.zeros((3, 2)), np.zeros((0, 2))])),
    ("times", lambda: lg.log_sig([TENSOR[0], TENSOR[0]], 2, times=[np.zeros((3, 2)), np.zeros((0, 5))])),
    ("times", lambda: lg.log_sig([TENSOR[0]], 2, times=[torch.arange(4)])),
    ("times", lambda: lg.log_sig(TENSOR, 2, times=[torch.arange(3)] * 3 + [torch.arange(2)])),
    ("t", lambda: lg.logsig_windows(PATH, 2, 1.0, [torch.zeros(3, 2), 1])),
    ("t", lambda: lg.logsig_windows(PATH, 2, 1.0, torch.zeros(3, 2))),
    ("t", lambda: lg.logsig_windows(PATH, 2, 1.0, torch.tensor(0.0))),
    ("t", lambda: lg.logsig_windows(PATH, 2, 1.0, torch.arange(3).to_sparse())),
    ("t", lambda: lg.logsig_windows(TENSOR, 2, 1.0, torch.quantize_per_tensor(torch.zeros(3), 1, 0, torch.quint8))),
    ("t", lambda: lg.logsig_windows(PATH, 2, 1.0, ["now", "then", "later"])),
    ("t", lambda: lg.logsig_windows(TENSOR, 2, 1.0, [[0.0, 1.0, 2.0]])),
    ("leading", lambda: lg.log_sig_join_backprop(np.ones(3), np.ones(3), np.ones((1,) * 40 + (2,)), 2, 2)),
    ("windows", lambda: nn.LogSig(2, 2, windows=np.matrix([[1, 2], [3, 4]]))),  # type: ignore[arg-type]
    ("windows", lambda: lg.log_sig(PATH, 2, windows=())),  # type: ignore[arg-type]
    ("windows", lambda: nn.LogSig(2, 2, windows=[[(2, 1)]])),  # type: ignore[list-item]
    ("t", lambda: lg.logsig_windows(PATH, 2, 1.0, [10**400, 1, 2])),
    ("missing", lambda: lg.log_sig(PATH, 2, missing=Unprintable())),  # type: ignore[arg-type]
    ("path", lambda: lg.log_sig(TENSOR.bfloat16(), 2)),
    ("d_out", lambda: lg.log_sig_backprop(None, TENSOR, 2)),  # type: ignore[type-var]
    ("windows", lambda: lg.log_sig(PATH, 2, windows=np.array(2))),  # type: ignore[arg-type]
    ("windows", lambda: lg.log_sig(PATH, 2, windows=2**20_000)),  # type: ignore[arg-type]
    ("state", lambda: lg.log_sig(PATH, 2, state=Unprintable())),  # type: ignore[arg-type]
    ("stream", lambda: lg.log_sig(PATH, 2, stream=2**20_000)),  # type: ignore[arg-type]
    ("end_time", lambda: lg.log_sig(PATH, 2, time_aug=True, end_time=Fraction(10**400))),  # type: ignore[arg-type]
    ("dimension", lambda: lg.log_sig_combine(TENSOR[..., 0], TENSOR[..., 0], "2", 2, time_aug=True)),  # type: ignore[arg-type]
    ("group", lambda: lg.load(2, 2).prepare(np.array(["join", "combine"]))),  # type: ignore[arg-type]
    ("group", lambda: lg.load(2, 2).source("c", group=np.zeros(3))),  # type: ignore[arg-type]
    ("group", lambda: lg.load(2, 2).source("cuda", group=np.zeros(3))),  # type: ignore[arg-type]
    ("emit_only", lambda: lg.generate(2, 2, "/dev/null/out", emit_only=np.zeros(3))),  # type: ignore[arg-type]
    ("out", lambda: lg.generate(2, 2, "\ud800", emit_only=True)),
    ("dir", lambda: lg.set_cache_dir("x" * 5000)),
    ("dir", lambda: lg.set_cache_dir("a\0b")),
    ("intervals", lambda: lg.LogSigStream(2, 2).sig_batch(3)),  # type: ignore[arg-type]
    ("hidden", lambda: nn.LogODE(2, 2, hidden=2**62, out_features=1, window=2)),
    ("artifacts", lambda: lg.load(2, 2, artifacts="x" * 5000)),
    ("artifacts", lambda: lg.load(2, 2, artifacts="a\0b")),
    ("artifacts", lambda: lg.load(2, 2, artifacts=[Unprintable()])),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("argument", "call"), FOREIGN)
def test_values_that_nobody_expects(argument: str, call: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError, lg.LogSigError)) as caught:
        call()
    assert argument in str(caught.value)
    assert len(str(caught.value)) < 6000
