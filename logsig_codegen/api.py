"""What the package does, as functions: load kernels, write artifact folders, show formulas."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from logsig_codegen._version import __version__
from logsig_codegen.build import nvidia, toolchain
from logsig_codegen.build.artifact import DTYPES, MANIFEST, folder_name, read_artifact
from logsig_codegen.build.nvidia import ARCHITECTURES
from logsig_codegen.errors import ArtifactError, CompilerNotFoundError, ProblemTooLargeError
from logsig_codegen.operations import GROUPS, available_groups
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.checks import check_problem
from logsig_codegen.runtime.loader import load

if TYPE_CHECKING:
    from logsig_codegen.symbolic.formulas import Formulas

__all__ = ["GeneratedFolder", "formulas", "generate", "load"]

TARGETS = ("c", "cuda", "torch")


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
    """

    path: Path
    manifest: dict[str, Any]
    seconds: float


def formulas(dimension: SupportsIndex, degree: SupportsIndex) -> Formulas:
    """The formulas of one dimension and degree, for reading: SymPy expressions, text, LaTeX and JSON.

    Raises
    ------
    TypeError, ValueError
        For a dimension or degree that is not an integer of at least 1.
    """
    problem = check_problem(dimension, degree)
    from logsig_codegen.symbolic.formulas import formulas as symbolic_formulas

    return symbolic_formulas(problem)


def generate(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    out: str | os.PathLike[str],
    *,
    targets: Sequence[str] = TARGETS[:1],
    operations: Sequence[str] | None = None,
    dtypes: Sequence[str] = DTYPES,
    march: str = "native",
    architectures: Sequence[str] | None = None,
    emit_only: bool = False,
    max_terms: int | None = None,
    jobs: int | None = None,
) -> GeneratedFolder:
    """Write ``<out>/d5_n3`` (for dimension 5, degree 3): C sources, header, formulas, manifest and the shared library.

    For the target ``"cuda"`` write ``<out>/d5_n3_cuda``: CUDA sources, headers, manifest and, where nvcc is found, one
    fat binary per kernel.

    The folder needs nothing outside itself: :func:`load` takes it without compiler, SymPy or Jinja2, and a C program
    can use the header and the library directly. It replaces an earlier folder of the same name in one step, after
    everything is finished.

    Parameters
    ----------
    dimension, degree : int
        At least 1 each.
    out : path
        Parent folder; made if need be.
    targets : sequence of str
        What to generate: ``"c"``; ``"torch"``, which is that and an extension of torch that needs no Python (building
        it takes a minute, or a few with kernels for GPUs, and needs torch, ninja and a C++ compiler); ``"cuda"``, a
        folder of its own.
    operations : sequence of str, optional
        Groups of operations, as :meth:`LogSigKernel.prepare` names them; default: all the problem can have.
    dtypes : sequence of str
        ``"float32"``, ``"float64"`` or both.
    march : str
        Processor to compile for, as the compiler's ``-march=`` takes it.
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
        That of the C library, unless ``"cuda"`` is the only target.

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong type or value.
    ProblemTooLargeError, GenerationError, CompilerError
        If there is nothing to write.
    ArtifactError
        If the folder exists and is not one of ours: it is left alone.
    OSError
        If it cannot be written.
    """
    started = time.perf_counter()
    problem = check_problem(dimension, degree)
    targets = _check_choices("targets", targets, TARGETS)
    dtypes = _check_choices("dtypes", dtypes, DTYPES)
    groups = _check_operations(problem, operations)
    toolchain.check_march(march)
    max_terms = None if max_terms is None else check_positive_integer("max_terms", max_terms)
    jobs = None if jobs is None else check_positive_integer("jobs", jobs)
    named = _architectures(architectures, targets)
    gpus = _gpus(named, required=architectures is not None, emit_only=emit_only) if "torch" in targets else None
    native = "c" in targets or "torch" in targets
    kinds = [kind for kind, wanted in (("c", native), ("cuda", "cuda" in targets)) if wanted]
    folders = {kind: Path(out) / folder_name(problem, kind) for kind in kinds}
    for folder in folders.values():
        _check_replaceable(folder)
    tools = toolchain.describe(toolchain.find_compiler(), march) if native and not emit_only else None
    wanted: dict[str, Any] = {"dtypes": dtypes, "groups": groups, "version": __version__}
    wanted.update(max_terms=max_terms, jobs=jobs)

    def fill(kind: str, folder: Path) -> dict[str, Any]:
        if kind == "c":
            from logsig_codegen.build.builder import build_into

            extra = partial(_write_formulas, problem)
            return build_into(folder, problem, toolchain=tools, targets=targets, gpus=gpus, write_extra=extra, **wanted)
        from logsig_codegen.build.cuda_builder import build_cuda_into

        compiler = None if emit_only else nvidia.nvcc_if_any()
        return build_cuda_into(folder, problem, compiler=compiler, architectures=named, **wanted)

    written = [_write(folder, partial(fill, kind)) for kind, folder in folders.items()]
    return GeneratedFolder(next(iter(folders.values())), written[0], time.perf_counter() - started)


