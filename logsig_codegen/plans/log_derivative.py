"""The join through logarithmic-derivative coordinates, for every degree.

With ``D`` the derivation that multiplies degree ``k`` by ``k``, the coordinates ``omega = phi(ad_l)(D l)`` of ``e^l``
turn a join into ``omega -> e^{-ad_v} omega + v``, which needs brackets with the displacement only. The plan carries
``w = omega`` with degree ``k`` divided by ``k``, so that every sum starts from an input coordinate:

* to the coordinates: ``w_n = l_n - [l, H]_n / 2n``, where ``H = D l + Ht`` and ``Ht`` solves the Horner scheme of
  ``phi`` (``Ht^(j) = -[l, H^(j+1)] / (j+1)``; degree ``n`` needs its stages 2 to ``n - 1`` only);
* the step: ``X = w_2 + y/(n-1)``, ``X = w_{k+1} - [k v/((k+1)(n-k)), X]`` for ``k = 2 … n-1``, with ``y = [l1, v/2]``;
* back: ``z_n`` from the stepped coordinates and the scheme on ``z_1 … z_{n-1}``.

Brackets of a scheme are paired as ``[l_a, (b-a) l_b + Ht_b]``, ``a < b``, which halves their number. At the top degree
the brackets of both conversions are merged, operand by operand.
"""

from __future__ import annotations

from fractions import Fraction

from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.plans.notation import parse_join


class Scheme:
    """Text of the Horner scheme of ``phi`` on the vectors ``x1, x2, …`` (``x`` is ``l`` or ``z``)."""

    def __init__(self, x: str, degree: int) -> None:
        self.x = x
        self.degree = degree
        self.lines: list[str] = []

    def remainder(self, stage: int, degree: int) -> str:
        """Name of ``Ht`` at one stage and degree, or an empty string where it vanishes."""
        return f"{self.x}h{stage}_{degree}" if degree >= 3 else ""

    def pairs(self, stage: int, n: int) -> list[tuple[str, int, str]]:
        """The brackets ``[x_a, operand]`` of ``[x, H^(stage)]_n`` as triples (vector, its degree, operand)."""
        x, pairs = self.x, []
        for a in range(1, n // 2 + 1):
            b = n - a
            rest_a, rest_b = self.remainder(stage, a), self.remainder(stage, b)
            if a < b:
                operand = f"{b - a}*{x}{b}" if b - a > 1 else f"{x}{b}"
                pairs.append((f"{x}{a}", a, operand + (f" + {rest_b}" if rest_b else "")))
                if rest_a:
                    pairs.append((rest_a, a, f"-{x}{b}"))
            elif rest_b:
                pairs.append((f"{x}{a}", a, rest_b))
        return pairs

    def stages(self, n: int) -> list[str]:
        """Definitions of ``Ht`` of degree ``n`` at every stage that a higher degree needs."""
        if n == self.degree:
            return []
        lines = []
        if n == 3:
            lines.append(f"{self.x}c3 = [{self.x}1, {self.x}2]")
        for stage in range(2, self.degree - n + 2):
            factor = f"/{stage + 1}"
            if n == 3:
                lines.append(f"{self.x}h{stage}_3 = -{self.x}c3{factor}")
            else:
                terms = " ".join(f"- [{x}{factor}, {operand}]" for x, _, operand in self.pairs(stage + 1, n))
                lines.append(f"{self.x}h{stage}_{n} = {terms}")
        return lines

    def converted(self, n: int, factor: str) -> str:
        """The text ``+ factor [x, H]_n``, empty below degree 3."""
        return "".join(f" + [({factor})*{x}, {operand}]" for x, _, operand in self.pairs(2, n))


def log_derivative_join(degree: int) -> LieProgram:
    """The logarithmic-derivative join of any degree."""
    if degree <= 2:
        text = "z1 = l1 + v\n" + ("z2 = l2 + [l1, v/2]\n" if degree == 2 else "")
        return parse_join(f"log-derivative-{degree}", degree, text)
    before, after = Scheme("l", degree), Scheme("z", degree)
    lines = ["z1 = l1 + v", "y = [l1, v/2]", "z2 = l2 + y"]
    for n in range(3, degree + 1):
        last = _chain(n, lines)
        if n < degree:
            lines.append(f"w{n} = l{n}" + before.converted(n, f"-1/{2 * n}"))
            lines.append(f"z{n} = w{n} - [{Fraction(n - 1, n)}*v, {last}]" + after.converted(n, f"1/{2 * n}"))
            lines.extend(before.stages(n) + after.stages(n))
        else:
            lines.append(_top(n, last, before, after))
    return parse_join(f"log-derivative-{degree}", degree, "\n".join(lines))


def _chain(n: int, lines: list[str]) -> str:
    """Append the definitions of the step's Horner chain for degree ``n``; returns its last link."""
    link = f"l2 + y/{n - 1}"
    for k in range(2, n - 1):
        lines.append(f"x{n}_{k} = {link}")
        link = f"w{k + 1} - [{Fraction(k, (k + 1) * (n - k))}*v, x{n}_{k}]"
    lines.append(f"x{n}_{n - 1} = {link}")
    return f"x{n}_{n - 1}"


def _top(n: int, last: str, before: Scheme, after: Scheme) -> str:
    """The top degree: the brackets with ``l1`` and ``z1 = l1 + v`` of both conversions, and with ``v``, become two."""
    (_, _, operand_before), *rest_before = before.pairs(2, n)
    (_, _, operand_after), *rest_after = after.pairs(2, n)
    terms = [
        f"z{n} = l{n} + [l1/{2 * n}, {operand_after} - ({operand_before})]",
        f"[v/{2 * n}, {operand_after} - {2 * (n - 1)}*{last}]",
        *(f"[-{x}/{2 * n}, {operand}]" for x, _, operand in rest_before),
        *(f"[{x}/{2 * n}, {operand}]" for x, _, operand in rest_after),
    ]
    return " + ".join(terms)
