"""Graded Lie programs: plans as data, free of coordinates.

Grammar::

    LieProgram := name degree inputs:Port* statements:Statement* outputs:Port*
    Port       := operand vectors:name*            one vector per degree 1, 2, …
    Statement  := target:Vector terms:Term*        target = sum of terms, zero if there are none
    Term       := Scaled(c, x)                     c·x
                | Bracket(c, a, b)                 c·[a, b]
                | Coadjoint(c, a, xi)              c·ad*_a xi,  where  <ad*_a xi, b> = <xi, [a, b]>
    Vector     := name degree dual                 an element of L_degree, or of its dual space

The language is closed under differentiation: gradients of brackets are coadjoint actions, and gradients of coadjoint
actions are brackets and coadjoint actions.

Not supported: nested expressions (each bracket names its operands), sums of different degrees, control flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from logsig_codegen.algebra.surd import Coefficient


@dataclass(frozen=True)
class Vector:
    """A homogeneous element of the free Lie algebra, or (``dual``) a linear form on one degree of it."""

    name: str
    degree: int
    dual: bool = False


@dataclass(frozen=True)
class Scaled:
    """The term ``coefficient · vector``."""

    coefficient: Coefficient
    vector: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.vector,)


@dataclass(frozen=True)
class Bracket:
    """The term ``coefficient · [left, right]`` of two elements."""

    coefficient: Coefficient
    left: str
    right: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.left, self.right)


@dataclass(frozen=True)
class Coadjoint:
    """The term ``coefficient · ad*_actor form``, where ``<ad*_a form, b> = <form, [a, b]>``."""

    coefficient: Coefficient
    actor: str
    form: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.actor, self.form)


Term: TypeAlias = "Scaled | Bracket | Coadjoint"


def _term_text(term: Term) -> str:
    if isinstance(term, Scaled):
        return term.vector
    if isinstance(term, Bracket):
        return f"[{term.left}, {term.right}]"
    return f"ad*({term.actor}, {term.form})"


@dataclass(frozen=True)
class Statement:
    """``target`` is the sum of ``terms``."""

    target: Vector
    terms: tuple[Term, ...]

    def text(self) -> str:
        """The statement in the notation of the plans; ``ad*(a, f)`` is a coadjoint action."""
        pieces = []
        for term in self.terms:
            c = term.coefficient
            negative = float(c) < 0
            magnitude = -c if negative else c
            factor = "" if magnitude == 1 else f"{magnitude}*"
            pieces.append(f"{'-' if negative else '+'} {factor}{_term_text(term)}")
        return f"{self.target.name} = {' '.join(pieces).removeprefix('+ ') or '0'}"


@dataclass(frozen=True)
class Port:
    """One operand of the operation (``log_sig``, ``displacement``, …): its vectors by degree, starting at one."""

    operand: str
    vectors: tuple[str, ...]


@dataclass(frozen=True)
class LieProgram:
    """A straight-line program over graded vectors; see the grammar at the top of this file."""

    name: str
    degree: int
    inputs: tuple[Port, ...]
    statements: tuple[Statement, ...]
    outputs: tuple[Port, ...]
    dual_inputs: tuple[str, ...] = ()

    @cached_property
    def vectors(self) -> Mapping[str, Vector]:
        """Every vector by name, inputs first, then in order of definition."""
        table = {
            name: Vector(name, degree, port.operand in self.dual_inputs)
            for port in self.inputs
            for degree, name in enumerate(port.vectors, start=1)
        }
        for statement in self.statements:
            table[statement.target.name] = statement.target
        return table

    def text(self) -> str:
        """The program in the notation of the plans, one statement per line."""
        return "".join(f"{statement.text()}\n" for statement in self.statements)


def renamed(program: LieProgram, names: Mapping[str, str]) -> LieProgram:
    """The same program with other names for its operands."""

    def ports(given: tuple[Port, ...]) -> tuple[Port, ...]:
        return tuple(replace(port, operand=names.get(port.operand, port.operand)) for port in given)

    duals = tuple(names.get(operand, operand) for operand in program.dual_inputs)
    return replace(program, inputs=ports(program.inputs), outputs=ports(program.outputs), dual_inputs=duals)


Element = TypeVar("Element")


class LieAlgebra(Protocol[Element]):
    """What :func:`evaluate` needs of a Lie algebra to run a program without coadjoint terms in it."""

    def zero(self) -> Element: ...

    def add_scaled(self, total: Element, coefficient: Coefficient, element: Element) -> Element: ...

    def bracket(self, left: Element, right: Element) -> Element: ...


@runtime_checkable
class LieAlgebraWithForms(LieAlgebra[Element], Protocol[Element]):
    """A Lie algebra whose elements stand for linear forms as well."""

    def coadjoint(self, actor: Element, form: Element) -> Element: ...


def evaluate(program: LieProgram, algebra: LieAlgebra[Element], inputs: Mapping[str, Element]) -> dict[str, Element]:
    """Run ``program`` on elements of ``algebra``; returns every vector by name.

    Raises ``TypeError`` on a coadjoint term, unless the algebra has linear forms.
    """
    values = dict(inputs)
    for statement in program.statements:
        total = algebra.zero()
        for term in statement.terms:
            if isinstance(term, Scaled):
                element = values[term.vector]
            elif isinstance(term, Bracket):
                element = algebra.bracket(values[term.left], values[term.right])
            elif isinstance(algebra, LieAlgebraWithForms):
                element = algebra.coadjoint(values[term.actor], values[term.form])
            else:
                raise TypeError(f"{program.name}: {statement.target.name} has a coadjoint term")
            total = algebra.add_scaled(total, term.coefficient, element)
        values[statement.target.name] = total
    return values
