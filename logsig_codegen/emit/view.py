"""Views: everything a template may see, as finished strings and lists of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from logsig_codegen.algebra.lyndon import LyndonBasis, lyndon_basis
from logsig_codegen.compiler import CompiledProblem, Kernel
from logsig_codegen.emit.statements import SHORT_NAMES, PartPrinter
from logsig_codegen.emit.tables import VectorMemory, table_lines
from logsig_codegen.ir.schedule import Compute, Schedule
from logsig_codegen.operations import CONVERSION, MAP, OPERATIONS, SLIDING, columns
from logsig_codegen.problem import Problem

SUFFIXES = {"float64": "f64", "float32": "f32"}
"""How the functions of a number type end."""


def file_suffix(dtype: str) -> str:
    """How the name of a file ends that is for one number type; nothing for a file for both, where it is empty."""
    return f"_{SUFFIXES[dtype]}" if dtype else ""


@dataclass(frozen=True)
class PartView:
    """One function of a kernel."""

    name: str
    title: str
    lines: tuple[str, ...]
    scratch: bool


@dataclass(frozen=True)
class KernelView:
    """One C file."""

    name: str
    symbol: str
    title: str
    introduction: tuple[str, ...]
    vectors: tuple[str, ...]
    tables: bool
    frame: tuple[str, ...]
    parts: tuple[PartView, ...]
    parameters: tuple[str, ...]
    entry: tuple[str, ...]
    n_operands: int


def has_conversions(compiled: CompiledProblem) -> bool:
    """Whether signatures are among the operands of these kernels."""
    return any(OPERATIONS[kernel.operation].kind == CONVERSION for kernel in compiled.kernels)


def symbol(problem: Problem, operation: str) -> str:
    """Name of the C function of an operation, without its type's suffix."""
    return f"logsig_{problem.name}_{operation}"


def parameters(operation: str, real: str) -> tuple[str, ...]:
    """Parameter declarations of the C function of an operation."""
    described = OPERATIONS[operation]
    if described.kind == SLIDING:
        return ("const void *request",)
    rows = [
        f"{'const ' if operand in described.inputs else ''}{real} *{operand}, ptrdiff_t {operand}_stride"
        for operand in described.operands
    ]
    if "path" in described.inputs:
        after = described.operands.index("path") + 1
        rows.insert(after, "ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts")
        if described.in_pieces:
            rows.insert(after + 1, "const void *products")
    if described.kind in (CONVERSION, MAP):
        rows.append("const logsig_map *maps, int n_maps, int scalar_term")
    return (*rows, "ptrdiff_t batch, int n_jobs")


def coordinate_names(basis: LyndonBasis) -> tuple[str, ...]:
    """The bracket of each coordinate."""
    return tuple(basis.bracket(index) for index in range(len(basis.words)))


def unrolled_view(compiled: CompiledProblem, kernel: Kernel) -> KernelView:
    """The view of a straight-line kernel."""
    problem, schedule = compiled.problem, kernel.schedule
    assert schedule is not None
    layout = FrameLayout.of_schedule(schedule)
    names = coordinate_names(lyndon_basis(problem.dimension, problem.degree))
    comments = {"out": names, "d_log_sig": names}
    parts = []
    for index, events in enumerate(schedule.parts):
        printer = PartPrinter(schedule, layout.rows, comments)
        lines = tuple(printer.body(events))
        count = sum(1 for event in events if isinstance(event, Compute))
        title = f"Part {index + 1} of {len(schedule.parts)}: {count} sums."
        parts.append(PartView(f"{kernel.operation}_part_{index}", title, lines, "s" in printer.used))
    return KernelView(
        name=kernel.operation,
        symbol=symbol(problem, kernel.operation),
        title=_title(problem, kernel.operation),
        introduction=tuple(introduction(problem, kernel.operation, tuple(_described(kernel)))),
        vectors=_vectors(kernel, problem),
        tables=False,
        frame=(layout.scratch, f"#define FRAME (SCRATCH + {schedule.slots})"),
        parts=tuple(parts),
        parameters=parameters(kernel.operation, "logsig_real"),
        entry=tuple(layout.entry(problem, kernel.operation)),
        n_operands=len(layout.rows),
    )


