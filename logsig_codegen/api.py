"""What the package does, as functions: load kernels, write artifact folders, show formulas."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from logsig_codegen._version import __version__
from logsig_codegen.build import toolchain
from logsig_codegen.build.artifact import DTYPES, MANIFEST, read_artifact
from logsig_codegen.errors import ArtifactError, ProblemTooLargeError
from logsig_codegen.operations import GROUPS, available_groups
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.checks import check_problem
from logsig_codegen.runtime.loader import load

if TYPE_CHECKING:
    from logsig_codegen.symbolic.formulas import Formulas

__all__ = ["GeneratedFolder", "formulas", "generate", "load"]

TARGETS = ("c", "torch")


@dataclass(frozen=True)
class GeneratedFolder:
    """What :func:`generate` wrote.

    Attributes
    ----------
    path : Path
        The folder, ``<out>/d5_n3`` for dimension 5 and degree 3.
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
    emit_only: bool = False,
    max_terms: int | None = None,
    jobs: int | None = None,
) -> GeneratedFolder:
    """Write ``<out>/d5_n3`` (for dimension 5, degree 3): C sources, header, formulas, manifest and the shared library.

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
        What to generate: ``"c"``, which is always there, and ``"torch"``, an extension of torch that needs no Python;
        building it takes about a minute, and needs torch, ninja and a C++ compiler.
    operations : sequence of str, optional
        Groups of operations, as :meth:`LogSigKernel.prepare` names them; default: all the problem can have.
    dtypes : sequence of str
        ``"float32"``, ``"float64"`` or both.
    march : str
        Processor to compile for, as the compiler's ``-march=`` takes it.
    emit_only : bool
        Write sources and formulas, but compile nothing; the result is the same, byte for byte, on every machine.
    max_terms : int, optional
        Raise the limit on the number of structure-constant terms.
    jobs : int, optional
        Compilers to run at once; default: the usable processors.

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
    parent = Path(out)
    target = parent / problem.name
    _check_replaceable(target)
    tools = None if emit_only else toolchain.describe(toolchain.find_compiler(), march)

    from logsig_codegen.build.builder import build_into

    parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{problem.name}-", dir=parent))
    try:
        staging.chmod(0o755)
        manifest = build_into(
            staging,
            problem,
            toolchain=tools,
            dtypes=dtypes,
            groups=groups,
            targets=targets,
            version=__version__,
            max_terms=max_terms,
            jobs=jobs,
            write_extra=lambda folder: _write_formulas(problem, folder),
        )
        _replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return GeneratedFolder(target, manifest, time.perf_counter() - started)


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
