"""Forward-mode differentiation of Lie programs: the tangent (Jacobian-vector product), from two adjoints.

The adjoint of a program is linear in its input forms. Among the results of the adjoint of the adjoint is therefore the
gradient with respect to these forms. It is the tangent of the program, and does not depend on the forms. The rest of
that program is removed as dead code.

Before (``z2 = l2 + [l1, h]``)::

    z1 = l1 + v;  z2 = l2 + [l1, v]

After::

    t_z1 = t_l1 + t_v;  t_z2 = t_l2 + [t_l1, v] + [l1, t_v]
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.ir.lie import LieProgram, renamed
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.dead import drop_dead_statements


def tangent(program: LieProgram) -> LieProgram:
    """The program that maps the inputs of ``program``, and then ``t_<operand>`` for each of them, to ``t_<output>``.

    For programs without forms among their inputs.
    """
    twice = adjoint(adjoint(program))
    forms = {f"d_{port.operand}" for port in program.outputs}
    directions = {f"d_d_{port.operand}" for port in program.inputs}
    names = {f"d_d_{port.operand}": f"t_{port.operand}" for port in (*program.inputs, *program.outputs)}
    kept = tuple(port for port in twice.inputs if port.operand not in forms | directions)
    moving = tuple(port for port in twice.inputs if port.operand in directions)
    results = tuple(port for port in twice.outputs if port.operand.startswith("d_d_"))
    alone = replace(twice, name=f"{program.name}/tangent", inputs=(*kept, *moving), outputs=results, dual_inputs=())
    return renamed(drop_dead_statements(alone), names)
