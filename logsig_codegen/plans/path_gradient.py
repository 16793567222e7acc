"""The gradient of a whole path, without states: a linear form on the Lie algebra that goes back along the path.

Let ``S`` be the signature of the whole path and ``m`` the linear form with ``<d_out, change of log S> = <m, y>`` where
``S`` changes to ``S (1 + y)``. When ``R`` is the part of the path behind a segment ``v``, a change of ``v`` by ``u``
changes ``S = P e^v R`` to ``S (1 + R^-1 phi(ad_v) u R)``, with ``phi(z) = (1 - e^-z)/z``. So the path in front of ``R``
does not matter: with the form ``m_R = <m, R^-1 . R>``, which a segment changes by coadjoint actions of ``v`` alone, ::

    d_displacement = phi(ad_v)* m_R  in degree one,        m_{vR} = (e^{-ad_v})* m_R,

and ``m = (ad_l / (1 - e^{-ad_l}))* d_out`` begins it. No state is computed, nor undone, and it does not matter what the
path is carried in.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import factorial

from logsig_codegen.ir.lie import Coadjoint, LieProgram, Port, Scaled, Statement, Term, Vector
from logsig_codegen.passes.dead import drop_dead_statements
from logsig_codegen.plans.notation import graded

PLAN = "coadjoint"


def step_back(degree: int) -> LieProgram:
    """One segment back: from the form ``d_state`` and ``displacement`` to ``d_previous_state`` and ``d_displacement``.

    With ``y_n_j = (-ad*_v)^j m_n / j!``, a form on degree ``n - j``, degree ``k`` of the new form is ``m_k`` and the
    sum of ``y_n_{n-k}``. The change ``y_N_1`` of the last degree but one is not formed by itself.
    """
    last = (*(f"p{k}" for k in range(1, degree)), f"m{degree}")
    return LieProgram(
        name=f"{PLAN}-step-{degree}",
        degree=degree,
        inputs=(graded("d_state", "m", degree), Port("displacement", ("v",))),
        statements=tuple(_chains(degree)) if degree > 1 else (),
        outputs=(Port("d_previous_state", last), Port("d_displacement", ("u" if degree > 1 else "m1",))),
        dual_inputs=("d_state",),
    )


def _chains(n: int) -> Iterator[Statement]:
    yield _form(f"p{n - 1}", n - 1, Scaled(1, f"m{n - 1}"), Coadjoint(-1, "v", f"m{n}"))
    if n == 2:
        yield _form("u", 1, Scaled(_HALF, "m1"), Scaled(_HALF, "p1"))
        return
    for j in range(2, n):
        yield Statement(Vector(f"v{j}", 1), (Scaled(Fraction(1, j), "v"),))
    for k in range(n - 2, 0, -1):
        yield _form(f"y{k + 1}_1", k, Coadjoint(-1, "v", f"m{k + 1}"))
        for j in range(2, n - k + 1):
            if k + j == n and j == 2:  # the change of degree n - 1 is p - m
                yield _form(f"y{n}_2", k, Scaled(-_HALF, f"y{n - 1}_1"), Coadjoint(-1, "v2", f"p{n - 1}"))
            else:
                yield _form(f"y{k + j}_{j}", k, Coadjoint(-1, f"v{j}", f"y{k + j}_{j - 1}"))
        yield _form(f"p{k}", k, Scaled(1, f"m{k}"), *(Scaled(1, f"y{k + j}_{j}") for j in range(1, n - k + 1)))
    yield _form("u", 1, Scaled(1, "m1"), *(Scaled(Fraction(1, j + 1), f"y{j + 1}_{j}") for j in range(1, n)))


def start(degree: int) -> LieProgram:
    """The form at the end of a path: from ``d_out`` and the result, ``log_sig``, to ``d_state``.

    The series of ``z / (1 - e^{-z})``, of which ``x_j_k`` is the power ``(ad*_l)^j d_out`` in degree ``k``.
    """
    series = _inverse_phi(degree)
    statements: list[Statement] = []
    for j in range(1, max((j for j, c in enumerate(series) if c), default=0) + 1):
        for k in range(1, degree - j + 1):
            sources = ((p, f"x{j - 1}_{k + p}" if j > 1 else f"d{k + p}") for p in range(1, degree - j - k + 2))
            statements.append(_form(f"x{j}_{k}", k, *(Coadjoint(1, f"l{p}", source) for p, source in sources)))
    for k in range(1, degree):
        powers = (Scaled(series[j], f"x{j}_{k}") for j in range(1, degree - k + 1) if series[j])
        statements.append(_form(f"m{k}", k, Scaled(1, f"d{k}"), *powers))
    program = LieProgram(
        name=f"{PLAN}-start-{degree}",
        degree=degree,
        inputs=(graded("d_out", "d", degree), graded("log_sig", "l", degree)),
        statements=tuple(statements),
        outputs=(Port("d_state", (*(f"m{k}" for k in range(1, degree)), f"d{degree}")),),
        dual_inputs=("d_out",),
    )
    return drop_dead_statements(program)


_HALF = Fraction(1, 2)


def _inverse_phi(degree: int) -> list[Fraction]:
    """Taylor coefficients of ``z / (1 - e^{-z})``, below ``z**degree``."""
    series: list[Fraction] = []
    for n in range(degree):
        known = sum(c * Fraction((-1) ** (n - k), factorial(n - k + 1)) for k, c in enumerate(series))
        series.append(Fraction(int(n == 0)) - known)
    return series


def _form(name: str, degree: int, *terms: Term) -> Statement:
    return Statement(Vector(name, degree, dual=True), terms)
