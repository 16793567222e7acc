"""Reverse-mode differentiation of scalar programs, for those that do not come from programs of brackets.

Every value ``x`` gets ``x_bar``, the sum of what its uses contribute: ``z = c·a·b`` gives ``a_bar += c·z_bar·b`` and
``b_bar += c·z_bar·a``. The values of the original program are recomputed; later passes remove those that are not used.

Before: ``z = a*b + a``.  After: ``a_bar = z_bar*b + z_bar;  b_bar = z_bar*a``.
"""

from __future__ import annotations

from collections.abc import Sequence

from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result, Term


def scalar_adjoint(program: Program) -> Program:
    """The program that maps ``d_<result>`` and the inputs of ``program`` to ``d_<operand>``.

    Inputs are one operand ``d_<result>`` per result, then the program's own; the first instructions are the program's
    own, in order. Results are one ``d_<operand>`` per input.
    """
    return _Sweep(program).run()


class _Sweep:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.seeds = tuple(Operand(f"d_{result.name}", len(result.values)) for result in program.outputs)
        self.shift = sum(seed.length for seed in self.seeds)
        self.instructions: list[Instruction] = []
        self.first = self.shift + program.first
        self.bars: dict[int, list[Term]] = {}

    def run(self) -> Program:
        program = self.program
        seed = 0
        for result in program.outputs:
            for value in result.values:
                self.add(value, (1, seed, NONE))
                seed += 1
        for terms in program.instructions:
            self.instructions.append(tuple((c, self.moved(a), self.moved(b)) for c, a, b in terms))
        for value, terms in reversed(list(program.numbered())):
            bar = self.bar(value)
            if bar is not None:
                self.reverse(terms, *bar)
        return Program(
            problem=program.problem,
            name=f"{program.name}_adjoint",
            inputs=(*self.seeds, *program.inputs),
            outputs=tuple(self.results()),
            instructions=tuple(self.instructions),
        )

    def moved(self, value: int) -> int:
        return value if value == NONE else value + self.shift

    def add(self, value: int, term: Term) -> None:
        if value != NONE:
            self.bars.setdefault(value, []).append(term)

    def bar(self, value: int) -> tuple[int, int] | None:
        """Sign and number of the gradient with respect to a value, after all its uses have been processed."""
        terms = self.bars.pop(value, None)
        if not terms:
            return None
        merged = _merge(terms)
        if not merged:
            return None
        if len(merged) == 1 and merged[0][2] == NONE and merged[0][0] in (1, -1):
            return (1 if merged[0][0] == 1 else -1), merged[0][1]
        self.instructions.append(merged)
        return 1, self.first + len(self.instructions) - 1

    def reverse(self, terms: Instruction, sign: int, bar: int) -> None:
        for c, a, b in terms:
            if b == NONE:
                self.add(a, (sign * c, bar, NONE))
            elif a == b:
                self.add(a, (2 * sign * c, bar, self.moved(a)))
            else:
                self.add(a, (sign * c, bar, self.moved(b)))
                self.add(b, (sign * c, bar, self.moved(a)))

    def results(self) -> Sequence[Result]:
        results, value = [], 0
        for operand in self.program.inputs:
            values = []
            for _ in range(operand.length):
                found = self.bar(value)
                if found is not None and found[0] < 0:
                    self.instructions.append(((-1, found[1], NONE),))
                    found = (1, self.first + len(self.instructions) - 1)
                values.append(NONE if found is None else found[1])
                value += 1
            results.append(Result(f"d_{operand.name}", tuple(values)))
        return results


def _merge(terms: Sequence[Term]) -> Instruction:
    """Add up terms with equal factors."""
    total: dict[tuple[int, int], Term] = {}
    for c, a, b in terms:
        key = (a, b) if b == NONE or a <= b else (b, a)
        known = total.get(key)
        total[key] = (c if known is None else known[0] + c, *key)
    return tuple(term for term in total.values() if term[0])
