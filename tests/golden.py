"""The golden tree: what the compiler writes for a few small problems, kept in ``generated/golden``.

Hand-written headers are copied into every generated folder as they are. The golden tree leaves them out: they are kept
once, in ``templates``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "generated" / "golden"
HEADERS = {path.name: path.read_bytes() for path in sorted((ROOT / "templates").glob("*/include/*"))}
"""The hand-written headers, by name."""
PROBLEMS = ((2, 3), (2, 5), (3, 2))
"""One with an odd and one with an even degree, and one whose plan has a square root in it."""


def write(out: Path, *, hash_seed: str) -> None:
    """Write the tree to ``out`` with ``logsig-gen``, a new process per problem, sources only."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    for dimension, degree in PROBLEMS:
        numbers = ["--dim", str(dimension), "--degree", str(degree), "--target", "c,cuda"]
        command = [sys.executable, "-m", "logsig_codegen", *numbers, "--emit-only", "--out", str(out)]
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


def read(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` by its relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def split(written: dict[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What was generated, and the copies of hand-written headers."""
    headers = {name: content for name, content in written.items() if Path(name).name in HEADERS}
    return {name: content for name, content in written.items() if name not in headers}, headers
