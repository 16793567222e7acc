"""A path in logarithmic-derivative coordinates: a step, and the conversion to the logarithm.

With ``D`` the derivation that multiplies degree ``k`` by ``k`` and ``S = e^l`` the signature, ``omega = S^-1 D(S)`` is
a Lie element that a further segment ``v`` changes by brackets with ``v`` alone::

    omega(x * v) = e^{-ad_v} omega(x) + v

Degree ``n`` is a Horner scheme, ``X = w_2 - y/(n-1)``, then ``X = w_{k+1} - [v/(n-k), X]`` for ``k = 2 … n-1``, with
``y = [v, w_1]`` shared by all degrees. A degree depends on lower ones only, so that degrees are computed from the
highest to the lowest, and the new state can overwrite the old one. The logarithm is computed degree by degree from
``n l_n = omega_n + [l, H]_n / 2``, the scheme of :mod:`logsig_codegen.plans.log_derivative`.
"""

from __future__ import annotations

from collections.abc import Iterator

from logsig_codegen.ir.lie import LieProgram, Port
from logsig_codegen.plans.log_derivative import Scheme
from logsig_codegen.plans.notation import graded, parse_plan

PLAN = "log-derivative"


def step(degree: int) -> LieProgram:
    """One segment: from ``state`` and ``displacement`` to ``next_state``."""
    inputs = (graded("state", "w", degree), Port("displacement", ("v",)))
    text = "\n".join(_exponential(degree))
    return parse_plan(f"{PLAN}-step-{degree}", degree, text, inputs, (graded("next_state", "z", degree),))


def _exponential(degree: int) -> Iterator[str]:
    """Definitions of ``e^{-ad_v} w + v``."""
    if degree >= 2:
        yield "xy = [v, w1]"
    for n in range(degree, 2, -1):
        yield f"x{n}_2 = w2 - xy/{n - 1}"
        for k in range(2, n - 1):
            yield f"x{n}_{k + 1} = w{k + 1} - [v/{n - k}, x{n}_{k}]"
        yield f"z{n} = w{n} - [v, x{n}_{n - 1}]"
    if degree >= 2:
        yield "z2 = w2 - xy"
    if degree >= 1:
        yield "z1 = w1 + v"


def to_log_sig(degree: int) -> LieProgram:
    """From ``state`` to the logarithm, ``out``."""
    scheme, lines = Scheme("z", degree), []
    for n in range(1, degree + 1):
        lines.append(f"z{n} = w{n}" + (f"/{n}" if n > 1 else "") + scheme.converted(n, f"1/{2 * n}"))
        lines.extend(scheme.stages(n) if n >= 3 else [])
    outputs = (graded("out", "z", degree),)
    return parse_plan(f"{PLAN}-logarithm-{degree}", degree, "\n".join(lines), (graded("state", "w", degree),), outputs)
