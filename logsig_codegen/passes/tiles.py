"""Tiles: the order in which several steps add to the numbers of highest degree.

Along a path no step reads the numbers of highest degree. Each step adds to each of them the product of a *prefix value*
(it depends on lower degrees) and a letter of the displacement. Over a few steps that is a product of matrices, prefix
values by letters, and it is ordered like one: the values of four prefixes in all steps stay in registers and are
multiplied by one letter after the other. A letter is then loaded once for four sums, and four sums advance in parallel.

Before: ``z0 += h0*v; z0 += g0*u; z1 += h1*v; z1 += g1*u`` (values ``h``, ``g`` and letters ``v``, ``u`` of two steps).
After: ``z0 += h0*v; z1 += h1*v; z0 += g0*u; z1 += g1*u``.

No sum changes, nor the order in which its terms are added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from logsig_codegen.ir.program import NONE, Program

ROWS = 4
"""Prefixes in a tile: with four steps, sixteen of the registers."""

LETTERS = 2
"""The least average number of letters per prefix with which tiles are used."""


@dataclass(frozen=True)
class _Collected:
    """A number of highest degree: its values after each step, its prefixes, and its letter."""

    values: tuple[int, ...]
    prefixes: tuple[int, ...]
    letter: int


def tiles(program: Program, times: int) -> list[list[int]]:
    """The values of a program of ``times`` steps in the order of their tiles, one list per tile.

    ``program`` maps ``state`` and ``displacement`` to one result, as :func:`logsig_codegen.passes.repeat.repeat` made
    it. Numbers of lower degree, which are in no tile, follow one by one, from the last to the first.

    The result is empty, without tiles, if a number of the last degree is read or has other terms, and if prefixes are
    multiplied by few letters: computing the prefixes then makes better use of the registers (a tenth of the time at
    dimension 3, degree 6).
    """
    (result,) = program.outputs
    readers = Counter(operand for terms in program.instructions for _, *operands in terms for operand in operands)
    rows: dict[tuple[int, ...], list[_Collected]] = {}
    rest: list[int] = []
    for column, value in enumerate(result.values):
        found = _collected(program, readers, value, column, times)
        if found is None:
            rest.append(value)
        else:
            rows.setdefault(found.prefixes, []).append(found)
    collected = sum(map(len, rows.values()))
    if collected < program.problem.sizes[-1] or collected < LETTERS * len(rows):
        return []
    ordered = list(rows.values())  # in this order neighbours share most intermediate values of their prefixes
    parts = [_tile(ordered[start : start + ROWS], times) for start in range(0, len(ordered), ROWS)]
    return [*parts, *([value] for value in reversed(rest))]


def _collected(program: Program, readers: Counter[int], value: int, column: int, times: int) -> _Collected | None:
    """A column as a number of highest degree, or ``None`` if it is read or has other terms."""
    state, displacement = program.inputs
    per_step = displacement.length // times
    values: list[int] = []
    prefixes: list[int] = []
    letter = NONE
    for time in reversed(range(times)):
        if value < program.first or readers[value] > (time < times - 1):
            return None
        terms = program.instructions[value - program.first]
        plain = [left for c, left, right in terms if c == 1 and right == NONE]
        products = [(left, right) for c, left, right in terms if c == 1 and right != NONE]
        if len(terms) != 2 or len(plain) != 1 or len(products) != 1:
            return None
        (before,), (factors,) = plain, products
        start = state.length + time * per_step
        prefix, letter = sorted(factors, key=lambda factor: start <= factor < start + per_step)
        if not start <= letter < start + per_step:
            return None
        values.append(value)
        prefixes.append(prefix)
        value = before
    if value != column:
        return None
    return _Collected(tuple(values[::-1]), tuple(prefixes[::-1]), letter)


def _tile(rows: Sequence[Sequence[_Collected]], times: int) -> list[int]:
    """Letter by letter, step by step, prefix by prefix."""
    by_letter: dict[int, list[_Collected]] = {}
    for row in rows:
        for number in row:
            by_letter.setdefault(number.letter, []).append(number)
    return [number.values[t] for _, numbers in sorted(by_letter.items()) for t in range(times) for number in numbers]
