"""Proofs of scalar programs: they are interpreted on polynomials and compared with the expanded join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from sympy.polys.rings import PolyElement

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.surd import Surd
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import Program
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.polynomials import (
    JoinPolynomials,
    gradient_polynomials,
    join_polynomials,
    ring_number,
)

_Operands: TypeAlias = "dict[str, tuple[PolyElement, ...]]"


def prove_program(program: Program, problem: Problem) -> None:
    """Prove that a scalar program computes the join, or its gradient, of ``problem``.

    Which one follows from the operands: ``log_sig, displacement -> out``, or
    ``d_out, log_sig, displacement -> d_log_sig, d_displacement``.

    Raises
    ------
    PlanProofError
        Naming the first wrong coordinate, its bracket, and a monomial with both coefficients; or what makes the
        operands wrong.
    ProblemTooLargeError
        If the expanded polynomials would be too large.
    """
    if program.problem != problem:
        raise PlanProofError(f"{program.name}: expected a program for {problem}, got one for {program.problem}")
    operands = {operand.name for operand in program.inputs}
    root = any(isinstance(c, Surd) for terms in program.instructions for c, _, _ in terms)
    join = join_polynomials(problem, root=root)
    inputs, expected = _specification(program.name, operands, join)
    results = {result.name: len(result.values) for result in program.outputs}
    sizes = {name: len(values) for name, values in expected.items()}
    if results != sizes:
        raise PlanProofError(f"{program.name}: expected outputs {sizes}, got {results}")
    ring = inputs["log_sig"][0].ring
    try:
        values = interpret(program, inputs, number=ring_number(ring), zero=ring.zero)
    except ValueError as error:
        raise PlanProofError(f"{program.name}: {error}") from error
    for name, polynomials in expected.items():
        _compare(f"{program.name}: {name}", values[name], polynomials, problem)


def _specification(name: str, operands: set[str], join: JoinPolynomials) -> tuple[_Operands, _Operands]:
    """The generators to run the program on, and the expected results."""
    if operands == {"log_sig", "displacement"}:
        return {"log_sig": join.log_sig, "displacement": join.displacement}, {"out": join.out}
    if operands == {"d_out", "log_sig", "displacement"}:
        gradient = gradient_polynomials(join)
        inputs = {"d_out": gradient.d_out, "log_sig": gradient.log_sig, "displacement": gradient.displacement}
        return inputs, {"d_log_sig": gradient.d_log_sig, "d_displacement": gradient.d_displacement}
    raise PlanProofError(f"{name}: the inputs {sorted(operands)} are neither those of the join nor of its gradient")


def _compare(where: str, values: Sequence[PolyElement], expected: Sequence[PolyElement], problem: Problem) -> None:
    basis = lyndon_basis(problem.dimension, problem.degree)
    for index, (value, polynomial) in enumerate(zip(values, expected, strict=True)):
        difference = value - polynomial
        if difference:
            monomial = difference.leading_expv()
            product = polynomial.ring.from_dict({monomial: polynomial.ring.domain.one})
            raise PlanProofError(
                f"{where}[{index}] ({basis.bracket(index)}): the coefficient of {product} is "
                f"{value.get(monomial, 0)}, expected {polynomial.get(monomial, 0)}"
            )
