"""Fresh processes in hostile places: other users, file systems without locks, room, code or permission to write.

Trusts the kernel of the system, which is asked for these places; where it refuses (mounts and other users need root), a
test says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import process_environment
from shared import once

HERE = Path(__file__).parent
STRANGER, OTHER = 54321, 54322
"""Users that nobody is. What they need of the package is imported first: it may lie where they cannot read."""
RESULT = """
import numpy as np, logsig_codegen as lg
found = lg.load(2, 2).join(np.array([1.0, 2.0, 3.0]), np.array([0.5, -2.0]))
assert found.tolist() == [1.5, 0.0, 1.5], found
"""
"""Loads a kernel, from the cache or by building it, and looks at its numbers."""


@dataclass(frozen=True)
class Place:
    """Where a process runs.

    Attributes
    ----------
    cache : Path
        The folder that it is told to keep its kernels in.
    user : int, optional
        Its user and group; by default those of the tests.
    mount : str, optional
        Options of a file system in memory that is mounted over ``cache``, for this process alone.
    lacks : str
        What the C library fails at; see preload.c.
    limits : mapping of str to int
        Limits of the operating system, by the names of :mod:`resource`.
    variables : mapping
        Of the environment; ``None`` removes one.
    """

    cache: Path
    user: int | None = None
    mount: str | None = None
    lacks: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)

    def start(self, code: str = RESULT) -> subprocess.Popen[str]:
        """Start Python in this place."""
        head = "".join(
            f"import resource; resource.setrlimit(resource.{name}, ({value}, {value}))\n"
            for name, value in self.limits.items()
        )
        if self.user is not None:
            head += f"from faults import children; children.become({self.user})\n"
        command = [sys.executable, "-c", head + textwrap.dedent(code)]
        if self.mount is not None:
            script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, "sh", self.mount, str(self.cache), *command]
        variables: dict[str, str | None] = {"LOGSIG_CODEGEN_CACHE": str(self.cache), **self.variables}
        path = os.pathsep.join([str(HERE.parent), str(HERE.parent.parent)])
        if self.lacks:
            variables.update(LD_PRELOAD=str(preloaded()), LOGSIG_LACKS=self.lacks)
        environment = {**process_environment(variables), "PYTHONPATH": path}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, code: str = RESULT, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run Python in this place until it ends."""
        return finish([self.start(code)], timeout=timeout)[0]


def finish(
    processes: Sequence[subprocess.Popen[str]], *, timeout: float = 120
) -> list[subprocess.CompletedProcess[str]]:
    """Wait for processes; one that hangs is an error."""
    done = []
    for process in processes:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        done.append(subprocess.CompletedProcess(process.args, process.returncode, output, errors))
    return done


def preloaded() -> Path:
    """The library of preload.c."""

    def compile_into(folder: Path) -> None:
        command = ["cc", "-shared", "-fPIC", str(HERE / "preload.c"), "-o", str(folder / "preload.so"), "-ldl"]
        subprocess.run(command, check=True)

    return once("faults-preload", compile_into) / "preload.so"


def needs_root() -> None:
    """Skip a test where it cannot be another user, or where others cannot read the package."""
    if os.geteuid() != 0:
        pytest.skip("only root can be other users")
    done = Place(Path("/nowhere"), user=STRANGER).run(
        "import logsig_codegen.shipped as s; s.verbatim('c/include/logsig_rows.h')"
    )
    if done.returncode:
        pytest.skip(f"another user cannot read the package: {done.stderr.splitlines()[-1]}")


def needs_mounts(folder: Path) -> None:
    """Skip a test where nothing can be mounted."""
    needs_root()
    script = f"mount -t tmpfs -o size=64k tmpfs {folder}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything below a folder: kind, permissions and content; links are not followed."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        content: bytes | str = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found
