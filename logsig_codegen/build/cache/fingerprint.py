"""What tells versions of this package apart: the content of its files."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from logsig_codegen.shipped import template_folder

_SUFFIXES = (".py", ".h", ".c", ".cu", ".cuh", ".jinja", ".j2")


@lru_cache(maxsize=1)
def package_fingerprint() -> str:
    """Digest of :func:`fingerprint_lines`: edited code is never answered from the cache, reinstalled code is."""
    return hashlib.sha256("\n".join(fingerprint_lines()).encode()).hexdigest()


def fingerprint_lines() -> list[str]:
    """Name and SHA-256 of each of this package's files, templates included, wherever they are installed."""
    package, templates = Path(__file__).resolve().parents[2], template_folder()
    lines = []
    for base in (package,) if templates.is_relative_to(package) else (package, templates):
        for folder, folders, files in os.walk(base):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                if name.endswith(_SUFFIXES):
                    path = os.path.join(folder, name)
                    with open(path, "rb", buffering=0) as file:
                        digest = hashlib.sha256(file.read()).hexdigest()
                    lines.append(f"{os.path.relpath(path, base)} {digest}")
    return lines
