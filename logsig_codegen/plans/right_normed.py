"""The right-normed plan of the join, for every degree.

Every Lie polynomial without linear part in two symbols is ``[l,P] + [v,Q]`` (Dynkin). So ``z = l + v + [l,P] + [v,Q]``,
and ``P`` and ``Q`` can be written in the same way, up to one degree less at each depth. The series needed at one depth
span a space of small dimension, and only a basis of it is evaluated. Two identities keep it small:
``[l,l] = [v,v] = 0`` removes the ``l`` of ``P`` and the ``v`` of ``Q``, and ``[l,v] = -[v,l]`` moves the ``v`` of ``P``
into ``Q``.

In the last step ``l`` is split by degree: the degree-n part of ``[l,P]`` is the sum of ``[l_a, P_{n-a}]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from logsig_codegen.algebra.lyndon import Word, is_lyndon
from logsig_codegen.algebra.surd import simplify
from logsig_codegen.algebra.tensor import add_scaled, commutator
from logsig_codegen.ir.lie import Bracket, LieProgram, Port, Scaled, Statement, Term, Vector
from logsig_codegen.symbolic.words import bch_words

Series: TypeAlias = "dict[Word, Fraction]"
"""A Lie series in ``l`` (letter 0) and ``v`` (letter 1): its coefficients on words of every length up to a degree."""

_L: Word = (0,)
_V: Word = (1,)


@dataclass(frozen=True)
class _Element:
    """The series ``alpha l + beta v + [l,P] + [v,Q]``; ``p`` and ``q`` hold coefficients on the next level's basis."""

    alpha: Fraction
    beta: Fraction
    p: tuple[Fraction, ...]
    q: tuple[Fraction, ...]
    lowest: int  # length of its shortest words: it has no part of a smaller degree


def right_normed_join(degree: int) -> LieProgram:
    """The join ``log(exp(l) exp(v))`` by nested brackets with ``l`` and ``v``.

    Parameters
    ----------
    degree : int
        Truncation degree N, from 1 to ``symbolic.series.SERIES_LIMIT`` in reasonable time.

    Returns
    -------
    LieProgram
        Inputs ``log_sig`` (``l1`` … ``lN``) and ``displacement`` (``v``), output ``out`` (``z1`` … ``zN``).
    """
    writer = _Writer(_levels(degree))
    outputs = tuple(writer.part(0, 0, weight)[1] for weight in range(1, degree + 1))
    return LieProgram(
        name=f"right-normed-{degree}",
        degree=degree,
        inputs=(Port("log_sig", tuple(f"l{k}" for k in range(1, degree + 1))), Port("displacement", ("v",))),
        statements=tuple(writer.statements),
        outputs=(Port("out", outputs),),
    )


def _levels(degree: int) -> list[list[_Element]]:
    """The elements to evaluate at depth 0 (the join itself), 1, …; depth ``k`` is needed up to ``degree - k``."""
    basis: list[Series] = [{word: value for words in bch_words(degree) for word, value in words.items()}]
    levels = []
    for top in range(degree, 0, -1):
        pairs = [split(series) for series in basis]
        wanted = [series for pair in pairs for series in pair]
        shorter = [{word: value for word, value in series.items() if len(word) < top} for series in wanted]
        next_basis, pivots = reduced(shorter)
        rows = [tuple(series.get(pivot, Fraction(0)) for pivot in pivots) for series in shorter]
        levels.append(
            [
                _Element(
                    series.get(_L, Fraction(0)),
                    series.get(_V, Fraction(0)),
                    rows[2 * index],
                    rows[2 * index + 1],
                    min(map(len, series)),
                )
                for index, series in enumerate(basis)
            ]
        )
        basis = next_basis
    return levels


def split(series: Series) -> tuple[Series, Series]:
    """``(P, Q)`` with ``series = linear part + [l,P] + [v,Q]``, ``P`` without linear part, ``Q`` without ``v``."""
    p, q = (
        _right_normed(
            {word[1:]: value / len(word) for word, value in series.items() if word[:1] == letter and word[1:]}
        )
        for letter in (_L, _V)
    )
    p.pop(_L, None)
    q.pop(_V, None)
    add_scaled(q, -1, {_L: p.pop(_V, Fraction(0))})
    return p, q


