"""What a kernel is, apart from what it computes: its problem, its words, its sources, the libraries it has loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logsig_codegen import targets
from logsig_codegen.algebra.hall import hall_basis
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.build import cache
from logsig_codegen.build.artifact import Artifact
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import ArtifactError, shown
from logsig_codegen.operations import GROUPS, OPERATIONS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.groups import LoadedGroups, Opened
from logsig_codegen.runtime.origin import DEFAULT_ORIGIN, Origin, named_folders
from logsig_codegen.runtime.report import Report
from logsig_codegen.targets.base import BuildSpec, joined
from logsig_codegen.targets.builder import cached, source_texts

if TYPE_CHECKING:
    from logsig_codegen.emit.page import ProblemFormulas
    from logsig_codegen.runtime.cuda.programs import CudaPrograms


class LoadedKernel:
    """The base of :class:`logsig_codegen.LogSigKernel`."""

    def __init__(self, problem: Problem, open_group: Callable[[str], Opened], origin: Origin = DEFAULT_ORIGIN) -> None:
        self.problem = problem
        self.loaded = LoadedGroups(problem, open_group)
        self.origin = origin

    def prepare(self, *groups: str) -> None:
        """Load groups of operations now, building them if need be, instead of when they are first called.

        Parameters
        ----------
        *groups : str
            ``"join"``, ``"combine"``, ``"log_sig"``, ``"stream"``, ``"log_sig_by_signature"``; for windows that overlap
            much ``"windows"``; gradients, ``"join_backprop"`` and so on; for second derivatives of tensors
            ``"join_second"``, ``"combine_second"``, and ``"bracket"`` for those beyond.

        Raises
        ------
        ValueError
            For any other name.
        CompilerError, CacheError, ArtifactError
            As :func:`load`.
        """
        for group in groups:
            if not isinstance(group, str) or group not in GROUPS:
                raise ValueError(f"groups: expected names out of {', '.join(GROUPS)}, got {shown(group)}")
        for group in groups:
            self.loaded.group(group)

    @property
    def dimension(self) -> int:
        """Number of letters: channels of the path."""
        return self.problem.dimension

    @property
    def degree(self) -> int:
        """Truncation degree."""
        return self.problem.degree

    @property
    def size(self) -> int:
        """Number of coordinates of a log-signature."""
        return self.problem.size

    @cached_property
    def words(self) -> tuple[tuple[int, ...], ...]:
        """The Lyndon word of each coordinate, in order."""
        return lyndon_basis(self.dimension, self.degree).words

    @cached_property
    def brackets(self) -> tuple[str, ...]:
        """The bracket of each coordinate, in order, as text such as ``"[0,[0,1]]"``."""
        basis = lyndon_basis(self.dimension, self.degree)
        return tuple(basis.bracket(coordinate) for coordinate in range(self.size))

    @cached_property
    def hall_words(self) -> tuple[tuple[int, ...], ...]:
        """The letters of each Hall coordinate (:func:`logsig_codegen.log_sig_to_hall`), in order."""
        basis = hall_basis(self.dimension, self.degree)
        return tuple(map(basis.word, range(self.size)))

    @cached_property
    def hall_brackets(self) -> tuple[str, ...]:
        """The bracket of each Hall coordinate, in order, as text such as ``"[0,[0,1]]"``."""
        basis = hall_basis(self.dimension, self.degree)
        return tuple(map(basis.bracket, range(self.size)))

    @property
    def report(self) -> Report:
        """Plans, operation counts, bytes moved, compiler, flags and folder of what is loaded; print it for a table."""
        self.prepare("join")
        artifacts = self.loaded.artifacts()
        return Report.from_artifacts(artifacts) if artifacts else Report.interpreted(self.problem)

    @cached_property
    def formulas(self) -> ProblemFormulas:
        """The formulas that were compiled, for reading: SymPy, LaTeX, text, a page of HTML, which notebooks show.

        They are derived on first use, which needs SymPy.
        """
        from logsig_codegen.emit.page import ProblemFormulas

        return ProblemFormulas(self.problem)

    @property
    def path(self) -> Path:
        """The folder the join was loaded from. Raises ``ArtifactError`` if there is none, for it is interpreted."""
        artifact = self.loaded.group("join").artifact
        if artifact is None:
            raise ArtifactError(f"{self.problem.name} is interpreted, there being no compiler: it is in no folder")
        return artifact.path

    @property
    def sources(self) -> dict[str, str]:
        """File name to text of the join's sources, exactly as compiled.

        Raises ``ArtifactError`` if they are gone, or were changed; in the cache they are built again. A pack has none:
        they are written anew, which needs SymPy and Jinja2.
        """
        return self._sources("join")

    def _sources(self, group: str) -> dict[str, str]:
        self.prepare(group)
        artifact = self.loaded.group(group).artifact
        if artifact is None or not artifact.manifest["sources"]:  # interpreted, or a pack
            return self._sources_anew(targets.C, group)
        try:
            return artifact.sources()
        except ArtifactError:
            if artifact.path.parent not in cache.roots():
                raise
        return cached(targets.C, self._spec(group), find_compiler, Artifact.sources)

    def _spec(self, group: str, *, emit_only: bool = False) -> BuildSpec:
        limit = self.origin.max_terms
        return BuildSpec(self.problem, (group,), march=self.origin.march, emit_only=emit_only, max_terms=limit)

    def source(self, target: str = "c", *, group: str = "join") -> str:
        """All source files of a group of operations, each after a comment with its file name.

        Parameters
        ----------
        target : str
            ``"c"``: what was compiled; another target, such as ``"cuda"``: what would be, generated anew.
        group : str
            As for :meth:`prepare`.

        Raises
        ------
        ValueError
            For another target, or a group that there is not.
        """
        chosen = targets.named(target)
        if chosen is targets.C:
            return joined(self._sources(group))
        if not isinstance(group, str) or group not in GROUPS:
            raise ValueError(f"group: expected one of {', '.join(GROUPS)}, got {shown(group)}")
        return joined(self._sources_anew(chosen, group))

    def _sources_anew(self, target: targets.Target, group: str) -> dict[str, str]:
        """The text, which depends on the problem and the version only."""
        return source_texts(target, self._spec(group, emit_only=True))

    @cached_property
    def cuda(self) -> CudaPrograms:
        """The kernels for GPUs; each is found or compiled when a CUDA tensor first needs it."""
        from logsig_codegen.runtime.cuda.programs import CudaPrograms

        return CudaPrograms(self.problem, named_folders(self.origin), lambda: self.origin.max_terms)

    def functions(self, operation: str) -> Any:
        """The C functions of an operation (``"join"``, ``"log_sig_backprop"``, …) by the name of their number type."""
        if operation not in OPERATIONS:
            raise ValueError(f"operation: expected one of {', '.join(OPERATIONS)}, got {shown(operation)}")
        return self.loaded.functions(operation)
