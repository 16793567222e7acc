"""Write a pack: a wheel of compiled kernels that :func:`logsig_codegen.load` finds once it is installed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from logsig_codegen._version import __version__
from logsig_codegen.build import packs, platforms
from logsig_codegen.build.artifact import DTYPES, MANIFEST, write_manifest
from logsig_codegen.build.platforms import Platform
from logsig_codegen.build.toolchain import check_march
from logsig_codegen.build.wheel import Wheel, check_name, module_name, platform_tag, write_wheel
from logsig_codegen.errors import OutputError, shown
from logsig_codegen.operations import GROUPS, available_groups, groups_to_prepare
from logsig_codegen.problem import Problem
from logsig_codegen.shipped import license_text
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import compile_into, emit
from logsig_codegen.targets.c import C

FURTHER = ("stream", "windows", "sig_to_log_sig")
"""Operations of whose groups the common pack has kernels, besides those that are prepared for whole paths."""


@dataclass(frozen=True)
class PackSpec:
    """What a pack is to hold.

    Attributes
    ----------
    name : str
        Of the distribution.
    problems : tuple of Problem
    marches : tuple of str
        Levels of processors, such as ``"x86-64-v3"``; each problem is compiled for each.
    groups : callable
        The groups of operations of a problem.
    dtypes : tuple of str
    platform : Platform
        Machines it is for.
    max_terms, jobs : int, optional
        As in :class:`~logsig_codegen.targets.base.BuildSpec`.
    """

    name: str
    problems: tuple[Problem, ...]
    marches: tuple[str, ...]
    groups: Callable[[Problem], tuple[str, ...]]
    dtypes: tuple[str, ...] = DTYPES
    platform: Platform = field(default_factory=platforms.host)
    max_terms: int | None = None
    jobs: int | None = None


@dataclass(frozen=True)
class Packed:
    """A library of a pack.

    Attributes
    ----------
    problem : Problem
    march : str
    groups : tuple of str
    size : int
        Bytes of the library.
    """

    problem: Problem
    march: str
    groups: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class WrittenPack:
    """What :func:`write_pack` wrote.

    Attributes
    ----------
    path : Path
        The wheel.
    kernels : tuple of Packed
        In the order of problems, then levels.
    """

    path: Path
    kernels: tuple[Packed, ...]


def common_groups(problem: Problem) -> tuple[str, ...]:
    """What the common pack has of a problem: the usual groups, those of streams and windows, and conversions."""
    return groups_to_prepare(problem, ("join", "combine", *FURTHER))


def chosen_groups(names: Sequence[str] | None) -> Callable[[Problem], tuple[str, ...]]:
    """The groups named, for every problem; ``None``: all that a problem can have."""

    def groups(problem: Problem) -> tuple[str, ...]:
        available = available_groups(problem)
        return available if names is None else tuple(group for group in available if group in names)

    return groups


def pack_name(dimensions: Sequence[int], degrees: Sequence[int]) -> str:
    """``"logsig-kernels-d2-10-n2-3"`` for dimensions 2 to 10 and degrees 2 and 3."""
    return "-".join(
        ["logsig-kernels", *(f"d{run}" for run in _runs(dimensions)), *(f"n{run}" for run in _runs(degrees))]
    )


def write_pack(
    out: str | os.PathLike[str], spec: PackSpec, done: Callable[[str], None] = lambda name: None
) -> WrittenPack:
    """Compile kernels and write a wheel of them into the folder ``out``, which is made if need be.

    The libraries need nothing but the C library: not OpenMP's either. Equal compilers and systems write equal bytes.

    Parameters
    ----------
    out : path
    spec : PackSpec
    done : callable
        Called with the name of each library once it is compiled.

    Raises
    ------
    ValueError
        For a name that a distribution cannot have, or a level that is no level.
    ProblemTooLargeError, GenerationError, CompilerError
        If a problem cannot be compiled: then nothing is written.
    OutputError
        If the wheel cannot be written.
    """
    check_name(spec.name)
    for march in spec.marches:
        if check_march(march) == platforms.NATIVE:
            raise ValueError(
                f"march: a pack is for other machines: expected levels such as x86-64-v3, got {shown(march)}"
            )
    root = f"{packs.NAMESPACE}/{module_name(spec.name)}"
    with tempfile.TemporaryDirectory(prefix="logsig_codegen-pack-") as work:
        kernels, levels = [], {}
        for problem in spec.problems:
            for packed, manifest in _compiled(Path(work), problem, spec):
                kernels.append(packed)
                levels[packed.march] = packs.Level(packed.march, tuple(manifest["cpu"]["features"]))
                done(f"{problem.name} {packed.march}")
        files: dict[str, bytes | Path] = {
            f"{root}/{path.relative_to(work).as_posix()}": path for path in sorted(Path(work).glob("*/*/*"))
        }
        index = packs.index_text(spec.name, tuple(levels[march] for march in spec.marches), spec.platform.name)
        files[f"{root}/{packs.INDEX}"] = index.encode()
        libraries = [path for path in files.values() if isinstance(path, Path) and path.name != MANIFEST]
        wheel = _wheel(spec, kernels, platform_tag(libraries, spec.platform))
        try:
            return WrittenPack(write_wheel(Path(out), wheel, files, license_text()), tuple(kernels))
        except OSError as error:
            raise OutputError(f"out: {out} cannot be written: {error}") from error


def _compiled(work: Path, problem: Problem, spec: PackSpec) -> Iterator[tuple[Packed, Mapping[str, Any]]]:
    """A problem for all levels, each with its manifest; the text is written once."""
    base = BuildSpec(
        problem,
        spec.groups(problem),
        spec.dtypes,
        platform=spec.platform,
        portable=True,
        max_terms=spec.max_terms,
        jobs=spec.jobs,
    )
    tools = [C.tools(replace(base, march=march)) for march in spec.marches]
    written = emit(C, base)
    for march, tool in zip(spec.marches, tools, strict=True):
        folder = work / march / C.folder_name(problem)
        folder.mkdir(parents=True)
        manifest = compile_into(folder, C, replace(base, march=march), tool, written)
        library = str(manifest["library"])
        for name in manifest["files"]:
            if name != library:
                (folder / name).unlink()
        manifest = {**manifest, "sources": [], "files": {library: manifest["files"][library]}}
        write_manifest(folder, manifest)
        yield Packed(problem, march, base.groups, manifest["files"][library]["size"]), manifest


def _wheel(spec: PackSpec, kernels: Sequence[Packed], platform: str) -> Wheel:
    problems = " ".join(f"({one.dimension},{one.degree})" for one in spec.problems)
    operations = ", ".join(group for group in GROUPS if any(group in one.groups for one in kernels))
    return Wheel(
        name=spec.name,
        version=__version__,
        platform=platform,
        summary=f"Compiled kernels for logsig-codegen {__version__}: {len(spec.problems)} problems",
        description=f"Kernels that `logsig_codegen.load` finds once this is installed.\n\n"
        f"* (dimension, degree): {problems}\n* operations: {operations}\n* processors: {', '.join(spec.marches)}",
        requires=(f"logsig-codegen=={__version__}",),
        license="Apache-2.0",
    )


def _runs(numbers: Sequence[int]) -> list[str]:
    """``[2, 3, 4, 7]`` as ``["2-4", "7"]``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
