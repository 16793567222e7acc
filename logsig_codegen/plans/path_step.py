"""A path in logarithmic-derivative coordinates: a step, its inverse, conversions from and to the logarithm.

With ``D`` the derivation that multiplies degree ``k`` by ``k`` and ``S = e^l`` the signature, ``omega = S^-1 D(S)`` is
a Lie element that a further segment ``v`` changes by brackets with ``v`` alone::

    omega(x * v) = e^{-ad_v} omega(x) + v,        omega(x) = e^{ad_v} (omega(x * v) - v)

Degree ``n`` is a Horner scheme, ``X = w_2 - y/(n-1)``, then ``X = w_{k+1} - [v/(n-k), X]`` for ``k = 2 … n-1``, with
``y = [v, w_1]`` shared by all degrees. A degree depends on lower ones only, so that degrees are computed from the
highest to the lowest, and the new state can overwrite the old one. The logarithm is computed degree by degree from
``n l_n = omega_n + [l, H]_n / 2``, the scheme of :mod:`logsig_codegen.plans.log_derivative`.

The backward pass stores no states: a backward step first undoes its segment, then differentiates it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from logsig_codegen.ir.lie import LieProgram, Port
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.dead import drop_dead_statements
from logsig_codegen.plans.log_derivative import Scheme
from logsig_codegen.plans.notation import graded, parse_plan

PLAN = "log-derivative"


def step(degree: int) -> LieProgram:
    """One segment: from ``state`` and ``displacement`` to ``next_state``."""
    inputs = (graded("state", "w", degree), Port("displacement", ("v",)))
    text = "\n".join(_exponential(degree, "w", "z", "x", "-"))
    return parse_plan(f"{PLAN}-step-{degree}", degree, text, inputs, (graded("next_state", "z", degree),))


def undo(degree: int) -> LieProgram:
    """Undo one segment: from ``state`` (after it) and ``displacement`` to ``previous_state``."""
    inputs = (graded("state", "n", degree), Port("displacement", ("v",)))
    text = "\n".join(_exponential(degree, "n", "w", "u", "+"))
    return parse_plan(f"{PLAN}-undo-{degree}", degree, text, inputs, (graded("previous_state", "w", degree),))


def _exponential(degree: int, state: str, target: str, link: str, sign: str) -> Iterator[str]:
    """Definitions of ``e^{sign ad_v}`` applied to a state; with ``-`` the segment is added, with ``+`` subtracted."""
    shift = "+" if sign == "-" else "-"
    if degree >= 2:
        yield f"{link}y = [v, {state}1]"
    for n in range(degree, 2, -1):
        yield f"{link}{n}_2 = {state}2 {sign} {link}y/{n - 1}"
        for k in range(2, n - 1):
            yield f"{link}{n}_{k + 1} = {state}{k + 1} {sign} [v/{n - k}, {link}{n}_{k}]"
        yield f"{target}{n} = {state}{n} {sign} [v, {link}{n}_{n - 1}]"
    if degree >= 2:
        yield f"{target}2 = {state}2 {sign} {link}y"
    if degree >= 1:
        yield f"{target}1 = {state}1 {shift} v"


def step_backward(degree: int) -> LieProgram:
    """One segment backward: undo it and differentiate it.

    From ``d_state``, ``state`` (after the segment) and ``displacement`` to ``d_previous_state``, ``previous_state`` and
    ``d_displacement``. No gradient depends on the last degree of the state, which is left out.
    """
    undone, derivative = undo(degree - 1), adjoint(step(degree))
    d_next, _, displacement = derivative.inputs
    d_state, d_displacement = derivative.outputs
    program = LieProgram(
        name=f"{PLAN}-step-backward-{degree}",
        degree=degree,
        inputs=(replace(d_next, operand="d_state"), undone.inputs[0], displacement),
        statements=(*undone.statements, *derivative.statements),
        outputs=(replace(d_state, operand="d_previous_state"), undone.outputs[0], d_displacement),
        dual_inputs=("d_state",),
    )
    return drop_dead_statements(program)


def to_log_sig(degree: int) -> LieProgram:
    """From ``state`` to the logarithm, ``out``."""
    scheme, lines = Scheme("z", degree), []
    for n in range(1, degree + 1):
        lines.append(f"z{n} = w{n}" + (f"/{n}" if n > 1 else "") + scheme.converted(n, f"1/{2 * n}"))
        lines.extend(scheme.stages(n) if n >= 3 else [])
    outputs = (graded("out", "z", degree),)
    return parse_plan(f"{PLAN}-logarithm-{degree}", degree, "\n".join(lines), (graded("state", "w", degree),), outputs)


def from_log_sig(degree: int) -> LieProgram:
    """From the logarithm, ``log_sig``, to ``state``."""
    scheme, lines = Scheme("z", degree), []
    for n in range(1, degree + 1):
        lines.append(f"w{n} = {n}*z{n}" + scheme.converted(n, "-1/2"))
        lines.extend(scheme.stages(n) if n >= 3 else [])
    outputs = (graded("state", "w", degree),)
    return parse_plan(
        f"{PLAN}-exponential-{degree}", degree, "\n".join(lines), (graded("log_sig", "z", degree),), outputs
    )


def backward_start(degree: int) -> LieProgram:
    """The start of a backward pass: from ``d_out`` and the result, ``log_sig``, to ``d_state`` and ``state``.

    The gradient of :func:`to_log_sig`, with the known logarithm as an input instead of its recomputation. The state is
    without its last degree, see :func:`step_backward`.
    """
    forward, derivative = from_log_sig(degree), adjoint(to_log_sig(degree))
    known = {*forward.inputs[0].vectors, *(statement.target.name for statement in forward.statements)}
    rest = tuple(statement for statement in derivative.statements if statement.target.name not in known)
    program = LieProgram(
        name=f"{PLAN}-backward-start-{degree}",
        degree=degree,
        inputs=(derivative.inputs[0], forward.inputs[0]),
        statements=(*forward.statements, *rest),
        outputs=(derivative.outputs[0], graded("state", "w", degree - 1)),
        dual_inputs=("d_out",),
    )
    return drop_dead_statements(program)