def _architectures(chosen: Sequence[str] | None, targets: Sequence[str]) -> tuple[str, ...]:
    """GPUs to compile for, each once; none at all is a choice for the extension of torch only."""
    if chosen is None:
        return ARCHITECTURES
    return nvidia.check_architectures(chosen) if "cuda" in targets or len(chosen) else ()


def _gpus(architectures: tuple[str, ...], *, required: bool, emit_only: bool) -> nvidia.Gpus | None:
    """What the extension of torch gets kernels for GPUs by; ``None`` for none."""
    if not architectures:
        return None
    try:
        return nvidia.Gpus(architectures, None if emit_only else nvidia.find_cuda_compiler_ahead())
    except CompilerNotFoundError:
        if required:
            raise
        return None


def _write(target: Path, fill: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Fill a folder aside and put it in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        staging.chmod(0o755)
        manifest = fill(staging)
        _replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _write_formulas(problem: Problem, folder: Path) -> tuple[str, ...]:
    """Write the formulas as text, LaTeX and JSON; a section too large to be read says so instead of being there."""
    shown = formulas(problem.dimension, problem.degree)
    sections: dict[str, dict[str, str]] = {"text": {}, "latex": {}, "json": {}}
    for name in ("series", "coordinates", "adjoint"):
        for style, texts in sections.items():
            try:
                texts[name] = shown.show(name, style)
            except ProblemTooLargeError as error:
                texts[name] = {"text": f"({error})", "latex": f"% {error}", "json": "null"}[style]
    contents = {
        "formulas.txt": "\n\n".join(f"{name}\n{'=' * len(name)}\n{text}" for name, text in sections["text"].items()),
        "formulas.tex": "\n\n".join(f"% {name}\n{text}" for name, text in sections["latex"].items()),
        "formulas.json": "{\n" + ",\n".join(f'"{name}": {text}' for name, text in sections["json"].items()) + "\n}",
    }
    for file, content in contents.items():
        (folder / file).write_text(content + "\n", encoding="utf-8")
    return tuple(contents)


def _check_choices(name: str, chosen: Sequence[str], possible: tuple[str, ...]) -> tuple[str, ...]:
    """Return the choices in their canonical order, each once."""
    if isinstance(chosen, str) or not isinstance(chosen, Sequence):
        raise TypeError(f"{name}: expected a sequence of strings, got {type(chosen).__name__} {chosen!r}")
    unknown = [choice for choice in chosen if choice not in possible]
    if unknown or not chosen:
        raise ValueError(f"{name}: expected one or more of {', '.join(possible)}, got {tuple(chosen)!r}")
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


def _check_replaceable(target: Path) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        read_artifact(target)
    except ArtifactError as error:
        raise ArtifactError(f"{target} exists and has no {MANIFEST} of ours; it is left as it is ({error})") from error


def _replace(staging: Path, target: Path) -> None:
    """Put a finished folder in place of an older one."""
    if not target.exists():
        os.rename(staging, target)
        return
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-old-", dir=target.parent) as grave:
        os.rename(target, os.path.join(grave, "old"))
        os.rename(staging, target)
