"""What the package does, as functions: load kernels, write artifact folders, show formulas."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from logsig_codegen import targets as registry
from logsig_codegen.build import platforms
from logsig_codegen.build.artifact import DTYPES, MANIFEST, Artifact, read_artifact
from logsig_codegen.build.nvidia import check_architectures
from logsig_codegen.build.replace import carry_over, make_beside, put_in_place
from logsig_codegen.build.toolchain import check_march
from logsig_codegen.errors import ArtifactError, OutputError, ProblemTooLargeError, shown
from logsig_codegen.operations import GROUPS, available_groups
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.checks import check_bool, check_problem
from logsig_codegen.runtime.loader import load
from logsig_codegen.targets.base import BuildSpec, Target
from logsig_codegen.targets.builder import build_into

if TYPE_CHECKING:
    from logsig_codegen.emit.page import ProblemFormulas

__all__ = ["GeneratedFolder", "formulas", "generate", "load"]


@dataclass(frozen=True)
class GeneratedFolder:
    """What :func:`generate` wrote.

    Attributes
    ----------
    path : Path
        The folder, ``<out>/d5_n3`` for dimension 5 and degree 3, ``<out>/d5_n3_cuda`` for the target ``"cuda"``.
    manifest : dict
        Contents of its ``manifest.json``.
    seconds : float
        Time it took.
    remarks : tuple of str
        What else is to be known, such as that an extension of torch has no kernels for GPUs.
    next_step : str, optional
        What to do with it: the call of :func:`load` that takes it.
    """

    path: Path
    manifest: dict[str, Any]
    seconds: float
    remarks: tuple[str, ...] = ()
    next_step: str | None = None


def formulas(dimension: SupportsIndex, degree: SupportsIndex) -> ProblemFormulas:
    """The formulas of one dimension and degree, for reading: SymPy expressions, text, LaTeX, JSON and a page of HTML.

    Raises
    ------
    TypeError, ValueError
        For a dimension or degree that is not an integer of at least 1.
    """
    problem = check_problem(dimension, degree)
    from logsig_codegen.emit.page import ProblemFormulas

    return ProblemFormulas(problem)


def generate(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    out: str | os.PathLike[str],
    *,
    targets: Sequence[str] = ("c",),
    operations: Sequence[str] | None = None,
    dtypes: Sequence[str] = DTYPES,
    march: str = platforms.NATIVE,
    platform: str | None = None,
    architectures: Sequence[str] | None = None,
    emit_only: bool = False,
    max_terms: int | None = None,
    jobs: int | None = None,
) -> GeneratedFolder:
    """Write ``<out>/d5_n3`` (for dimension 5, degree 3): C sources, header, formulas, manifest and the shared library.

    For the target ``"cuda"`` write ``<out>/d5_n3_cuda``: CUDA sources, headers, manifest and, where nvcc is found, one
    fat binary per kernel.

    The folder needs nothing outside itself: :func:`load` takes it without compiler, SymPy or Jinja2, and a C program
    can use the header and the library directly. It replaces an earlier folder of the same name after everything is
    finished: on Linux in one step, elsewhere by two renames, the first of which is undone if the second one fails.
    Files that the earlier folder was not generated with move along.

    Parameters
    ----------
    dimension, degree : int
        At least 1 each.
    out : path
        Parent folder; made if need be.
    targets : sequence of str
        What to generate: ``"c"``; ``"torch"``, which is that and an extension of torch that needs no Python (building
        it takes a minute, or a few with kernels for GPUs, and needs torch, ninja and a C++ compiler); ``"cuda"``, a
        folder of its own; or the name of a target that another package has registered
        (:func:`logsig_codegen.targets.register`).
    operations : sequence of str, optional
        Groups of operations, as :meth:`LogSigKernel.prepare` names them; default: all the problem can have.
    dtypes : sequence of str
        ``"float32"``, ``"float64"`` or both.
    march : str
        Processor to compile for, as the compiler's ``-march=`` takes it; ``"native"``: that of this machine or, with
        ``platform``, the kind that demands least of those that packs for the platform have.
    platform : str, optional
        Machine to compile for: ``"linux-x86_64"``, ``"linux-aarch64"``, ``"darwin-arm64"`` (macOS) or
        ``"win32-amd64"``; Zig compiles for it, and only the target ``"c"`` can be had. Default: this machine.
    architectures : sequence of str, optional
        GPUs to compile for, as nvcc names them; the code for the last one is there in a form for later ones too.
        Default: ``("sm_80", "sm_90", "sm_100")``. The extension of torch has kernels for GPUs too, if there is nvcc or
        NVRTC to compile them; ``()`` leaves them out, and GPUs that are named are an error without a compiler.
    emit_only : bool
        Write sources and formulas, but compile nothing; the result is the same, byte for byte, on every machine.
    max_terms : int, optional
        Raise the limit on the number of structure-constant terms.
    jobs : int, optional
        Compilers to run at once; default: the usable processors.

    Returns
    -------
    GeneratedFolder
        That of the C library if it is among the targets, else that of the first target.

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong type or value.
    ProblemTooLargeError, GenerationError, CompilerError
        If there is nothing to write.
    ArtifactError
        If the folder exists and is not one of ours, or has a file of somebody else under the name of a generated one:
        it is left alone.
    OutputError
        If it cannot be written.
    """
    started = time.perf_counter()
    problem, parent = check_problem(dimension, degree), _check_out(out)
    chosen = registry.folders(_check_choices("targets", targets, sorted(registry.known())))
    machine = platforms.named(platform)
    staying = [target.name for target in chosen if machine.zig and not target.crosses]
    if staying:
        raise ValueError(f"platform: the target {staying[0]} can be compiled for this machine only")
    spec = BuildSpec(
        problem,
        groups=_check_operations(problem, operations),
        dtypes=_check_choices("dtypes", dtypes, DTYPES),
        march=machine.march(check_march(march)),
        platform=machine,
        architectures=None if architectures is None else check_architectures(architectures, some=False),
        emit_only=check_bool("emit_only", emit_only),
        documents=True,
        max_terms=None if max_terms is None else check_positive_integer("max_terms", max_terms),
        jobs=None if jobs is None else check_positive_integer("jobs", jobs),
    )
    for target in chosen:
        target.check_options(spec)
    folders = [parent / target.folder_name(problem) for target in chosen]
    manifests, remarks = [], []
    try:
        for target, folder in zip(chosen, folders, strict=True):
            _older(folder, target, problem)
        tools = [target.tools(spec) for target in chosen]
        for target, folder, tool in zip(chosen, folders, tools, strict=True):
            manifests.append(_write(folder, target, spec, tool))
            remarks.append(target.remark(manifests[-1], spec))
    except OSError as error:
        raise OutputError(f"out: {parent} cannot be written: {error}") from error
    next_step = chosen[0].root.next_step(folders[0], manifests[0])
    seconds = time.perf_counter() - started
    return GeneratedFolder(folders[0], manifests[0], seconds, tuple(filter(None, remarks)), next_step)


def _write(folder: Path, target: Target, spec: BuildSpec, tools: Any) -> dict[str, Any]:
    """Build a target aside and put it in its place; what else lies in an older folder moves along."""
    folder = Path(os.path.realpath(folder))  # a link stays, and what it leads to is replaced
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = make_beside(folder)
    try:
        manifest = build_into(staging, target, spec, tools)
        older = _older(folder, target, spec.problem)
        if older is not None:
            carry_over(older, staging)
        put_in_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # the older one, if all went well
    return manifest


def _check_choices(name: str, chosen: Sequence[str], possible: Sequence[str]) -> tuple[str, ...]:
    """Return the choices in their canonical order, each once."""
    if isinstance(chosen, str) or not isinstance(chosen, Sequence):
        raise TypeError(f"{name}: expected a sequence of strings, got {type(chosen).__name__} {shown(chosen)}")
    unknown = [choice for choice in chosen if choice not in possible]
    if unknown or not chosen:
        raise ValueError(f"{name}: expected one or more of {', '.join(possible)}, got {shown(tuple(chosen))}")
    return tuple(choice for choice in possible if choice in chosen)


def _check_operations(problem: Problem, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """Return the groups of operations in their order; ``None`` is all that the problem can have."""
    available = available_groups(problem)
    if chosen is None:
        return available
    groups = _check_choices("operations", chosen, tuple(GROUPS))
    missing = [group for group in groups if group not in available]
    if missing:
        raise ProblemTooLargeError(
            f"operations: expected one or more of {', '.join(available)} for (dimension={problem.dimension}, "
            f"degree={problem.degree}), which has {problem.size:,} coordinates, got {', '.join(missing)}"
        )
    return groups


def _check_out(out: str | os.PathLike[str]) -> Path:
    name = os.fspath(out) if isinstance(out, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise TypeError(f"out: expected a path, got {type(out).__name__} {shown(out)}")
    try:
        os.stat(name)
    except ValueError as error:  # no system has such a name
        raise ValueError(f"out: expected a path, got {shown(name)}: {error}") from None
    except OSError:
        pass
    return Path(name)


def _older(folder: Path, target: Target, problem: Problem) -> Artifact | None:
    """The folder that is to be replaced, if there is one.

    Raises
    ------
    ArtifactError
        If what is there was not generated for the target and the problem.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        found = read_artifact(folder)
    except ArtifactError as error:
        raise ArtifactError(f"{folder} exists and has no {MANIFEST} of ours; it is left as it is ({error})") from error
    if not found.is_of(target.root.name, problem):
        raise ArtifactError(
            f"{folder} exists and holds the target {found.target!r} for (dimension={found.manifest['dimension']}, "
            f"degree={found.manifest['degree']}); it is left as it is"
        )
    return found
