"""Processes that are made to suffer: forked from one that has imported everything, so that each takes little time."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import pkgutil
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources

MARK = "LOGSIG_FAULTS"
"""A variable of the environment by which what a process has started is found after its death."""
PATIENCE = 120.0
"""Seconds after which a process hangs."""
RIGHT, REPORTED, WRONG, HANGS = 0, 10, 11, 12
"""Exit statuses: right numbers; an error of the package; anything else; no end after :data:`PATIENCE`."""

for _module in pkgutil.walk_packages(lg.__path__, "logsig_codegen."):
    if not re.search("torch|_tensor|_layers|[.]nn$|__main__|cuda", _module.name):
        importlib.import_module(_module.name)
for _name in (
    "jinja2.loaders",
    "filelock",
    "platformdirs.unix",
    "sympy",
    "tempfile",
    "traceback",
    "encodings.idna",
    "ctypes",
):
    importlib.import_module(_name)


def become(user: int) -> None:
    """Be another user from now on, of the group of the same number; what a build imports late is imported before."""
    c_sources(compile_problem(lg.Problem(2, 2), groups=("join",)))
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def start(work: Callable[[], int], output: Path | None = None) -> int:
    """Fork a process that ends with the status that ``work`` returns; its number. What it prints goes to ``output``."""
    number = os.fork()
    if number:
        return number
    status = WRONG
    try:
        if output is not None:
            with output.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start what is in the background without
        faulthandler.register(signal.SIGUSR1)
        status = work()
    except lg.LogSigError as error:
        status = REPORTED
        print(f"{type(error).__name__}: {error}")
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def wait(number: int, seconds: float = PATIENCE) -> int:
    """The exit status of a process, or minus the signal that ended it; one that hangs says where, and is killed."""
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(number, signal.SIGUSR1)
            time.sleep(1)
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return HANGS
        time.sleep(0.002)


def ended(number: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds; its status is left for :func:`wait`."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def marked() -> list[tuple[int, str]]:
    """Processes, alive, whose environment has :data:`MARK` of this process; number and command."""
    mine = f"{MARK}={os.environ.get(MARK)}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and mine in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if command:  # else it is dead, and not waited for
                    found.append((int(folder.name), command))
    return found


def load_and_check(dimension: int = 2, degree: int = 2, groups: tuple[str, ...] = ("join",), **options: object) -> int:
    """Load a kernel and make sure that its numbers are right: degrees one and two of a join are known."""
    kernel = lg.load(dimension, degree, **options)  # type: ignore[arg-type]
    kernel.prepare(*groups)
    log_sig = np.arange(1.0, kernel.size + 1)
    step = np.array([0.5, -2.0])
    joined = kernel.join(log_sig, step)
    area = log_sig[2] + (log_sig[0] * step[1] - log_sig[1] * step[0]) / 2
    expected = [*(log_sig[:2] + step), area]
    return RIGHT if np.array_equal(joined[:3], expected[: min(3, kernel.size)]) else WRONG


def strictly(work: Callable[[], int]) -> Callable[[], int]:
    """The same work, where every warning is an error."""

    def strict() -> int:
        warnings.simplefilter("error")
        return work()

    return strict
