"""The golden tree: what the compiler writes for a few small problems, kept in ``generated/golden``.

Of more problems, all operations of each, ``generated/digests.json`` has a digest per file: small enough to keep, and
enough to see that a change of structure changes no text.

Hand-written headers are copied into every generated folder as they are. The golden tree leaves them out: they are kept
once, in ``templates``.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "generated" / "golden"
HEADERS = {
    path.name: path.read_bytes()
    for kind in ("include", "host")
    for path in sorted((ROOT / "templates").glob(f"*/{kind}/*"))
}
"""The hand-written headers, by name."""
DIGESTS = ROOT / "generated" / "digests.json"
DIGESTED = (
    *((1, 3), (2, 1), (2, 3), (3, 2), (2, 5), (4, 3), (5, 3), (20, 2), (2, 7), (3, 5), (10, 3), (5, 4)),
    *((4, 6), (20, 3)),
)
"""Small and large ones, straight-line code and tables, a thread, a block or cooperating warps per sample."""
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


def digests() -> dict[str, dict[str, str]]:
    """By problem and file: the beginning of the SHA-256 of everything generated for C, CUDA and torch."""
    from logsig_codegen.compiler import compile_problem
    from logsig_codegen.emit.c import c_sources
    from logsig_codegen.emit.cuda.sources import cuda_sources
    from logsig_codegen.emit.torch import torch_sources
    from logsig_codegen.operations import available_groups
    from logsig_codegen.problem import Problem

    found = {}
    for problem in (Problem(*numbers) for numbers in DIGESTED):
        compiled = compile_problem(problem, groups=available_groups(problem))
        texts = {f"c/{unit.name}": unit.text for unit in c_sources(compiled)}
        texts.update({f"cuda/{unit.name}": unit.text for unit in cuda_sources(compiled).units})
        texts.update({f"torch/{name}": text for name, text in torch_sources(compiled, ("float32", "float64")).items()})
        found[problem.name] = {
            name: hashlib.sha256(text.encode()).hexdigest()[:12]
            for name, text in sorted(texts.items())
            if Path(name).name not in HEADERS
        }
    return found


def kept_digests() -> dict[str, dict[str, str]]:
    """What ``generated/digests.json`` says."""
    kept: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text(encoding="utf-8"))
    return kept
