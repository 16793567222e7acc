"""The notation of plans, and its translation to Lie programs.

One definition per line, in the notation of the mathematics: ``z3 = l3 + [l1/6, y] - [h, l2 + y/3]``. A name stands for
a homogeneous vector, ``[a, b]`` for the Lie bracket; numbers are exact fractions, ``sqrt5`` is exact too, and a line
whose right side is a number defines a constant. Degrees are inferred from the inputs ``l1 … lN`` (the log-signature, by
degree) and ``v`` (the displacement). The vectors ``z1 … zN`` are the result.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from logsig_codegen.algebra.surd import SQRT5, Coefficient, Surd, simplify
from logsig_codegen.errors import GenerationError
from logsig_codegen.ir.lie import Bracket, LieProgram, Port, Scaled, Statement, Term, Vector

Key: TypeAlias = "str | tuple[Combination, Combination]"
Combination: TypeAlias = "tuple[tuple[Key, Coefficient], ...]"
Value: TypeAlias = "Coefficient | dict[Key, Coefficient]"


_OPERAND = "t_"


def parse_plan(name: str, degree: int, text: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> LieProgram:
    """Translate a plan.

    Parameters
    ----------
    name : str
        Name of the plan.
    degree : int
        Truncation degree ``N``.
    text : str
        The definitions; ``#`` starts a comment.
    inputs, outputs : sequence of Port
        The input vectors, and the vectors that have to be defined, by operand and degree.

    Raises
    ------
    GenerationError
        If a line cannot be read, mixes degrees, uses a name before its definition, or an output is never defined.
    """
    parser = _Parser({vector: k for port in inputs for k, vector in enumerate(port.vectors, start=1)})
    for line in text.splitlines():
        source = line.split("#")[0].strip()
        if source:
            parser.define(source)
    for port in outputs:
        for k, vector in enumerate(port.vectors, start=1):
            if parser.degrees.get(vector) != k:
                raise GenerationError(f"plan {name}: {vector} is not defined with degree {k}")
    return LieProgram(name, degree, tuple(inputs), tuple(parser.statements), tuple(outputs))


def graded(operand: str, letter: str, degree: int) -> Port:
    """The port of an operand with one vector per degree: ``l1 … lN`` for the letter ``l``."""
    return Port(operand, tuple(f"{letter}{k}" for k in range(1, degree + 1)))


def parse_join(name: str, degree: int, text: str) -> LieProgram:
    """Translate a plan for the join: from ``l1 … lN`` and ``v`` to ``z1 … zN``; see :func:`parse_plan`."""
    inputs = (graded("log_sig", "l", degree), Port("displacement", ("v",)))
    return parse_plan(name, degree, text, inputs, (graded("out", "z", degree),))


@dataclass
class _Parser:
    degrees: dict[str, int]
    statements: list[Statement] = field(default_factory=list)
    constants: dict[str, Coefficient] = field(default_factory=lambda: {"sqrt5": SQRT5})
    operands: dict[Combination, str] = field(default_factory=dict)

    def define(self, source: str) -> None:
        """Read one line ``name = expression``."""
        try:
            (node,) = ast.parse(source).body
        except (SyntaxError, ValueError) as error:
            raise GenerationError(f"plan line {source!r}: {error}") from None
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                value = self.value(expression)
            case _:
                raise GenerationError(f"plan line {source!r} is not a definition")
        if name in self.degrees or name in self.constants:
            raise GenerationError(f"plan line {source!r} defines {name} twice")
        if name.startswith(_OPERAND):
            raise GenerationError(f"plan line {source!r}: names that start with {_OPERAND} are given to operands")
        if isinstance(value, dict):
            self.vector(name, value)
        else:
            self.constants[name] = value

    def vector(self, name: str, combination: dict[Key, Coefficient]) -> None:
        """Append the statement that defines ``name``, and those of its brackets' operands before it."""
        terms: list[Term] = []
        degrees = set()
        for key, coefficient in combination.items():
            if isinstance(key, str):
                terms.append(Scaled(coefficient, key))
                degrees.add(self.degrees[key])
            else:
                (left, left_factor), (right, right_factor) = self.operand(key[0]), self.operand(key[1])
                terms.append(Bracket(simplify(coefficient * left_factor * right_factor), left, right))
                degrees.add(self.degrees[left] + self.degrees[right])
        if len(degrees) != 1:
            raise GenerationError(f"plan: {name} sums terms of degrees {sorted(degrees)}")
        self.degrees[name] = degrees.pop()
        self.statements.append(Statement(Vector(name, self.degrees[name]), tuple(terms)))

    def operand(self, combination: Combination) -> tuple[str, Coefficient]:
        """A vector for a bracket's operand, and the factor it is to be multiplied with."""
        if len(combination) == 1:
            key, coefficient = combination[0]
            if isinstance(key, str):
                return key, coefficient
        name = self.operands.get(combination)
        if name is None:
            name = self.operands[combination] = f"{_OPERAND}{len(self.operands) + 1}"
            self.vector(name, dict(combination))
        return name, 1

    def value(self, node: ast.expr) -> Value:
        """Evaluate an expression to a number or to a linear combination of names and brackets."""
        match node:
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in self.constants:
                return self.constants[name]
            case ast.Name(id=name) if name in self.degrees:
                return {name: 1}
            case ast.List(elts=[left, right]):
                return {(self.combination(left), self.combination(right)): 1}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _scale(self.value(operand), -1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _add(self.value(left), self.value(right))
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return _add(self.value(left), _scale(self.value(right), -1))
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                first, second = self.value(left), self.value(right)
                return _scale(second, first) if isinstance(second, dict) else _scale(first, second)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                divisor = self.value(right)
                if not isinstance(divisor, dict) and divisor:
                    return _scale(self.value(left), 1 / (divisor if isinstance(divisor, Surd) else Fraction(divisor)))
        raise GenerationError(f"plan: cannot read {ast.unparse(node)!r}")

    def combination(self, node: ast.expr) -> Combination:
        value = self.value(node)
        if not isinstance(value, dict):
            raise GenerationError(f"plan: {ast.unparse(node)!r} is not a vector")
        return tuple(value.items())


def _scale(value: Value, factor: Value) -> Value:
    if isinstance(factor, dict):
        raise GenerationError("plan: a product of two vectors")
    if isinstance(value, dict):
        return {key: simplify(coefficient * factor) for key, coefficient in value.items()}
    return simplify(value * factor)


def _add(left: Value, right: Value) -> Value:
    if not isinstance(left, dict) and not isinstance(right, dict):
        return simplify(left + right)
    if not isinstance(left, dict) or not isinstance(right, dict):
        raise GenerationError("plan: a sum of a vector and a number")
    total = dict(left)
    for key, coefficient in right.items():
        total[key] = simplify(total.get(key, 0) + coefficient)
    return {key: coefficient for key, coefficient in total.items() if coefficient}
