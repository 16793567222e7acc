"""Views of the kernels that go along paths: a state in the frame, and the functions that move it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.compiler import CompiledProblem, Kernel, PathKernel
from logsig_codegen.emit.alone import alone_defines, walks_alone
from logsig_codegen.emit.statements import SHORT_NAMES, PartPrinter
from logsig_codegen.emit.tables import VectorMemory, table_lines
from logsig_codegen.emit.view import FrameLayout, coordinate_names, introduction, parameters, symbol
from logsig_codegen.operations import OPERATIONS, Operation, columns
from logsig_codegen.passes.repeat import REGISTER_STATE
from logsig_codegen.plans.slots import layout
from logsig_codegen.problem import Problem

_RESIDENT = {
    "state": "frame + STATE",
    "next_state": "frame + STATE",
    "previous_state": "frame + STATE",
    "d_state": "frame + D_STATE",
    "d_previous_state": "frame + D_STATE",
}
SMALL_STATE = 256
"""With states of at most so many numbers the displacements of longer chunks stay in the first-level cache, too."""
_ALONG = {"displacement": "", "d_displacement": "", "before": "", "after": ""}  # parameters of the step functions
_RUNS = {
    "forward": "logsig_run_forward(&job, products, batch, n_jobs)",
    "backward": "logsig_run_backward(&job, products, batch, n_jobs)",
    "stream": "logsig_share(&job, logsig_walk_stream, FRAME, batch, n_jobs)",
    "stream_backward": "logsig_share(&job, logsig_walk_stream_back, FRAME, batch, n_jobs)",
}


@dataclass(frozen=True)
class FunctionText:
    """One C function: a comment, its declaration, its body."""

    title: str
    declaration: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class PathKernelView:
    """One C file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    engine: str
    letters: int
    tables: bool
    frame: tuple[str, ...]
    functions: tuple[FunctionText, ...]
    parameters: tuple[str, ...]
    entry: tuple[str, ...]
    run: str
    defines: tuple[str, ...] = ()


def path_kernel_view(compiled: CompiledProblem, kernel: PathKernel) -> PathKernelView:
    """The view of an operation along paths."""
    return _View(compiled.problem, kernel).view()


