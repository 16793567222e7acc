"""Scale folding on Lie programs: every bracket ends up with coefficient +1 or -1.

The factor of a bracket is moved to a scaled copy of the operand with fewer coordinates; brackets share copies. Before
that, a sum that only brackets read is rescaled if this turns more of its own coefficients into ±1 than it costs in
copies.

Before: ``t = 2 l2 + 4 y; z = l3 + 1/3 [v, t]``. After: ``t = l2 + 2 y; s = 2/3 v; z = l3 + [s, t]``.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias

from logsig_codegen.algebra.surd import Coefficient, Surd, magnitude, simplify
from logsig_codegen.ir.lie import Bracket, LieProgram, Scaled, Statement, Term, Vector
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage

ScaledCopy: TypeAlias = "tuple[str, Coefficient]"


@stage("fold scales")
def fold_scales(program: LieProgram, problem: Problem) -> LieProgram:
    """Move the coefficients of brackets to scaled copies of their cheaper operands."""
    return _Folder(_rescale(program, problem), problem).run()


def _is_unit(c: Coefficient) -> bool:
    return c == 1 or c == -1


def _inverse(c: Coefficient) -> Coefficient:
    return simplify(1 / c if isinstance(c, Surd) else Fraction(1) / c)


class _Folder:
    """Rewrites statement by statement, inserting the scaled copies before their first use."""

    def __init__(self, program: LieProgram, problem: Problem) -> None:
        self.program = program
        self.sizes = problem.sizes
        self.statements: list[Statement] = []
        self.copies: dict[ScaledCopy, str] = {}
        self.origin: dict[str, ScaledCopy] = {}

    def run(self) -> LieProgram:
        for statement in self.program.statements:
            terms = tuple(self.fold(term) for term in statement.terms)
            self.statements.append(replace(statement, terms=terms))
            self.remember(self.statements[-1])
        return replace(self.program, statements=tuple(self.statements))

    def remember(self, statement: Statement) -> None:
        """Record a statement that is a scaled copy already, so that brackets can use it."""
        if len(statement.terms) == 1 and isinstance(term := statement.terms[0], Scaled):
            source = self.resolve(term.vector, term.coefficient)
            self.origin[statement.target.name] = source
            self.copies.setdefault(source, statement.target.name)

    def resolve(self, name: str, coefficient: Coefficient) -> ScaledCopy:
        base, factor = self.origin.get(name, (name, 1))
        return base, simplify(factor * coefficient)

    def fold(self, term: Term) -> Term:
        c = term.coefficient
        if isinstance(term, Scaled) or _is_unit(c):
            return term
        scale, sign = simplify(magnitude(c)), 1 if float(c) > 0 else -1
        left, right = term.operands
        if self.cost(left, scale) <= self.cost(right, scale):
            left = self.copy(left, scale)
        else:
            right = self.copy(right, scale)
        return Bracket(sign, left, right) if isinstance(term, Bracket) else type(term)(sign, left, right)

    def cost(self, name: str, factor: Coefficient) -> int:
        source = self.resolve(name, factor)
        if source in self.copies or source[1] == 1:
            return 0
        return self.sizes[self.program.vectors[name].degree - 1]

    def copy(self, name: str, factor: Coefficient) -> str:
        base, coefficient = self.resolve(name, factor)
        if coefficient == 1:
            return base
        known = self.copies.get((base, coefficient))
        if known is None:
            vector = self.program.vectors[base]
            known = self.copies[base, coefficient] = f"{base}_s{len(self.copies)}"
            scaled = Statement(Vector(known, vector.degree, vector.dual), (Scaled(coefficient, base),))
            self.statements.append(scaled)
            self.origin[known] = (base, coefficient)
        return known


def _rescale(program: LieProgram, problem: Problem) -> LieProgram:
    """Divide sums that only brackets read by one of their coefficients where that saves operations."""
    uses: dict[str, list[tuple[int, int]]] = {}
    for index, statement in enumerate(program.statements):
        for position, term in enumerate(statement.terms):
            for name in term.operands:
                uses.setdefault(name, []).append((index, position))
    fixed = {name for port in program.outputs for name in port.vectors}
    statements = list(program.statements)
    for index, statement in enumerate(program.statements):
        name, sites = statement.target.name, uses.get(statement.target.name, [])
        readers = [statements[i].terms[j] for i, j in sites]
        if name in fixed or len(statement.terms) < 2 or any(isinstance(term, Scaled) for term in readers):
            continue
        if not all(isinstance(term, Scaled) for term in statement.terms):
            continue
        factor = _best_factor(statements[index], readers, program, problem)
        if factor != 1:
            statements[index] = _scaled_statement(statements[index], _inverse(factor))
            for i, j in sites:
                term = statements[i].terms[j]
                moved = replace(term, coefficient=simplify(term.coefficient * factor))
                terms = statements[i].terms
                statements[i] = replace(statements[i], terms=(*terms[:j], moved, *terms[j + 1 :]))
    return replace(program, statements=tuple(statements))


def _best_factor(statement: Statement, readers: list[Term], program: LieProgram, problem: Problem) -> Coefficient:
    sizes, name = problem.sizes, statement.target.name
    own = sizes[statement.target.degree - 1]
    best: tuple[int, Coefficient] | None = None
    for factor in dict.fromkeys([1, *(magnitude(term.coefficient) for term in statement.terms)]):
        factor = simplify(factor)
        units = sum(1 for t in statement.terms if _is_unit(simplify(t.coefficient * _inverse(factor))))
        partners = set()
        for term in readers:
            c = simplify(term.coefficient * factor)
            if not _is_unit(c):
                left, right = term.operands
                partner = right if left == name else left
                partners.add((partner, magnitude(c)))
        copies = sum(min(own, sizes[program.vectors[partner].degree - 1]) for partner, _ in partners)
        cost = own * (len(statement.terms) - min(units, 1)) + copies
        if best is None or cost < best[0]:
            best = (cost, factor)
    assert best is not None
    return best[1]


def _scaled_statement(statement: Statement, factor: Coefficient) -> Statement:
    terms = tuple(replace(term, coefficient=simplify(term.coefficient * factor)) for term in statement.terms)
    return replace(statement, terms=terms)
