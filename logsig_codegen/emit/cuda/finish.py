"""The logarithm at the end of a path, shared out: the lower degrees first, then ranges of the highest one at once.

Coordinates of the highest degree are most of the work. Each takes the state on its own word, lower degrees, and those
of its own degree that the brackets have in common with it: such families stay together. Warps take some families each,
and compute anew what the families of another warp need as well, unless that is too much text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import or_

from logsig_codegen.emit.cuda.device import device_schedule
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.known import with_known
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.restrict import restrict
from logsig_codegen.problem import Problem

MOST_REPEATED = 2.0
"""All ranges together have no more operations than so many times the whole …"""
MOST_TEXT = 9_000
"""… and no more than this: text takes time to compile, more than in proportion."""


@dataclass(frozen=True)
class Finish:
    """The programs, each in place in a row that is the state on Lyndon words before and the logarithm afterwards.

    Attributes
    ----------
    low : Schedule or None
        The degrees below the last; ``None`` where they are what they are.
    ranges : tuple of (columns, Schedule)
        Columns of the last degree that one warp does, with its program.
    """

    low: Schedule | None
    ranges: tuple[tuple[tuple[int, ...], Schedule], ...]

    @property
    def live(self) -> int:
        """Numbers alive at once, at most."""
        orders = [order for _, order in self.ranges] + ([self.low] if self.low else [])
        return max(map(live_values, orders))


def finish(problem: Problem, program: Program, most: int) -> Finish:
    """How to go from the state on Lyndon words to the logarithm, with up to ``most`` warps."""
    size = problem.size
    low = size - next(count for count in reversed(problem.sizes) if count)
    beginning = restrict(program, {"state": range(low), "out": range(low)})
    rest = with_known(program, range(low), "log_sig")
    families = _families(rest, low)
    needed = _needed(rest, first=False)
    masks = [reduce(or_, (needed[column] for column in family)) for family in families]
    operations = rest.operations.total
    limit = len(rest.instructions) * max(1.0, min(MOST_TEXT / max(1, operations), MOST_REPEATED))
    cuts = [0, len(families)]
    for count in range(2, most + 1):
        found = _cut(masks, count)
        if sum(_count(masks[a:b]) for a, b in pairwise(found)) > limit:
            break
        cuts = found
    ranges = []
    for a, b in pairwise(cuts):
        columns = tuple(sorted(column for family in families[a:b] for column in family))
        own = tuple(low + column for column in columns)
        part = restrict(rest, {"state": own, "out": columns})
        ranges.append((own, device_schedule(part, (0,), descending=False)))
    return Finish(
        device_schedule(beginning, (0,), descending=False) if beginning.operations.total else None, tuple(ranges)
    )


def _families(program: Program, low: int) -> list[list[int]]:
    """The outputs, those together that read the state on one another's words."""
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
    """Bounds of up to ``count`` ranges, the largest of which takes as few instructions as can be."""
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
