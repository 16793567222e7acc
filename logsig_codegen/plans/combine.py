"""Plans for the product of two log-signatures, ``combine(l, k) = log(exp(l) exp(k))``, with two full operands.

Three of them, as for the join: written out for degrees one to five, and for every degree right-normed or through
logarithmic-derivative coordinates. With full operands a plan has at least two brackets of each type ``(p, q)``,
``p < q``, at its top degree, since ``[l_p, k_q] - [k_p, l_q]`` is not a single bracket. Their number is kept small:

* the operand of lower degree is on the left, and the vectors it is bracketed with are summed first
  (:class:`_Brackets`);
* brackets of two vectors of the same degree make a 2-form, which takes half as many brackets as its rank.

Written out. Always ``y = [l1, k1/2]``. Modulo ``[a, [b, x]] - [b, [a, x]] = [y, x]/2`` (``a = l1/2``, ``b = k1/2``) the
three vectors of degree ``N-1`` that the top degree ``N`` reads or that are results, ``z_{N-1} = P + Q``, ``A`` and
``B``, need two sums, each continued by one bracket: ``A = P - [(2a+b)/3, .]``, ``B = Q + [(a+2b)/3, .]``. In degree
five ``[k1, e]`` is left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TypeAlias

from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.plans.notation import graded, parse_plan
from logsig_codegen.plans.right_normed import Series, reduced, split
from logsig_codegen.symbolic.words import bch_words

Sum: TypeAlias = "dict[str, Fraction]"
Bracketed: TypeAlias = "tuple[Fraction | int, str, str]"
"""The factor of a bracket and its two vectors; the first has at most the degree of the second."""

_DEGREE_2 = """
z1 = l1 + k1
z2 = l2 + k2 + [l1/2, k1]
"""

_DEGREE_3 = """
z1 = l1 + k1
a = l1/2
b = k1/2
y = [l1, b]
z2 = l2 + k2 + y
z3 = l3 + k3 + [a, k2 + y/3] - [b, l2 + y/3]
"""

_DEGREE_4 = """
z1 = l1 + k1
a = l1/2
b = k1/2
s = z1/6
y = [l1, b]
z2 = l2 + k2 + y
P = k3 + [a, k2 + y/3]
Q = l3 - [b, l2 + y/3]
z3 = P + Q
A = P - [s + a/3, k2 + y/2]
B = Q + [s + b/3, l2 + y/2]
z4 = l4 + k4 + [a, A] - [b, B] + [l2 + 2*y/3, k2 + 2*y/3]/2
"""

_DEGREE_5 = """
z1 = l1 + k1
a = l1/2
b = k1/2
s = z1/6
y = [l1, b]
z2 = l2 + k2 + y
u = k2 + y/3
w = l2 + y/3
T = [l1/12, u] - [k1/12, w]
z3 = l3 + k3 + 6*T
e = [l1/90, y]
S = T - [(l1 - k1)/90, y]
p = k3 + [l1/6, k2] + [k1/12, k2 - 3*l2 - y]
q = l3 - [k1/6, l2] + [l1/12, 3*k2 - l2 + y]
P = k4 + [a, p - [k1/90, y]] + [w, k2]/4
Q = l4 - [b, q - e] + [l2, u]/4
z4 = P + Q
A = P - [s + a/3, p + S] + [k1, e]
B = Q + [s + b/3, q + S]
z5 = l5 + k5 + [a, A] - [b, B] + [l2/2 + y/3, p - T] - [k2/2 + y/3, q - T]
"""

SPECIAL_COMBINES = {1: "z1 = l1 + k1", 2: _DEGREE_2, 3: _DEGREE_3, 4: _DEGREE_4, 5: _DEGREE_5}


def special_combine(degree: int) -> LieProgram | None:
    """The written-out product of ``degree``, or ``None`` where there is none; ports as :func:`right_normed_combine`."""
    text = SPECIAL_COMBINES.get(degree)
    return None if text is None else _parse(f"special-{degree}", degree, text)


def right_normed_combine(degree: int) -> LieProgram:
    """The product by nested brackets with the parts of ``l`` and of ``k``.

    The series of :mod:`logsig_codegen.plans.right_normed`, with ``k`` graded as well: the part of degree ``n`` of
    ``c [l,k] + [l,P] + [k,Q]``, where ``P`` and ``Q`` have no linear part, is a sum of brackets with the lower degree
    on the left, so that ``[l_a, c k_b + P_b]`` is one bracket.

    Parameters
    ----------
    degree : int
        Truncation degree N, from 1 to ``symbolic.series.SERIES_LIMIT`` in reasonable time.

    Returns
    -------
    LieProgram
        Inputs ``log_sig1`` (``l1`` … ``lN``) and ``log_sig2`` (``k1`` … ``kN``), output ``out`` (``z1`` … ``zN``).
    """
    writer = _RightNormed(degree)
    writer.lines.append("z1 = l1 + k1")
    for n in range(2, degree + 1):
        writer.lines.append(f"z{n} = l{n} + k{n}{writer.brackets(0, 0, n).text()}")
    return _parse(f"right-normed-{degree}", degree, "\n".join(writer.lines))


def log_derivative_combine(degree: int) -> LieProgram:
    """The product through logarithmic-derivative coordinates, for any degree; ports as :func:`right_normed_combine`.

    With ``D`` the derivation that multiplies degree ``n`` by ``n`` and ``omega(x) = phi(ad_x)(D x)``,
    ``phi(t) = (1 - e^-t)/t``, the product is ``omega(z) = e^{-ad_k} omega(l) + omega(k)``. As ``e^-t = 1 - t phi(t)``,
    that is ``omega(l) + phi(ad_k)(D k - [k, omega(l)])``: one Horner scheme of ``phi`` in each of ``l``, ``k`` and
    ``z``. Degree ``n`` is carried divided by ``n``, as ``w_n`` of ``omega(l)`` and ``u_n`` of ``D k - [k, omega(l)]``,
    so that every sum starts from an input.
    """
    lines = ["z1 = l1 + k1"]
    if degree == 2:
        lines.append("z2 = l2 + k2 + [l1/2, k1]")
    elif degree > 2:
        lines += ["y2 = [l1, k1/2]", "u2 = k2 + y2", "z2 = l2 + u2"]
    first, second, result = _Horner("l", "l", degree), _Horner("k", "u", degree), _Horner("z", "z", degree)
    for n in range(3, degree + 1):
        half = Fraction(1, 2 * n)
        inner, outer = _Brackets().add(second.bracket(2, n), -half), _Brackets().add(result.bracket(2, n), half)
        if n < degree:
            lines.append(f"w{n} = l{n}{_Brackets().add(first.bracket(2, n), -half).text()}")
            lines.append(f"u{n} = k{n}{_Brackets().add(_action(n), -2 * half).text()}")
            lines.append(f"z{n} = w{n} + u{n}{inner.text()}{outer.text()}")
            for scheme in (first, second, result):
                lines.extend(scheme.stages(n))
        else:
            total = _Brackets(_LOW_DEGREES).add(first.bracket(2, n), -half).add(_action(n), -2 * half)
            total.add(second.bracket(2, n), -half).add(result.bracket(2, n), half)
            lines.append(f"z{n} = l{n} + k{n}{total.text()}")
    return _parse(f"log-derivative-{degree}", degree, "\n".join(lines))


def _parse(name: str, degree: int, text: str) -> LieProgram:
    inputs = (graded("log_sig1", "l", degree), graded("log_sig2", "k", degree))
    return parse_plan(name, degree, text, inputs, (graded("out", "z", degree),))


_LOW_DEGREES: Mapping[str, tuple[str, ...]] = {"z1": ("l1", "k1"), "u2": ("k2", "y2"), "z2": ("l2", "k2", "y2")}
"""At the top degree, sums of low degree are expanded, since brackets with their summands merge with others."""


class _Brackets:
    """A sum of brackets, merged into few of them."""

    def __init__(self, summands: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.summands = summands or {}
        self.rows: dict[str, Sum] = {}
        self.form: dict[str, Sum] = {}

    def add(self, terms: Iterator[Bracketed], factor: Fraction | int = 1) -> _Brackets:
        """Add ``factor`` times the terms."""
        for c, left, right in terms:
            for x in self.summands.get(left, (left,)):
                for y in self.summands.get(right, (right,)):
                    if _degree(left) == _degree(right):
                        _increase(self.form, x, y, factor * c)
                        _increase(self.form, y, x, -factor * c)
                    else:
                        _increase(self.rows, x, y, factor * c)
        return self

    def text(self) -> str:
        """The sum as text that can follow another term."""
        pieces = []
        for pair in (*self.products(), *_decompose(self.form)):
            (c, left), (d, right) = map(_normalised, pair)
            pieces.append(f" + ({c * d})*[{left}, {right}]" if c * d != 1 else f" + [{left}, {right}]")
        return "".join(pieces)

    def products(self) -> Iterator[tuple[Sum, Sum]]:
        """Pairs of operands of different degree: one per left vector, or per group that shares the right one."""
        shared: dict[tuple[tuple[str, Fraction], ...], Sum] = {}
        for x, row in self.rows.items():
            row = {y: c for y, c in row.items() if c}
            if row:
                scale = next(iter(row.values()))
                shared.setdefault(tuple((y, c / scale) for y, c in row.items()), {})[x] = scale
        for right, left in shared.items():
            yield left, dict(right)


def _increase(rows: dict[str, Sum], x: str, y: str, amount: Fraction | int) -> None:
    row = rows.setdefault(x, {})
    row[y] = row.get(y, Fraction(0)) + amount


def _decompose(form: Mapping[str, Sum]) -> Iterator[tuple[Sum, Sum]]:
    """Write the form ``sum of c_xy [x, y]`` over ``x < y`` as brackets of sums, half as many as its rank."""
    names = list(form)
    rest = {x: {y: form[x].get(y, Fraction(0)) for y in names} for x in names}
    for x in names:
        y = next((y for y in names if rest[x][y]), None)
        if y is None:
            continue
        pivot = rest[x][y]
        left = {z: c for z in names if (c := (z == x) - (z != x) * rest[y][z] / pivot)}
        right = {z: c for z in names if (c := (z == y) + (z != y) * rest[x][z] / pivot)}
        yield {z: pivot * c for z, c in left.items()}, right
        for p in names:
            for q in names:
                minor = left.get(p, 0) * right.get(q, 0) - left.get(q, 0) * right.get(p, 0)
                rest[p][q] -= pivot * minor


def _normalised(terms: Sum) -> tuple[Fraction, str]:
    """A sum as a factor and a text whose first coefficient is one, so that proportional operands have equal texts."""
    scale = next(iter(terms.values()))
    text = " + ".join(f"({c / scale})*{name}" if c != scale else name for name, c in terms.items())
    return scale, "z1" if text == "l1 + k1" else text


def _degree(name: str) -> int:
    """The degree of a vector, which its name begins with after the letter: ``k3_2`` has degree three."""
    return int(name[1:].split("_")[0])


class _Horner:
    """The scheme ``H^(j) = X - [x, H^(j+1)] / (j+1)`` of ``phi(ad_x) X``, degree ``n`` carried divided by ``n``.

    ``x`` is ``l``, ``k`` or ``z``; ``start`` names the vectors of ``X`` divided by their degree.
    """

    def __init__(self, x: str, start: str, degree: int) -> None:
        self.x = x
        self.start = start
        self.degree = degree

    def part(self, stage: int, n: int) -> str:
        """Name of ``H^(stage)`` of degree ``n``, divided by ``n``; below degree three it is the same at every stage."""
        return f"{self.x}1" if n == 1 else f"{self.start}2" if n == 2 else f"{self.x}{n}_{stage}"

    def bracket(self, stage: int, n: int) -> Iterator[Bracketed]:
        """The terms of ``[x, H^(stage)]`` of degree ``n``."""
        for a in range(1, n // 2 + 1):
            b = n - a
            yield b, f"{self.x}{a}", self.part(stage, b)
            if a < b:
                yield -a, self.part(stage, a), f"{self.x}{b}"

    def stages(self, n: int) -> Iterator[str]:
        """Definitions of ``H`` of degree ``n`` at every stage that a higher degree needs."""
        for stage in range(2, self.degree - n + 2):
            terms = _Brackets().add(self.bracket(stage + 1, n), Fraction(-1, n * (stage + 1)))
            yield f"{self.part(stage, n)} = {self.start}{n}{terms.text()}"


def _action(n: int) -> Iterator[Bracketed]:
    """The terms of ``[k, omega(l)]`` of degree ``n``."""
    for a in range(1, n):
        b = n - a
        w = f"w{b}" if b > 2 else f"l{b}"
        yield (b, f"k{a}", w) if a <= b else (-b, w, f"k{a}")


class _RightNormed:
    """Writes the nonlinear elements ``c [l,k] + [l,P] + [k,Q]`` that a product needs, by depth and degree.

    At each depth ``P`` and ``Q`` are combinations of a basis, the elements of the next depth.
    """

    def __init__(self, degree: int) -> None:
        self.lines: list[str] = []
        self.names: dict[str, str] = {}
        self.parts: dict[tuple[int, int, int], str] = {}
        self.levels: list[list[_Element]] = []
        basis: list[Series] = [{word: value for words in bch_words(degree) for word, value in words.items()}]
        for top in range(degree, 1, -1):
            level, basis = _level(basis, top)
            self.levels.append(level)

    def part(self, depth: int, index: int, n: int) -> str:
        """The part of degree ``n`` of an element; its definition is written at the first use."""
        key = (depth, index, n)
        if key not in self.parts:
            text = self.brackets(depth, index, n).text().removeprefix(" + ")
            if text not in self.names:
                name = self.names[text] = f"p{n}_{len(self.names)}"
                self.lines.append(f"{name} = {text}")
            self.parts[key] = self.names[text]
        return self.parts[key]

    def brackets(self, depth: int, index: int, n: int) -> _Brackets:
        """The part of degree ``n`` of an element as brackets; linear terms come first, so that sums start from them."""
        element = self.levels[depth][index]
        terms: list[Bracketed] = []
        for a in range(1, n) if element.commutator else ():
            left, right = f"l{a}", f"k{n - a}"
            terms.append((element.commutator, left, right) if 2 * a <= n else (-element.commutator, right, left))
        for x, combination in (("l", element.p), ("k", element.q)):
            for (j, c), a in product(combination.items(), range(1, n - 1)):
                if n - a >= self.levels[depth + 1][j].lowest:
                    name = self.part(depth + 1, j, n - a)
                    terms.append((c, f"{x}{a}", name) if 2 * a <= n else (-c, name, f"{x}{a}"))
        return _Brackets().add(iter(terms))


@dataclass(frozen=True)
class _Element:
    """The series ``commutator [l,k] + [l,P] + [k,Q]``; ``p`` and ``q`` have coefficients on the next elements."""

    commutator: Fraction
    p: dict[int, Fraction]
    q: dict[int, Fraction]
    lowest: int  # its lowest degree


def _level(basis: Sequence[Series], top: int) -> tuple[list[_Element], list[Series]]:
    """The elements that stand for ``basis``, needed up to degree ``top``, and the basis of the next depth."""
    pairs = [split(series) for series in basis]
    commutators = [-q.pop((0,), Fraction(0)) for _, q in pairs]
    family = [{word: c for word, c in part.items() if len(word) < top} for pair in pairs for part in pair]
    following, pivots = reduced(family)
    rows = [{j: part[pivot] for j, pivot in enumerate(pivots) if pivot in part} for part in family]
    lowest = [min(len(word) for word in series if len(word) > 1) for series in basis]
    return list(map(_Element, commutators, rows[::2], rows[1::2], lowest)), following
