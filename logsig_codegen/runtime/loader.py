"""From a dimension and a degree to a kernel: what is loaded, artifact folders, packs, the cache, then a build."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex, TypeAlias

from logsig_codegen.build import background, packs, policy, progress
from logsig_codegen.build.artifact import MANIFEST, Artifact, read_artifact
from logsig_codegen.build.toolchain import check_march, find_compiler
from logsig_codegen.errors import (
    ArtifactError,
    BuildForbiddenError,
    CacheError,
    CompilerNotFoundError,
    InterpretedWarning,
    ProblemTooLargeError,
    shown,
)
from logsig_codegen.operations import group_of
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime import registry
from logsig_codegen.runtime.checks import check_problem
from logsig_codegen.runtime.groups import Opened
from logsig_codegen.runtime.kernel import LogSigKernel
from logsig_codegen.runtime.library import open_library
from logsig_codegen.runtime.origin import Origin, named_folders
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import cached
from logsig_codegen.targets.c import C

StrPath: TypeAlias = "str | os.PathLike[str]"
Folders: TypeAlias = "StrPath | Sequence[StrPath]"
_Key: TypeAlias = "tuple[int, int, tuple[str, ...] | None, str]"

_kernels: dict[_Key, LogSigKernel] = {}
_defaults: dict[tuple[int, int], LogSigKernel] = {}  # those asked for by dimension and degree alone
_opened: dict[tuple[_Key, str], Opened] = {}
_locks: dict[tuple[_Key, str], threading.Lock] = {}
_warned = False


def load(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    artifacts: Folders | None = None,
    march: str | None = None,
    max_terms: int | None = None,
) -> LogSigKernel:
    """Get the compiled kernels for one dimension and degree, generating and compiling them if need be.

    The join is there when this returns; every other group of operations (``combine``, ``log_sig``, ``stream``, and all
    backward passes) when it is first called, or by :meth:`LogSigKernel.prepare`. Once a tensor of torch that requires a
    gradient has been seen, the backward pass is built in the background.

    Looks, in this order: among the kernels this process has loaded; in the folders named by ``artifacts`` or, without
    it, by ``$LOGSIG_CODEGEN_PATH``; in the packs of kernels that are installed (``docs/packs.md``); in the user's cache
    (``$LOGSIG_CODEGEN_CACHE``, :func:`set_cache_dir`, or the platform's place for caches). What is nowhere is
    generated, compiled with the system's C compiler, and cached, unless ``$LOGSIG_CODEGEN_BUILD`` is ``never``. Later
    calls with the same arguments return the same object; :func:`clear_cache` makes the process forget it.

    Parameters
    ----------
    dimension, degree : int
        At least 1 each.
    artifacts : path or sequence of paths, optional
        Folders written by ``logsig-gen``: either one problem's (``…/d5_n3``) or one that holds several of those. For a
        problem found there nothing is compiled, and neither a compiler nor SymPy nor Jinja2 is needed.
    march : str, optional
        Processor to compile for, as the compiler's ``-march=`` takes it; default ``"native"``, for which packs give the
        best that this processor runs. Folders of ``artifacts`` are taken as they are.
    max_terms : int, optional
        Raise the limit on the number of structure-constant terms.

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong type or value.
    ProblemTooLargeError
        Before any work, if the problem is beyond the limit.
    ArtifactError
        If a folder of ``artifacts`` is missing, damaged or for another problem, or holds the problem for a processor
        this machine does not have.
    CompilerNotFoundError, CompilerError
        If there is no C compiler where ``$CC`` says it is, or none at all and ``$LOGSIG_CODEGEN_BUILD`` is ``always``
        (else kernels are interpreted, and an :class:`InterpretedWarning` says so once); if it fails.
    BuildForbiddenError
        If it would have to be compiled, and ``$LOGSIG_CODEGEN_BUILD`` is ``never``; says how to get it.
    CacheError
        If nothing can be written, not even in a temporary folder.
    """
    march = check_march("native" if march is None else march)
    if max_terms is not None:
        max_terms = check_positive_integer("max_terms", max_terms)
    kernel = obtain(dimension, degree, None if artifacts is None else _paths(artifacts), march, max_terms)
    try:
        kernel.prepare("join")
    except ProblemTooLargeError:
        kernel.origin = kernel.origin._replace(max_terms=None)  # the limit of a call that failed is no later call's
        raise
    if artifacts is None and march == "native":
        _defaults[kernel.dimension, kernel.degree] = kernel
    return kernel


def obtain(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    folders: tuple[str, ...] | None = None,
    march: str = "native",
    max_terms: int | None = None,
) -> LogSigKernel:
    """The kernel of a problem with none of its operations loaded yet, unless they were asked for before."""
    problem = check_problem(dimension, degree)
    key = (problem.dimension, problem.degree, folders, march)
    kernel = _kernels.get(key)
    if kernel is None:

        def open_group(group: str) -> Opened:
            assert kernel is not None  # it is bound below, before anybody asks for a group
            lock = _locks.setdefault((key, group), threading.Lock())
            with progress.holding(lock, f"{problem.name}, {C.name}: {group}"):
                opened = _opened.get((key, group))
                if opened is None:
                    opened = _opened[key, group] = _find(problem, group, kernel.origin)
            return opened

        kernel = _kernels.setdefault(key, LogSigKernel(problem, open_group, Origin(folders, march, max_terms)))
    if max_terms is not None:
        kernel.origin = kernel.origin._replace(max_terms=max_terms)
    return kernel


def loaded(dimension: object, degree: object) -> LogSigKernel | None:
    """The kernel :func:`load` would return at once, or ``None``; as cheap as a look-up can be, and never an error."""
    if type(dimension) is int and type(degree) is int:  # True == 1, and 3.0 == 3, would be found in the dictionary
        return _defaults.get((dimension, degree))
    return None


def made(path: object, degree: object) -> LogSigKernel | None:
    """The kernel for an array of paths, if :func:`obtain` has made it before; never an error."""
    shape = getattr(path, "shape", None)
    if shape is not None and len(shape) >= 2 and type(degree) is int:
        return _kernels.get((shape[-1], degree, None, "native"))
    return None


def forget() -> None:
    """Forget the kernels loaded so far; those in use stay valid."""
    registry.forget()
    _kernels.clear()
    _defaults.clear()
    _opened.clear()


registry.install(obtain)


def _after_fork() -> None:
    _locks.clear()  # another thread of the parent may have held one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _paths(artifacts: Folders) -> tuple[str, ...]:
    paths = (artifacts,) if isinstance(artifacts, (str, os.PathLike)) else artifacts
    if not isinstance(paths, (tuple, list)) or not all(isinstance(path, (str, os.PathLike)) for path in paths):
        raise TypeError(
            f"artifacts: expected a path or a list of paths, got {type(artifacts).__name__} {shown(artifacts)}"
        )
    return tuple(os.path.abspath(path) for path in paths)


def _find(problem: Problem, group: str, origin: Origin) -> Opened:
    try:
        artifact = _search(problem, origin)
        if artifact is not None:
            C.check(artifact, problem)
            if group in artifact.groups:
                return Opened(artifact, open_library(artifact, problem))
        for folder in packs.folders(problem, origin.march):
            artifact = read_artifact(folder)
            if group in artifact.groups:
                C.check(artifact, problem)
                return Opened(artifact, open_library(artifact, problem))
        return _from_cache(problem, group, origin)
    except OSError as error:  # of a layer that does not expect it: no file descriptors are left, or no memory
        raise CacheError(f"The kernels of {problem.name}, {group}, cannot be loaded: {error}") from error


def _search(problem: Problem, origin: Origin) -> Artifact | None:
    """The artifact of a problem in the folders given, or in those of the environment variable."""
    given, folders = origin.folders is not None, named_folders(origin)
    others = []
    for name in folders:
        folder, inner = Path(name), Path(name, C.folder_name(problem))
        if given and not os.path.isdir(folder):
            raise ArtifactError(f"artifacts: {folder} is not a folder")
        if os.path.exists(folder / MANIFEST):
            artifact = read_artifact(folder)
            if artifact.is_of(C.name, problem):
                return artifact
            others.append(artifact)
        elif os.path.isdir(inner):
            return read_artifact(inner)
    if given and folders and len(others) == len(folders):
        C.check(others[0], problem)  # raises: it is for another problem
    return None


def _from_cache(problem: Problem, group: str, origin: Origin) -> Opened:
    spec = BuildSpec(problem, (group,), march=origin.march, max_terms=origin.max_terms)
    try:
        return cached(C, spec, find_compiler, lambda artifact: Opened(artifact, open_library(artifact, problem)))
    except CompilerNotFoundError as error:
        if isinstance(error, BuildForbiddenError) and group == group_of("sig_to_log_sig"):
            return _interpreted(problem, group, origin)  # numpy code, for which nothing has to be derived
        if background.inside() or not policy.interprets():
            raise
        _warn_once(problem, error)
        return _interpreted(problem, group, origin)


def _interpreted(problem: Problem, group: str, origin: Origin) -> Opened:
    from logsig_codegen.runtime.interpreted.library import interpreted_library

    return Opened(None, interpreted_library(problem, group, origin.max_terms))


def _warn_once(problem: Problem, error: CompilerNotFoundError) -> None:
    """Say, once in a process, that kernels are interpreted."""
    global _warned
    if not _warned:
        _warned = True
        text = f"{problem.name} is interpreted, some 30 to 150 times slower than compiled code. {error}"
        warnings.warn(text, InterpretedWarning, stacklevel=2)
