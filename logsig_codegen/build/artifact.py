"""A folder that holds one compiled problem: its sources, its library, and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.errors import ArtifactError
from logsig_codegen.problem import Problem

MANIFEST = "manifest.json"
FORMAT = 2
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Artifact:
    """A folder and what its manifest says.

    Attributes
    ----------
    path : Path
        The folder.
    manifest : mapping
        The manifest, as read.
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Digest of the request this folder answers (empty for folders written to be copied elsewhere)."""
        return str(self.manifest["key"])

    @property
    def target(self) -> str:
        """Name of the target whose folder it is."""
        return str(self.manifest.get("target", "c"))

    def is_of(self, target: str, problem: Problem) -> bool:
        """Whether it is a folder of a target for a problem."""
        mine = (self.target, self.manifest["dimension"], self.manifest["degree"])
        return mine == (target, problem.dimension, problem.degree)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of operations it has."""
        return tuple(self.manifest["groups"])

    @property
    def library(self) -> Path:
        """Path of the shared library."""
        return self.path / str(self.manifest["library"])


def describe_file(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file."""
    content = path.read_bytes()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest: the last file of a folder, and what makes the others count."""
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def read_artifact(folder: Path) -> Artifact:
    """Read the manifest of a folder.

    Raises
    ------
    ArtifactError
        If there is none, or it cannot be one of ours.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(f"{path}: is not a manifest: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"{path}: is not a manifest of format {FORMAT}")
    missing = [
        name
        for name in ("abi_version", "key", "dimension", "degree", "groups", "files", "library")
        if name not in manifest
    ]
    if missing:
        raise ArtifactError(f"{path}: lacks {', '.join(missing)}")
    return Artifact(folder, manifest)


def check_problem(artifact: Artifact, problem: Problem) -> None:
    """Raise ``ArtifactError`` unless a folder was made for ``problem`` and this version of the interface."""
    path, manifest = artifact.path, artifact.manifest
    if (manifest["dimension"], manifest["degree"]) != (problem.dimension, problem.degree):
        raise ArtifactError(
            f"{path}: made for (dimension={manifest['dimension']}, degree={manifest['degree']}), "
            f"not for (dimension={problem.dimension}, degree={problem.degree})"
        )
    if manifest["abi_version"] != ABI_VERSION:
        raise ArtifactError(
            f"{path}: its library has interface version {manifest['abi_version']}, this package calls version "
            f"{ABI_VERSION}; generate it again"
        )


def check_file(artifact: Artifact, name: str) -> None:
    """Raise ``ArtifactError`` if a file of a folder is missing, or not what the manifest says."""
    file = artifact.path / name
    try:
        found = describe_file(file)
    except OSError as error:
        raise ArtifactError(f"{file}: cannot be read: {error.strerror}") from error
    if found != artifact.manifest["files"].get(name):
        raise ArtifactError(f"{file}: is damaged: its size or SHA-256 is not what the manifest says")
