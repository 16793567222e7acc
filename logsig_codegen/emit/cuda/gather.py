"""Structure constants sorted by what they add to: a thread, or a warp, sums up one coordinate and nobody interferes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from logsig_codegen.algebra.structure import structure_constants
from logsig_codegen.problem import Problem

Entry = tuple[int, int, int]
"""Indices of the two factors, and the constant."""
WARP = 32
MOST_INDEX = 65_535
PER_LINE = 8


@dataclass(frozen=True)
class Gather:
    """The sums of one kind.

    Attributes
    ----------
    kind : str
        ``"bracket"``: coordinate of ``[x, y]`` from ``x`` of degree ``p`` and ``y`` of degree ``q >= p``;
        ``"coadjoint"``: coordinate of ``ad*_x f`` of degree ``q`` from ``x`` of degree ``p`` and ``f`` of degree
        ``p + q``.
    p, q : int
    sums : tuple
        For each coordinate its entries.
    """

    kind: str
    p: int
    q: int
    sums: tuple[tuple[Entry, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.p}_{self.q}"

    @property
    def entries(self) -> int:
        """How many there are in all."""
        return sum(map(len, self.sums))


@lru_cache(maxsize=64)
def gather(problem: Problem, kind: str, p: int, q: int) -> Gather:
    """The sums of a kind; see :class:`Gather`."""
    target = problem.sizes[(p + q if kind == "bracket" else q) - 1]
    sums: list[list[Entry]] = [[] for _ in range(target)]
    for i, j, k, c in _constants(problem, p, q):
        if kind == "bracket":
            sums[k].append((i, j, c))
        else:
            sums[j].append((i, k, c))
    return Gather(kind, p, q, tuple(map(tuple, sums)))


def _constants(problem: Problem, p: int, q: int) -> Iterator[tuple[int, int, int, int]]:
    """``(i, j, k, c)`` with ``[P_i, P_j] = … + c P_k`` for all i of degree p and j of degree q."""
    slots = structure_constants(problem.dimension, problem.degree).slots(min(p, q), max(p, q))
    for i, j, constants in slots:
        for k, c in constants:
            if p <= q:
                yield i, j, k, c
            if p >= q:
                yield j, i, k, -c


@dataclass(frozen=True)
class GatherView:
    """One table: arrays of numbers, finished."""

    name: str
    title: str
    length: int
    entries: tuple[str, ...]
    rows: int
    starts: tuple[str, ...]


def by_thread(table: Gather) -> GatherView:
    """For a thread per coordinate: entry e of 32 neighbouring coordinates side by side."""
    flat: list[Entry] = []
    rows: list[str] = []
    for first in range(0, len(table.sums), WARP):
        group = table.sums[first : first + WARP]
        start = len(flat)
        rows.extend(f"{{{start + lane},{len(entries)}}}," for lane, entries in enumerate(group))
        for e in range(max(map(len, group))):
            flat.extend(entries[e] if e < len(entries) else (0, 0, 0) for entries in group)
            flat.extend([(0, 0, 0)] * (WARP - len(group)))
    return _view(table, "thread", flat, rows)


def by_warp(table: Gather) -> GatherView:
    """For a warp per coordinate: its entries one after the other."""
    flat: list[Entry] = []
    rows: list[str] = []
    for entries in table.sums:
        rows.append(f"{{{len(flat)},{len(entries)}}},")
        flat.extend(entries)
    return _view(table, "warp", flat, rows)


def _view(table: Gather, who: str, flat: list[Entry], rows: list[str]) -> GatherView:
    texts = [f"{{{a},{b},{c}}}," for a, b, c in flat or [(0, 0, 0)]]
    what = {
        "bracket": f"[x, y], x of degree {table.p} and y of degree {table.q}",
        "coadjoint": f"ad*_x f, x of degree {table.p} and f of degree {table.p + table.q}",
    }
    return GatherView(
        name=f"{table.name}_by_{who}",
        title=f"Coordinates of {what[table.kind]}: {table.entries} structure constants.",
        length=len(texts),
        entries=_lines(texts),
        rows=len(rows),
        starts=_lines(rows),
    )


def _lines(texts: list[str]) -> tuple[str, ...]:
    return tuple("".join(texts[start : start + PER_LINE]) for start in range(0, len(texts), PER_LINE))
