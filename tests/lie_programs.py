"""Random Lie programs, what they mean in coordinates, and numbers that carry a derivative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.surd import SQRT5, Coefficient
from logsig_codegen.algebra.tensor import bracket_words, commutator, lie_coordinates
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Port, Scaled, Statement, Term, Vector
from logsig_codegen.problem import Problem

COEFFICIENTS: tuple[Coefficient, ...] = (1, -1, 2, Fraction(-1, 2), Fraction(2, 3), SQRT5 / 20 + 1)
PROBLEMS = (Problem(2, 3), Problem(3, 3), Problem(2, 4), Problem(3, 2), Problem(1, 2))

rationals = st.fractions(-9, 9, max_denominator=7)


@dataclass(frozen=True)
class Dual:
    """A number ``value + slope * eps`` with ``eps**2 = 0``: arithmetic on it differentiates."""

    value: Any
    slope: Any = 0

    def __add__(self, other: Any) -> Dual:
        right = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value + right.value, self.slope + right.slope)

    def __mul__(self, other: Any) -> Dual:
        right = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value * right.value, self.value * right.slope + self.slope * right.value)

    __radd__ = __add__
    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Dual:
        right = other if isinstance(other, Dual) else Dual(other)
        return self + -right

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __bool__(self) -> bool:
        return bool(self.value or self.slope)


def slope(number: Any) -> Any:
    """The derivative that a number carries."""
    return number.slope if isinstance(number, Dual) else 0


def directions(point: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, int, dict[str, list[Dual]]]]:
    """The point with one of its coordinates varied, for each of them: operand, index, and the dual numbers."""
    fixed = {name: [Dual(number) for number in numbers] for name, numbers in point.items()}
    for name, numbers in point.items():
        for index in range(len(numbers)):
            moved = [Dual(number, int(k == index)) for k, number in enumerate(numbers)]
            yield name, index, {**fixed, name: moved}


@lru_cache(maxsize=64)
def bracket_entries(problem: Problem, p: int, q: int) -> tuple[tuple[int, int, int, int], ...]:
    """All ``(i, j, k, c)`` such that ``[X_i, Y_j]`` contains ``c Z_k``: commutators of words, read back."""
    basis = lyndon_basis(problem.dimension, problem.degree)
    table = bracket_words(problem.dimension, problem.degree)
    entries: list[tuple[int, int, int, int]] = []
    for i, x in enumerate(basis.coordinates(p)):
        for j, y in enumerate(basis.coordinates(q)):
            tensor: list[dict[Any, Any]] = [{} for _ in range(problem.degree + 1)]
            tensor[p + q] = commutator(table[x], table[y])
            coordinates = lie_coordinates(basis, tensor)
            entries.extend((i, j, k, coordinates[z]) for k, z in enumerate(basis.coordinates(p + q)) if coordinates[z])
    return tuple(entries)


def evaluate_lie(program: LieProgram, problem: Problem, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The outputs of a Lie program in coordinates, by definition; scalars by operand, in coordinate order."""
    vectors: dict[str, list[Any]] = {}
    degrees = {}
    for port in program.inputs:
        scalars = iter(inputs[port.operand])
        for degree, name in enumerate(port.vectors, start=1):
            vectors[name] = [next(scalars) for _ in range(problem.sizes[degree - 1])]
            degrees[name] = degree
    for statement in program.statements:
        assert statement.target.name not in vectors, f"{statement.target.name} is defined twice"
        total: list[Any] = [0] * problem.sizes[statement.target.degree - 1]
        for term in statement.terms:
            _add(total, term, vectors, degrees, problem)
        vectors[statement.target.name] = total
        degrees[statement.target.name] = statement.target.degree
    return {port.operand: [x for name in port.vectors for x in vectors[name]] for port in program.outputs}


