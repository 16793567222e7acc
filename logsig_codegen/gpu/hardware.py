"""Limits of a multiprocessor.

Compute capabilities 8.0, 9.0 and 10.0 agree in everything but shared memory.
"""

from __future__ import annotations

WARP = 32
"""Threads of a warp."""
REGISTERS = 65_536
"""Registers of a multiprocessor, 32 bits each."""
REGISTERS_PER_THREAD = 255
"""At most."""
MOST_WARPS = 64
"""Resident warps of a multiprocessor."""
MOST_BLOCKS = 32
"""Resident blocks of a multiprocessor."""
SCHEDULERS = 4
"""Warp schedulers of a multiprocessor; each has a fourth of the registers."""
SHARED_BYTES = 163 * 1024
"""Shared memory of a block, at most, for compute capability 8.0; a multiprocessor has 1 KB more."""
MOST_SHARED_BYTES = 227 * 1024
"""Shared memory of a block, at most, from compute capability 9.0 on; a multiprocessor has 1 KB more."""
RESERVED_BYTES = 1024
"""Shared memory that the system reserves for each block."""
BYTES = {"float32": 4, "float64": 8}
"""Size of a number."""
