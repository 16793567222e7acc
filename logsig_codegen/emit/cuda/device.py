"""Device functions: one program for one sample, as a template over where its operands live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logsig_codegen.emit.statements import SHORT_NAMES, PartPrinter
from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.schedule import COLLECTORS, schedule


@dataclass(frozen=True)
class DeviceFunction:
    """One function template; ``types`` and ``parameters`` are finished declarations."""

    name: str
    title: str
    types: tuple[str, ...]
    parameters: tuple[str, ...]
    lines: tuple[str, ...]


def device_schedule(program: Program, in_place: Sequence[int], *, descending: bool) -> Schedule:
    """The order a thread evaluates ``program`` in: all of it in one function, wide inputs read where they are used.

    ``in_place`` is -1 wherever the numbers of columns differ.
    """
    fitting = [
        source if source >= 0 and program.inputs[source].length == len(result.values) else -1
        for result, source in zip(program.outputs, in_place, strict=True)
    ]
    backward = program.inputs[0].name.startswith("d_")
    return schedule(
        program,
        in_place=fitting,
        descending=descending,
        collectors=COLLECTORS if backward else 0,
        whole=True,
        held=program.problem.dimension,
    )


def operand_names(program: Program) -> tuple[str, ...]:
    """Short names of inputs and outputs, each once, in order: the parameters of the device function."""
    operands = (*(operand.name for operand in program.inputs), *(result.name for result in program.outputs))
    return tuple(dict.fromkeys(SHORT_NAMES[name] for name in operands))


def slot_stride(order: Schedule) -> int:
    """Numbers from the slots of one thread to those of the next: an odd number meets all banks of shared memory."""
    return order.slots | 1


def parameter_names(order: Schedule) -> tuple[str, ...]:
    """The same, and ``s`` if there are slots."""
    return (*operand_names(order.program), *(("s",) if order.slots else ()))


def device_function(
    name: str, title: str, order: Schedule, comments: Mapping[str, Sequence[str]] | None = None
) -> DeviceFunction:
    """The text of a schedule of one part; its slots, if it has any, are the last parameter."""
    program = order.program
    operands = [operand.name for operand in program.inputs] + [result.name for result in program.outputs]
    printer = PartPrinter(order, {}, comments or {}, dict.fromkeys(operands, ""), scratch="")
    (events,) = order.parts
    body = printer.body(events)
    names = parameter_names(order)
    unused = [f"(void){short};" for short in names if short not in printer.used]
    return DeviceFunction(
        name=name,
        title=title,
        types=tuple(f"class {short.upper()}" for short in names),
        parameters=tuple(f"{short.upper()} &{short}" for short in names),
        lines=(*unused, *body),
    )