def _add(
    total: list[Any], term: Term, vectors: Mapping[str, list[Any]], degrees: Mapping[str, int], problem: Problem
) -> None:
    c = term.coefficient  # kept on the right: a Dual can be multiplied by a Surd, but not the other way round
    if isinstance(term, Scaled):
        for k, number in enumerate(vectors[term.vector]):
            if number:
                total[k] = total[k] + number * c
    elif isinstance(term, Bracket):
        x, y = vectors[term.left], vectors[term.right]
        for i, j, k, entry in bracket_entries(problem, degrees[term.left], degrees[term.right]):
            if x[i] and y[j]:
                total[k] = total[k] + x[i] * y[j] * (c * entry)
    else:
        x, form, p = vectors[term.actor], vectors[term.form], degrees[term.actor]
        for i, j, k, entry in bracket_entries(problem, p, degrees[term.form] - p):
            if x[i] and form[k]:
                total[j] = total[j] + x[i] * form[k] * (c * entry)


@st.composite
def lie_programs(draw: st.DrawFn, *, forms: bool = True) -> tuple[LieProgram, Problem]:
    """A valid Lie program and a problem of its degree; ``forms``: it may have linear forms as operands."""
    problem = draw(st.sampled_from(PROBLEMS))
    n = problem.degree
    inputs = [Port("log_sig", tuple(f"l{k}" for k in range(1, n + 1))), Port("displacement", ("v",))]
    if forms:
        inputs.append(Port("form", tuple(f"f{k}" for k in range(1, n + 1))))
    known = [Vector(name, k, port.operand == "form") for port in inputs for k, name in enumerate(port.vectors, start=1)]
    statements = []
    for index in range(draw(st.integers(1, 6))):
        vector = draw(
            st.builds(Vector, st.just(f"x{index}"), st.integers(1, n), st.booleans() if forms else st.just(False))
        )
        terms = draw(st.lists(st.sampled_from(_choices(vector, known, n)), min_size=1, max_size=4))
        coefficients = draw(st.lists(st.sampled_from(COEFFICIENTS), min_size=len(terms), max_size=len(terms)))
        scaled = tuple(type(term)(c, *term.operands) for term, c in zip(terms, coefficients, strict=True))
        statements.append(Statement(vector, scaled))
        known.append(vector)
    outputs = []
    for operand, dual in (("out", False), ("form_out", True))[: 1 + forms]:
        choices = [[v.name for v in known if v.degree == k and v.dual == dual] for k in range(1, n + 1)]
        outputs.append(Port(operand, tuple(draw(st.sampled_from(names[::-1])) for names in choices)))
    program = LieProgram("random", n, tuple(inputs), tuple(statements), tuple(outputs), ("form",) if forms else ())
    return program, problem


def _choices(target: Vector, known: Sequence[Vector], degree: int) -> list[Term]:
    """Every term that may stand in a sum for ``target``, with coefficient one."""
    terms: list[Term] = [Scaled(1, v.name) for v in known if v.degree == target.degree and v.dual == target.dual]
    for left in known:
        for right in known:
            if not target.dual and not left.dual and not right.dual and left.degree + right.degree == target.degree:
                terms.append(Bracket(1, left.name, right.name))
            if target.dual and not left.dual and right.dual and right.degree - left.degree == target.degree:
                terms.append(Coadjoint(1, left.name, right.name))
    return terms


@st.composite
def points_of(draw: st.DrawFn, program: LieProgram, problem: Problem) -> dict[str, list[Fraction]]:
    """Rational coordinates for every input of a Lie program."""
    return {
        port.operand: draw(st.lists(rationals, min_size=length, max_size=length))
        for port in program.inputs
        for length in [sum(problem.sizes[: len(port.vectors)])]
    }


def _with_term(program: LieProgram, index: int, position: int, term: Scaled | Bracket) -> LieProgram:
    statement = program.statements[index]
    terms = (*statement.terms[:position], term, *statement.terms[position + 1 :])
    return replace(
        program,
        statements=(*program.statements[:index], replace(statement, terms=terms), *program.statements[index + 1 :]),
    )


def mutations(program: LieProgram) -> Iterator[LieProgram]:
    """Every coefficient changed a little, every bracket turned round, every term left out."""
    for index, statement in enumerate(program.statements):
        for position, term in enumerate(statement.terms):
            assert isinstance(term, (Scaled, Bracket))
            yield _with_term(program, index, position, replace(term, coefficient=term.coefficient + Fraction(1, 1000)))
            yield _with_term(program, index, position, replace(term, coefficient=0))
            if isinstance(term, Bracket):
                yield _with_term(program, index, position, replace(term, left=term.right, right=term.left))
