"""Occupancy: registers and shared memory of a kernel, and how many warps a multiprocessor takes with them."""

from __future__ import annotations

from dataclasses import dataclass

from logsig_codegen.gpu.hardware import (
    BYTES,
    MOST_BLOCKS,
    MOST_SHARED_BYTES,
    MOST_WARPS,
    REGISTERS,
    REGISTERS_PER_THREAD,
    RESERVED_BYTES,
    SCHEDULERS,
    SHARED_BYTES,
    WARP,
)
from logsig_codegen.gpu.shared_memory import BARRIER_BYTES

COMFORTABLE_BYTES = 110 * 1024
"""Shared memory for several samples of a block, at most, so that a multiprocessor takes two blocks."""
TABLE_WARPS = 8
"""Warps of a block that works on samples from tables."""
TABLE_REGISTERS = 80
"""Registers of a thread of such a block."""
BLOCK_BYTES = 64 * 1024
"""A block of several warps takes no more than this, unless more of it lets many more warps be resident."""
WARPS_PER_BLOCK = 4
LEAST_REGISTERS = 72
"""The bound on registers is never lower."""
ADDRESSES = 48
"""Registers for addresses, counters and prefetched values."""
ADDRESSES_PER_OPERAND = 10
"""More of them for each operand beyond the five of a first derivative."""
SCAN_ADDRESSES = 32
"""The same for a path scan, which prefetches nothing."""


@dataclass(frozen=True)
class Occupancy:
    """What one kernel takes of a multiprocessor, for one number type.

    Attributes
    ----------
    live : int
        Numbers alive at once in a thread.
    registers : int
        Registers a thread needs, estimated.
    spills : bool
        Whether that exceeds, or may exceed, what a thread has.
    warp_bytes : int
        Shared memory of a warp; of the block, where the warps of a block are cooperative.
    warps : int
        Warps of a block, at most.
    blocks : int
        Blocks of a multiprocessor, at least: the compiler bounds the registers by it.
    """

    live: int
    registers: int
    spills: bool
    warp_bytes: int
    warps: int
    blocks: int

    @property
    def resident_warps(self) -> int:
        """Warps of a multiprocessor of compute capability 9.0, where warps are independent."""
        return resident_warps(self.warps, self.warp_bytes, registers_per_thread(self.warps * self.blocks))


