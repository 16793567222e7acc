"""Device functions: one program for one sample, as a template over where its operands are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logsig_codegen.emit.statements import SHORT_NAMES, PartPrinter
from logsig_codegen.gpu.shared_memory import slot_stride
from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Schedule


@dataclass(frozen=True)
class DeviceFunction:
    """One function template; ``types`` and ``parameters`` are finished declarations."""

    name: str
    title: str
    types: tuple[str, ...]
    parameters: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class StepView:
    """A member function of a path scan or a stream that calls a device function.

    ``reads_row``: backward, whether the step reads a log-signature; ``slots``: stride of its spill slots, or 0.
    """

    name: str
    function: str
    arguments: str
    backward: bool
    reads_row: bool
    slots: int


def operand_names(program: Program) -> tuple[str, ...]:
    """Short names of inputs and outputs, each once, in order: the parameters of the device function."""
    operands = (*(operand.name for operand in program.inputs), *(result.name for result in program.outputs))
    return tuple(dict.fromkeys(SHORT_NAMES[name] for name in operands))


def parameter_names(order: Schedule) -> tuple[str, ...]:
    """The same, and ``s`` if there are spill slots."""
    return (*operand_names(order.program), *(("s",) if order.slots else ()))


def arguments(order: Schedule, places: Mapping[str, str]) -> str:
    """Arguments of a call of a device function: ``places`` maps short names to expressions."""
    return ", ".join(places[name] for name in operand_names(order.program))


def step_view(name: str, order: Schedule, suffix: str = "") -> StepView:
    """The member function ``back``, ``step`` or ``steps``."""
    function = ("step_backprop" if name == "back" else name) + suffix
    slots = slot_stride(order) if order.slots else 0
    names = parameter_names(order)
    return StepView(name, function, ", ".join(names), name == "back", name == "back" and "w" in names, slots)


def device_function(
    name: str, title: str, order: Schedule, comments: Mapping[str, Sequence[str]] | None = None
) -> DeviceFunction:
    """The text of a schedule of one part; its spill slots, if it has any, are the last parameter."""
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
