"""The truncated bracket of two elements and the coadjoint action, of which higher derivatives of products are composed.

Their derivatives are of the same two kinds: compositions of them can be differentiated any number of times.
"""

from __future__ import annotations

from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Port, Statement, Vector


def truncated_bracket(degree: int) -> LieProgram:
    """``out = [left, right]``, without what lies above ``degree``: degree by degree, the sum over all splittings."""
    degrees = range(1, degree + 1)
    return LieProgram(
        name="bracket",
        degree=degree,
        inputs=tuple(Port(name, tuple(f"{name[0]}{k}" for k in degrees)) for name in ("left", "right")),
        statements=tuple(
            Statement(Vector(f"z{k}", k), tuple(Bracket(1, f"l{p}", f"r{k - p}") for p in range(1, k))) for k in degrees
        ),
        outputs=(Port("out", tuple(f"z{k}" for k in degrees)),),
    )


def coadjoint_action(degree: int) -> LieProgram:
    """``out`` with ``<out, x> = <form, [actor, x]>`` for every ``x``."""
    degrees = range(1, degree + 1)
    return LieProgram(
        name="coadjoint",
        degree=degree,
        inputs=tuple(Port(name, tuple(f"{name[0]}{k}" for k in degrees)) for name in ("actor", "form")),
        statements=tuple(
            Statement(
                Vector(f"z{k}", k, dual=True),
                tuple(Coadjoint(1, f"a{p}", f"f{p + k}") for p in range(1, degree - k + 1)),
            )
            for k in degrees
        ),
        outputs=(Port("out", tuple(f"z{k}" for k in degrees)),),
        dual_inputs=("form",),
    )
