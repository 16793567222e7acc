"""The cost model of a kernel on a GPU: registers and shared memory of a warp, and how many warps that leaves room for.

The figures are those of the processors with compute capability 8.0, 9.0 and 10.0, which agree in all that matters here:
65,536 registers and 64 warps on a multiprocessor, 255 registers for a thread, at least 163 KB of shared memory for a
block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

WARP = 32
REGISTERS = 65_536
REGISTERS_PER_THREAD = 255
MOST_WARPS = 64
MOST_BLOCKS = 32
SHARED_BYTES = 163 * 1024
"""Of a block, at most, on the smallest of them (compute capability 8.0); a multiprocessor has 1 KB more."""
MOST_SHARED_BYTES = 227 * 1024
"""Of a block, from compute capability 9.0 on; a multiprocessor has 1 KB more."""
RESERVED_BYTES = 1024
"""Shared memory that a block takes besides its own."""
COMFORTABLE_BYTES = 110 * 1024
"""So much for several samples of a block, so that a multiprocessor has two blocks."""
BLOCK_WARPS = 8
BLOCK_REGISTERS = 80
"""Of a thread, where a block works on samples from tables."""
BLOCK_BYTES = 64 * 1024
"""A block of several warps takes no more than this, but where that leaves room for many more of them."""
WARPS_PER_BLOCK = 4
BARRIER_BYTES = 16
"""LOGSIG_BARRIER_BYTES of ``logsig_tiles.cuh``."""
ADDRESSES = 48
"""Registers for addresses, counters and what the compiler reads ahead."""
ADDRESSES_PER_OPERAND = 10
"""More of them for each operand beyond the five of a first derivative."""
SCHEDULERS = 4
"""Of a multiprocessor."""
WALK_ADDRESSES = 32
"""The same for a walk, where nothing is read ahead."""
BYTES = {"float32": 4, "float64": 8}
NOT_HERE = ("THREADS 1", "BLOCKS 1", "BYTES 1")


def row_stride(columns: int) -> int:
    """Numbers from one row to the next in shared memory.

    The 32 threads of a warp read one column of 32 rows: an odd distance meets every bank once, twice an odd number two
    of them twice, which the saved padding is worth: a tile without it is one piece of memory.
    """
    return columns + 1 if columns % 4 == 0 else columns


def tile_numbers(columns: int) -> int:
    """Numbers a tile of 32 rows takes in shared memory."""
    return WARP * row_stride(columns)


@dataclass(frozen=True)
class Shape:
    """What one kernel takes for one number type.

    Attributes
    ----------
    live : int
        Numbers alive at once in a thread's registers.
    registers : int
        Registers a thread needs, estimated.
    spills : bool
        Whether that is more than there are, or may be.
    warp_bytes : int
        Shared memory of a warp; of the block, where all of its warps work together.
    warps : int
        Warps of a block, at most.
    blocks : int
        Blocks of a multiprocessor, at least: the bound the compiler is given on registers.
    """

    live: int
    registers: int
    spills: bool
    warp_bytes: int
    warps: int
    blocks: int

    @property
    def resident(self) -> int:
        """Warps of a multiprocessor of compute capability 9.0, where they depend on no other."""
        return resident(self.warps, self.warp_bytes, granted(self.warps * self.blocks))

    @property
    def defines(self) -> tuple[str, ...]:
        """The macros the template asks for."""
        return (f"THREADS {WARP * self.warps}", f"BLOCKS {self.blocks}", f"BYTES {self.warp_bytes}")


def macros(dtype: str, only: str, defines: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """The macros of a file for a number type; nobody compiles those of one that the file is not for.

    ``only``: the number type that it is for; empty for both.
    """
    return defines(dtype) if only in ("", dtype) else NOT_HERE


def granted(warps: int) -> int:
    """Registers of a thread when a multiprocessor has so many warps: each of its schedulers has a fourth of them."""
    each = -(-warps // SCHEDULERS)
    return min(REGISTERS_PER_THREAD, REGISTERS // (WARP * SCHEDULERS * max(1, each)) // 8 * 8)


def shape(live: int, numbers: int, dtype: str, other_bytes: int = 0, operands: int = 0) -> Shape:
    """The shape of a kernel whose threads keep ``live`` numbers, and whose warps keep ``numbers`` in shared memory.

    The bound on registers leaves the compiler an eighth more than the estimate: at the estimate itself some of the
    architectures spill a little.
    """
    size = BYTES[dtype]
    registers = live * size // 4 + ADDRESSES + ADDRESSES_PER_OPERAND * max(0, operands - 5)
    warp_bytes = BARRIER_BYTES + other_bytes + numbers * size
    allowed = min(REGISTERS_PER_THREAD, max(72, registers + registers // 8 + 8))
    warps = _warps_of_a_block(warp_bytes, allowed)
    most = min(MOST_BLOCKS, min(MOST_WARPS, SHARED_BYTES // warp_bytes) // warps)
    return Shape(
        live=live,
        registers=registers,
        spills=registers > REGISTERS_PER_THREAD,
        warp_bytes=warp_bytes,
        warps=warps,
        blocks=max((count for count in range(1, most + 1) if granted(warps * count) >= allowed), default=1),
    )


def resident(warps: int, warp_bytes: int, registers: int) -> int:
    """Warps of a multiprocessor of compute capability 9.0, in blocks of ``warps`` that depend on no other."""
    if warps * warp_bytes > MOST_SHARED_BYTES:
        return 0
    room = (MOST_SHARED_BYTES + RESERVED_BYTES) // (warps * warp_bytes + RESERVED_BYTES)
    room = min(room, MOST_WARPS // warps, MOST_BLOCKS)
    return warps * max((count for count in range(room + 1) if granted(warps * count) >= registers), default=0)


def _warps_of_a_block(warp_bytes: int, registers: int) -> int:
    """How many warps a block has that depend on no other.

    A few, in a block that is not large; or the nearest number with which a multiprocessor of compute capability 9.0 has
    a quarter more of them, or better. Of 57 KB each it has three in blocks of their own, four in pairs.
    """
    usual = max(1, min(WARPS_PER_BLOCK, BLOCK_BYTES // warp_bytes))
    if registers >= REGISTERS_PER_THREAD:
        return usual  # they spill, or nearly: more of them would spill more
    room = {warps: resident(warps, warp_bytes, registers) for warps in range(1, WARPS_PER_BLOCK + 1)}
    best = max(room, key=lambda warps: (room[warps], -abs(warps - usual), -warps))
    return best if 4 * room[best] >= 5 * room[usual] else usual


def parts_shape(live: int, live_end: int, numbers: int, dtype: str, parts: int, other_bytes: int) -> Shape:
    """The shape of a kernel whose blocks of ``parts`` warps keep ``numbers`` in shared memory for all of them.

    ``live``: numbers a thread keeps while it walks; ``live_end``: before or after it does, once for a path. Registers
    are for the walk: what is done once may spill. How many blocks the shared memory has room for differs between
    devices, and is no bound here.
    """
    size = BYTES[dtype]
    registers = max(72, live * size // 4 + WALK_ADDRESSES)
    needed = parts * BARRIER_BYTES + other_bytes + numbers * size
    blocks = max((count for count in range(1, MOST_BLOCKS + 1) if granted(parts * count) >= registers), default=0)
    end = live_end * size // 4 * 5 // 4 + ADDRESSES  # long programs: the compiler keeps their order less strictly
    spills = not blocks or end > granted(parts * blocks)
    return Shape(live, registers, spills, needed, parts, max(1, blocks))


def block_shape(numbers: int, dtype: str, *, walks: bool) -> Shape | None:
    """The shape of a kernel whose blocks keep ``numbers`` of each of a few samples in shared memory.

    As many samples as 16 bytes hold if a block has room for them, half of them, or one; ``None`` if it has not even
    room for one. Where it ``walks`` along paths, some architectures want two registers more than it is given.
    """
    size = BYTES[dtype]
    samples = next((n for n in (16 // size, 8 // size, 1) if n and n * numbers * size <= COMFORTABLE_BYTES), 1)
    needed = samples * numbers * size
    if needed > MOST_SHARED_BYTES:
        return None
    blocks = max(1, min(REGISTERS // (BLOCK_REGISTERS * WARP * BLOCK_WARPS), SHARED_BYTES // needed))
    return Shape(0, BLOCK_REGISTERS, walks, needed, BLOCK_WARPS, blocks)
