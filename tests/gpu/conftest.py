"""Tests on a GPU run one at a time, whatever the number of processes: they share the device and its memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock


@pytest.fixture(autouse=True)
def gpu_alone(session_cache: Path) -> Iterator[None]:
    with FileLock(session_cache / ".gpu.lock"):
        yield
