"""Plans for operations on rows: a warp loads tiles of 32 rows into shared memory, a thread computes a row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from logsig_codegen.compiler import Kernel
from logsig_codegen.gpu.hardware import WARP
from logsig_codegen.gpu.occupancy import Occupancy, independent_warps
from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.gpu.shared_memory import Tile, lay_out, slot_stride
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import ADJOINT, OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.problem import Problem


@dataclass(frozen=True)
class RowsPlan:
    """An operation on rows, one thread per row.

    Attributes
    ----------
    kernel : Kernel
    schedule : Schedule
        Of one row.
    dtype : str
        The number type the plan is for; empty for both.
    """

    form: ClassVar[str] = "thread"
    held: ClassVar[int] = 0
    kernel: Kernel
    schedule: Schedule
    dtype: str = ""

    @property
    def problem(self) -> Problem:
        return self.schedule.program.problem

    @property
    def live(self) -> int:
        """Numbers alive at once in a thread."""
        return live_values(self.schedule)

    @cached_property
    def inputs(self) -> tuple[Tile | None, ...]:
        """The tile of each input; ``None`` for one that is not read."""
        tiles = {tile.name: tile for tile in self.tiles}
        return tuple(tiles.get(operand.name) for operand in self.schedule.program.inputs)

    @cached_property
    def outputs(self) -> tuple[Tile, ...]:
        """The tile of each output, which may be that of an input."""
        tiles = {tile.name: tile for tile in self.tiles}
        program, found = self.schedule.program, []
        for result, source in zip(program.outputs, self.schedule.in_place, strict=True):
            tile = tiles[program.inputs[source].name if source >= 0 else result.name]
            found.append(Tile(result.name, len(result.values), tile.offset))
        return tuple(found)

    @cached_property
    def slots(self) -> Tile | None:
        """Where spilled values are."""
        return next((tile for tile in self.tiles if tile.name == "slots"), None)

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Shared memory of a warp."""
        program = self.schedule.program
        rows = [(operand.name, n) for operand, n in zip(program.inputs, self.schedule.prefixes, strict=True) if n]
        rows += [
            (result.name, len(result.values))
            for result, source in zip(program.outputs, self.schedule.in_place, strict=True)
            if source < 0
        ]
        if self.schedule.slots:
            rows.append(("slots", slot_stride(self.schedule)))
        return lay_out(rows)

    @property
    def columns(self) -> dict[str, int]:
        """Leading columns of each operand that are read or written."""
        program = self.schedule.program
        read = zip(program.inputs, self.schedule.prefixes, strict=True)
        written = {result.name: len(result.values) for result in program.outputs}
        return {**{operand.name: prefix for operand, prefix in read}, **written}

    @property
    def moved(self) -> int:
        """Numbers of a row that are read from and written to memory."""
        return sum(self.columns.values())

    def samples(self, dtype: str) -> int:
        """Samples of a warp."""
        return WARP

    def occupancy(self, dtype: str) -> Occupancy:
        """For one number type."""
        operands = len(OPERATIONS[self.kernel.operation].operands) + (self.slots is not None)
        return independent_warps(self.live, self.tiles[-1].end, dtype, operands=operands)

    def spilled(self, schedule: Schedule, dtype: str) -> RowsPlan:
        """The plan for one number type with a schedule that has spill slots."""
        return replace(self, schedule=schedule, dtype=dtype)


def rows_plan(kernel: Kernel) -> RowsPlan:
    """The plan of a straight-line kernel, for both number types, without spilling."""
    assert kernel.program is not None
    operation = OPERATIONS[kernel.operation]
    last_first = operation.made_by == ADJOINT
    return RowsPlan(kernel, thread_schedule(kernel.program, operation.in_place_on_gpu, descending=last_first))
