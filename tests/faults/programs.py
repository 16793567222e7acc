"""Starts the programs of this folder, which print JSON: each in a fresh process, so that a crash is a finding too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processes import process_environment

HERE = Path(__file__).parent


def report(name: str, words: Sequence[object], *, timeout: float | None = None) -> dict[str, Any]:
    """What ``python name.py words`` prints; an ``AssertionError`` if it dies.

    A program that dies leaves the call that it died of in a file ``last-…`` of its folder.
    """
    command = [sys.executable, str(HERE / f"{name}.py"), *map(str, words)]
    done = subprocess.run(
        command, env=process_environment(), capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-6000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def listed(findings: dict[str, Any]) -> str:
    """Findings as text."""
    return "\n\n".join(f"{name}\n{text}" for name, text in findings.items())
