"""The page of a problem: series, plan, coordinates, brackets, programs and C text as HTML that needs nothing else.

The page has a bounded size: what does not fit is left out, and the page says so and where it is to be had.
"""

from __future__ import annotations

from dataclasses import dataclass

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.compiler import CompiledProblem, Kernel, compile_problem
from logsig_codegen.cost import DEFAULT_MAX_TERMS
from logsig_codegen.emit.c import kernel_text
from logsig_codegen.emit.figures import MOST_NODES, Figure, bracket_tree, plan_graph, program_graph
from logsig_codegen.emit.render import render
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.ir.program import OperationCount
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.equation import Equation
from logsig_codegen.symbolic.formulas import LEGEND, Formulas
from logsig_codegen.symbolic.notation import MATHML
from logsig_codegen.symbolic.polynomials import check_expansion, coordinate_names

_SERIES_CHARACTERS, _COORDINATE_CHARACTERS, _TREES_CHARACTERS = 200_000, 700_000, 150_000
_NODE_CHARACTERS = 220  # of a node of a tree and its line, roughly
_LINES, _COLUMNS = 300, 200
_EQUATION_CHARACTERS = 30_000
_MOST_TERMS = 1300
"""Problems whose coordinates have more terms are shown without them: deriving these takes up to minutes."""


@dataclass(frozen=True)
class Shown:
    """An equation: its name, and MathML, the content of ``<math>`` elements."""

    name: str
    mathml: str


@dataclass(frozen=True)
class Form:
    """A form of the series, and how many of its equations are left out."""

    title: str
    equations: tuple[Shown, ...]
    left_out: int


@dataclass(frozen=True)
class Card:
    """A coordinate: its name, what it belongs to, its bracket as a tree, its equation and those of the derivatives.

    ``left_out`` names the equations that there is no room for.
    """

    name: str
    belongs_to: str
    tree: Figure
    equations: tuple[Shown, ...]
    left_out: str


@dataclass(frozen=True)
class KernelView:
    """An operation: its plan, programs, counts and C text, each with a line about what is left out, if anything."""

    name: str
    plan: str
    operations: OperationCount
    plan_text: str
    plan_note: str
    plan_figure: Figure | None
    program_title: str
    program_figure: Figure | None
    source: str
    source_note: str


@dataclass(frozen=True)
class PageView:
    """What the template gets. ``key`` begins every anchor, so that several pages can stand in one document."""

    problem: Problem
    key: str
    legend: tuple[tuple[str, str], ...]
    forms: tuple[Form, ...]
    series_note: str
    cards: tuple[Card, ...]
    coordinates_note: str
    kernels: tuple[KernelView, ...]


@dataclass
class _Room:
    """How many characters may still be written, and how many at once."""

    left: int
    most: int

    def take(self, size: int) -> bool:
        """Whether so many fit."""
        fits = size <= min(self.left, self.most)
        self.left -= size if fits else 0
        return fits


def page_view(formulas: Formulas, compiled: CompiledProblem) -> PageView:
    """Everything that is to be seen of a problem whose join is compiled."""
    problem = formulas.problem
    forms, series_note = _forms(formulas)
    cards, coordinates_note = _cards(formulas)
    kernels = tuple(_kernel_view(compiled, one) for one in compiled.kernels if isinstance(one, Kernel))
    return PageView(problem, problem.name, LEGEND, forms, series_note, cards, coordinates_note, kernels)


def _show_command(problem: Problem, what: str) -> str:
    return f"logsig-gen show --dim {problem.dimension} --degree {problem.degree} --what {what}"


def _forms(formulas: Formulas) -> tuple[tuple[Form, ...], str]:
    """The forms of the series, without equations that are too long, and a note where there are such."""
    try:
        series = formulas.series
    except ProblemTooLargeError as error:
        return (), str(error)
    forms = []
    for form in series.forms:
        most = _SERIES_CHARACTERS // len(series.forms)
        room = _Room(most, most)
        every = (Shown(one.name, one.render(MATHML)) for one in form.series)
        shown = tuple(one for one in every if room.take(len(one.mathml)))
        forms.append(Form(form.title, shown, len(form.series) - len(shown)))
    left_out = any(form.left_out for form in forms)
    return tuple(forms), f"All equations: {_show_command(formulas.problem, 'series')}" if left_out else ""


