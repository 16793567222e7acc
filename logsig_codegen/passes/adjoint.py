"""Reverse-mode differentiation of Lie programs: the adjoint (vector-Jacobian product) as a program transformation.

Each vector ``x`` gets a linear form ``x_bar``, the sum of what its uses contribute:

* ``z = c·x``            gives ``x_bar += c·z_bar``;
* ``z = c·[a, b]``       gives ``b_bar += c·ad*_a z_bar`` and ``a_bar += -c·ad*_b z_bar``;
* ``f = c·ad*_a g``      gives ``g_bar += c·[a, f_bar]`` and ``a_bar += -c·ad*_{f_bar} g``,

where ``<ad*_a f, b> = <f, [a, b]>``. Gradients of brackets and coadjoint actions are of the same two kinds, so that the
pass can be applied to its own result. Operands that the gradients need are recomputed; outputs are not.

Before (``z = l2 + [l1, h]``)::

    h = v/2;  z1 = l1 + v;  z2 = l2 + [l1, h]

After::

    h = v/2;  h_bar = ad*_l1 z2_bar;  l1_bar = z1_bar - ad*_h z2_bar;  v_bar = z1_bar + h_bar/2
"""

from __future__ import annotations

from collections.abc import Iterable

from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Port, Scaled, Statement, Term, Vector
from logsig_codegen.passes.dead import drop_dead_statements


def adjoint(program: LieProgram) -> LieProgram:
    """The program that maps ``d_<output>`` and the inputs of ``program`` to ``d_<input>``.

    Inputs are one port ``d_<operand>`` per output of ``program``, then its own inputs; outputs are one port
    ``d_<operand>`` per input that is differentiated, in the order of the inputs.
    """
    sweep = _Sweep(program)
    cotangents = [Port(f"d_{port.operand}", tuple(map(sweep.receive, port.vectors))) for port in program.outputs]
    for statement in reversed(program.statements):
        sweep.reverse(statement)
    outputs = tuple(
        Port(f"d_{port.operand}", tuple(sweep.cotangent(program.vectors[name]) for name in port.vectors))
        for port in program.inputs
    )
    result = LieProgram(
        name=f"{program.name}/adjoint",
        degree=program.degree,
        inputs=(*cotangents, *program.inputs),
        statements=(*program.statements, *sweep.statements),
        outputs=outputs,
        dual_inputs=(*_dual_cotangents(program), *program.dual_inputs),
    )
    return drop_dead_statements(result)


def _dual_cotangents(program: LieProgram) -> Iterable[str]:
    for port in program.outputs:
        if not program.vectors[port.vectors[0]].dual:
            yield f"d_{port.operand}"


class _Sweep:
    def __init__(self, program: LieProgram) -> None:
        self.program = program
        self.contributions: dict[str, list[Term]] = {}
        self.statements: list[Statement] = []
        self.taken = set(program.vectors)

    def fresh(self, name: str) -> str:
        """``name``, with underscores appended until an earlier adjoint does not use it."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def receive(self, name: str) -> str:
        """Name of the input form that belongs to the output vector ``name``."""
        cotangent = self.fresh(f"d_{name}")
        self.add(name, Scaled(1, cotangent))
        return cotangent

    def cotangent(self, vector: Vector) -> str:
        """Define the form of ``vector``, after all its uses have been processed, and return its name."""
        terms = self.contributions.get(vector.name, [])
        if len(terms) == 1 and isinstance(terms[0], Scaled) and terms[0].coefficient == 1:
            return terms[0].vector
        name = self.fresh(f"{vector.name}_bar")
        self.statements.append(Statement(Vector(name, vector.degree, not vector.dual), tuple(terms)))
        return name

    def reverse(self, statement: Statement) -> None:
        """Add the contributions of a statement to the forms of its terms' operands."""
        if statement.target.name not in self.contributions:
            return
        bar = self.cotangent(statement.target)
        for term in statement.terms:
            c = term.coefficient
            if isinstance(term, Scaled):
                self.add(term.vector, Scaled(c, bar))
            elif isinstance(term, Bracket):
                self.add(term.right, Coadjoint(c, term.left, bar))
                self.add(term.left, Coadjoint(-c, term.right, bar))
            else:
                self.add(term.form, Bracket(c, term.actor, bar))
                self.add(term.actor, Coadjoint(-c, bar, term.form))

    def add(self, name: str, term: Term) -> None:
        self.contributions.setdefault(name, []).append(term)
