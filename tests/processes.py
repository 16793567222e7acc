"""What tests need to run Python in fresh processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


def process_environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with the package importable, and with ``changes``; ``None`` removes a variable."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for name, value in (changes or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment
