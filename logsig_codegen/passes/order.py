"""Ordering: which piece of which sum is computed when.

Outputs are demanded one after the other, in the order given, and each pulls in what it needs, operands before the
sums that read them. This keeps temporaries close to their uses. Some sums are different: the adjoint of a letter
combination collects a product from nearly every slot. Waiting for all of them would keep every slot's temporary alive,
so the *collectors*, the sums with the most terms, take each product as soon as both of its factors exist.

Before: ``t0 = a*b; t1 = c*d; s = t0*x + t1*y`` with ``s`` a collector.
After: ``t0 = a*b; s = t0*x; t1 = c*d; s += t1*y``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logsig_codegen.ir.program import NONE, Program, Term
from logsig_codegen.ir.schedule import Compute

COLLECTOR_TERMS = 12
"""Sums with fewer terms are never collectors."""


def order(program: Program, demands: Iterable[int], collectors: int) -> list[Compute]:
    """The pieces of all instructions of ``program``.

    Parameters
    ----------
    demands : iterable of value numbers
        The values of the outputs, in the order they are wanted.
    collectors : int
        At most so many sums are computed piecemeal.
    """
    return Order(program, collectors).run(demands)


class _Collector:
    """A long sum being computed piecemeal: the terms still to come, findable by their operands."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.waiting = dict(enumerate(terms))
        self.started = False
        self.readers: dict[int, list[int]] = {}
        for index, (_, *operands) in enumerate(terms):
            for operand in dict.fromkeys(operands):
                self.readers.setdefault(operand, []).append(index)


class Order:
    """What :func:`order` does, for demands that come a group at a time."""

    def __init__(self, program: Program, collectors: int) -> None:
        self.program = program
        self.first = program.first
        self.steps: list[Compute] = []
        self.done = [True] * self.first + [False] * len(program.instructions) + [True]
        sums = [(-len(terms), value) for value, terms in program.numbered() if len(terms) >= COLLECTOR_TERMS]
        self.collectors = {
            value: _Collector(program.instructions[value - self.first]) for _, value in sorted(sums)[:collectors]
        }

    def run(self, demands: Iterable[int]) -> list[Compute]:
        """All pieces up to now, with those that ``demands`` still need at the end."""
        for value in demands:
            self.demand(value)
        return self.steps

    def demand(self, root: int) -> None:
        """Compute ``root`` and everything it needs, depth first (without recursion: programs are deep)."""
        stack = [root]
        while stack:
            value = stack[-1]
            missing = [] if self.done[value] else self.missing(value)
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if not self.done[value]:
                self.compute(value)

    def terms(self, value: int) -> Sequence[Term]:
        """What is left of the sum that defines ``value``."""
        collector = self.collectors.get(value)
        return tuple(collector.waiting.values()) if collector else self.program.instructions[value - self.first]

    def missing(self, value: int) -> list[int]:
        wanted = dict.fromkeys(operand for _, *operands in self.terms(value) for operand in operands)
        return [operand for operand in wanted if not self.done[operand]]

    def compute(self, value: int) -> None:
        """Append the rest of a sum, then offer the new value to the collectors."""
        terms = self.terms(value)
        collector = self.collectors.pop(value, None)
        self.steps.append(Compute(value, _leading(terms), first=not (collector and collector.started), last=True))
        self.done[value] = True
        for reader, waiting in self.collectors.items():
            if value in waiting.readers:
                self.collect(reader, waiting, value)

    def collect(self, reader: int, collector: _Collector, value: int) -> None:
        ready = [
            index
            for index in collector.readers.pop(value)
            if index in collector.waiting and all(self.done[operand] for operand in collector.waiting[index][1:])
        ]
        if ready and len(ready) < len(collector.waiting):
            terms = [collector.waiting.pop(index) for index in ready]
            self.steps.append(Compute(reader, _leading(terms), first=not collector.started, last=False))
            collector.started = True


def _leading(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Put a plain ``+x`` (or else any sum of values) in front: a chain of multiply-adds can start from it for free."""

    def rank(term: Term) -> int:
        coefficient, _, right = term
        if right == NONE:
            return 0 if coefficient == 1 else 1
        return 2

    return tuple(sorted(terms, key=rank))