def registers_per_thread(warps: int) -> int:
    """Registers of a thread where a multiprocessor has ``warps`` warps."""
    per_scheduler = -(-warps // SCHEDULERS)
    return min(REGISTERS_PER_THREAD, REGISTERS // (WARP * SCHEDULERS * max(1, per_scheduler)) // 8 * 8)


def resident_warps(warps: int, warp_bytes: int, registers: int) -> int:
    """Warps of a multiprocessor of compute capability 9.0, in blocks of ``warps`` independent warps.

    Parameters
    ----------
    warps : int
        Warps of a block.
    warp_bytes : int
        Shared memory of a warp.
    registers : int
        Registers of a thread.
    """
    if warps * warp_bytes > MOST_SHARED_BYTES:
        return 0
    most = (MOST_SHARED_BYTES + RESERVED_BYTES) // (warps * warp_bytes + RESERVED_BYTES)
    most = min(most, MOST_WARPS // warps, MOST_BLOCKS)
    return warps * max(
        (count for count in range(most + 1) if registers_per_thread(warps * count) >= registers), default=0
    )


def independent_warps(live: int, numbers: int, dtype: str, other_bytes: int = 0, operands: int = 0) -> Occupancy:
    """Occupancy of a kernel whose warps are independent.

    The bound on registers leaves the compiler an eighth more than the estimate: at the estimate itself some of the
    architectures spill a little.

    Parameters
    ----------
    live : int
        Numbers alive at once in a thread.
    numbers : int
        Numbers of a warp in shared memory.
    other_bytes : int
        Other shared memory of a warp.
    operands : int
        Operands of the kernel.
    """
    size = BYTES[dtype]
    registers = live * size // 4 + ADDRESSES + ADDRESSES_PER_OPERAND * max(0, operands - 5)
    warp_bytes = BARRIER_BYTES + other_bytes + numbers * size
    allowed = min(REGISTERS_PER_THREAD, max(LEAST_REGISTERS, registers + registers // 8 + 8))
    warps = _warps_of_a_block(warp_bytes, allowed)
    most = min(MOST_BLOCKS, min(MOST_WARPS, SHARED_BYTES // warp_bytes) // warps)
    return Occupancy(
        live=live,
        registers=registers,
        spills=registers > REGISTERS_PER_THREAD,
        warp_bytes=warp_bytes,
        warps=warps,
        blocks=max((n for n in range(1, most + 1) if registers_per_thread(warps * n) >= allowed), default=1),
    )


def _warps_of_a_block(warp_bytes: int, registers: int) -> int:
    """How many independent warps a block has.

    Up to :data:`WARPS_PER_BLOCK` in a block of :data:`BLOCK_BYTES`, unless another number of them lets at least a
    quarter more warps be resident on compute capability 9.0. Example: warps of 57 KB, three in blocks of one warp, four
    in blocks of two.
    """
    usual = max(1, min(WARPS_PER_BLOCK, BLOCK_BYTES // warp_bytes))
    if registers >= REGISTERS_PER_THREAD:
        return usual  # they spill, or nearly: more resident warps would spill more
    resident = {warps: resident_warps(warps, warp_bytes, registers) for warps in range(1, WARPS_PER_BLOCK + 1)}
    best = max(resident, key=lambda warps: (resident[warps], -abs(warps - usual), -warps))
    return best if 4 * resident[best] >= 5 * resident[usual] else usual


def cooperative_warps(
    live: int, live_at_end: int, numbers: int, dtype: str, *, warps: int, other_bytes: int
) -> Occupancy:
    """Occupancy of a path scan whose blocks have ``warps`` cooperative warps, which share ``numbers`` numbers.

    Registers are for the scan; prologue and epilogue run once for a path and may spill. How many blocks the shared
    memory of a multiprocessor takes differs between devices, and is no bound here.

    Parameters
    ----------
    live, live_at_end : int
        Numbers alive at once in a thread during the scan, and during prologue or epilogue.
    """
    size = BYTES[dtype]
    registers = max(LEAST_REGISTERS, live * size // 4 + SCAN_ADDRESSES)
    needed = warps * BARRIER_BYTES + other_bytes + numbers * size
    blocks = max((n for n in range(1, MOST_BLOCKS + 1) if registers_per_thread(warps * n) >= registers), default=0)
    end = live_at_end * size // 4 * 5 // 4 + ADDRESSES  # the compiler reorders long programs, and keeps more alive
    spills = not blocks or end > registers_per_thread(warps * blocks)
    return Occupancy(live, registers, spills, needed, warps, max(1, blocks))


def samples_of_a_block(numbers: int, dtype: str, *, path_scan: bool) -> tuple[int, Occupancy] | None:
    """Samples and occupancy of a block that keeps ``numbers`` numbers of each sample in shared memory.

    As many samples as 16 bytes hold where they fit in :data:`COMFORTABLE_BYTES`, half of them, or one; ``None`` where
    one does not fit in a block. A path scan may spill: some architectures want two registers more than it has.
    """
    size = BYTES[dtype]
    samples = next((n for n in (16 // size, 8 // size, 1) if n and n * numbers * size <= COMFORTABLE_BYTES), 1)
    needed = samples * numbers * size
    if needed > MOST_SHARED_BYTES:
        return None
    blocks = max(1, min(REGISTERS // (TABLE_REGISTERS * WARP * TABLE_WARPS), SHARED_BYTES // needed))
    return samples, Occupancy(0, TABLE_REGISTERS, path_scan, needed, TABLE_WARPS, blocks)
