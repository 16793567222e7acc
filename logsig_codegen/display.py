"""What ``logsig-gen`` prints: compiled problems, formulas and findings in the formats it has."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from logsig_codegen.arguments import ALL
from logsig_codegen.build.policy import NEVER
from logsig_codegen.operations import available_groups
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.report import operations_table
from logsig_codegen.targets.base import BuildSpec, Target, joined
from logsig_codegen.text_table import table

if TYPE_CHECKING:
    from logsig_codegen.api import GeneratedFolder
    from logsig_codegen.compiler import CompiledProblem, Kernel
    from logsig_codegen.ir.program import Program


@dataclass(frozen=True)
class Wanted:
    """What is to be shown: a problem, the groups of its operations, a limit on its size, a target."""

    problem: Problem
    groups: Sequence[str]
    max_terms: int | None
    target: Target


Renderer = Callable[[Wanted, str], str]
"""From what is wanted and a format to text."""


@dataclass(frozen=True)
class Subject:
    """Something to show: one line about it, the formats it has, and the function that renders it."""

    summary: str
    formats: tuple[str, ...]
    render: Renderer


def _compiled(wanted: Wanted) -> CompiledProblem:
    from logsig_codegen.compiler import compile_problem
    from logsig_codegen.cost import DEFAULT_MAX_TERMS

    limit = DEFAULT_MAX_TERMS if wanted.max_terms is None else wanted.max_terms
    return compile_problem(wanted.problem, groups=wanted.groups, max_terms=limit)


def _formulas(what: str) -> Renderer:
    def render(wanted: Wanted, form: str) -> str:
        from logsig_codegen.api import formulas

        return formulas(wanted.problem.dimension, wanted.problem.degree).show(what, form)

    return render


def _page(wanted: Wanted, form: str) -> str:
    from logsig_codegen.api import formulas

    return formulas(wanted.problem.dimension, wanted.problem.degree).html(max_terms=wanted.max_terms)


def _report(wanted: Wanted, form: str) -> str:
    report = _compiled(wanted).report()
    return json.dumps(report, indent=2) if form == "json" else report_text(report)


def report_text(report: Mapping[str, Any]) -> str:
    """The report of a compiled problem for people: a line about the problem and a table of its kernels."""
    head = f"dimension {report['dimension']}, degree {report['degree']}: {report['size']:,} coordinates; per sample:"
    return f"{head}\n\n{operations_table(report)}"


def _program(wanted: Wanted, form: str) -> str:
    parts = _compiled(wanted).parts
    if form == "json":
        return json.dumps({name: program_data(kernel.program) for name, kernel in parts.items()})
    return "\n".join(_kernel_text(name, kernel) for name, kernel in parts.items())


def _kernel_text(name: str, kernel: Kernel) -> str:
    lines = [f"# {name}, plan {kernel.plan}"]
    if kernel.lie is not None:
        lines += ["#", "# in brackets:", *(f"#   {line}" for line in kernel.lie.text().splitlines())]
    if kernel.program is None:
        lines += ["#", "# Too large to be written out: the kernel runs over tables of structure constants.", ""]
        return "\n".join(lines)
    counts = kernel.operations
    lines += ["#", f"# in coordinates: {counts.multiply_adds:,} multiply-adds, {counts.additions:,} additions, "]
    lines[-1] += f"{counts.scalings:,} scalings"
    return "\n".join([*lines, kernel.program.text()])


def program_data(program: Program | None) -> dict[str, Any] | None:
    """A program as plain values: a term is ``[coefficient, value, value or -1]``, coefficients are exact and text."""
    if program is None:
        return None
    return {
        "inputs": [{"name": operand.name, "length": operand.length} for operand in program.inputs],
        "instructions": [
            {"value": value, "terms": [[str(c), left, right] for c, left, right in terms]}
            for value, terms in program.numbered()
        ],
        "outputs": [{"name": result.name, "values": list(result.values)} for result in program.outputs],
    }


def _source(wanted: Wanted, form: str) -> str:
    from logsig_codegen.targets.builder import source_texts

    spec = BuildSpec(wanted.problem, tuple(wanted.groups), max_terms=wanted.max_terms, emit_only=True)
    texts = source_texts(wanted.target, spec)
    return json.dumps(texts) if form == "json" else joined(texts)


_FORMULAS = ("text", "latex", "json", "sympy")
SUBJECTS: Mapping[str, Subject] = {
    "series": Subject("log(e^l e^v) as a series of brackets", _FORMULAS, _formulas("series")),
    "coordinates": Subject("each output coordinate as a polynomial", _FORMULAS, _formulas("coordinates")),
    "adjoint": Subject("each coordinate of the derivative", _FORMULAS, _formulas("adjoint")),
    "page": Subject("all of this, brackets and programs as drawings, for a browser", ("html",), _page),
    "program": Subject("the plan and the straight-line programs made from it", ("text", "json"), _program),
    "source": Subject("the sources of a target that would be compiled", ("text", "json"), _source),
    "report": Subject("the plan chosen and its operation counts", ("text", "json"), _report),
}
"""What ``logsig-gen show --what`` knows."""

COUNTED = {
    "join": "join",
    "join_backprop": "backprop",
    "log_sig.step": "step",
    "log_sig_backprop.step_backprop": "step back",
}
"""Programs whose operations the summary tells, and the headers of their columns."""
WIDEST = 100
"""Columns of the summary, where the terminal has as many."""

SUMMARY = ("(d,N)", "size", "operations", "join by", *COUNTED.values(), "seconds")
"""Header of the summary."""
_TEXTS = (0, 2, 3)
_DROPPED = ("step back", "step", "backprop", "operations", "join by", "join")
"""What narrow terminals do without, in this order."""


def _cells(folder: GeneratedFolder) -> tuple[str, ...]:
    """One line of the summary."""
    manifest = folder.manifest
    problem = Problem(manifest["dimension"], manifest["degree"])
    operations, groups = manifest["operations"], manifest["groups"]
    named = ",".join(groups)
    return (
        f"({problem.dimension},{problem.degree})",
        str(problem.size),
        ALL if groups == list(available_groups(problem)) else named if len(named) <= 20 else f"{len(groups)} groups",
        manifest["plan"].get("join", "-"),
        *(f"{operations[name]['total']:,}" if name in operations else "-" for name in COUNTED),
        f"{folder.seconds:.1f}",
    )


def summary_text(written: Sequence[GeneratedFolder]) -> str:
    """A table no wider than the terminal of what was written; under it the folders and what to do next with each."""
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns)
    rows, shown = [SUMMARY, *map(_cells, written)], list(range(len(SUMMARY)))
    for name in (None, *_DROPPED):
        shown = [column for column in shown if SUMMARY[column] != name]
        header, *lines = [[row[column] for column in shown] for row in rows]
        text = table(header, lines, texts=frozenset(place for place, column in enumerate(shown) if column in _TEXTS))
        if max(map(len, text.splitlines())) <= width:
            break
    folders = [
        line for one in written for line in (f"wrote {one.path}", one.next_step and f"  {one.next_step}") if line
    ]
    return "\n".join([text, "", *folders])


def doctor_text(found: Mapping[str, Any]) -> str:
    """The findings of :func:`logsig_codegen.doctor.examine` for people."""
    processors = "1 processor" if found["processors"] == 1 else f"{found['processors']} processors"
    lines = [f"logsig-codegen {found['version']} on {found['machine']}, {processors} for this process", ""]
    lines += ["C compilers, in the order in which they are tried"]
    lines += [f"  {name:10s} {path or '-'}" for name, path in found["compilers"].items()]
    compiler = found["compiler"]
    if compiler is not None:
        lines += ["", f"used: {compiler['path']}, found as {compiler['origin']}", f"  {compiler['version']}"]
        flags = [(entry, "") for entry in found["flags"]] + [(entry, "rejected: ") for entry in found["rejected_flags"]]
        lines += [f"  {entry['flag']:28s} {verdict}{entry['reason']}" for entry, verdict in flags]
        features = " ".join(found["features"]) or "none beyond the least"
        lines += textwrap.wrap(f"code may use: {features}", 118, initial_indent="  ", subsequent_indent="    ")
        if found["missing_features"]:
            lines += [
                f"  this machine lacks {', '.join(found['missing_features'])}: it can compile, but not run, the code"
            ]
    lines += ["", "targets, and what would build them"]
    for name, about in found["targets"].items():
        lines += textwrap.wrap(f"{name}: {about}", 118, initial_indent="  ", subsequent_indent="    ")
    cache, artifacts = found["cache"], found["artifacts"]
    lines += ["", f"cache: {cache['path']} ({cache['state']}), entries: {len(cache['entries'])}"]
    lines += [
        f"  {name}  {', '.join(groups) or 'damaged, or of another version'}"
        for name, groups in cache["entries"].items()
    ]
    named = f"${artifacts['variable']} ({artifacts['value'] or 'not set'})"
    for name, state in found["packs"].items():
        lines += textwrap.wrap(f"pack {name}: {state}", 118, subsequent_indent="  ")
    lines += ["", f"load() looks in the folders of {named}, then in packs, then in the cache,"]
    build = found["build"]
    compiles = compiler and build["value"] != NEVER
    lines += ["then it generates and compiles." if compiles else "and then gives up."]
    if build["value"] == NEVER:
        lines += [f"${build['variable']} is {NEVER!r}: nothing is compiled."]
    lines += ["", f"problem: {found['problem']}" if found["problem"] else "all is well"]
    return "\n".join(lines)
