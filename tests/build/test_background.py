"""Work in the background: its order, its errors, forks, and the end of the process, which does not wait for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import RunPython

from logsig_codegen.build import background

pytestmark = pytest.mark.background


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def idle() -> bool:
    return background._worker is None


def test_one_task_after_the_other_and_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[tuple[int, bool]] = []
    go_on = threading.Event()

    def fail() -> None:
        go_on.wait(60)
        raise ZeroDivisionError("on purpose")

    with caplog.at_level(logging.DEBUG, logger="logsig_codegen"):
        background.start("first", lambda: None, fail)
        for number in range(3):
            background.start(f"{number}", lambda: None, lambda number=number: ran.append((number, background.inside())))  # type: ignore[misc]
        assert not ran
        assert not background.inside()
        go_on.set()
        wait_until(idle)
    assert ran == [(0, True), (1, True), (2, True)]
    assert "background: first: on purpose" in caplog.text
    background.start("again", lambda: None, lambda: ran.clear())
    wait_until(lambda: not ran)


def test_a_fork_waits_for_imports_and_the_child_has_no_tasks() -> None:
    importing, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def imports() -> None:
        importing.set()
        go_on.wait(60)
        done.set()

    background.start("slow", imports, lambda: None)
    background.start("never in the child", lambda: None, lambda: None)
    assert importing.wait(60)
    threading.Timer(0.2, go_on.set).start()
    child = os.fork()
    if not child:
        os._exit(not done.is_set() or bool(background._tasks) or background._worker is not None)
    assert os.waitpid(child, 0)[1] == 0
    wait_until(idle)


def test_the_end_of_the_process_waits_for_nothing_and_ends_compilers(run_python: RunPython, tmp_path: Path) -> None:
    """A library is being compiled, in the threads of ``compile_library``."""
    (tmp_path / "unit.c").write_text("int x;")
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/running\nexec sleep 600\n")
    compiler.chmod(0o755)
    found = run_python(
        f"""
        import time
        from pathlib import Path
        from logsig_codegen.build import background
        from logsig_codegen.build.compile import compile_library
        from logsig_codegen.build.toolchain import Compiler, Toolchain
        from logsig_codegen.emit.unit import SourceUnit

        folder = Path({str(tmp_path)!r})
        compiler = Compiler(({str(compiler)!r},), {str(compiler)!r}, "cc")
        toolchain = Toolchain(compiler, "", "native", (), (), (), False, ())
        work = lambda: compile_library(folder, [SourceUnit("unit.c", "int x;", "c")], "unit.so", toolchain)
        background.start("unit", lambda: None, work)
        while not (folder / "running").exists() or not (folder / "running").read_text().strip():
            time.sleep(0.01)
        print("over")
        """,
        timeout=120,
    )
    assert (found.stdout, found.stderr) == ("over\n", "")
    process = int((tmp_path / "running").read_text())

    def has_ended() -> bool:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{process}/stat").read_text().split(")")[-1].split()[0] == "Z"

    wait_until(has_ended)
    assert not (tmp_path / "unit.so").exists()
