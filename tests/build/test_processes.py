"""Compilers end: at a limit, with the build that wants them, and with the process that started them, however it dies.

Trusts the operating system: a process is there as long as its entry in ``/proc`` says that it runs.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import process_environment

import logsig_codegen as lg
from logsig_codegen.build import processes
from logsig_codegen.build.cache import failures, marks, places
from logsig_codegen.build.compile import compile_library
from logsig_codegen.build.processes import Crew, run
from logsig_codegen.build.toolchain import describe, find_compiler
from logsig_codegen.emit.unit import SourceUnit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


UNIT = SourceUnit("unit.c", "int one(void) { return 1; }\n", "c")


def compile_unit(folder: Path) -> None:
    (folder / UNIT.name).write_text(UNIT.text)
    compile_library(folder, (UNIT,), "libunit.so", describe(find_compiler(), "native"))


@pytest.fixture
def hanging(compiler_script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compiler hangs at ``unit.c``, in a process below its own, whose number it writes into a file first."""
    number = tmp_path / "number"
    body = f"""
    case "$*" in *unit.c*) sh -c 'echo $$ > {number}.new; mv {number}.new {number}; sleep 600; true'; exit 1;; esac
    exec $REAL "$@"
    """
    monkeypatch.setenv("CC", compiler_script(body))
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "cache"))
    return number


def runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_compilers_die_with_their_parent(hanging: Path, tmp_path: Path, number: signal.Signals) -> None:
    code = """
    import sys
    from pathlib import Path
    from test_processes import compile_unit
    compile_unit(Path(sys.argv[1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    env = process_environment()
    env["PYTHONPATH"] += os.pathsep + os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parent.parent)))
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, start_new_session=True) as parent:
        wait_until(lambda: hanging.exists() or parent.poll() is not None)
        child = int(hanging.read_text())
        assert runs(child)
        parent.send_signal(number)  # to it alone
        _, stderr = parent.communicate(timeout=60)
    wait_until(lambda: not runs(child))
    assert parent.returncode != 0
    assert (b"KeyboardInterrupt" in stderr) == (number == signal.SIGINT)


def test_a_compiler_that_hangs_is_stopped(hanging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(find_compiler(), "native")
    monkeypatch.setenv(processes.LIMIT, "0.5")
    with pytest.raises(lg.CompilerError, match=r"stopped after 0\.5 seconds \(\$LOGSIG_CODEGEN_COMPILER_SEC") as caught:
        compile_unit(tmp_path)
    wait_until(lambda: not hanging.exists() or not runs(int(hanging.read_text())))
    assert "unit.c" in caught.value.command
    assert Path(caught.value.source).read_text() == UNIT.text


@pytest.mark.parametrize("wrong", ["soon", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_none(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processes.LIMIT, wrong)
    with pytest.raises(ValueError, match=rf"\$LOGSIG_CODEGEN_COMPILER_SECONDS: expected .*, got '{wrong}'"):
        processes.time_limit()
    monkeypatch.setenv(processes.LIMIT, "none")
    assert processes.time_limit() is None
    monkeypatch.delenv(processes.LIMIT)
    assert processes.time_limit() == 1800


def test_when_one_of_a_crew_fails_the_others_end(tmp_path: Path) -> None:
    """As when the main thread is interrupted: whoever leaves the block takes them along."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        crew = Crew()
        with contextlib.suppress(KeyboardInterrupt), crew:
            running = [pool.submit(crew.run, ("sh", "-c", f"echo $$ > {name}; sleep 600"), tmp_path) for name in "ab"]
            wait_until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "ab"))
            raise KeyboardInterrupt
        assert [future.result(60).status for future in running] == [-signal.SIGKILL] * 2
        with pytest.raises(lg.CompilerError, match="given up"):
            crew.run(("true",), tmp_path)
    numbers = [int((tmp_path / name).read_text()) for name in "ab"]
    wait_until(lambda: not any(map(runs, numbers)))  # killed with their parent, but the system may take a moment


