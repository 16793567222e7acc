"""The cheapest known joins of degree one to six, written out.

Common names: ``z1 = l1 + v``, ``h = v/2`` and ``y = [l1, h]``. Why they are cheap:

* modulo brackets of two commutators, ``ad l1`` and ``ad v`` commute, so an even top degree needs a single bracket of a
  letter combination with a vector of the degree below, and an odd one needs two;
* intermediate sums are continued: from degree four on, ``z3`` and ``c`` are both ``U`` plus one bracket;
* scale factors are applied to the operand of lowest degree, and every sum starts from an input, at no cost.

The symbolic layer proves each of them equal to the Baker–Campbell–Hausdorff series before it is lowered.
"""

from __future__ import annotations

from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.plans.notation import parse_join

_DEGREE_1 = """
z1 = l1 + v
"""

_DEGREE_2 = """
z1 = l1 + v
z2 = l2 + [l1, v/2]
"""

_DEGREE_3 = """
z1 = l1 + v
h = v/2
y = [l1, h]
z2 = l2 + y
z3 = l3 + [l1/6, y] - [h, l2 + y/3]
"""

_DEGREE_4 = """
z1 = l1 + v
h = v/2
y = [l1, h]
z2 = l2 + y
s = z1/6
e = s + v/6
U = l3 - [h, l2 + 2*y/3]
z3 = U + [s, y]
c = U + [e, z2]
z4 = l4 - [h, c] + [l2, y/3]
"""

# The constant lam solves 2 lam^2 - lam + 1/10 = 0: with it, A needs one bracket less.
_DEGREE_5 = (
    _DEGREE_4
    + """
lam = 1/4 + sqrt5/20
x = (2*lam - 1)/24
a = l3 + [(h + l1)/15, y]
A = l4 - [s, a] - [lam/3*y, l2]
b = l3 + [h, (12*x - lam)*l2 + (24*lam*x + 1/15)*y]
B = [v, b] + [l1, [l1/60 + v/10, y]]
C = [h, l2 - 24*x*y]
g = -l2/6 - lam/3*y
z5 = l5 - [h, A] - [l1/6, B] + [g, C]
"""
)

_DEGREE_6 = (
    _DEGREE_5
    + """
r1 = [v, l2]
r2 = 2*[v, y]
r3 = [l1, l2]
r4 = 2*[l1, y]
a4 = l4 + [v/12, r3 - r1/5 + r4/10] - [l1/2, l3 + 3*r1/10 + r3/15 + r4/30]
b4 = l4 - [v, l3 + r4/20] - [l1/10, r1 + r3/6 + r4/12]
A5 = l5 - [v/6, a4] + [l1/6, b4]
C4 = [v, l3 - r1/2 + r2/60 + r4/10] + [l1/15, r4]
D4 = l4 - [v/40, r1 + r2/3] - [l1/20, r1 + 2*r3/3] - [y/10, l2]
z6 = l6 - [h, A5] - [l2/12, C4] - [y/3, D4] - [l3, r1]/12 - [r3, r4]/120
"""
)

SPECIAL_JOINS = {1: _DEGREE_1, 2: _DEGREE_2, 3: _DEGREE_3, 4: _DEGREE_4, 5: _DEGREE_5, 6: _DEGREE_6}


def special_join(degree: int) -> LieProgram | None:
    """The written-out join of ``degree``, or ``None`` where there is none."""
    text = SPECIAL_JOINS.get(degree)
    return None if text is None else parse_join(f"special-{degree}", degree, text)