def _right_normed(words: Mapping[Word, Fraction]) -> Series:
    """Replace every word ``a b c`` by ``[a,[b,c]]``, expanded into words."""
    result: Series = {word: value for word, value in words.items() if len(word) == 1}
    for letter in (_L, _V):
        tails = {word[1:]: value for word, value in words.items() if word[:1] == letter and word[1:]}
        if tails:
            add_scaled(result, 1, commutator({letter: Fraction(1)}, _right_normed(tails)))
    return result


def reduced(family: Sequence[Series]) -> tuple[list[Series], list[Word]]:
    """Reduced row echelon basis of the span, and its pivot words.

    The coefficients on Lyndon words determine a Lie series, so that pivots are Lyndon words, shortest first: basis
    elements then start at the highest possible degrees and have nothing in common below.
    """
    basis: list[Series] = []
    pivots: list[Word] = []
    columns = sorted({word for series in family for word in series if is_lyndon(word)}, key=lambda w: (len(w), w))
    rows = [dict(series) for series in family]
    for column in columns:
        source = next((row for row in rows if column in row), None)
        if source is None:
            continue
        rows.remove(source)
        pivot = add_scaled({}, 1 / source[column], source)
        for row in (*rows, *basis):
            if column in row:
                add_scaled(row, -row[column], pivot)
        basis.append(pivot)
        pivots.append(column)
    return basis, pivots


class _Writer:
    """Writes the statements that the outputs need, operands first, and no statement twice up to a scale."""

    def __init__(self, levels: list[list[_Element]]) -> None:
        self.levels = levels
        self.statements: list[Statement] = []
        self._parts: dict[tuple[int, int, int], tuple[Fraction, str]] = {}
        self._known: dict[tuple[Term, ...], str] = {}

    def part(self, depth: int, index: int, weight: int) -> tuple[Fraction, str]:
        """The part of degree ``weight`` of an element, as a scale and a vector; scale 0 if it has no such part."""
        key = (depth, index, weight)
        if key not in self._parts:
            self._parts[key] = self._define("z" if depth == 0 else "p", weight, self._terms(depth, index, weight))
        return self._parts[key]

    def _terms(self, depth: int, index: int, weight: int) -> list[Term]:
        element = self.levels[depth][index]
        if weight < element.lowest:
            return []
        terms: list[Term] = []
        if element.alpha:
            terms.append(Scaled(simplify(element.alpha), f"l{weight}"))
        if element.beta and weight == 1:
            terms.append(Scaled(simplify(element.beta), "v"))
        for actor, step, coefficients in (*((f"l{a}", a, element.p) for a in range(1, weight)), ("v", 1, element.q)):
            scale, name = self._combination(depth + 1, coefficients, weight - step)
            if scale:
                terms.append(Bracket(simplify(scale), actor, name))
        return terms

    def _combination(self, depth: int, coefficients: tuple[Fraction, ...], weight: int) -> tuple[Fraction, str]:
        """The part of one degree of a combination of basis elements, as a scale and a vector."""
        totals: dict[str, Fraction] = {}
        for index, coefficient in enumerate(coefficients):
            if coefficient and weight:
                scale, name = self.part(depth, index, weight)
                totals[name] = totals.get(name, Fraction(0)) + coefficient * scale
        return self._define("s", weight, [Scaled(simplify(scale), name) for name, scale in totals.items() if scale])

    def _define(self, kind: str, weight: int, terms: list[Term]) -> tuple[Fraction, str]:
        """A vector proportional to the sum of ``terms``; its first term has coefficient one."""
        if not terms:
            return Fraction(0), ""
        scale = terms[0].coefficient
        assert isinstance(scale, (int, Fraction))
        scaled = tuple(replace(term, coefficient=simplify(term.coefficient / Fraction(scale))) for term in terms)
        if len(scaled) == 1 and isinstance(scaled[0], Scaled) and kind != "z":
            return Fraction(scale), scaled[0].vector
        if scaled not in self._known or kind == "z":
            name = f"z{weight}" if kind == "z" else f"{kind}{weight}_{len(self.statements)}"
            self._known[scaled] = name
            self.statements.append(Statement(Vector(name, weight), scaled))
        return Fraction(scale), self._known[scaled]