def test_what_a_command_does_and_says(tmp_path: Path) -> None:
    done = run(("sh", "-c", "echo out; echo err >&2; cat; pwd; exit 3"), tmp_path)
    assert (done.status, done.stdout, done.stderr) == (3, f"out\n{tmp_path}\n", "err\n")
    assert done.failure("It") == "It failed with status 3."
    assert run(("sh", "-c", "kill -SEGV $$"), tmp_path).status == 128 + signal.SIGSEGV
    assert run(("true",), tmp_path).failure("It") == ""
    with pytest.raises(lg.CompilerError, match="'/nowhere/cc' cannot be run"):
        run(("/nowhere/cc",), tmp_path)


def test_no_processes_and_no_descriptors_are_left(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run(("sh", "-c", "exit 1"), tmp_path)
    assert sorted(os.listdir("/proc/self/fd")) == before
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        assert children.read_text() == ""


@pytest.mark.parametrize("what", ["-c", "-shared"])
def test_a_compiler_that_writes_nothing_is_blamed(
    what: str, compiler_script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Probes are linked in one step, and pass.
    monkeypatch.setenv("CC", compiler_script(f'case "$*" in *probe*) ;; *{what}*) exit 0;; esac; exec $REAL "$@"'))
    with pytest.raises(lg.CompilerError, match=r"The C compiler reported success .* has not written .*unit"):
        compile_unit(tmp_path)
    monkeypatch.setenv("CC", "true")
    with pytest.raises(lg.CompilerError, match=r"(?s)cannot compile an empty function.*has written nothing"):
        compile_unit(tmp_path)


def test_failed_builds_keep_their_evidence_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str]
) -> None:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("CC", compiler_script('case "$*" in *unit.c*) echo refused >&2; exit 3;; esac; exec $REAL "$@"'))
    sources = []
    for _ in range(failures.KEPT + 3):
        with pytest.raises(lg.CompilerError) as caught:
            compile_unit(tmp_path)
        sources.append(Path(caught.value.source))
        assert f"source: {caught.value.source}" in str(caught.value)
    left = [source for source in sources if source.exists()]
    assert left == sources[-failures.KEPT :]
    assert {source.parent.parent for source in left} == set(failures.kept(tmp_path / "cache" / "kernels"))
    assert left[-1].read_text() == UNIT.text
    kept = left[-1].parent.parent
    assert marks.bears_mark(kept)
    assert "refused" in (kept / "messages.txt").read_text()
    assert shlex.split((kept / "command.txt").read_text()) == list(caught.value.command)
    assert os.listdir(tmp_path / "temporary") == []
    lg.clear_cache(use_disk=True)
    assert failures.kept(tmp_path / "cache" / "kernels") == []


def test_nvcc_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler for GPUs that fails, or writes nothing, is run and blamed as that for C."""
    from logsig_codegen.build.nvidia import CudaCompiler, compile_ahead, find_nvcc
    from logsig_codegen.compiler import compile_problem
    from logsig_codegen.emit.cuda.sources import cuda_sources

    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "cache"))
    nvcc = tmp_path / "nvcc"
    nvcc.write_text('#!/bin/sh\ncase "$*" in --version) echo "release 13.0";; esac\nexit 0\n')
    nvcc.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NVCC", "./nvcc")
    assert find_nvcc() == CudaCompiler("nvcc", "13.0", str(nvcc))
    kernels = cuda_sources(compile_problem(lg.Problem(2, 2), groups=("join",)), ("float32",)).kernels
    names = {kernel.symbol: f"{kernel.symbol}.fatbin" for kernel in kernels}
    with pytest.raises(lg.CompilerError, match=r"nvcc reported success .* has not written .*\.fatbin"):
        compile_ahead(find_nvcc(), tmp_path, kernels, ("sm_90",), names=names)
    nvcc.write_text("#!/bin/sh\necho refused >&2\nexit 2\n")
    with pytest.raises(lg.CompilerError, match=r"(?s)nvcc failed with status 2.*refused"):
        compile_ahead(find_nvcc(), tmp_path, kernels, ("sm_90",), names=names)
