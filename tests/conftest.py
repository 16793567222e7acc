"""Shared by all tests: a cache of their own, processes that work side by side, and Python in fresh ones."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import shared
from hypothesis import settings
from native import unoptimised
from processes import RunPython, process_environment

from logsig_codegen.build import background
from logsig_codegen.build.cache import places

pytest_plugins = ("side_by_side", "torch_extension")

# Hundreds of fresh processes import the package: without bytecode each compiles it again, and all that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says something about the machine only. Each run draws other examples.
settings.register_profile("logsig", deadline=None, max_examples=50)
settings.load_profile("logsig")


def pytest_sessionstart(session: pytest.Session) -> None:
    """A cache for the whole run, all its processes included, so that each problem is compiled once and the user's own
    cache stays as it is. It is chosen before modules of tests are imported: those of torch look at it then."""
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    folder = shared.open_folder(factory) / "cache"
    folder.mkdir(exist_ok=True)
    os.environ["LOGSIG_CODEGEN_CACHE"] = str(folder)
    os.environ["LOGSIG_CODEGEN_EXTENSIONS"] = "never"  # no test starts a compiler that outlives it
    # XLA compiles thousands of programs that run once.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
    for name in ("LOGSIG_CODEGEN_PATH", "LOGSIG_CODEGEN_BUILD"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session", autouse=True)
def session_cache() -> Path:
    """The cache of this run."""
    return Path(os.environ["LOGSIG_CODEGEN_CACHE"])


@pytest.fixture(autouse=True)
def no_chosen_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that a test chooses for the cache is chosen for this test only."""
    monkeypatch.setattr(places, "_chosen", None)


@pytest.fixture(autouse=True)
def nothing_in_the_background(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built in the background would be built into the cache of a later test; those that want it say so."""
    if request.node.get_closest_marker("background") is None:
        monkeypatch.setattr(background, "start", lambda *_: None)


@pytest.fixture(name="unoptimised")
def without_optimisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile C without optimisation, for tests of something else than compiled code."""
    unoptimised(monkeypatch)


@pytest.fixture
def run_python() -> RunPython:
    """Run Python code in a fresh process: ``run_python(code, env={...}, check=True)``; ``None`` removes a variable."""

    def run(
        code: str, env: Mapping[str, str | None] | None = None, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=process_environment(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert result.returncode == 0, result.stderr
        return result

    return run


@pytest.fixture
def compiler_script(tmp_path: Path) -> Callable[[str], str]:
    """Make a C compiler, to be named in ``$CC``, out of a shell script; ``$REAL`` in it is the real compiler."""
    from logsig_codegen.build.toolchain import find_compiler

    real = find_compiler().path

    def make(body: str) -> str:
        script = tmp_path / "compiler"
        script.write_text(f"#!/bin/sh\nREAL={real}\n{textwrap.dedent(body)}\n", encoding="utf-8")
        script.chmod(0o755)
        return str(script)

    return make
