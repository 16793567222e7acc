"""The line that says what is being built. Trusts the operating system's pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest
from processes import process_environment

CODE = """
import time
from logsig_codegen.build import progress

progress.DELAY = 0.1
with progress.building("d2_n3, c: join"):
    time.sleep(0.5)
    progress.expect(3)
    progress.done()
    time.sleep(0.5)
"""


def on_a_terminal(code: str, **variables: str) -> str:
    """What a process prints on its standard error, a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL, env=process_environment(variables)):
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux says so at the end
                break
            if not part:
                break
            parts.append(part)
    os.close(ours)
    return b"".join(parts).decode()


def test_a_terminal_sees_what_is_built_and_how_much_is_left() -> None:
    shown = on_a_terminal(CODE)
    assert "building d2_n3, c: join [00:00]" in shown
    assert "1 of 3 [00:00, about 00:0" in shown
    assert shown.rstrip("\r").endswith(" ")  # the line is wiped out


def test_what_is_quick_shows_nothing() -> None:
    assert on_a_terminal("from logsig_codegen.build import progress\nwith progress.building('x'): pass") == ""


def test_a_pipe_sees_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, env=process_environment({}), check=True)
    assert done.stderr == done.stdout == b""


@pytest.mark.slow
def test_a_kernel_that_takes_longer_than_a_second(tmp_path: Path) -> None:
    shown = on_a_terminal("import logsig_codegen as lg; lg.load(4, 4)", LOGSIG_CODEGEN_CACHE=str(tmp_path))
    assert "building d4_n4, c: join" in shown
    assert " of 5 [" in shown
