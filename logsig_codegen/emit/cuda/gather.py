"""Tables of structure constants as text."""

from __future__ import annotations

from dataclasses import dataclass

from logsig_codegen.gpu.gather import Entry, Gather
from logsig_codegen.gpu.hardware import WARP

PER_LINE = 8
"""Entries in a line."""


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
