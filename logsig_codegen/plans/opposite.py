"""The plan of a product in the other order, from a plan of that product: every bracket the other way round.

``[b, a]`` is the bracket of the opposite Lie algebra, whose product is ``log(e^y e^x)`` where the first one's is
``log(e^x e^y)``. A plan for one is therefore a plan for the other with ``[b, a]`` for ``[a, b]``, and costs the same.

Before (``log(e^l e^v)`` of degree 2)::

    h = v/2;  z1 = l1 + v;  z2 = l2 + [l1, h]

After (``log(e^v e^l)``)::

    h = v/2;  z1 = l1 + v;  z2 = l2 + [h, l1]
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.lie import Bracket, LieProgram, Statement, Term


def opposite(plan: LieProgram) -> LieProgram:
    """The plan with the same operands for the product of its factors in the other order; plans without forms only."""

    def turned(term: Term) -> Term:
        return Bracket(term.coefficient, term.right, term.left) if isinstance(term, Bracket) else term

    statements = tuple(Statement(s.target, tuple(map(turned, s.terms))) for s in plan.statements)
    return replace(plan, name=f"{plan.name}_opposite", statements=statements)
