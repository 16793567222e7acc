"""The order a program is evaluated in, and how its code is cut into parts that share memory.

Grammar::

    Schedule := program parts:Part+ slots                `slots` vectors of scratch memory
    Part     := Event*                                   becomes one function
    Event    := Fetch(operand, upto)                     columns below `upto` of an input are needed from here on
              | Flush(result, upto)                      columns below `upto` of an output are final
              | Read(value, kept)                        copy an input scalar to a local variable
              | Forget(value)                            that copy is not used any more; if it was saved, it is read
                                                         from its slot from here on
              | Reload(value, source)                    copy a value from memory to a local variable
              | Compute(value, terms, first, last)       start or continue the sum that defines a value
              | Save(value, slot)                        copy a local variable to scratch memory
              | Store(value, result, column)             copy a value to its place in an output

A sum may be computed in several pieces, so that the first terms of a long sum need no registers until its last term is
known. Terms are added in the order of the pieces: in floating point, the schedule affects rounding; over exact numbers
it does not affect results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from logsig_codegen.ir.program import NONE, Instruction, Program


@dataclass(frozen=True)
class Fetch:
    """The columns below ``upto`` of input operand ``operand`` must be in place."""

    operand: int
    upto: int


@dataclass(frozen=True)
class Flush:
    """The columns below ``upto`` of output ``result`` are final."""

    result: int
    upto: int


@dataclass(frozen=True)
class Read:
    """Copy an input scalar to a local variable; ``kept``: it stays in a register and is not read again at each use."""

    value: int
    kept: bool = False


@dataclass(frozen=True)
class Forget:
    """End the life of a local variable. Later uses read the input again, or the slot that the value was saved to."""

    value: int


@dataclass(frozen=True)
class Reload:
    """Load a value that an earlier part computed, from a scratch slot or from a column of an output."""

    value: int
    slot: int = -1
    result: int = -1
    column: int = -1


@dataclass(frozen=True)
class Compute:
    """Start (``first``) or continue the sum that defines ``value``; ``last`` completes it."""

    value: int
    terms: Instruction
    first: bool = True
    last: bool = True


@dataclass(frozen=True)
class Save:
    """Keep a value in a scratch slot for later."""

    value: int
    slot: int


@dataclass(frozen=True)
class Store:
    """Put a value (or zero, where it is ``NONE``) into a column of an output."""

    value: int
    result: int
    column: int


Event: TypeAlias = "Fetch | Flush | Read | Forget | Reload | Compute | Save | Store"


def defined(event: Event) -> tuple[int, ...]:
    """The values that have a local variable from an event on."""
    return (event.value,) if isinstance(event, Compute | Read | Reload) else ()


def used(event: Event) -> tuple[int, ...]:
    """The values that an event reads, once for each time it does."""
    if isinstance(event, Compute):
        return tuple(operand for _, *operands in event.terms for operand in operands if operand != NONE)
    return (event.value,) if isinstance(event, Save | Store) and event.value != NONE else ()


@dataclass(frozen=True)
class Schedule:
    """A program in the order of its evaluation; see the grammar at the top of this file.

    ``in_place`` pairs each output with the input operand whose memory it overwrites, or with -1.
    ``prefixes`` has the number of leading columns of each input that are used. ``in_tiles``: the operands are variables
    of the only part, and rows move to them and from them in tiles; otherwise they pass through memory that parts share.
    """

    program: Program
    parts: tuple[tuple[Event, ...], ...]
    slots: int
    in_place: tuple[int, ...]
    prefixes: tuple[int, ...]
    in_tiles: bool = False
