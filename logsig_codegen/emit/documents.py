"""What lies in a generated folder for reading only: the formulas in three formats, and a page about the folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logsig_codegen._version import __version__
from logsig_codegen.emit.render import render
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.formulas import LEGEND, SECTIONS, Formulas
from logsig_codegen.symbolic.notation import wrapped


@dataclass(frozen=True)
class DocumentView:
    """What the templates get."""

    title: str
    problem: Problem
    version: str
    groups: tuple[str, ...]
    legend: tuple[tuple[str, str], ...] = LEGEND
    sections: tuple[tuple[str, str], ...] = ()


def documents(problem: Problem, groups: Sequence[str]) -> dict[str, str]:
    """File name to text; a section of the formulas that is too large to be read says so instead."""
    title = f"Log-signatures of dimension {problem.dimension}, degree {problem.degree}"

    def write(template: str, sections: tuple[tuple[str, str], ...] = ()) -> str:
        view = DocumentView(title, problem, __version__, tuple(groups), sections=sections)
        return render(f"c/{template}.j2", view=view)

    sections = _sections(problem)
    data = ",\n".join(f'"{name}": {text}' for name, text in sections["json"])
    return {
        "README.md": write("README.md"),
        "formulas.txt": write("formulas.txt", sections["text"]),
        "formulas.tex": write("formulas.tex", sections["latex"]),
        "formulas.json": f"{{\n{data}\n}}\n",
    }


def _sections(problem: Problem) -> dict[str, tuple[tuple[str, str], ...]]:
    formulas = Formulas(problem)
    found = {}
    for style, missing in {"text": "({})", "latex": "% {}", "json": "null"}.items():
        texts = []
        for name in SECTIONS:
            try:
                texts.append((name, formulas.show(name, style)))
            except ProblemTooLargeError as error:
                texts.append((name, missing.format(error) if style != "text" else wrapped(missing.format(error))))
        found[style] = tuple(texts)
    return found