def tables_kernel_view(compiled: CompiledProblem, kernel: Kernel) -> KernelView:
    """The view of a table-driven kernel."""
    problem, operation = compiled.problem, kernel.operation
    assert kernel.lie is not None
    layout = FrameLayout()
    used = {name for statement in kernel.lie.statements for term in statement.terms for name in term.operands}
    used.update(name for port in kernel.lie.outputs for name in port.vectors)
    for port in kernel.lie.inputs:
        if used.intersection(port.vectors):
            layout.append(port.operand, columns(problem, port.operand))
    for port in kernel.lie.outputs:
        layout.append(port.operand, columns(problem, port.operand))
    homes = {name: f"rows[{row}].at" for name, row in layout.rows.items()}
    memory = VectorMemory(kernel.lie, problem, homes)
    lines = tuple(table_lines(kernel.lie, problem, memory, layout.rows, homes))
    return KernelView(
        name=operation,
        symbol=symbol(problem, operation),
        title=_title(problem, operation),
        introduction=tuple(introduction(problem, kernel.operation, tuple(_described(kernel)))),
        vectors=(),
        tables=True,
        frame=(layout.scratch, f"#define FRAME (SCRATCH + {memory.scratch})"),
        parts=(PartView(f"{operation}_statements", "The plan, statement by statement.", lines, memory.scratch > 0),),
        parameters=parameters(operation, "logsig_real"),
        entry=tuple(layout.entry(problem, operation)),
        n_operands=len(layout.rows),
    )


def _vectors(kernel: Kernel, problem: Problem) -> tuple[str, ...]:
    """Preprocessor lines: whether rows move in tiles; half the lanes where whole vectors lose.

    Both are described in ``docs/decisions/0004-same-phase-lanes.md``.
    Short code on rows of a few cache lines waits for memory, the longer the more rows are in flight. Processors that
    execute 64-byte vectors as two halves gain little from them, and 16 rows of a float32 join at once cost them more.
    """
    assert kernel.schedule is not None
    tiles = ("#define LOGSIG_IN_TILES 1",) if kernel.schedule.in_tiles else ()
    if _waits_for_memory(kernel, problem):
        condition = ""
    elif kernel.operation == "join" and problem.size > 16:
        condition = " && (defined(__znver3__) || defined(__znver4__)) && LOGSIG_REAL_BITS == 32"
    else:
        return tiles
    return (
        *tiles,
        f"#if !defined(LOGSIG_MAX_VECTOR_BYTES){condition}",
        "#define LOGSIG_MAX_VECTOR_BYTES 32 /* fewer rows at once wait less for memory */",
        "#endif",
    )


def _waits_for_memory(kernel: Kernel, problem: Problem) -> bool:
    return kernel.operations.total <= 400 and 16 < problem.size <= 64


