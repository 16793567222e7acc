"""Partition of the epilogue of a path scan, the logarithm: lower degrees first, then ranges of the highest degree.

Coordinates of the highest degree are most of the work. Each reads the state on its own word, the lower degrees, and
those of its own degree that share brackets with it: such families stay together. Each warp takes a range of families
and recomputes what the families of another warp need as well, unless that makes the text too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import or_

from logsig_codegen.gpu.schedule import thread_schedule
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.known import with_known
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.restrict import restrict
from logsig_codegen.problem import Problem

MOST_REPEATED = 2.0
"""All ranges together have at most so many times the operations of the whole …"""
MOST_TEXT = 9_000
"""… and at most so many operations: compile time grows faster than the length of the text."""


@dataclass(frozen=True)
class EpilogueRange:
    """What one warp computes: ``columns`` of the result, all of the last degree."""

    columns: tuple[int, ...]
    schedule: Schedule


@dataclass(frozen=True)
class Epilogue:
    """Programs that work in place on a row: the state on Lyndon words before, the logarithm afterwards.

    Attributes
    ----------
    low : Schedule or None
        The degrees below the last; ``None`` where they do not change.
    ranges : tuple of EpilogueRange
        The last degree, one range per warp.
    """

    low: Schedule | None
    ranges: tuple[EpilogueRange, ...]

    @property
    def live(self) -> int:
        """Numbers alive at once in a thread, at most."""
        schedules = [part.schedule for part in self.ranges] + ([self.low] if self.low else [])
        return max(map(live_values, schedules))


def partition_epilogue(problem: Problem, program: Program, warps: int) -> Epilogue:
    """The epilogue for up to ``warps`` warps.

    ``program``: from ``state``, on Lyndon words, to ``out``.
    """
    low = problem.size - next(count for count in reversed(problem.sizes) if count)
    beginning = restrict(program, {"state": range(low), "out": range(low)})
    rest = with_known(program, range(low), "log_sig")
    families = _families(rest, low)
    ranges = []
    for first, end in pairwise(_bounds(rest, families, warps)):
        outputs = tuple(sorted(column for family in families[first:end] for column in family))
        columns = tuple(low + column for column in outputs)
        own = restrict(rest, {"state": columns, "out": outputs})
        ranges.append(EpilogueRange(columns, thread_schedule(own, (0,), descending=False)))
    changes = beginning.operations.total > 0
    return Epilogue(thread_schedule(beginning, (0,), descending=False) if changes else None, tuple(ranges))


def _bounds(program: Program, families: Sequence[Sequence[int]], warps: int) -> list[int]:
    """Where the ranges of families begin and end: as many ranges, up to ``warps``, as the limits on text allow."""
    needed = _needed(program, first=False)
    masks = [reduce(or_, (needed[column] for column in family)) for family in families]
    operations = program.operations.total
    limit = len(program.instructions) * max(1.0, min(MOST_TEXT / max(1, operations), MOST_REPEATED))
    bounds = [0, len(families)]
    for count in range(2, warps + 1):
        found = _cut(masks, count)
        if sum(_count(masks[first:end]) for first, end in pairwise(found)) > limit:
            break
        bounds = found
    return bounds


def _families(program: Program, low: int) -> list[list[int]]:
    """The outputs, grouped: two outputs are in one family if one reads the state on the word of the other."""
    reads = _needed(program, first=True)
    leader = list(range(len(reads)))

    def find(column: int) -> int:
        while leader[column] != column:
            column = leader[column]
        return column

    for column, mask in enumerate(reads):
        for other in range(len(reads)):
            if mask >> (low + other) & 1:
                a, b = sorted((find(column), find(other)))
                leader[b] = a
    families: dict[int, list[int]] = {}
    for column in range(len(reads)):
        families.setdefault(find(column), []).append(column)
    return list(families.values())


def _needed(program: Program, *, first: bool) -> list[int]:
    """For each output the instructions it takes, or (``first``) the columns of the first input, as bits."""
    length = program.inputs[0].length
    masks = [1 << value if first and value < length else 0 for value in range(program.first)]
    for index, terms in enumerate(program.instructions):
        mask = 0 if first else 1 << index
        for _, *operands in terms:
            for operand in operands:
                if operand != NONE:
                    mask |= masks[operand]
        masks.append(mask)
    (result,) = program.outputs
    return [masks[value] if value != NONE else 0 for value in result.values]


def _count(masks: Sequence[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union.bit_count()


def _cut(masks: Sequence[int], count: int) -> list[int]:
    """Bounds of up to ``count`` ranges such that the largest takes the least number of instructions."""
    least, enough = max((mask.bit_count() for mask in masks), default=0), _count(masks)
    while least < enough:
        middle = (least + enough) // 2
        if len(_greedy(masks, middle)) - 1 <= count:
            enough = middle
        else:
            least = middle + 1
    return _greedy(masks, enough)


def _greedy(masks: Sequence[int], limit: int) -> list[int]:
    bounds, union = [0], 0
    for index, mask in enumerate(masks):
        union |= mask
        if union.bit_count() > limit and index > bounds[-1]:
            bounds.append(index)
            union = mask
    return [*bounds, len(masks)]
