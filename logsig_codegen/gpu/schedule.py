"""The order in which one thread evaluates a program."""

from __future__ import annotations

from collections.abc import Sequence

from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.schedule import ACCUMULATORS, schedule


def thread_schedule(program: Program, in_place: Sequence[int], *, descending: bool) -> Schedule:
    """All of ``program`` in one function; columns of wide inputs are read from memory wherever they are used.

    Parameters
    ----------
    in_place : sequence of int
        For each output the input it overwrites, or -1; ignored where the two differ in their number of columns.
    descending : bool
        See :func:`logsig_codegen.passes.schedule.schedule`.
    """
    fitting = [
        source if source >= 0 and program.inputs[source].length == len(result.values) else -1
        for result, source in zip(program.outputs, in_place, strict=True)
    ]
    backward = program.inputs[0].name.startswith("d_")
    return schedule(
        program,
        in_place=fitting,
        descending=descending,
        accumulators=ACCUMULATORS if backward else 0,
        whole=True,
        held=program.problem.dimension,
    )