def _cards(formulas: Formulas) -> tuple[tuple[Card, ...], str]:
    """The coordinates in order, as many as there is room for, and a note on what is left out."""
    problem = formulas.problem
    basis = lyndon_basis(problem.dimension, problem.degree)
    names = coordinate_names("z", basis.words, problem.dimension)
    notes, equations = [], {}
    try:
        check_expansion(problem, _MOST_TERMS)
        equations = _equations_by_coordinate(formulas)
    except ProblemTooLargeError as error:
        notes.append(f"The polynomials are left out: {error}.")
    room, trees = _Room(_COORDINATE_CHARACTERS, _EQUATION_CHARACTERS), _Room(_TREES_CHARACTERS, _TREES_CHARACTERS)
    cards, left_out = [], 0
    for coordinate, name in enumerate(names):
        word = basis.words[coordinate]
        if not trees.take(_NODE_CHARACTERS * 2 * len(word)):
            break
        every = [Shown(one.name, one.render(MATHML)) for one in equations.get(coordinate, ())]
        shown = tuple(one for one in every if room.take(len(one.mathml)))
        missing = [one.name for one in every if one not in shown]
        left_out += len(missing)
        belongs_to = f"{'bracket' if len(word) > 1 else 'channel'} {basis.bracket(coordinate)}"
        cards.append(Card(name, belongs_to, bracket_tree(basis, coordinate), shown, ", ".join(missing)))
    if len(cards) < problem.size:
        notes.append(f"The last {problem.size - len(cards):,} of {problem.size:,} coordinates are left out.")
    if equations and (left_out or len(cards) < problem.size):
        notes.append(f"All equations: {_show_command(problem, 'coordinates')} or --what adjoint")
    return tuple(cards), " ".join(notes)


def _equations_by_coordinate(formulas: Formulas) -> dict[int, list[Equation]]:
    """Each coordinate's equation, then those of the derivatives with respect to it, and to its displacement."""
    size, found = formulas.problem.size, {}
    for coordinate, equation in enumerate(formulas.coordinates.equations):
        found[coordinate] = [equation, formulas.adjoint.equations[coordinate]]
    for channel, equation in enumerate(formulas.adjoint.equations[size:]):
        found[channel].append(equation)
    return found


def _kernel_view(compiled: CompiledProblem, kernel: Kernel) -> KernelView:
    plan_figure = program_figure = None
    title = "Too large to be written out: the kernel runs over tables of structure constants."
    if kernel.lie is not None and len(kernel.lie.vectors) <= MOST_NODES:
        plan_figure = plan_graph(kernel.lie)
    if kernel.program is not None:
        values = kernel.program.first + len(kernel.program.instructions)
        program_figure = program_graph(kernel.program)
        title = "Each box is a value, with the number of operations that make it."
        if values > MOST_NODES:
            title = (
                f"{values:,} values are too many to be drawn: each box is a level of values that depend on earlier "
                f"levels only, and tells how many values and operations it has. All of them: "
                f"{_show_command(compiled.problem, 'program')}"
            )
    text, source_note = _cut(kernel_text(compiled, kernel), _show_command(compiled.problem, "source"))
    plan, plan_note = _cut("" if kernel.lie is None else kernel.lie.text(), _show_command(compiled.problem, "program"))
    return KernelView(
        name=kernel.operation,
        plan=kernel.plan,
        operations=kernel.operations,
        plan_text=plan,
        plan_note=plan_note,
        plan_figure=plan_figure,
        program_title=title,
        program_figure=program_figure,
        source=text,
        source_note=source_note,
    )


def _cut(text: str, command: str) -> tuple[str, str]:
    """The first lines of a text, without the ends of long ones, and a note where that is not all."""
    lines = text.splitlines()
    shown = [line if len(line) <= _COLUMNS else f"{line[:_COLUMNS]} …" for line in lines[:_LINES]]
    note = f"A part of {len(lines):,} lines. All of them: {command}" if shown != lines else ""
    return "\n".join(shown), note


class ProblemFormulas(Formulas):
    """The formulas of one problem, and a page with all there is to see of it; see :class:`Formulas`.

    A notebook shows the page. ``print`` shows the coordinates.
    """

    def html(self, *, max_terms: int | None = None, whole: bool = True) -> str:
        """The page: series, chosen plan, every coordinate with its derivatives, brackets, programs, and the C text.

        It needs no script and no network, and has less than 2 MB: of large problems it says what is left out.

        Parameters
        ----------
        max_terms : int, optional
            Raise the limit on the number of structure-constant terms.
        whole : bool
            Whether it is a document of its own; else an element to be put into one.

        Raises
        ------
        ProblemTooLargeError
            If the problem is beyond the limit.
        """
        limit = DEFAULT_MAX_TERMS if max_terms is None else max_terms
        view = page_view(self, compile_problem(self.problem, max_terms=limit))
        return render("page/page.html.j2" if whole else "page/body.html.j2", view=view)

    def _repr_html_(self) -> str | None:
        try:
            return self.html(whole=False)
        except ProblemTooLargeError:
            return None

    def __str__(self) -> str:
        return self.coordinates.text()
