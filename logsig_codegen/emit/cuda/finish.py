"""The logarithm at the end of a path, shared out: the lower degrees first, then ranges of the highest one at once.

Coordinates of the highest degree are most of the work, and take nothing from each other but sums that several of them
need. Warps take ranges of them, and compute anew what another range needs as well, unless that is too much text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from logsig_codegen.emit.cuda.device import device_schedule
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.known import with_known
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.restrict import restrict
from logsig_codegen.problem import Problem

MOST_REPEATED = 2.0
"""All ranges together have no more operations than so many times the whole …"""
MOST_TEXT = 4_000
"""… and no more than this: text takes time to compile, more than in proportion."""


@dataclass(frozen=True)
class Finish:
    """The programs, each in place in a row that is the state on Lyndon words before and the logarithm afterwards.

    Attributes
    ----------
    low : Schedule or None
        The degrees below the last; ``None`` where they are what they are.
    ranges : tuple of (int, Schedule)
        First column of each range of the last degree, and its program; one warp does one of them.
    """

    low: Schedule | None
    ranges: tuple[tuple[int, Schedule], ...]

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
    masks = _needed(rest)
    operations = rest.operations.total
    limit = len(rest.instructions) * max(1.0, min(MOST_TEXT / max(1, operations), MOST_REPEATED))
    cuts = [0, size - low]
    for count in range(2, most + 1):
        found = _cut(masks, count)
        if sum(_count(masks[a:b]) for a, b in pairwise(found)) > limit:
            break
        cuts = found
    ranges = []
    for a, b in pairwise(cuts):
        part = restrict(rest, {"state": range(low + a, low + b), "out": range(a, b)})
        ranges.append((low + a, device_schedule(part, (0,), descending=False)))
    first = device_schedule(beginning, (0,), descending=False) if beginning.operations.total else None
    return Finish(first, tuple(ranges))


def _needed(program: Program) -> list[int]:
    """For each output the instructions it takes, as bits."""
    masks = [0] * program.first
    for index, terms in enumerate(program.instructions):
        mask = 1 << index
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
