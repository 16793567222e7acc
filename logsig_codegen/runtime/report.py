"""What was compiled, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from logsig_codegen.build.artifact import Artifact
from logsig_codegen.problem import Problem
from logsig_codegen.text_table import table


class Operations(NamedTuple):
    """Arithmetic one sample costs."""

    multiply_adds: int
    additions: int
    scalings: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.multiply_adds + self.additions + self.scalings


def operations_table(report: Mapping[str, Any]) -> str:
    """The table of a report's programs, a line each; ``report`` as :meth:`Report.to_dict` or a manifest has it."""
    counted = ("multiply_adds", "additions", "scalings", "total")
    rows = []
    for name, counts in report["operations"].items():
        operation = name.split(".")[0]  # of a program such as log_sig.step
        numbers = (*(counts[key] for key in counted), report["bytes_per_sample"][operation]["float64"])
        rows.append((name, report["plan"][operation], report["form"][operation], *(f"{one:,}" for one in numbers)))
    header = ("operation", "plan", "form", "multiply-adds", "additions", "scalings", "total", "bytes (float64)")
    return table(header, rows, texts=frozenset({0, 1, 2}))


@dataclass(frozen=True)
class Report:
    """What a kernel consists of; ``print`` it for a table.

    Attributes
    ----------
    dimension, degree, size : int
        The problem, and the number of coordinates.
    plan, form : mapping of str to str
        Per operation (``"join"``, ``"join_backprop"``): the plan chosen, and ``"unrolled"`` or ``"tables"``.
    operations : mapping of str to Operations
        Per program (``"join"``; ``"log_sig.step"`` for a phase of a path): arithmetic per sample, or per step.
    bytes_per_sample : mapping
        ``bytes_per_sample["join"]["float64"]``: bytes read and written per sample.
    compiler, flags, march, openmp
        What compiled it.
    path : Path or None
        The folder it was loaded from; ``None`` if it is interpreted.
    """

    dimension: int
    degree: int
    size: int
    plan: Mapping[str, str]
    form: Mapping[str, str]
    operations: Mapping[str, Operations]
    bytes_per_sample: Mapping[str, Mapping[str, int]]
    compiler: str
    flags: tuple[str, ...]
    march: str
    openmp: bool
    path: Path | None

    @classmethod
    def from_artifacts(cls, artifacts: Sequence[Artifact]) -> Report:
        """Read a report from manifests; what they share is taken from the first one."""
        manifest = artifacts[0].manifest
        return cls._of(
            [artifact.manifest for artifact in artifacts],
            compiler=f"{manifest['compiler']['path']} ({manifest['compiler']['version']})",
            flags=tuple(manifest["flags"]),
            march=manifest["march"],
            openmp=manifest["openmp"],
            path=artifacts[0].path,
        )

    @classmethod
    def interpreted(cls, problem: Problem) -> Report:
        """The report of a join that was never compiled."""
        from logsig_codegen.compiler import compile_problem

        compiled = compile_problem(problem).report()
        return cls._of([compiled], compiler="none: interpreted", flags=(), march="", openmp=False, path=None)

    @classmethod
    def _of(cls, reports: Sequence[Mapping[str, Any]], **built: Any) -> Report:
        def merged(key: str) -> dict[str, Any]:
            return {name: value for report in reports for name, value in report[key].items()}

        return cls(
            **{name: reports[0][name] for name in ("dimension", "degree", "size")},
            plan=merged("plan"),
            form=merged("form"),
            operations={
                name: Operations(counts["multiply_adds"], counts["additions"], counts["scalings"])
                for name, counts in merged("operations").items()
            },
            bytes_per_sample=merged("bytes_per_sample"),
            **built,
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able data."""
        operations = {name: {**counts._asdict(), "total": counts.total} for name, counts in self.operations.items()}
        path = None if self.path is None else str(self.path)
        return {**vars(self), "operations": operations, "flags": list(self.flags), "path": path}

    def __str__(self) -> str:
        alone = "no: every call is serial" if self.path is None else "no: each call starts threads of its own"
        threads = "yes" if self.openmp else alone
        lines = [
            f"log-signature kernels, dimension {self.dimension}, degree {self.degree}: {self.size} coordinates",
            operations_table(self.to_dict()),
            f"compiler  {self.compiler}",
            f"flags     {' '.join(self.flags)}",
            f"OpenMP    {threads}",
            f"folder    {self.path or 'none'}",
        ]
        return "\n".join(lines)
