"""Errors of the layers below arrive as ours: no home folder, no file descriptors, no such user."""

from __future__ import annotations

import pwd
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import RunPython

import logsig_codegen as lg
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