class FrameLayout:
    """Where the vectors of each operand live in a block's frame."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.homes: dict[str, str] = {}
        self._offset = self._count = 0

    @classmethod
    def of_schedule(cls, schedule: Schedule) -> FrameLayout:
        """The layout of a straight-line kernel: needed columns of the inputs; outputs that overwrite inputs share.

        Operands that are variables have no vectors here.
        """
        program, layout = schedule.program, cls()
        if schedule.in_tiles:
            needed = [one.name for one, prefix in zip(program.inputs, schedule.prefixes, strict=True) if prefix]
            needed += [one.name for one in program.outputs]
            layout.rows = {name: row for row, name in enumerate(needed)}
            layout.homes = dict.fromkeys(needed, "0")
            return layout
        for operand, prefix in zip(program.inputs, schedule.prefixes, strict=True):
            if prefix:
                layout.append(operand.name, prefix)
        for result, source in zip(program.outputs, schedule.in_place, strict=True):
            if source >= 0:
                layout.share(result.name, program.inputs[source].name)
            else:
                layout.append(result.name, len(result.values))
        return layout

    def append(self, name: str, length: int) -> None:
        """Give an operand room for ``length`` vectors."""
        self.rows[name] = len(self.rows)
        self.homes[name] = f"LOGSIG_HOME({self._offset}, {self._count})"
        self._offset, self._count = self._offset + length, self._count + 1

    def share(self, name: str, other: str) -> None:
        """Put an output on top of an input."""
        self.rows[name] = len(self.rows)
        self.homes[name] = self.homes[other]

    @property
    def end(self) -> str:
        """Where the memory of all operands ends."""
        return f"LOGSIG_HOME({self._offset}, {self._count})"

    @property
    def scratch(self) -> str:
        return f"#define SCRATCH {self.end}"

    def entry(self, problem: Problem, operation: str) -> Iterator[str]:
        """Statements that describe the operands to the row engine."""
        for operand in OPERATIONS[operation].operands:
            if operand not in self.rows:
                yield f"(void){operand};"
                yield f"(void){operand}_stride;"
        yield f"const logsig_operand operands[{len(self.rows)}] = {{"
        for name, home in self.homes.items():
            yield f"    {{{name}, {name}_stride, {columns(problem, name)}, {home}}},"
        yield "};"


def _title(problem: Problem, operation: str) -> str:
    return f"{OPERATIONS[operation].title}: dimension {problem.dimension}, degree {problem.degree}."


def _described(kernel: Kernel) -> Iterator[str]:
    count, program = kernel.operations, kernel.program
    yield f"Plan: {kernel.plan}. Operations per sample: {count.total} ({count.multiply_adds} multiply-adds,"
    yield f"{count.additions} additions, {count.scalings} scalings)."
    if program is None:
        yield "Too large for straight-line code: loops over tables of structure constants."
    else:
        outputs = sum(len(result.values) for result in program.outputs)
        yield f"Inputs ({program.first}), intermediate and output terms ({len(program.instructions)}),"
        yield f"outputs ({outputs})."


def origin(problem: Problem, *, device: bool = False) -> Iterator[str]:
    """What the comment at the head of every file says first. ``device``: code for a GPU."""
    yield "Generated by logsig-codegen; to regenerate:"
    target = " --target cuda" if device else ""
    yield f"    logsig-gen --dim {problem.dimension} --degree {problem.degree}{target}"
    yield ""


def head(problem: Problem, described: Sequence[str], *, named: bool = False, device: bool = False) -> Iterator[str]:
    """How the comment that a file begins with starts. ``named``: whether the text names brackets behind statements."""
    yield from origin(problem, device=device)
    yield f"Rows of a log-signature have {problem.size} coordinates in the Lyndon bracket basis, ordered by the length"
    comments = "; trailing comments name the bracket of each output column" if named else ""
    yield f"of the Lyndon word, then lexicographically{comments}."
    yield from described


def introduction(problem: Problem, operation: str, described: Sequence[str], *, device: bool = False) -> Iterator[str]:
    """The comment a file begins with; ``described`` tells about its programs. ``device``: code for a GPU."""
    yield from head(problem, described, named=True, device=device)
    yield ""
    if device:
        yield "Each variable is a number of the thread that computes a sample. Names:"
    else:
        yield "Each variable holds one number per lane, one lane per row of the batch. Names:"
    operands = OPERATIONS[operation].operands
    if "path" in operands:
        operands = (*operands, "state", "d_state", "displacement", "d_displacement")
    names = {name: SHORT_NAMES[name] for name in operands if name in SHORT_NAMES}
    yield "    " + ", ".join(f"{short} = {name}" for name, short in names.items()) + ", t = temporary,"
    yield "    c1_6 = the constant 1/6." if device else "    s = scratch memory, c1_6 = the constant 1/6."


@dataclass(frozen=True)
class FunctionView:
    """Prototypes of one operation, with the comment that stands above them."""

    comment: tuple[str, ...]
    prototypes: tuple[str, ...]


@dataclass(frozen=True)
class HeaderView:
    """The public header."""

    title: str
    introduction: tuple[str, ...]
    guard: str
    includes: tuple[str, ...]
    defines: tuple[str, ...]
    functions: tuple[FunctionView, ...]


@dataclass(frozen=True)
class ModuleView:
    """The library's description of itself."""

    title: str
    header: str
    entries: tuple[str, ...]
    module: tuple[str, ...]


