"""Runs a :class:`~logsig_codegen.ir.program.Program` on any numbers: the living definition of what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.ir.program import NONE, Program


def _unchanged(coefficient: Coefficient) -> Any:
    return coefficient


def interpret(
    program: Program,
    inputs: Mapping[str, Sequence[Any]],
    *,
    number: Callable[[Coefficient], Any] = _unchanged,
    zero: Any = 0,
) -> dict[str, list[Any]]:
    """Evaluate ``program``.

    Parameters
    ----------
    inputs : mapping of operand name to a sequence of its scalars, in coordinate order
        The scalars may be fractions (exact results), floats, numpy arrays (one entry per sample), or symbols.
    number : callable
        Turns an exact coefficient into something that multiplies those scalars; by default it is used as it is.
    zero : object
        What an identically vanishing output becomes.

    Returns
    -------
    dict of output name to the list of its coordinates

    Raises
    ------
    ValueError
        If an input has the wrong number of scalars.
    """
    values: list[Any] = []
    for operand in program.inputs:
        scalars = list(inputs[operand.name])
        if len(scalars) != operand.length:
            raise ValueError(f"{operand.name}: expected {operand.length} scalars, got {len(scalars)}")
        values.extend(scalars)
    for terms in program.instructions:
        total: Any = None
        for coefficient, left, right in terms:
            piece = values[left] if right == NONE else values[left] * values[right]
            if coefficient != 1:
                piece = number(coefficient) * piece
            total = piece if total is None else total + piece
        values.append(total)
    return {
        result.name: [zero if value == NONE else values[value] for value in result.values]
        for result in program.outputs
    }
