"""Formulas to read: the series, each output coordinate and its adjoint, as text, LaTeX, JSON and SymPy.

Every format is a :class:`~logsig_codegen.symbolic.notation.Notation` of the same equations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import sympy

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.equation import Equation
from logsig_codegen.symbolic.notation import SYMPY, sympy_module, wrapped
from logsig_codegen.symbolic.polynomials import (
    JoinPolynomials,
    coordinate_names,
    gradient_polynomials,
    join_polynomials,
)
from logsig_codegen.symbolic.series import SERIES_LIMIT, BchSeries, bch_series

SECTIONS = ("series", "coordinates", "adjoint")
FORMATS = ("text", "latex", "json", "sympy")
LEGEND = (
    ("l", "the log-signature of the path so far; l_01 is its coordinate of the bracket [0,1]"),
    ("v", "the displacement of the next segment; v_0 is its channel 0"),
    ("z", "the log-signature after it, log(exp(l) exp(v)); coordinates named as those of l"),
    ("g", "the derivative of a scalar with respect to z"),
    ("d_l, d_v", "derivatives of that scalar with respect to l and v; in LaTeX and HTML with a bar"),
    ("l_k", "in series: the part of degree k of l"),
    ("D", "in series: the derivation that multiplies the part of degree k by k"),
    ("ad_l", "in series: the bracket with l, x -> [l,x]"),
    ("omega_k, Omega_k", "in series: the part of degree k of e^-l D(e^l), of l and of z"),
)
"""What the symbols mean, in the order in which they appear."""


@dataclass(frozen=True)
class Equations(Sequence[sympy.Expr]):
    """Equations of one section; as a sequence, their right-hand sides as SymPy expressions.

    Attributes
    ----------
    title : str
        What the equations are, in one line.
    equations : tuple of Equation
    name : str
        The name of the section.
    """

    title: str
    equations: tuple[Equation, ...]
    name: str = "equations"

    def __len__(self) -> int:
        return len(self.equations)

    @overload
    def __getitem__(self, index: int) -> sympy.Expr: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[sympy.Expr, ...]: ...

    def __getitem__(self, index: int | slice) -> sympy.Expr | tuple[sympy.Expr, ...]:
        if isinstance(index, slice):
            return tuple(equation.expression for equation in self.equations[index])
        return self.equations[index].expression

    def text(self) -> str:
        """An equation after the other, each with its bracket as a comment, in lines of at most 100 columns."""
        lines = [wrapped(f"{equation.text()}  # {equation.bracket}") for equation in self.equations]
        return "\n".join([f"# {self.title}", *lines])

    __str__ = text

    def latex(self) -> str:
        """One display equation per line."""
        lines = [f"\\[ {equation.latex()} \\]  % {equation.bracket}" for equation in self.equations]
        return "\n".join([f"% {self.title}", *lines])

    def data(self) -> list[dict[str, Any]]:
        """Plain lists and strings."""
        return [equation.data() for equation in self.equations]

    def json(self) -> str:
        """:meth:`data` as JSON text."""
        return json.dumps(self.data())

    def sympy(self) -> str:
        """Python that defines the symbols, and a dictionary with SymPy's expression of each equation."""
        entries = (f'"{one.name}": {one.right_hand_side(SYMPY)},  # {one.bracket}' for one in self.equations)
        symbols = dict.fromkeys(name for one in self.equations for name in one.symbols)
        return sympy_module(self.title, symbols, {self.name: entries})

    def _repr_latex_(self) -> str:
        """All equations, for notebooks."""
        lines = (equation.latex().replace(" = ", " &= ", 1) for equation in self.equations)
        return "$$\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}$$"


@dataclass(frozen=True)
class Formulas:
    """The formulas of one problem; each section is derived when it is first asked for.

    Symbols are named after Lyndon words: ``l_01`` and ``z_01`` are the coordinates of the bracket ``[0,1]`` before and
    after the join, ``v_0`` is the displacement in channel 0, ``g_01`` the gradient with respect to ``z_01``, and
    ``d_l_01``, ``d_v_0`` are the gradients that are computed. With more than ten channels, letters are separated by
    ``_``.
    """

    problem: Problem

    @cached_property
    def series(self) -> BchSeries:
        """The series ``log(e^l e^v)`` up to the problem's degree, independent of its dimension.

        Raises
        ------
        ProblemTooLargeError
            If the degree is above ``SERIES_LIMIT``.
        """
        if self.problem.degree > SERIES_LIMIT:
            raise ProblemTooLargeError(
                f"degree={self.problem.degree}: the series is written out up to degree {SERIES_LIMIT}; "
                "the program text describes problems of every size"
            )
        return bch_series(self.problem.degree)

    @cached_property
    def coordinates(self) -> Equations:
        """Every output coordinate as a polynomial in ``l`` and ``v``.

        Raises
        ------
        ProblemTooLargeError
            If they would have too many terms.
        """
        return self._equations("coordinates", "the join: z = log(exp(l) exp(v))", [("z", self._join.out)])

    @cached_property
    def adjoint(self) -> Equations:
        """Every coordinate of ``d_log_sig``, then of ``d_displacement``, as a polynomial in ``g``, ``l`` and ``v``.

        Raises
        ------
        ProblemTooLargeError
            If they would have too many terms.
        """
        gradient = gradient_polynomials(self._join)
        groups = [("d_l", gradient.d_log_sig), ("d_v", gradient.d_displacement)]
        return self._equations("adjoint", "the gradient of <g, z> with respect to l and v", groups)

    def show(self, what: str, format: str = "text") -> str:
        """One section in one format.

        Parameters
        ----------
        what : {"series", "coordinates", "adjoint"}
        format : {"text", "latex", "json", "sympy"}

        Raises
        ------
        ValueError
            For any other value.
        ProblemTooLargeError
            If the section is too large to be written out.
        """
        if what not in SECTIONS:
            raise ValueError(f"what: expected one of {SECTIONS}, got {what!r}")
        if format not in FORMATS:
            raise ValueError(f"format: expected one of {FORMATS}, got {format!r}")
        section: BchSeries | Equations = getattr(self, what)
        text: str = getattr(section, format)()
        return text

    @cached_property
    def _join(self) -> JoinPolynomials:
        return join_polynomials(self.problem)

    def _equations(self, name: str, title: str, groups: list[tuple[str, tuple[Any, ...]]]) -> Equations:
        return Equations(title, tuple(self._equation_list(groups)), name)

    def _equation_list(self, groups: list[tuple[str, tuple[Any, ...]]]) -> Iterator[Equation]:
        basis = lyndon_basis(self.problem.dimension, self.problem.degree)
        for prefix, polynomials in groups:
            words = basis.words[: len(polynomials)]
            names = coordinate_names(prefix, words, self.problem.dimension)
            for index, (name, polynomial) in enumerate(zip(names, polynomials, strict=True)):
                yield Equation.from_polynomial(name, basis.bracket(index), polynomial)


def formulas(problem: Problem) -> Formulas:
    """The formulas of a problem; nothing is derived yet."""
    return Formulas(problem)
