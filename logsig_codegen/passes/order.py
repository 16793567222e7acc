"""Ordering: when each piece of each sum is computed.

Outputs are computed one after the other, in the given order, each after the values that it depends on. This keeps
temporaries close to their uses. Some sums are treated differently: the gradient with respect to a vector of degree one
sums a product from nearly every slot. Computing it at once would keep every slot's temporary alive until then.
The *accumulators*, the sums with the most terms, therefore add each product as soon as both of its factors are known.

Before: ``t0 = a*b; t1 = c*d; s = t0*x + t1*y`` with ``s`` an accumulator.
After: ``t0 = a*b; s = t0*x; t1 = c*d; s += t1*y``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logsig_codegen.ir.program import NONE, Program, Term
from logsig_codegen.ir.schedule import Compute

ACCUMULATOR_TERMS = 12
"""Sums with fewer terms are never accumulators."""


def order(program: Program, demands: Iterable[int], accumulators: int) -> list[Compute]:
    """The pieces of all instructions of ``program``.

    Parameters
    ----------
    demands : iterable of value numbers
        The values of the outputs, in the order in which they are computed.
    accumulators : int
        The largest number of accumulators.
    """
    return Order(program, accumulators).run(demands)


class _Accumulator:
    """An accumulator: the terms that have not been added yet, by their operands."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.pending = dict(enumerate(terms))
        self.started = False
        self.readers: dict[int, list[int]] = {}
        for index, (_, *operands) in enumerate(terms):
            for operand in dict.fromkeys(operands):
                self.readers.setdefault(operand, []).append(index)


class Order:
    """The state of :func:`order`; outputs may be demanded in several groups."""

    def __init__(self, program: Program, accumulators: int) -> None:
        self.program = program
        self.first = program.first
        self.steps: list[Compute] = []
        self.done = [True] * self.first + [False] * len(program.instructions) + [True]
        sums = [(-len(terms), value) for value, terms in program.numbered() if len(terms) >= ACCUMULATOR_TERMS]
        self.accumulators = {
            value: _Accumulator(program.instructions[value - self.first]) for _, value in sorted(sums)[:accumulators]
        }

    def run(self, demands: Iterable[int]) -> list[Compute]:
        """All pieces so far, followed by those that ``demands`` still need."""
        for value in demands:
            self.demand(value)
        return self.steps

    def demand(self, root: int) -> None:
        """Compute ``root`` and all that it depends on, depth first; without recursion, since programs are deep."""
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
        """The terms of the sum that defines ``value`` that have not been added yet."""
        accumulator = self.accumulators.get(value)
        return tuple(accumulator.pending.values()) if accumulator else self.program.instructions[value - self.first]

    def missing(self, value: int) -> list[int]:
        wanted = dict.fromkeys(operand for _, *operands in self.terms(value) for operand in operands)
        return [operand for operand in wanted if not self.done[operand]]

    def compute(self, value: int) -> None:
        """Append the rest of a sum, then the products of accumulators that become computable."""
        terms = self.terms(value)
        accumulator = self.accumulators.pop(value, None)
        self.steps.append(Compute(value, _leading(terms), first=not (accumulator and accumulator.started), last=True))
        self.done[value] = True
        for reader, other in self.accumulators.items():
            if value in other.readers:
                self.accumulate(reader, other, value)

    def accumulate(self, reader: int, accumulator: _Accumulator, value: int) -> None:
        ready = [
            index
            for index in accumulator.readers.pop(value)
            if index in accumulator.pending and all(self.done[operand] for operand in accumulator.pending[index][1:])
        ]
        if ready and len(ready) < len(accumulator.pending):
            terms = [accumulator.pending.pop(index) for index in ready]
            self.steps.append(Compute(reader, _leading(terms), first=not accumulator.started, last=False))
            accumulator.started = True


def _leading(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Put a plain ``+x`` (or else any plain value) first: a chain of multiply-adds then starts from it at no cost."""

    def rank(term: Term) -> int:
        coefficient, _, right = term
        if right == NONE:
            return 0 if coefficient == 1 else 1
        return 2

    return tuple(sorted(terms, key=rank))
