"""Kernels along paths whose state does not fit a thread: the warps of a block carry it together, each a part of it.

A word of the signature changes by what is on its prefixes. So a set of words that has the prefixes of all of its words
can be carried by itself: a warp has it in registers, for 32 paths, and never looks at what the others do. Words that
two warps need are carried by both. They are few: each warp takes a range of the words in alphabetical order.

Backward the derivative is linear in what it begins with. Each warp begins with its own words' share, and zero for those
that it only shares; the derivatives with respect to the points are the sums of what the warps find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from logsig_codegen.compiler import Kernel, PathKernel
from logsig_codegen.emit.cuda.device import DeviceFunction, device_function, device_schedule, operand_names
from logsig_codegen.emit.cuda.division import Part, divide, lyndon_places
from logsig_codegen.emit.cuda.finish import Finish, finish
from logsig_codegen.emit.cuda.parts_view import ColumnsView, PartsView, PartView
from logsig_codegen.emit.cuda.shape import (
    BYTES,
    MOST_SHARED_BYTES,
    REGISTERS_PER_THREAD,
    SCHEDULERS,
    SHARED_BYTES,
    WARP,
    Shape,
    macros,
    parts_shape,
    row_stride,
    tile_numbers,
)
from logsig_codegen.emit.cuda.walks import PATHS_BYTES, TITLES, chunk_points, path_parameters, step_member
from logsig_codegen.emit.view import file_suffix, introduction, symbol
from logsig_codegen.ir.program import NONE, Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.restrict import restrict
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.plans import prefix_signature
from logsig_codegen.problem import Problem

PARTS = (2, 4, 8, 12, 16)
"""Numbers of warps that schedulers share evenly."""
BUSY, MOST_BUSY = 0.22, 0.5
"""The share of its cycles in which a scheduler issues an instruction of a step, for each warp it has, and at most, as
measured on an H100: barriers and fetching text take the rest."""
STEP_OVERHEAD = 12
"""Instructions of a step besides its operations and two for each number of a point."""


class PartsKernel:
    """An operation along paths that carries the signature, a part in each warp of a block; for one number type."""

    form = "block"
    template = "cuda/parts.cu.j2"
    headers: tuple[str, ...] = ("logsig_tiles.cuh", "logsig_walks.cuh")

    def __init__(self, problem: Problem, kernel: PathKernel, dtype: str, parts: int) -> None:
        self.problem = problem
        self.kernel = kernel
        self.dtype = dtype
        self.operation = OPERATIONS[kernel.operation]
        self.backward = self.operation.backward
        self.chunk = chunk_points(problem.dimension, dtype)
        self.stride = self.chunk * problem.dimension | 1
        self.parts = divide(problem, parts)
        self.steps = tuple(_step(problem, kernel, part) for part in self.parts)
        self._start = _start(problem, kernel) if self.backward else None

    @classmethod
    def best(cls, problem: Problem, kernel: PathKernel, dtype: str) -> PartsKernel | None:
        """With as many parts as take the least time, estimated; ``None`` if no number of them fits."""
        if kernel.plan != prefix_signature.PLAN:
            return None
        made = (cls(problem, kernel, dtype, parts) for parts in PARTS)
        fitting = [form for form in made if form.possible]
        return min(fitting, key=lambda form: form.time, default=None)

    @cached_property
    def start(self) -> Schedule:
        """Backward: from the log-signature and its derivative to the state and its own."""
        assert self._start is not None
        return device_schedule(self._start, (0, -1), descending=True)

    @cached_property
    def finish(self) -> Finish:
        """Forward: from the state to the logarithm."""
        program = restrict(_program(self.kernel, "finish"), {"state": lyndon_places(self.problem)})
        return finish(self.problem, program, len(self.parts))

    # -- the cost model -----------------------------------------------------------------------------------------

    @property
    def _numbers(self) -> int:
        """Numbers in the registers of a thread, at most."""
        d = self.problem.dimension
        held = [
            sum(len(result.values) for result in order.program.outputs if "state" in result.name) + live_values(order)
            for order in self.steps
        ]
        return max(held) + d * (4 if self.backward else 2)

    @property
    def _rows(self) -> tuple[tuple[str, int], ...]:
        """Rows in shared memory, before and after the walk, with their widths; chunks lie there in between."""
        if self._start is None:
            return (("state", self.problem.size),)
        return (
            ("d_out", self.problem.size),
            ("log_sig", self._start.inputs[1].length),
            ("state", self.kernel.state_size),
        )

    @property
    def _shared_numbers(self) -> int:
        chunks = (2 + (len(self.parts) if self.backward else 0)) * WARP * self.stride
        return max(chunks, sum(tile_numbers(width) for _, width in self._rows))

    def shape(self, dtype: str) -> Shape:
        """What it takes; of the block, where shared memory is meant."""
        assert dtype == self.dtype
        return self._shape(live_values(self.start) if self.backward else self.finish.live)

    def _shape(self, live_end: int = 0) -> Shape:
        numbers = self._shared_numbers
        return parts_shape(self._numbers, live_end, numbers, self.dtype, len(self.parts), PATHS_BYTES)

    @property
    def possible(self) -> bool:
        """Whether registers and shared memory suffice."""
        shape = self._shape()  # with nothing at the end, so that only the walk may spill
        return not shape.spills and shape.registers <= REGISTERS_PER_THREAD and shape.warp_bytes <= SHARED_BYTES

    @property
    def time(self) -> float:
        """Issue slots that a step of 32 paths takes, estimated: more where few warps hide each other's latencies."""
        shape, d = self._shape(), self.problem.dimension
        longest = max(order.program.operations.total for order in self.steps)
        instructions = longest * BYTES[self.dtype] // 4 + 2 * d * (2 if self.backward else 1) + STEP_OVERHEAD
        resident = min(shape.blocks, MOST_SHARED_BYTES // shape.warp_bytes)
        busy = min(MOST_BUSY, BUSY * resident * len(self.parts) / SCHEDULERS)
        return len(self.parts) * instructions / busy

    @property
    def columns(self) -> dict[str, int]:
        """Nothing is told of paths: how much is read depends on their length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Samples of a block."""
        assert dtype == self.dtype
        return WARP

    @property
    def suffix(self) -> str:
        """What its file is called besides the operation."""
        return file_suffix(self.dtype)

    # -- text ---------------------------------------------------------------------------------------------------

    def defines(self, dtype: str) -> tuple[str, ...]:
        """The macros of its number type."""
        return (*self.shape(dtype).defines, *self._homes())

    def view(self) -> PartsView:
        """The view of its file."""
        name, phase = self.operation.name, "step_backprop" if self.backward else "step"
        functions = [
            device_function(f"{phase}_{index}", f"{TITLES[phase]} Part {index}.", order)
            for index, order in enumerate(self.steps)
        ]
        if self.backward:
            functions.append(device_function("start", TITLES["start"], self.start))
        else:
            functions.extend(self._finish_functions())
        d = self.problem.dimension
        return PartsView(
            symbol=symbol(self.problem, name),
            title=f"{self.operation.title}: dimension {d}, degree {self.problem.degree}.",
            introduction=tuple(introduction(self.problem, name, tuple(self._described()), device=True)),
            functions=tuple(functions),
            shape32=macros("float32", self.dtype, self.defines),
            shape64=macros("float64", self.dtype, self.defines),
            parts=tuple(self._part(index, order) for index, order in enumerate(self.steps)),
            numbers=f"DIMENSION = {d}, CHUNK = {self.chunk}, STRIDE = {self.stride}, PARTS = {len(self.parts)}",
            take=tuple(self._take()),
            columns=() if self.backward else tuple(self._columns()),
            parameters=path_parameters(name),
            body=tuple(self._body_backward() if self.backward else self._body_forward()),
        )

    def _finish_functions(self) -> Iterator[DeviceFunction]:
        if self.finish.low is not None:
            yield device_function("finish_low", f"{TITLES['finish']} The degrees below the last.", self.finish.low)
        for index, (columns, order) in enumerate(self.finish.ranges):
            title = f"{TITLES['finish']} {len(columns)} coordinates of the last degree."
            yield device_function(f"finish_{index}", title, order)

    def _columns(self) -> Iterator[ColumnsView]:
        for index, (columns, _) in enumerate(self.finish.ranges):
            lines = (", ".join(map(str, columns[start : start + 16])) for start in range(0, len(columns), 16))
            yield ColumnsView(f"finish_{index}_columns", tuple(f"{line}," for line in lines))

    def _described(self) -> Iterator[str]:
        state, parts = self.kernel.state_size, len(self.parts)
        yield f"The state of a path has {state} numbers; {parts} warps carry it. Plan: {self.kernel.plan}. Operations:"
        for index, (part, order) in enumerate(zip(self.parts, self.steps, strict=True)):
            yield f"    step, part {index}: {order.program.operations.total}, on {len(part.words)} words."

    def _homes(self) -> Iterator[str]:
        position = 0
        for name, width in self._rows:
            yield f"{name.upper()}_ROW {position}"
            position += tile_numbers(width)

    def _part(self, index: int, order: Schedule) -> PartView:
        lines = step_member("back" if self.backward else "step", order, f"_{index}")
        numbers = f"DIMENSION = {self.problem.dimension}, CHUNK = {self.chunk}, UNROLL = 1, PAIRS = 0"
        return PartView(f"logsig_part_{index}", numbers, lines)

    def _take(self) -> Iterator[str]:
        """The member function that goes on by a chunk."""
        here = "logsig_real (&there)[DIMENSION], logsig_real (&after)[DIMENSION]"
        if self.backward:
            yield "template <class DW, class W>"
            yield f"LOGSIG_DEVICE_MEMBER void take_back(int part, DW &dw, W &w, {here},"
            yield "                                    const logsig_real *x, logsig_real *dx, int count, bool whole)"
            call = "logsig_backs<logsig_part_{}>(dw, w, there, after, x, dx, count, whole)"
        else:
            yield "template <class W>"
            yield "LOGSIG_DEVICE_MEMBER void take(int part, W &w, logsig_real (&here)[DIMENSION], const logsig_real *x,"
            yield "                               int count, bool whole)"
            call = "logsig_steps<logsig_part_{}>(w, here, x, count, whole)"
        yield "{"
        yield "    switch (part) {"
        for index in range(len(self.parts)):
            yield f"    case {index}: {call.format(index)}; break;"
        yield "    }"
        yield "}"

    def _most(self, operand: str) -> int:
        return max(len(operand_columns(part, operand, self.kernel)) for part in self.parts)

    def _body_forward(self) -> Iterator[str]:
        size, most = self.problem.size, self._most("state")
        row = row_stride(size)
        place = {column: k for k, column in enumerate(lyndon_places(self.problem))}
        yield "const long long longest ="
        yield "    logsig_take(paths, warp.lane, first, rows, path_stride, 0, length, lengths, starts);"
        yield f"logsig_real w[{most}];"
        yield "#pragma unroll"
        yield f"for (int k = 0; k < {most}; k++) w[k] = 0;"
        yield "logsig_walk_forward<logsig_walk>(warp.lane, w, chunks, path, paths, longest, warp.index);"
        yield f"logsig_row row = at + STATE_ROW + warp.lane * {row};"
        yield "switch (warp.index) {"
        for index, part in enumerate(self.parts):
            yield f"case {index}:"
            copies = [
                f"row[{place[column]}] = w[{k}];"
                for k, column in enumerate(part.words)
                if column in part.own and column in place
            ]
            yield from _packed(copies)
            yield "    break;"
        yield "}"
        yield "logsig_meet<logsig_walk::PARTS>();"
        if self.finish.low is not None:
            row_twice = ", ".join("row" for _ in operand_names(self.finish.low.program))
            yield f"if (warp.index == 0) finish_low({row_twice});"
            yield "logsig_meet<logsig_walk::PARTS>();"
        yield "switch (warp.index) {"
        for index, (_, order) in enumerate(self.finish.ranges):
            places = {"w": "mine", "l": "row", "z": "mine"}
            call = ", ".join(places[name] for name in operand_names(order.program))
            yield f"case {index}: {{"
            yield f"    const finish_{index}_columns mine = {{row}};"
            yield f"    finish_{index}({call});"
            yield "    break;"
            yield "}"
        yield "}"
        yield "logsig_written(warp);"
        yield "logsig_meet<logsig_walk::PARTS>();"
        yield "if (warp.index == 0)"
        yield f"    logsig_store<{size}, {row}>(warp, out + first * out_stride, out_stride, at + STATE_ROW, rows);"

    def _body_backward(self) -> Iterator[str]:
        (_, size), (_, prefix), (_, short) = self._rows
        places = {"g": "g", "dw": "g", "l": "l", "w": "row"}
        yield "const long long longest ="
        yield "    logsig_take(paths, warp.lane, first, rows, path_stride, d_path_stride, length, lengths, starts);"
        yield f"logsig_row g = at + D_OUT_ROW + warp.lane * {row_stride(size)};"
        yield f"logsig_row row = at + STATE_ROW + warp.lane * {row_stride(short)};"
        yield "if (warp.index == 0) {"
        yield f"    logsig_load<{size}, {row_stride(size)}>("
        yield "        warp, at + D_OUT_ROW, d_out + first * d_out_stride, d_out_stride, rows);"
        if prefix:
            yield f"    logsig_load<{prefix}, {row_stride(prefix)}>("
            yield "        warp, at + LOG_SIG_ROW, log_sig + first * log_sig_stride, log_sig_stride, rows);"
        yield "    logsig_arrived(warp);"
        yield f"    logsig_row l = at + LOG_SIG_ROW + warp.lane * {row_stride(prefix)};"
        yield f"    start({', '.join(places[name] for name in operand_names(self.start.program))});"
        yield "}"
        yield "logsig_meet<logsig_walk::PARTS>();"
        yield f"logsig_real dw[{self._most('d_state')}], w[{max(1, self._most('state'))}];"
        yield "switch (warp.index) {"
        lyndon = {column: k for k, column in enumerate(lyndon_places(self.problem))}
        for index, part in enumerate(self.parts):
            yield f"case {index}:"
            copies = [
                f"dw[{k}] = {f'g[{lyndon[column]}]' if column in part.own and column in lyndon else '0'};"
                for k, column in enumerate(part.words)
            ]
            copies += [
                f"w[{k}] = row[{column}];" for k, column in enumerate(operand_columns(part, "state", self.kernel))
            ]
            yield from _packed(copies)
            yield "    break;"
        yield "}"
        yield "logsig_meet<logsig_walk::PARTS>();"
        yield "logsig_real *const first_ones ="
        yield f"    d_first ? d_first + (first + warp.lane) * {self.problem.dimension} : nullptr;"
        yield "logsig_walk_backward<logsig_walk>("
        yield "    warp.lane, dw, w, chunks, path, d_path, first_ones, paths, longest, warp.index);"


def operand_columns(part: Part, operand: str, kernel: PathKernel) -> tuple[int, ...]:
    """The columns of an operand of the step that belong to a part: backward, the state ends before the last degree."""
    return part.words if operand.startswith("d_") else tuple(k for k in part.words if k < kernel.state_size)


def _packed(statements: Sequence[str]) -> Iterator[str]:
    """Several short statements to a line."""
    for start in range(0, len(statements), 4):
        yield "    " + " ".join(statements[start : start + 4])


def _program(kernel: PathKernel, phase: str) -> Program:
    found = kernel.phase(phase)
    assert isinstance(found, Kernel)
    assert found.program is not None
    return found.program


def _step(problem: Problem, kernel: PathKernel, part: Part) -> Schedule:
    """One step on the words of a part."""
    words, short = part.words, operand_columns(part, "state", kernel)
    if OPERATIONS[kernel.operation].backward:
        columns = {"d_state": words, "d_previous_state": words, "state": short, "previous_state": short}
        program = restrict(_program(kernel, "step_backprop"), columns)
        return device_schedule(trim_inputs(program), (0, 1, -1), descending=True)
    program = restrict(_program(kernel, "step"), {"state": words, "next_state": words})
    return device_schedule(trim_inputs(program), (0,), descending=True)


def _start(problem: Problem, kernel: PathKernel) -> Program:
    """From the log-signature and its derivative to the state and, in place, its derivative on Lyndon words."""
    lyndon, start = lyndon_places(problem), _program(kernel, "start")
    (d_state, _) = start.outputs
    assert all(value == NONE or column in set(lyndon) for column, value in enumerate(d_state.values))
    return trim_inputs(restrict(start, {"d_state": lyndon}))
