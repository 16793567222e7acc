"""What a target is: the kind of folder that a compiled problem becomes.

A target says which texts a problem has, what compiles them, what decides the result (for the keys of the cache), and
when a folder may be used. Writing folders, manifests and cache entries is the same for all of them:
:mod:`logsig_codegen.targets.builder`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from logsig_codegen.build import platforms
from logsig_codegen.build.artifact import DTYPES, Artifact, check_file, check_problem
from logsig_codegen.build.platforms import Platform
from logsig_codegen.errors import ArtifactError
from logsig_codegen.problem import Problem

if TYPE_CHECKING:
    from logsig_codegen.compiler import CompiledProblem
    from logsig_codegen.emit.unit import SourceUnit


@dataclass(frozen=True)
class BuildSpec:
    """What is to be built, whatever the target.

    Attributes
    ----------
    problem : Problem
    groups : tuple of str
        Groups of operations; see :mod:`logsig_codegen.operations`.
    dtypes : tuple of str
        ``"float32"``, ``"float64"`` or both.
    march : str
        Processor to compile for.
    platform : Platform
        Machine to compile for; by default this one.
    architectures : tuple of str, optional
        GPUs to compile for, such as ``"sm_90"``; ``None`` where nobody named any, empty where there are to be none.
    emit_only : bool
        Write sources, compile nothing.
    documents : bool
        Add what is there for reading only, such as the formulas.
    portable : bool
        A library that is to run where there is no compiler: nothing but the C library is needed.
    max_terms, jobs : int, optional
        The limit on the size of the problem; how many compilers run at once. Neither changes the result.
    """

    problem: Problem
    groups: tuple[str, ...]
    dtypes: tuple[str, ...] = DTYPES
    march: str = platforms.NATIVE
    platform: Platform = field(default_factory=platforms.host)
    architectures: tuple[str, ...] | None = None
    emit_only: bool = False
    documents: bool = False
    portable: bool = False
    max_terms: int | None = None
    jobs: int | None = None


@dataclass(frozen=True)
class Emitted:
    """The texts of a target.

    Attributes
    ----------
    units : tuple of SourceUnit
        What ``sources`` of the manifest lists.
    others : mapping of str to str
        File name to text of what else lies in the folder.
    about : object
        What :meth:`Target.compile` of the same target has to know besides.
    """

    units: tuple[SourceUnit, ...]
    others: Mapping[str, str] = field(default_factory=dict)
    about: Any = None

    @property
    def texts(self) -> dict[str, str]:
        """File name to text of everything."""
        return {unit.name: unit.text for unit in self.units} | dict(self.others)


def joined(texts: Mapping[str, str]) -> str:
    """Files as one text, each after a comment with its name."""
    return "\n".join(f"/* ==== {name} ==== */\n{text}" for name, text in texts.items())


@dataclass(frozen=True)
class Built:
    """What compiling added to a folder.

    Attributes
    ----------
    files : tuple of str
        Names of the files.
    library : str, optional
        That of the shared library, if there is one; it counts as a file.
    fields : mapping
        What the manifest says about it: JSON-able.
    """

    files: tuple[str, ...] = ()
    library: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class Target(ABC):
    """A kind of folder.

    Attributes
    ----------
    name : str
        What users write: one word.
    summary : str
        What it makes, for the help of ``logsig-gen``.
    crosses : bool
        Whether it can be compiled for other machines than this one.
    extends : Target, optional
        The target whose folder this one adds to; whoever asks for both gets one folder.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    crosses: ClassVar[bool] = False
    extends: ClassVar[Target | None] = None

    @property
    def root(self) -> Target:
        """The target whose folder it is: this one, or what it extends in the end."""
        return self if self.extends is None else self.extends.root

    def folder_name(self, problem: Problem) -> str:
        """Name of the folder of a problem, below the one that the user names."""
        return f"{problem.name}_{self.root.name}"

    def check_options(self, spec: BuildSpec) -> None:  # noqa: B027 - most targets take everything
        """Raise ``ValueError`` for options that this target cannot serve, before anything is written."""

    def tools(self, spec: BuildSpec) -> Any:
        """What compiles it, for a folder that is written ahead of its use; ``None`` for sources only.

        Raises
        ------
        CompilerNotFoundError, CompilerError
            If it cannot be had, or does not take the options.
        """
        return None

    def identity(self, spec: BuildSpec, tools: Any) -> dict[str, Any]:
        """What else decides the result, JSON-able: part of the key of a cache entry.

        Problem, groups, number types and the version of this package are part of every key. ``"compiler"`` is what
        tells compilers apart, ``None`` where there is none: then the entry of any compiler will do.
        """
        return {}

    @abstractmethod
    def emit(self, compiled: CompiledProblem, spec: BuildSpec, tools: Any) -> Emitted:
        """Its texts: a pure function of the arguments and the version."""

    def get_ready(self, spec: BuildSpec, tools: Any) -> None:  # noqa: B027 - most targets have nothing to learn
        """Learn of the tools what :meth:`compile` will have to know, in a thread, while the texts are made.

        Errors are not raised: :meth:`compile` meets them again.
        """

    def compile(self, folder: Path, emitted: Emitted, spec: BuildSpec, tools: Any) -> Built:
        """Compile the texts, which lie in ``folder``; with ``spec.emit_only``, or without tools, only describe them."""
        return Built()

    def check(self, artifact: Artifact, problem: Problem) -> None:
        """Make sure that a folder of this target is one of ``problem``, undamaged, and of use on this machine.

        Raises
        ------
        ArtifactError
            With what does not fit.
        """
        self.check_kind(artifact, problem)
        for name in artifact.manifest["files"]:
            check_file(artifact, name)

    def check_kind(self, artifact: Artifact, problem: Problem) -> None:
        """Raise ``ArtifactError`` unless the folder is one of this target, of ``problem`` and this version."""
        if artifact.target != self.root.name:
            raise ArtifactError(f"{artifact.path}: holds the target {artifact.target!r}, not {self.root.name!r}")
        check_problem(artifact, problem)

    def advice(self, spec: BuildSpec) -> str:
        """How to get what is neither here nor may be compiled here: sentences."""
        problem = spec.problem
        command = f"logsig-gen --dim {problem.dimension} --degree {problem.degree} --target {self.name}"
        return f"Run {command} where there is a compiler, and name the folder that it writes in $LOGSIG_CODEGEN_PATH."

    def remark(self, manifest: Mapping[str, Any], spec: BuildSpec) -> str | None:
        """What somebody who generated a folder should know about it, if anything: part of a sentence."""
        return None

    def next_step(self, folder: Path, manifest: Mapping[str, Any]) -> str | None:
        """What to do next with a folder that was generated, if there is something to say: a line for people."""
        return None

    def found(self) -> str:
        """What would build it on this machine, or why nothing would: a line for ``logsig-gen doctor``."""
        return "nothing has to be compiled"
