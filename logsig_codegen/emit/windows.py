"""The view of windows that overlap: the products they are made of, as functions on vectors that lie anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from logsig_codegen.compiler import Kernel, PathKernel, in_loops
from logsig_codegen.emit.letters import room, row_function
from logsig_codegen.emit.path_view import FunctionText
from logsig_codegen.emit.statements import SHORT_NAMES, PartPrinter
from logsig_codegen.emit.tables import VectorMemory, table_lines
from logsig_codegen.emit.view import head, introduction, symbol
from logsig_codegen.operations import OPERATIONS, columns
from logsig_codegen.problem import Problem
from logsig_codegen.sliding import sliding_costs


@dataclass(frozen=True)
class WindowsView:
    """One C file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    letters: int
    tables: bool
    functions: tuple[FunctionText, ...]
    chain: tuple[str, ...]
    backward: str
    engine: str = "logsig_sliding.h"
    type: str = "logsig_chain"
    given: str = "&chain"


def windows_view(problem: Problem, kernel: PathKernel) -> WindowsView:
    """The view of windows, or of their gradient."""
    operation = OPERATIONS[kernel.operation]
    if in_loops(problem, kernel.operation):
        return _letters_view(problem, kernel)
    functions: list[FunctionText] = []
    scratch = 0
    for phase in kernel.phases:
        found, needed = _functions(problem, phase)
        functions.extend(found)
        scratch = max(scratch, needed)
    return WindowsView(
        symbol=symbol(problem, kernel.operation),
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(introduction(problem, kernel.operation, tuple(_described(kernel)))),
        letters=problem.dimension,
        tables=any(phase.form == "tables" for phase in kernel.phases),
        functions=tuple(functions),
        chain=tuple(_members({**_products(kernel), "scratch": scratch, **_costs(problem)})),
        backward=str(int(operation.backward)),
    )


def _letters_view(problem: Problem, kernel: PathKernel) -> WindowsView:
    """The view of windows in loops over the letters."""
    operation = OPERATIONS[kernel.operation]
    plans = {phase.operation: phase.lie for phase in kernel.phases if phase.lie is not None}
    slide = "logsig_slide_letters_back" if operation.backward else "logsig_slide_letters"
    chain = ", ".join(_members({**_costs(problem), "slide": slide, "frame": "logsig_letters_frame"}))
    most = max(room(plan) for plan in plans.values())
    described = (f"Plan: {kernel.plan}, in loops over the letters, a letter per lane.",)
    return WindowsView(
        symbol=symbol(problem, kernel.operation),
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(head(problem, described)),
        tables=False,
        functions=tuple(row_function(name, plan) for name, plan in plans.items()),
        chain=(f".chain = {{{chain}}}", *_members({**_products(kernel), "room": f"{most} * LOGSIG_LETTERS_LENGTH"})),
        backward=str(int(operation.backward)),
        engine="logsig_letter_windows.h",
        letters=problem.dimension,
        type="logsig_letters_chain",
        given="&chain.chain",
    )


def _members(values: Mapping[str, object]) -> Iterator[str]:
    return (f".{name} = {value}" for name, value in values.items())


def _products(kernel: PathKernel) -> dict[str, str]:
    return {phase.operation.replace("_backprop", "_back"): phase.operation for phase in kernel.phases}


def _costs(problem: Problem) -> dict[str, int]:
    return dict(zip(("joined", "each", "once", "by_product"), sliding_costs(problem), strict=True))


def _described(kernel: PathKernel) -> Iterator[str]:
    yield f"Plan: {kernel.plan}. Operations:"
    for phase in kernel.phases:
        yield f"    {phase.operation}: {phase.operations.total}."


def _functions(problem: Problem, phase: Kernel) -> tuple[list[FunctionText], int]:
    """The functions of one product, the last of which has its name, and the scratch memory they need.

    An output may lie where the first operand does.
    """
    operands = OPERATIONS[phase.operation].operands
    names = {operand: SHORT_NAMES[operand] for operand in operands}
    if phase.schedule is None:
        bodies, scratch = _table_body(problem, phase, names)
    else:
        homes = dict.fromkeys(names, "")
        bodies = [PartPrinter(phase.schedule, {}, {}, homes).body(events) for events in phase.schedule.parts]
        scratch = phase.schedule.slots
    parameters = ", ".join(f"logsig_vec *{name}" for name in ("frame", *names.values()))
    unused = tuple(f"(void){name};" for name in ("frame", *names.values()))
    title = OPERATIONS[phase.operation].title
    parts = [phase.operation] if len(bodies) == 1 else [f"{phase.operation}_{i}" for i in range(len(bodies))]
    functions = [
        FunctionText(
            f"{title}.{_part(index, len(bodies))}", f"LOGSIG_NOINLINE void {name}({parameters})", (*unused, *body)
        )
        for index, (name, body) in enumerate(zip(parts, bodies, strict=True))
    ]
    if len(bodies) > 1:
        calls = tuple(f"{name}(frame, {', '.join(names.values())});" for name in parts)
        functions.append(FunctionText(f"{title}.", f"static void {phase.operation}({parameters})", calls))
    return functions, scratch


def _part(index: int, count: int) -> str:
    return f" Part {index + 1} of {count}." if count > 1 else ""


def _table_body(problem: Problem, phase: Kernel, names: Mapping[str, str]) -> tuple[list[list[str]], int]:
    """Loops over tables, which work where the first output is: the first operand is copied there."""
    assert phase.lie is not None
    operation = OPERATIONS[phase.operation]
    first, target = operation.inputs[0], operation.outputs[0]
    homes = {**names, first: names[target]}
    memory = VectorMemory(phase.lie, problem, homes)
    copy = f"logsig_vec_copy({columns(problem, first)}, {names[first]}, {names[target]});"
    lines = [
        line for line in table_lines(phase.lie, problem, memory, {}, homes) if line != "logsig_vec *const v = v + 0;"
    ]
    return [[f"if ({names[target]} != {names[first]}) {copy}", *lines]], memory.scratch
