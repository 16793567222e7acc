"""A folder that holds one compiled problem: its sources, its library, and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.build import cpu
from logsig_codegen.errors import ArtifactError
from logsig_codegen.problem import Problem

if TYPE_CHECKING:
    from logsig_codegen.build.toolchain import Toolchain
    from logsig_codegen.emit.unit import SourceUnit

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
    def groups(self) -> tuple[str, ...]:
        """The groups of operations it has."""
        return tuple(self.manifest["groups"])

    @property
    def library(self) -> Path:
        """Path of the shared library."""
        return self.path / str(self.manifest["library"])


def folder_name(problem: Problem, target: str) -> str:
    """Name of the folder that a target of a problem is written to."""
    return problem.name if target == "c" else f"{problem.name}_{target}"


def library_name(problem: Problem) -> str:
    """File name of the shared library of a problem."""
    return f"liblogsig_{problem.name}.so"


def build_manifest(
    folder: Path,
    report: Mapping[str, Any],
    units: Sequence[SourceUnit],
    *,
    extra_files: Sequence[str] = (),
    version: str,
    key: str,
    dtypes: Sequence[str],
    groups: Sequence[str],
    toolchain: Toolchain | None,
    library: str | None,
) -> dict[str, Any]:
    """The manifest of a folder whose other files are all written.

    The compiler, its flags and the processor are ``None`` where nothing was compiled (``toolchain=None``): such a
    manifest is the same on every machine.
    """
    names = [*(unit.name for unit in units), *extra_files, *((library,) if library else ())]
    return {
        "format": FORMAT,
        "abi_version": ABI_VERSION,
        "package_version": version,
        "key": key,
        **report,
        "target": "c",
        "groups": list(groups),
        "dtypes": list(dtypes),
        "compiler": None if toolchain is None else {"path": toolchain.compiler.path, "version": toolchain.version},
        "flags": None if toolchain is None else [flag.text for flag in toolchain.compile_flags],
        "openmp": None if toolchain is None else toolchain.openmp,
        "march": None if toolchain is None else toolchain.march,
        "cpu": None if toolchain is None else {"machine": cpu.machine(), "features": list(toolchain.features)},
        "sources": [unit.name for unit in units],
        "library": library,
        "files": {name: describe_file(folder / name) for name in names},
    }


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


def check_artifact(artifact: Artifact, problem: Problem) -> None:
    """Make sure that loading the library is safe: right problem, right interface, right machine, undamaged file.

    A truncated library would kill the process with SIGBUS and one for another processor with SIGILL, so both are
    found here, before the library is touched.

    Raises
    ------
    ArtifactError
        With what does not fit.
    """
    path, manifest = artifact.path, artifact.manifest
    target = manifest.get("target", "c")
    if target != "c":
        raise ArtifactError(f"{path}: holds kernels for {target}, not for the processor")
    _check_problem(artifact, problem)
    if manifest["library"] is None:
        raise ArtifactError(f"{path}: holds source text only (it was written with emit_only); no library to load")
    _check_machine(artifact)
    _check_library(artifact)


def _check_problem(artifact: Artifact, problem: Problem) -> None:
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


def check_cuda_artifact(artifact: Artifact, problem: Problem) -> None:
    """Make sure that the kernels of a folder for GPUs are those of ``problem``, and undamaged.

    Raises
    ------
    ArtifactError
        With what does not fit.
    """
    path, manifest = artifact.path, artifact.manifest
    if manifest.get("target") != "cuda":
        raise ArtifactError(f"{path}: has no kernels for a GPU")
    _check_problem(artifact, problem)
    binaries = {kernel["binary"] for kernel in manifest["kernels"]}
    if None in binaries:
        raise ArtifactError(f"{path}: holds source text only; there is nothing to load")
    for name in sorted(binaries):
        _check_file(artifact, name)


def _check_machine(artifact: Artifact) -> None:
    built_for = artifact.manifest.get("cpu") or {}
    if built_for.get("machine") != cpu.machine():
        raise ArtifactError(f"{artifact.path}: built for {built_for.get('machine')}, this machine is {cpu.machine()}")
    missing = cpu.missing_features(built_for.get("features", ()))
    if missing:
        raise ArtifactError(
            f"{artifact.path}: built with march={artifact.manifest.get('march')!r}, but this processor lacks "
            f"{', '.join(missing)}; generate it again with a march that both machines have, for example 'x86-64-v3'"
        )


def _check_library(artifact: Artifact) -> None:
    _check_file(artifact, str(artifact.manifest["library"]))


def _check_file(artifact: Artifact, name: str) -> None:
    file = artifact.path / name
    try:
        found = describe_file(file)
    except OSError as error:
        raise ArtifactError(f"{file}: cannot be read: {error.strerror}") from error
    if found != artifact.manifest["files"].get(name):
        raise ArtifactError(f"{file}: is damaged: its size or SHA-256 is not what the manifest says")
