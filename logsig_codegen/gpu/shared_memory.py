"""Layout of shared memory: tiles of 32 rows, one row per thread of a warp."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from logsig_codegen.gpu.hardware import BYTES, WARP
from logsig_codegen.ir.schedule import Schedule

BARRIER_BYTES = 16
"""LOGSIG_BARRIER_BYTES of ``logsig_tiles.cuh``."""
PATHS_BYTES = 3 * 32 * 8
"""Size of ``logsig_paths``, the description of the paths of a warp."""
CHUNK_BYTES = 256
"""Bytes of each path in a chunk, at most: a warp loads one path at a time, 32 numbers per instruction."""


def row_stride(columns: int) -> int:
    """Numbers from one row to the next in shared memory.

    The 32 threads of a warp read one column of 32 rows. An odd stride has no bank conflicts. Twice an odd number has
    two-way conflicts, which cost less than padding: a tile without padding is contiguous and is copied at once.
    """
    return columns + 1 if columns % 4 == 0 else columns


def odd_stride(columns: int) -> int:
    """The least stride without bank conflicts, for rows that are not copied at once."""
    return columns | 1


def slot_stride(order: Schedule) -> int:
    """Numbers from the spill slots of one thread to those of the next."""
    return odd_stride(order.slots)


def tile_numbers(columns: int) -> int:
    """Numbers that a tile of 32 rows takes."""
    return WARP * row_stride(columns)


def chunk_points(dimension: int, dtype: str) -> int:
    """Points of each path in a chunk."""
    return max(1, CHUNK_BYTES // BYTES[dtype] // dimension)


@dataclass(frozen=True)
class Tile:
    """Rows of one operand in shared memory, one for each thread of a warp.

    Attributes
    ----------
    name : str
        The operand.
    columns : int
        Numbers of a row.
    offset : int
        Where the first row begins, in numbers from the beginning of the tiles.
    """

    name: str
    columns: int
    offset: int

    @property
    def stride(self) -> int:
        """Numbers from one row to the next."""
        return row_stride(self.columns)

    @property
    def end(self) -> int:
        """Where the next tile may begin."""
        return self.offset + tile_numbers(self.columns)


def lay_out(rows: Iterable[tuple[str, int]]) -> tuple[Tile, ...]:
    """Tiles one after the other, of operands with so many columns."""
    tiles: list[Tile] = []
    for name, columns in rows:
        tiles.append(Tile(name, columns, tiles[-1].end if tiles else 0))
    return tuple(tiles)
