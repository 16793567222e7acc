"""A folder that holds one compiled problem: its sources, its library, and the manifest that vouches for them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.build.manifest import FORMAT, MANIFEST, MOST_BYTES, parse
from logsig_codegen.errors import ArtifactError
from logsig_codegen.problem import Problem

__all__ = [
    "DTYPES",
    "FORMAT",
    "MANIFEST",
    "Artifact",
    "check_file",
    "check_problem",
    "describe_file",
    "read_artifact",
    "write_manifest",
]
DTYPES = ("float32", "float64")
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # Unix has the one, Windows the other


@dataclass(frozen=True)
class Artifact:
    """A folder and what its manifest says.

    Attributes
    ----------
    path : Path
        The folder.
    manifest : mapping
        The manifest, checked by :func:`logsig_codegen.build.manifest.parse`.
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
        return self.file(self.manifest["library"])

    def file(self, name: str) -> Path:
        """Path of a file.

        Raises
        ------
        ArtifactError
            If a symbolic link leads out of the folder; names do not, see :mod:`logsig_codegen.build.manifest`.
        """
        path = self.path / name
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.path)):
            raise ArtifactError(f"{path}: is a link that leads out of the folder")
        return path

    def content(self, name: str) -> bytes:
        """What a file holds.

        Raises
        ------
        ArtifactError
            If it is missing, or not what the manifest says.
        """
        path, expected = self.file(name), self.manifest["files"].get(name)
        try:
            content = _read(path, 0 if expected is None else expected["size"])
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
        if content is None or _describe(content) != expected:
            raise ArtifactError(f"{path}: is damaged: its size or SHA-256 is not what the manifest says")
        return content

    def sources(self) -> dict[str, str]:
        """File name to text of the sources; raises as :meth:`content`."""
        return {name: self.content(name).decode(errors="replace") for name in self.manifest["sources"]}


def _read(path: Path, most: int) -> bytes | None:
    """A file of at most so many bytes, or ``None``; what is no regular file may never end, and is an ``OSError``."""
    descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1) if status.st_size <= most else None
    finally:
        os.close(descriptor)


def _describe(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def describe_file(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file."""
    return _describe(path.read_bytes())


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest: the last file of a folder, and what makes the others count."""
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8", newline="\n")


def read_artifact(folder: Path) -> Artifact:
    """Read the manifest of a folder.

    Raises
    ------
    ArtifactError
        If there is none, or it cannot be one of ours; naming the file and the field.
    """
    path = folder / MANIFEST
    try:
        content = _read(path, MOST_BYTES)
        if content is None:
            raise ArtifactError(f"{path}: is not a manifest: it has more than {MOST_BYTES:,} bytes")
        return Artifact(folder, parse(content))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}") from error


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
    artifact.content(name)