class _View:
    def __init__(self, problem: Problem, kernel: PathKernel) -> None:
        self.problem = problem
        self.kernel = kernel
        self.operation: Operation = OPERATIONS[kernel.operation]
        self.rows = {name: row for row, name in enumerate(row_operands(self.operation))}
        self.layout = FrameLayout()
        self.scratch = 0
        self.alone = walks_alone(problem, kernel)
        stream = self.operation.streams
        for name in self.rows:
            if not stream or name == "d_out":  # all other rows of a stream are states
                self.layout.append(name, columns(problem, name))

    def view(self) -> PathKernelView:
        functions = tuple(function for phase in self.kernel.phases for function in self.phase(phase))
        phases = {phase.operation for phase in self.kernel.phases}
        names = {"steps": "step", "back": "step_backprop", "start": "start", "finish": "finish"}
        if "steps" in phases:
            names["steps"] = "all_steps"
            functions = (*functions, self.all_steps())
        hooks = tuple(f".{hook} = {name}," for hook, name in names.items() if name in phases or name == "all_steps")
        if self.alone:
            hooks = (*hooks, ".alone = logsig_walk_alone,", ".alone_most = LOGSIG_ALONE_MOST,")
        return PathKernelView(
            symbol=symbol(self.problem, self.operation.name),
            title=f"{self.operation.title}: dimension {self.problem.dimension}, degree {self.problem.degree}.",
            introduction=tuple(introduction(self.problem, self.operation.name, tuple(self.described()))),
            engine=self.engine(),
            letters=self.problem.dimension,
            tables=any(phase.form == "tables" for phase in self.kernel.phases),
            frame=tuple(self.frame()),
            functions=functions,
            parameters=parameters(self.operation.name, "logsig_real"),
            entry=tuple(self.entry(hooks)),
            run=_RUNS[self.operation.kind],
            defines=tuple(self.defines()),
        )

    def engine(self) -> str:
        if self.alone:
            return "logsig_alone.h"
        return "logsig_gradients.h" if self.kernel.slots else "logsig_paths.h"

    def described(self) -> Iterator[str]:
        size = self.kernel.state_size or self.kernel.d_state_size
        yield f"The state of a path has {size} numbers. Plan: {self.kernel.plan}. Operations:"
        for phase in self.kernel.phases:
            count = phase.operations
            form = ", in loops over tables of structure constants" if phase.form == "tables" else ""
            yield (
                f"    {phase.operation}: {count.total} ({count.multiply_adds} multiply-adds, "
                f"{count.additions} additions, {count.scalings} scalings){form}."
            )

    def defines(self) -> Iterator[str]:
        if self.kernel.state_size + self.kernel.d_state_size <= SMALL_STATE:
            yield "#define LOGSIG_CHUNK_COLUMNS 128"
        if self.alone:
            yield from alone_defines(self.problem)

    # -- memory -------------------------------------------------------------------------------------------------

    def frame(self) -> Iterator[str]:
        size, backward = self.kernel.state_size, self.operation.backward
        slack = "LOGSIG_LANES"  # a tile that sticks out of a row of a stream
        room = f"{self.kernel.d_state_size} + {slack}" if backward else "0"
        if self.kernel.slots:
            room += f" + LOGSIG_SLOT_STEPS * {layout(self.problem).middle}"
        yield f"#define STATE {self.layout.end}"
        yield f"#define D_STATE (STATE + {size} + {slack})"
        yield f"#define SCRATCH (D_STATE + {room})"
        yield f"#define BUFFER (SCRATCH + {self.scratch})"
        room = f"LOGSIG_CHUNK_ROOM({self.problem.dimension})"
        if backward:
            room = f"2 * {room} + {self.problem.dimension} + {slack}"
        if self.alone:
            room = f"LOGSIG_MOST({room}, LOGSIG_ALONE_ROOM)"
        yield f"#define FRAME (BUFFER + {room})"

    def entry(self, hooks: tuple[str, ...]) -> Iterator[str]:
        stream = self.operation.streams
        yield "const logsig_path_job job = {"
        yield "    .path = {path, path_stride, starts},"
        if self.operation.backward:
            yield "    .d_path = {d_path, d_path_stride, starts},"
        yield "    .length = length,"
        yield "    .lengths = lengths,"
        yield f"    .dimension = {self.problem.dimension},"
        yield "    .state = STATE,"
        yield f"    .state_size = {self.kernel.state_size},"
        if self.operation.backward:
            yield "    .d_state = D_STATE,"
            yield f"    .d_state_size = {self.kernel.d_state_size},"
        yield "    .buffer = BUFFER,"
        yield "    .frame_vectors = FRAME,"
        yield "    .operands = {"
        for name in self.rows:
            home = self.layout.homes.get(name, "D_STATE" if name == "d_initial" else "STATE")
            yield f"        {{{name}, {name}_stride, {columns(self.problem, name)}, {home}}},"
        yield "    },"
        count = len(self.rows)
        if stream:
            fewer = count - (2 if self.operation.backward else 1)
            yield f"    .n_operands = initial ? {count} : {fewer},"
            yield "    .initial = initial != NULL,"
        else:
            yield f"    .n_operands = {count},"
        if self.kernel.steps_at_once > 1:
            yield f"    .at_once = {self.kernel.steps_at_once},"
        for hook in hooks:
            yield f"    {hook}"
        yield "};"

    # -- functions ----------------------------------------------------------------------------------------------

    def phase(self, phase: Kernel) -> Iterator[FunctionText]:
        """The functions of one phase; the last one has the phase's name."""
        if phase.operation in ("step", "steps", "step_backprop"):
            yield from self.steps(phase)
        else:
            homes = dict(_RESIDENT)
            yield from self.row_function(phase, homes)

    def row_function(self, phase: Kernel, homes: dict[str, str]) -> Iterator[FunctionText]:
        bodies = list(self.bodies(phase, homes))
        declaration = "logsig_rows *rows, logsig_vec *frame"
        names = [phase.operation] if len(bodies) == 1 else [f"{phase.operation}_{i}" for i in range(len(bodies))]
        for index, (name, body) in enumerate(zip(names, bodies, strict=True)):
            yield FunctionText(
                f"{_TITLES[phase.operation]}{_part(index, bodies)}",
                f"LOGSIG_NOINLINE void {name}({declaration})",
                ("(void)rows;", "(void)frame;", *body),
            )
        if len(bodies) > 1:
            calls = tuple(f"{name}(rows, frame);" for name in names)
            yield FunctionText(_TITLES[phase.operation], f"static void {phase.operation}({declaration})", calls)

    def steps(self, phase: Kernel) -> Iterator[FunctionText]:
        backward = phase.operation == "step_backprop"
        array, base, size = "w", "STATE", self.kernel.state_size
        if backward and not size:
            array, base, size = "dw", "D_STATE", self.kernel.d_state_size
        alone = phase.schedule is not None and len(phase.schedule.parts) == 1 and not self.kernel.slots
        local = alone and size <= REGISTER_STATE and not (backward and self.kernel.state_size)
        homes = {**_RESIDENT, **_ALONG}
        if local:
            homes.update((name, "") for name in _RESIDENT if SHORT_NAMES[name] == array)
        bodies = list(self.bodies(phase, homes))
        inputs = ("before", "after") if self.kernel.slots else ()
        arguments = (*inputs, "v", *(("dv",) if backward else ()))
        declared = ", ".join(f"{'' if name == 'dv' else 'const '}logsig_vec *{name}" for name in arguments)
        if local:
            inner: list[str] = bodies[0]
        else:
            # A function of its own, or the compiler would keep the whole state in variables of the loop: on the stack.
            for index, body in enumerate(bodies):
                yield FunctionText(
                    f"{_TITLES[phase.operation]}{_part(index, bodies)}",
                    f"LOGSIG_NOINLINE void {phase.operation}_{index}(logsig_vec *frame, {declared})",
                    (*(f"(void){name};" for name in arguments), *body),
                )
            inner = [f"{phase.operation}_{index}(frame, {', '.join(arguments)});" for index in range(len(bodies))]
        if self.kernel.slots:
            lines = list(self.back_by_slots(inner))
        else:
            lines = [f"logsig_vec {array}[{size}];"] if local else []
            lines.extend(f"{array}[{k}] = frame[{base} + {k}];" for k in range(size if local else 0))
            lines.extend(self.loop(phase, inner))
            lines.extend(f"frame[{base} + {k}] = {array}[{k}];" for k in range(size if local else 0))
        extra = ", logsig_vec *dv" if backward else ""
        declaration = f"void {phase.operation}(logsig_vec *frame, const logsig_vec *v{extra}, ptrdiff_t count)"
        yield FunctionText(_TITLES[phase.operation], f"LOGSIG_NOINLINE {declaration}", tuple(lines))

    def loop(self, phase: Kernel, inner: Sequence[str]) -> Iterator[str]:
        """One step after the other, or group of steps."""
        dimension = self.problem.dimension
        if phase.operation == "step_backprop":
            yield f"v += (count - 1) * {dimension};"
            yield f"dv += (count - 1) * {dimension};"
            yield f"for (; count > 0; count--, v -= {dimension}, dv -= {dimension}) {{"
        else:
            stride = dimension * (self.kernel.steps_at_once if phase.operation == "steps" else 1)
            yield f"for (; count > 0; count--, v += {stride}) {{"
        yield from (f"    {line}" for line in inner)
        yield "}"

    def back_by_slots(self, inner: Sequence[str]) -> Iterator[str]:
        """Several steps at a time: the last degree but one by slots, then the other degrees step by step."""
        dimension, (lower, slots, middle) = self.problem.dimension, layout(self.problem)
        yield f"const logsig_vec *const slots = frame + D_STATE + {lower};"
        yield f"logsig_vec *const ring = frame + D_STATE + {lower + slots};"
        yield "int row = 0;"
        yield f"v += (count - 1) * {dimension};"
        yield f"dv += (count - 1) * {dimension};"
        yield "for (int steps; count > 0; count -= steps) {"
        yield f"    steps = logsig_slots_back(slots, v, {dimension}, {middle}, ring, row, count);"
        yield f"    for (int s = 0; s < steps; s++, v -= {dimension}, dv -= {dimension}) {{"
        yield f"        const logsig_vec *const before = ring + row * {middle};"
        yield "        row = logsig_slot_next(row);"
        yield f"        const logsig_vec *const after = ring + row * {middle};"
        yield from (f"        {line}" for line in inner)
        yield "    }"
        yield "}"
        yield f"for (int k = 0; row > 0 && k < {middle}; k++) ring[k] = ring[row * {middle} + k];"

    def all_steps(self) -> FunctionText:
        """As many steps at once as there are, then the rest one by one."""
        at_once = self.kernel.steps_at_once
        lines = (
            f"const ptrdiff_t groups = count / {at_once};",
            "steps(frame, v, groups);",
            f"step(frame, v + groups * {at_once * self.problem.dimension}, count - groups * {at_once});",
        )
        declaration = "static void all_steps(logsig_vec *frame, const logsig_vec *v, ptrdiff_t count)"
        return FunctionText(_TITLES["step"], declaration, lines)

    def bodies(self, phase: Kernel, homes: dict[str, str]) -> Iterator[list[str]]:
        """The statements of each part of a phase."""
        if phase.schedule is None:
            assert phase.lie is not None
            places = {**{name: f"rows[{row}].at" for name, row in self.rows.items()}, **homes}
            places.update({name: SHORT_NAMES[name] for name in _ALONG if name in homes})
            memory = VectorMemory(phase.lie, self.problem, places)
            self.scratch = max(self.scratch, memory.scratch)
            lines = table_lines(phase.lie, self.problem, memory, self.rows, places)
            yield [line for line in lines if line != "logsig_vec *const v = v + 0;"]
            return
        self.scratch = max(self.scratch, phase.schedule.slots)
        names = coordinate_names(lyndon_basis(self.problem.dimension, self.problem.degree))
        comments: Mapping[str, tuple[str, ...]] = {"out": names} if phase.operation == "finish" else {}
        for events in phase.schedule.parts:
            yield PartPrinter(phase.schedule, self.rows, comments, homes).body(events)


_TITLES = {
    "step": "Takes the state over displacements.",
    "steps": "Takes the state over groups of displacements, each at once.",
    "step_backprop": "Takes the derivative of the state back over displacements, the last one first.",
    "start": "The derivative of the state at the end of a path.",
    "finish": "From the state to the log-signature.",
}


def row_operands(operation: Operation) -> tuple[str, ...]:
    """The operands that are rows, in the order in which the engine numbers them."""
    orders = {
        "forward": ("out",),
        "backward": ("d_out", "log_sig"),
        "stream": ("out", "initial"),
        "stream_backward": ("d_out", "stream", "initial", "d_initial"),
    }
    return orders[operation.kind]


def _part(index: int, bodies: list[list[str]]) -> str:
    count = sum(line.count("LOGSIG_") for line in bodies[index])
    return f" Part {index + 1} of {len(bodies)}." if len(bodies) > 1 and count else ""
