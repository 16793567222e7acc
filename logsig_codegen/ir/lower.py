"""Lowering: a Lie program and the structure constants become a straight-line program over scalars.

A bracket of type ``(p, q)`` is a sum over *slots*, the pairs ``(i, j)`` of basis elements with ``[P_i, P_j]`` not zero.
The ``r`` brackets of one type that a statement sums share their slots: a slot with ``e`` structure constants costs
``r·e`` products when each is written out, or ``r`` products summed into a temporary and ``e`` additions of that; the
cheaper way is chosen for each slot. A coadjoint action sums the same slots over other indices:
``g_ij = sum_k c_ij^k f_k`` is computed once per form ``f`` and shared by every action on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from logsig_codegen.algebra.structure import StructureConstants, structure_constants
from logsig_codegen.algebra.surd import Coefficient, simplify
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result, Term
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage

Reference: TypeAlias = "tuple[int, int]"
"""A sign (+1 or -1) and a value number; ``(0, NONE)`` is zero."""
Type: TypeAlias = "tuple[int, int]"

ZERO: Reference = (0, NONE)


@stage("lower")
def lower(program: LieProgram, problem: Problem) -> Program:
    """Lower ``program`` for ``problem``; the result has one operand per input port, one result per output port."""
    return _Lowering(program, problem).run()


class _Lowering:
    def __init__(self, program: LieProgram, problem: Problem) -> None:
        self.program = program
        self.problem = problem
        self.constants: StructureConstants = structure_constants(problem.dimension, problem.degree)
        self.instructions: list[Instruction] = []
        self.vectors: dict[str, list[Reference]] = {}
        self.first = 0
        self.readers = _count_coadjoint_readers(program)
        self.shared: dict[tuple[str, Type, int, int], Reference] = {}

    def run(self) -> Program:
        inputs = []
        for port in self.program.inputs:
            start = self.first
            for degree, name in enumerate(port.vectors, start=1):
                size = self.problem.sizes[degree - 1]
                self.vectors[name] = [(1, self.first + index) for index in range(size)]
                self.first += size
            inputs.append(Operand(port.operand, self.first - start))
        for statement in self.program.statements:
            self.vectors[statement.target.name] = self.statement(statement)
        outputs = tuple(
            Result(port.operand, tuple(self.positive(ref) for name in port.vectors for ref in self.vectors[name]))
            for port in self.program.outputs
        )
        return Program(self.problem, self.program.name, tuple(inputs), tuple(self.instructions), outputs)

    def emit(self, terms: Sequence[Term]) -> Reference:
        """Reference to the sum of ``terms``; a plain ``±x`` needs no instruction."""
        if not terms:
            return ZERO
        if len(terms) == 1 and terms[0][2] == NONE and terms[0][0] in (1, -1):
            return (1 if terms[0][0] == 1 else -1), terms[0][1]
        self.instructions.append(tuple(terms))
        return 1, self.first + len(self.instructions) - 1

    def positive(self, reference: Reference) -> int:
        """The value of ``reference`` itself, negated by an instruction if need be."""
        sign, value = reference
        if sign >= 0:
            return value
        self.instructions.append(((-1, value, NONE),))
        return self.first + len(self.instructions) - 1

    def statement(self, statement: Statement) -> list[Reference]:
        """One reference per coordinate of the statement's target."""
        size = self.problem.sizes[statement.target.degree - 1]
        sums: list[list[Term]] = [[] for _ in range(size)]
        brackets: dict[Type, list[tuple[Coefficient, str, str]]] = {}
        for term in statement.terms:
            if isinstance(term, Scaled):
                for total, reference in zip(sums, self.vectors[term.vector], strict=True):
                    _add_linear(total, term.coefficient, reference)
            elif isinstance(term, Bracket):
                p, q = (self.degree(name) for name in term.operands)
                left, right, sign = (term.left, term.right, 1) if p <= q else (term.right, term.left, -1)
                group = brackets.setdefault((min(p, q), max(p, q)), [])
                group.append((simplify(sign * term.coefficient), left, right))
            else:
                self.coadjoint(term, sums)
        for key, group in brackets.items():
            self.brackets(key, group, sums)
        return [self.emit(total) for total in sums]

    def degree(self, name: str) -> int:
        return self.program.vectors[name].degree

    def brackets(self, key: Type, group: list[tuple[Coefficient, str, str]], sums: list[list[Term]]) -> None:
        """Add the brackets of one type to the coordinates of a statement, sharing slots."""
        operands = [(c, self.vectors[left], self.vectors[right]) for c, left, right in group]
        for i, j, entries in self.constants.slots(*key):
            products: list[Term] = []
            for c, left, right in operands:
                _add_product(products, c, left[i], right[j])
                if key[0] == key[1]:
                    _add_product(products, -c, left[j], right[i])
            if not products:
                continue
            if len(products) * len(entries) <= len(products) + len(entries):
                for k, c in entries:
                    sums[k].extend((simplify(c * factor), a, b) for factor, a, b in products)
            else:
                slot = self.emit(products)
                for k, c in entries:
                    _add_linear(sums[k], c, slot)

    def coadjoint(self, term: Coadjoint, sums: list[list[Term]]) -> None:
        """Add ``c·ad*_actor form`` to the coordinates of a statement.

        With the actor as the first operand of the structure constants the action is ``eta_j += c a_i g_ij``, with the
        actor as the second one it is ``eta_i -= c a_j g_ij``; equal degrees need both.
        """
        p = self.degree(term.actor)
        q = self.degree(term.form) - p
        actor = self.vectors[term.actor]
        key = (min(p, q), max(p, q))
        for i, j, entries in self.constants.slots(*key):
            if p <= q and actor[i] != ZERO:
                self.act(sums[j], term.coefficient, actor[i], (term.form, key, i, j), entries)
            if p >= q and actor[j] != ZERO:
                self.act(sums[i], simplify(-term.coefficient), actor[j], (term.form, key, i, j), entries)

    def act(
        self,
        total: list[Term],
        coefficient: Coefficient,
        actor: Reference,
        slot: tuple[str, Type, int, int],
        entries: tuple[tuple[int, int], ...],
    ) -> None:
        form = self.vectors[slot[0]]
        if len(entries) == 1 or self.readers[slot[0], slot[1]] == 1:
            for k, c in entries:
                _add_product(total, simplify(coefficient * c), actor, form[k])
            return
        shared = self.shared.get(slot)
        if shared is None:
            terms: list[Term] = []
            for k, c in entries:
                _add_linear(terms, c, form[k])
            shared = self.shared[slot] = self.emit(terms)
        _add_product(total, coefficient, actor, shared)


def _count_coadjoint_readers(program: LieProgram) -> Mapping[tuple[str, Type], int]:
    """How often each slot of a form is read, by form and type."""
    readers: Counter[tuple[str, Type]] = Counter()
    for statement in program.statements:
        for term in statement.terms:
            if isinstance(term, Coadjoint):
                p = program.vectors[term.actor].degree
                q = program.vectors[term.form].degree - p
                readers[term.form, (min(p, q), max(p, q))] += 2 if p == q else 1
    return readers


def _add_linear(total: list[Term], coefficient: Coefficient, reference: Reference) -> None:
    sign, value = reference
    if sign:
        total.append((simplify(sign * coefficient), value, NONE))


def _add_product(total: list[Term], coefficient: Coefficient, left: Reference, right: Reference) -> None:
    sign = left[0] * right[0]
    if sign:
        first, second = sorted((left[1], right[1]))
        total.append((simplify(sign * coefficient), first, second))
