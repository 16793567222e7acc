"""Proofs: a plan or a program is equal to ``log(exp(l) exp(v))``, or an error says where it is not.

Plans are proved once for all dimensions: every degree part ``l_k`` is a symbol of its own, of weight ``k``, and ``v``
is one of weight 1; both sides are expanded into words of these symbols with exact coefficients. Programs over scalars
are proved for their own dimension, as polynomials. Neither side of a comparison shares code with the lowering or the
passes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from logsig_codegen.algebra.lyndon import Word
from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.algebra.tensor import TensorAlgebra, Words, add_scaled, commutator
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import LieAlgebra, LieProgram, evaluate
from logsig_codegen.symbolic.matrices import MatrixAlgebra

PROOF_LIMIT = 10
"""Largest degree that :func:`prove_join_plan` accepts: about two seconds, and four times that for each degree more."""

DISPLACEMENT = 0
"""The letter of ``v`` among the graded symbols; the letter of ``l_k`` is ``k``."""

Element = TypeVar("Element")


@lru_cache(maxsize=16)
def graded_join(degree: int) -> tuple[Mapping[Word, Any], ...]:
    """``log(exp(l_1 + … + l_N) exp(v))`` as words of graded symbols: its parts of weight 0, 1, …, ``degree``."""
    algebra = TensorAlgebra(degree)
    log_sig = algebra.zero()
    for k in range(1, degree + 1):
        log_sig[k] = {(k,): 1}
    displacement = algebra.zero()
    displacement[1] = {(DISPLACEMENT,): 1}
    return tuple(algebra.log(algebra.product(algebra.exp(log_sig), algebra.exp(displacement))))


def prove_join_plan(program: LieProgram) -> None:
    """Prove that a plan evaluates the join, for every dimension, with exact coefficients.

    Parameters
    ----------
    program : LieProgram
        Inputs ``log_sig`` (one vector per degree 1 … N) and ``displacement`` (one vector); output ``out`` (one vector
        per degree).

    Raises
    ------
    PlanProofError
        Naming the first wrong degree and word, with both coefficients; or what makes the plan malformed.
    ValueError
        If the degree is above ``PROOF_LIMIT``.
    """
    if program.degree > PROOF_LIMIT:
        raise ValueError(f"program: expected a degree of at most {PROOF_LIMIT} for a proof, got {program.degree}")
    log_sig, displacement, outputs = _join_ports(program)
    inputs: dict[str, Words] = {name: {(k,): 1} for k, name in enumerate(log_sig, start=1)}
    inputs[displacement] = {(DISPLACEMENT,): 1}
    values = _evaluate(program, _FreeAlgebra(), inputs)
    for name, vector in program.vectors.items():
        for word in values[name]:
            if _weight(word) != vector.degree:
                raise PlanProofError(
                    f"{program.name}: {name} is declared of degree {vector.degree} but contains {word_text(word)}"
                )
    expected = graded_join(program.degree)
    for degree, name in enumerate(outputs, start=1):
        difference = add_scaled(dict(values[name]), -1, expected[degree])
        if difference:
            word = min(difference)
            raise PlanProofError(
                f"{program.name}: degree {degree}: the coefficient of {word_text(word)} in {name} is "
                f"{values[name].get(word, 0)}, but {expected[degree].get(word, 0)} in log(exp(l) exp(v))"
            )


def check_join_plan_randomly(program: LieProgram, *, seed: int = 0) -> None:
    """Check a plan of any degree at one random point, modulo the prime ``2**61 - 1``.

    The point consists of random graded matrices (:mod:`~logsig_codegen.symbolic.matrices`); a wrong plan passes with
    a chance below ``degree * 2**-61``. Same ports as :func:`prove_join_plan`.

    Raises
    ------
    PlanProofError
        Naming the first wrong degree; or what makes the plan malformed.
    """
    log_sig, displacement, outputs = _join_ports(program)
    algebra, source = MatrixAlgebra(program.degree), random.Random(seed)
    parts = [algebra.random(k, source) for k in range(1, program.degree + 1)]
    step = algebra.random(1, source)
    values = _evaluate(program, algebra, {**dict(zip(log_sig, parts, strict=True)), displacement: step})
    for name, vector in program.vectors.items():
        if values[name].weight not in (-1, vector.degree):
            raise PlanProofError(
                f"{program.name}: {name} is declared of degree {vector.degree} but has weight {values[name].weight}"
            )
    expected = algebra.join(parts, step)
    for degree, name in enumerate(outputs, start=1):
        if values[name] != expected[degree]:
            raise PlanProofError(f"{program.name}: degree {degree}: {name} differs from log(exp(l) exp(v))")


def verify_join_plan(program: LieProgram) -> None:
    """Prove a plan up to degree ``PROOF_LIMIT``, and check it at a random point beyond.

    Raises
    ------
    PlanProofError
        As :func:`prove_join_plan` and :func:`check_join_plan_randomly` do.
    """
    if program.degree <= PROOF_LIMIT:
        prove_join_plan(program)
    else:
        check_join_plan_randomly(program)


def word_text(word: Word) -> str:
    """A word of graded symbols as text, for example ``l1 l1 v``."""
    return " ".join("v" if letter == DISPLACEMENT else f"l{letter}" for letter in word)


class _FreeAlgebra:
    """Commutators of words: the Lie algebra that plans are proved in."""

    def zero(self) -> Words:
        return {}

    def add_scaled(self, total: Words, coefficient: Coefficient, element: Words) -> Words:
        return add_scaled(total, coefficient, element)

    def bracket(self, left: Words, right: Words) -> Words:
        return commutator(left, right)


def _weight(word: Word) -> int:
    return sum(letter or 1 for letter in word)


def _join_ports(program: LieProgram) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """Names of the vectors of ``log_sig``, of ``displacement`` and of ``out``."""
    inputs = {port.operand: port.vectors for port in program.inputs}
    outputs = {port.operand: port.vectors for port in program.outputs}
    expected = {"log_sig": program.degree, "displacement": 1}
    if {name: len(vectors) for name, vectors in inputs.items()} != expected or program.dual_inputs:
        raise PlanProofError(f"{program.name}: expected inputs with {expected} vectors, got {inputs}")
    if {name: len(vectors) for name, vectors in outputs.items()} != {"out": program.degree}:
        raise PlanProofError(f"{program.name}: expected one output, out, of {program.degree} vectors, got {outputs}")
    return inputs["log_sig"], inputs["displacement"][0], outputs["out"]


def _evaluate(program: LieProgram, algebra: LieAlgebra[Element], inputs: Mapping[str, Element]) -> dict[str, Element]:
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