def _prototype(name: str, operation: str, real: str) -> Iterator[str]:
    start = f"int {name}("
    *rest, last = parameters(operation, real)
    for parameter in rest:
        yield f"{start}{parameter},"
        start = " " * len(start)
    yield f"{start}{last});"


def header_view(compiled: CompiledProblem, calls: Sequence[FunctionView] = ()) -> HeaderView:
    """The view of the public header; ``calls`` are declared after the kernels."""
    problem = compiled.problem
    prefix = f"LOGSIG_{problem.name.upper()}"
    functions = tuple(
        FunctionView(
            comment=(OPERATIONS[kernel.operation].summary,),
            prototypes=tuple(
                line
                for suffix, real in (("f64", "double"), ("f32", "float"))
                for line in _prototype(f"{symbol(problem, kernel.operation)}_{suffix}", kernel.operation, real)
            ),
        )
        for kernel in compiled.kernels
    )
    return HeaderView(
        title=f"Log-signature kernels for dimension {problem.dimension}, degree {problem.degree}.",
        introduction=(
            "Every operand is a batch of rows: a pointer to its first row and the distance between rows, counted in",
            "numbers. Rows are contiguous; inputs may have a distance of zero (one row for the whole batch) or a",
            "negative one. Outputs must not overlap inputs. n_jobs >= 1 is the number of threads; results do not",
            "depend on it. The functions return 0, or ENOMEM when there is no room for working memory.",
            "A path is length points, one after the other; with lengths (or null) each path has its own number of",
            "points, at most length, and with starts (or null) path b begins at path + starts[b]. products (or null)",
            "points to three functions of this problem and number type, log_sig, combine and combine_backprop, cast to",
            "void (*)(void): with them long paths are cut into pieces that fill the lanes.",
        ),
        guard=f"{prefix}_H",
        includes=("logsig_path_call.h",) if calls or has_conversions(compiled) else (),
        defines=(
            f"#define {prefix}_DIMENSION {problem.dimension}",
            f"#define {prefix}_DEGREE {problem.degree}",
            f"#define {prefix}_SIZE {problem.size} /* coordinates of a log-signature */",
        ),
        functions=(*functions, *calls),
    )


def module_view(
    compiled: CompiledProblem, abi_version: int, dtypes: Sequence[str], calls: Sequence[str] = ()
) -> ModuleView:
    """The view of the library's description of itself; ``calls`` are listed after the kernels."""
    problem = compiled.problem
    names = (*(kernel.operation for kernel in compiled.kernels), *calls)
    entries = tuple(
        f'{{"{name}", "{dtype}", (void (*)(void)){symbol(problem, name)}_{SUFFIXES[dtype]}}}'
        for name in names
        for dtype in dtypes
    )
    numbers = (abi_version, problem.dimension, problem.degree, len(entries), problem.size)
    return ModuleView(
        title=f"Description of the kernels for dimension {problem.dimension}, degree {problem.degree}.",
        header=f"logsig_{problem.name}.h",
        entries=entries,
        module=tuple(str(number) for number in numbers),
    )
