"""Proofs: a plan or a program is equal to ``log(exp(l) exp(v))`` or ``log(exp(l) exp(k))``, or an error says where not.

Plans are proved once for all dimensions: every degree part ``l_k`` is a symbol of its own, of weight ``k``; so are the
parts of the second operand of a combination; the displacement ``v`` of a join is one symbol of weight 1. Both sides are
expanded into words of these symbols with exact coefficients. Programs over scalars are proved for their own dimension,
as polynomials. Neither side of a comparison shares code with the lowering or the passes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from logsig_codegen.algebra.lyndon import Word
from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.algebra.tensor import (
    TensorAlgebra,
    Words,
    add_scaled,
    commutator,
    exponential_coefficients,
    logarithm_coefficients,
)
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import LieAlgebra, LieProgram, evaluate
from logsig_codegen.symbolic.matrices import Diagonal, Matrix, MatrixAlgebra

PROOF_LIMIT = 10
"""Largest degree that :func:`prove_join_plan` accepts: about two seconds, and four times that for each degree more."""

COMBINE_PROOF_LIMIT = 9
"""Largest degree that :func:`prove_combine_plan` accepts: about two seconds; there are ``2·3**(N-1)`` words."""

DISPLACEMENT = 0
"""The letter of ``v`` among the graded symbols; the letter of ``l_k`` is ``k``, that of ``k_j`` is ``-j``."""

Element = TypeVar("Element")
Parts: TypeAlias = "tuple[Mapping[Word, Any], ...]"


@dataclass(frozen=True)
class _Product:
    """``log(exp(x) exp(y))``: its formula, and the letters of ``x`` and then ``y`` by operand and degree."""

    formula: str
    letters: Mapping[str, Sequence[int]]

    def expand(self, degree: int) -> Parts:
        """The series as words, by weight."""
        algebra = TensorAlgebra(degree)
        exponentials = []
        for letters in self.letters.values():
            element = algebra.zero()
            for letter in letters:
                element[_weight((letter,))] = {(letter,): 1}
            exponentials.append(algebra.exp(element))
        left, right = exponentials
        return tuple(algebra.log(algebra.product(left, right)))


def _join(degree: int, displacement_first: bool = False) -> _Product:
    log_sig, displacement = range(1, degree + 1), (DISPLACEMENT,)
    if displacement_first:
        return _Product("log(exp(v) exp(l))", {"displacement": displacement, "log_sig": log_sig})
    return _Product("log(exp(l) exp(v))", {"log_sig": log_sig, "displacement": displacement})


def _combine(degree: int) -> _Product:
    letters = {"log_sig1": range(1, degree + 1), "log_sig2": range(-1, -degree - 1, -1)}
    return _Product("log(exp(l) exp(k))", letters)


@lru_cache(maxsize=16)
def graded_join(degree: int, displacement_first: bool = False) -> Parts:
    """``log(exp(l_1 + … + l_N) exp(v))`` as words of graded symbols: its parts of weight 0, 1, …, ``degree``.

    With ``displacement_first`` it is ``log(exp(v) exp(l_1 + … + l_N))``.
    """
    return _join(degree, displacement_first).expand(degree)


@lru_cache(maxsize=16)
def graded_combine(degree: int) -> Parts:
    """``log(exp(l_1 + … + l_N) exp(k_1 + … + k_N))`` as words of graded symbols, by weight as :func:`graded_join`."""
    return _combine(degree).expand(degree)


def prove_join_plan(program: LieProgram, *, displacement_first: bool = False) -> None:
    """Prove that a plan evaluates the join, for every dimension, with exact coefficients.

    Parameters
    ----------
    program : LieProgram
        Inputs ``log_sig`` (one vector per degree 1 … N) and ``displacement`` (one vector); output ``out`` (one vector
        per degree).
    displacement_first : bool
        Whether the product is ``log(exp(displacement) exp(log_sig))`` instead.

    Raises
    ------
    PlanProofError
        Naming the first wrong degree and word, with both coefficients; or what makes the plan malformed.
    ValueError
        If the degree is above ``PROOF_LIMIT``.
    """
    _check_limit(program, PROOF_LIMIT)
    series = graded_join(program.degree, displacement_first)
    _prove(program, _join(program.degree, displacement_first), series)


def prove_combine_plan(program: LieProgram) -> None:
    """Prove that a plan evaluates the product of two log-signatures, for every dimension, with exact coefficients.

    Parameters
    ----------
    program : LieProgram
        Inputs ``log_sig1`` and ``log_sig2``, output ``out``: one vector per degree 1 … N each.

    Raises
    ------
    PlanProofError
        Naming the first wrong degree and word, with both coefficients; or what makes the plan malformed.
    ValueError
        If the degree is above ``COMBINE_PROOF_LIMIT``.
    """
    _check_limit(program, COMBINE_PROOF_LIMIT)
    _prove(program, _combine(program.degree), graded_combine(program.degree))


def check_join_plan_randomly(program: LieProgram, *, seed: int = 0, displacement_first: bool = False) -> None:
    """Check a plan of any degree at one random point, modulo the prime ``2**61 - 1``.

    The point consists of random graded matrices (:mod:`~logsig_codegen.symbolic.matrices`); a wrong plan passes with
    a chance below ``degree * 2**-61``. Same ports as :func:`prove_join_plan`.

    Raises
    ------
    PlanProofError
        Naming the first wrong degree; or what makes the plan malformed.
    """
    _check_randomly(program, _join(program.degree, displacement_first), seed)


def check_combine_plan_randomly(program: LieProgram, *, seed: int = 0) -> None:
    """Check a plan for the product of two log-signatures at one random point, as :func:`check_join_plan_randomly` does.

    Same ports as :func:`prove_combine_plan`.

    Raises
    ------
    PlanProofError
        Naming the first wrong degree; or what makes the plan malformed.
    """
    _check_randomly(program, _combine(program.degree), seed)


def verify_join_plan(program: LieProgram, *, displacement_first: bool = False) -> None:
    """Prove a plan up to degree ``PROOF_LIMIT``, and check it at a random point beyond.

    Raises
    ------
    PlanProofError
        As :func:`prove_join_plan` and :func:`check_join_plan_randomly` do.
    """
    if program.degree <= PROOF_LIMIT:
        prove_join_plan(program, displacement_first=displacement_first)
    else:
        check_join_plan_randomly(program, displacement_first=displacement_first)


def verify_combine_plan(program: LieProgram) -> None:
    """Prove a plan up to degree ``COMBINE_PROOF_LIMIT``, and check it at a random point beyond.

    Raises
    ------
    PlanProofError
        As :func:`prove_combine_plan` and :func:`check_combine_plan_randomly` do.
    """
    if program.degree <= COMBINE_PROOF_LIMIT:
        prove_combine_plan(program)
    else:
        check_combine_plan_randomly(program)


def word_text(word: Word) -> str:
    """A word of graded symbols as text, for example ``l1 l1 v`` or ``l1 k2``."""
    return " ".join("v" if letter == DISPLACEMENT else f"l{letter}" if letter > 0 else f"k{-letter}" for letter in word)


class FreeAlgebra:
    """Commutators of words: the Lie algebra that plans are proved in."""

    def zero(self) -> Words:
        return {}

    def add_scaled(self, total: Words, coefficient: Coefficient, element: Words) -> Words:
        return add_scaled(total, coefficient, element)

    def bracket(self, left: Words, right: Words) -> Words:
        return commutator(left, right)


def _weight(word: Word) -> int:
    return sum(abs(letter) or 1 for letter in word)


def _prove(program: LieProgram, product: _Product, expected: Parts) -> None:
    """Compare a plan with a product, which is expanded in words."""
    operands, outputs = _ports(program, product)
    inputs: dict[str, Words] = {
        name: {(letter,): 1}
        for names, letters in zip(operands, product.letters.values(), strict=True)
        for name, letter in zip(names, letters, strict=True)
    }
    values = evaluate_plan(program, FreeAlgebra(), inputs)
    for name, vector in program.vectors.items():
        for word in values[name]:
            if _weight(word) != vector.degree:
                raise PlanProofError(
                    f"{program.name}: {name} is declared of degree {vector.degree} but contains {word_text(word)}"
                )
    for degree, name in enumerate(outputs, start=1):
        difference = add_scaled(dict(values[name]), -1, expected[degree])
        if difference:
            word = min(difference)
            raise PlanProofError(
                f"{program.name}: degree {degree}: the coefficient of {word_text(word)} in {name} is "
                f"{values[name].get(word, 0)}, but {expected[degree].get(word, 0)} in {product.formula}"
            )


def _check_randomly(program: LieProgram, product: _Product, seed: int) -> None:
    """Compare a plan with a product at a random point."""
    operands, outputs = _ports(program, product)
    algebra, source = MatrixAlgebra(program.degree), random.Random(seed)
    points = [[algebra.random(k, source) for k, _ in enumerate(names, start=1)] for names in operands]
    inputs = {
        name: element
        for names, elements in zip(operands, points, strict=True)
        for name, element in zip(names, elements, strict=True)
    }
    values = evaluate_plan(program, algebra, inputs)
    for name, vector in program.vectors.items():
        if values[name].weight not in (-1, vector.degree):
            raise PlanProofError(
                f"{program.name}: {name} is declared of degree {vector.degree} but has weight {values[name].weight}"
            )
    expected = _matrix_product(algebra, *points)
    for degree, name in enumerate(outputs, start=1):
        if values[name] != expected[degree]:
            raise PlanProofError(f"{program.name}: degree {degree}: {name} differs from {product.formula}")


def _matrix_product(algebra: MatrixAlgebra, first: Sequence[Diagonal], second: Sequence[Diagonal]) -> Matrix:
    """``log(exp(x) exp(y))`` of matrices; the parts that are not given, of higher degrees, are zero."""
    degree = algebra.degree
    zero = [Diagonal(weight, (0,) * (degree + 1 - weight)) for weight in range(degree + 1)]
    left, right = (
        algebra.power_series(exponential_coefficients(degree), [zero[0], *parts, *zero[len(parts) + 1 :]])
        for parts in (first, second)
    )
    product = algebra.multiply(left, right)
    return algebra.power_series(logarithm_coefficients(degree), [zero[0], *product[1:]])


def _check_limit(program: LieProgram, limit: int) -> None:
    if program.degree > limit:
        raise ValueError(f"program: expected a degree of at most {limit} for a proof, got {program.degree}")


def _ports(program: LieProgram, product: _Product) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Names of the vectors of the operands of a product, in its order, and of ``out``."""
    inputs = {port.operand: port.vectors for port in program.inputs}
    outputs = {port.operand: port.vectors for port in program.outputs}
    expected = {operand: len(letters) for operand, letters in product.letters.items()}
    if {name: len(vectors) for name, vectors in inputs.items()} != expected or program.dual_inputs:
        raise PlanProofError(f"{program.name}: expected inputs with {expected} vectors, got {inputs}")
    if {name: len(vectors) for name, vectors in outputs.items()} != {"out": program.degree}:
        raise PlanProofError(f"{program.name}: expected one output, out, of {program.degree} vectors, got {outputs}")
    return [inputs[operand] for operand in product.letters], outputs["out"]


def evaluate_plan(
    program: LieProgram, algebra: LieAlgebra[Element], inputs: Mapping[str, Element]
) -> dict[str, Element]:
    """Every vector by name.

    Raises
    ------
    PlanProofError
        If the plan is malformed.
    """
    defined = set(inputs)
    for statement in program.statements:
        missing = [name for term in statement.terms for name in term.operands if name not in defined]
        if missing or statement.target.name in defined:
            fault = f"uses {missing[0]} before it is defined" if missing else "is defined twice"
            raise PlanProofError(f"{program.name}: {statement.target.name} {fault}")
        defined.add(statement.target.name)
    missing = [name for port in program.outputs for name in port.vectors if name not in defined]
    if missing:
        raise PlanProofError(f"{program.name}: the output {missing[0]} is never defined")
    try:
        return evaluate(program, algebra, inputs)
    except (TypeError, ValueError) as error:
        raise PlanProofError(f"{program.name}: {error}") from error
