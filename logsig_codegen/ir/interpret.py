"""Runs a :class:`~logsig_codegen.ir.program.Program` on numbers of any type; this defines what a program means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from logsig_codegen.algebra.surd import Coefficient
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.ir.schedule import Compute, Event, Fetch, Flush, Forget, Read, Reload, Save, Schedule, Store


def _unchanged(coefficient: Coefficient) -> Any:
    return coefficient


def with_constants(program: Program, number: Callable[[Coefficient], Any]) -> Program:
    """A program to be run many times: its coefficients are converted once, but for those that are one."""
    instructions = tuple(
        tuple((c if c == 1 else number(c), left, right) for c, left, right in terms) for terms in program.instructions
    )
    return replace(program, instructions=instructions)


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
        Converts an exact coefficient to something that multiplies those scalars; by default it is not converted.
    zero : object
        The value of an output that is identically zero.

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
        result.name: [zero if value == NONE else values[value] for value in result.values] for result in program.outputs
    }


def interpret_schedule(
    schedule: Schedule,
    inputs: Mapping[str, Sequence[Any]],
    *,
    number: Callable[[Coefficient], Any] = _unchanged,
    zero: Any = 0,
) -> dict[str, list[Any]]:
    """Evaluate a schedule event by event, with its scratch memory and local variables, as the generated code does.

    Takes and returns the same as :func:`interpret`. A column that is read before it was fetched, a variable used in a
    part that does not define it, or an output column flushed before it was stored raises ``KeyError``.
    """
    return _ScheduleRun(schedule, inputs, number, zero).run()


class _ScheduleRun:
    def __init__(
        self,
        schedule: Schedule,
        inputs: Mapping[str, Sequence[Any]],
        number: Callable[[Coefficient], Any],
        zero: Any,
    ) -> None:
        program = schedule.program
        self.schedule, self.number, self.zero = schedule, number, zero
        self.rows = [list(inputs[operand.name]) for operand in program.inputs]
        self.homes: list[dict[int, Any]] = [{} for _ in program.inputs]
        self.outputs = [self.homes[o] if o >= 0 else {} for o in schedule.in_place]
        self.results: list[dict[int, Any]] = [{} for _ in program.outputs]
        self.where = [(o, k) for o, operand in enumerate(program.inputs) for k in range(operand.length)]
        self.fetched = [0] * len(program.inputs)
        self.slots: dict[int, Any] = {}
        self.saved: dict[int, int] = {}
        self.waiting: dict[int, int] = {}
        self.locals: dict[int, Any] = {}

    def run(self) -> dict[str, list[Any]]:
        for part in self.schedule.parts:
            self.locals = {}
            for event in part:
                self.event(event)
        return {
            result.name: [self.results[r][k] for k in range(len(result.values))]
            for r, result in enumerate(self.schedule.program.outputs)
        }

    def value(self, value: int) -> Any:
        if value in self.waiting:
            return self.slots[self.waiting[value]]
        if value in self.locals or value >= len(self.where):
            return self.locals[value]
        operand, column = self.where[value]
        return self.homes[operand][column]

    def event(self, event: Event) -> None:
        match event:
            case Fetch(operand, upto):
                for column in range(self.fetched[operand], upto):
                    self.homes[operand][column] = self.rows[operand][column]
                self.fetched[operand] = max(upto, self.fetched[operand])
            case Flush(result, upto):
                for column in range(len(self.results[result]), upto):
                    self.results[result][column] = self.outputs[result][column]
            case Read(value, _):
                self.locals[value] = self.value(value)
            case Forget(value):
                del self.locals[value]
                if value in self.saved:
                    self.waiting[value] = self.saved[value]
            case Reload(value, slot, result, column):
                self.locals[value] = self.slots[slot] if slot >= 0 else self.outputs[result][column]
                self.waiting.pop(value, None)
            case Save(value, slot):
                self.slots[slot] = self.locals[value]
                self.saved[value] = slot
            case Store(value, result, column):
                self.outputs[result][column] = self.zero if value == NONE else self.value(value)
            case Compute(value, terms, first, _):
                total = None if first else self.locals[value]
                for coefficient, left, right in terms:
                    piece = self.value(left) if right == NONE else self.value(left) * self.value(right)
                    if coefficient != 1:
                        piece = self.number(coefficient) * piece
                    total = piece if total is None else total + piece
                self.locals[value] = total
