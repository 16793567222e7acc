"""A target from outside the package, made by the steps of ``CONTRIBUTING.md``: programs as Python over fractions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.ir.program import Program
from logsig_codegen.targets.base import BuildSpec, Emitted, Target


class ToyTarget(Target):
    """One file, ``programs.py``, with a function per program; ``style`` is how it begins."""

    name = "toy"
    summary = "the programs as Python functions"

    def __init__(self, style: str = "# A toy.") -> None:
        self.style = style

    def identity(self, spec: BuildSpec, tools: Any) -> dict[str, Any]:
        return {"style": self.style}

    def emit(self, compiled: CompiledProblem, spec: BuildSpec, tools: Any) -> Emitted:
        programs = {name: part.program for name, part in compiled.parts.items() if part.program is not None}
        lines = [self.style, "from fractions import Fraction"]
        lines += [line for name, program in programs.items() for line in function(name.replace(".", "_"), program)]
        return Emitted((SourceUnit("programs.py", "\n".join(lines) + "\n", "python"),))


def function(name: str, program: Program) -> Iterator[str]:
    """The lines of a Python function: from the operands, one list each, to the results."""
    operands = [operand.name for operand in program.inputs]
    yield f"def {name}({', '.join(operands)}):"
    yield f"    x = [{', '.join(f'*{operand}' for operand in operands)}]"
    for _, terms in program.numbered():
        products = [
            f"Fraction('{c}') * x[{left}]" + (f" * x[{right}]" if right >= 0 else "") for c, left, right in terms
        ]
        yield f"    x.append({' + '.join(products)})"
    for result in program.outputs:
        yield f"    {result.name} = [{', '.join('0' if value < 0 else f'x[{value}]' for value in result.values)}]"
    yield f"    return {', '.join(result.name for result in program.outputs)}"
