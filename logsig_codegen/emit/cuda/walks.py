"""Kernels along paths: a thread walks along a path, the state in its registers or in a row of shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logsig_codegen.compiler import Kernel, PathKernel
from logsig_codegen.emit.cuda.device import (
    DeviceFunction,
    device_function,
    device_schedule,
    operand_names,
    parameter_names,
    slot_stride,
)
from logsig_codegen.emit.cuda.shape import BYTES, WARP, Shape, row_stride, shape, tile_numbers
from logsig_codegen.emit.view import introduction, symbol
from logsig_codegen.ir.program import Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.repeat import repeat
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.problem import Problem

PATHS_BYTES = 3 * 32 * 8
"""Size of ``logsig_paths``."""
CHUNK_BYTES = 256
"""Bytes of each path in a chunk, at most: a warp reads one path at a time, 32 numbers per instruction."""
UNROLLED = 256
"""Small steps are repeated in the text up to so many operations."""
STATE_REGISTERS = 208
"""Registers that state, derivative and what a step needs besides may take together."""


def chunk_points(dimension: int, dtype: str) -> int:
    """Points of a chunk."""
    return max(1, CHUNK_BYTES // BYTES[dtype] // dimension)


@dataclass(frozen=True)
class WalkView:
    """One file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    functions: tuple[DeviceFunction, ...]
    shape32: tuple[str, ...]
    shape64: tuple[str, ...]
    walk: tuple[str, ...]
    parameters: tuple[str, ...]
    rows: tuple[str, ...]
    body: tuple[str, ...]


class WalkKernel:
    """An operation along paths, one thread per path."""

    form = "thread"
    suffix = ""
    template = "cuda/walk.cu.j2"
    headers: tuple[str, ...] = ("logsig_tiles.cuh", "logsig_walks.cuh")

    def __init__(self, problem: Problem, kernel: PathKernel) -> None:
        self.problem = problem
        self.kernel = kernel
        self.operation = OPERATIONS[kernel.operation]
        self.backward = self.operation.backward
        self.pair: Schedule | None = None
        if self.backward:
            self.step = self._schedule("step_backprop", (0, 1, -1))
            self.end = self._schedule("start", (0, 1))
        else:
            self.step = self._schedule("step", (0,))
            self.end = self._schedule("finish", (0,))
            if any(not self.in_registers(dtype) for dtype in BYTES):
                self.pair = device_schedule(repeat(self._program("step"), 2), (0,), descending=True)

    def _chunk(self, dtype: str) -> int:
        """Points of a chunk: whole pairs of them, where two steps are taken at once."""
        points = chunk_points(self.problem.dimension, dtype)
        return points + points % 2 if self.pair is not None else points

    def _program(self, phase: str) -> Program:
        kernel = self.kernel.phase(phase)
        assert isinstance(kernel, Kernel)
        assert kernel.program is not None
        return kernel.program

    def _schedule(self, phase: str, in_place: tuple[int, ...]) -> Schedule:
        return device_schedule(trim_inputs(self._program(phase)), in_place, descending=phase != "finish")

    # -- the cost model -----------------------------------------------------------------------------------------

    @property
    def _state_numbers(self) -> int:
        return self.kernel.state_size + self.kernel.d_state_size

    def in_registers(self, dtype: str) -> bool:
        """Whether the state of a path stays in the registers of its thread."""
        numbers = self._state_numbers + self._live(self.step)
        return numbers * BYTES[dtype] // 4 <= STATE_REGISTERS

    def in_pairs(self, dtype: str) -> bool:
        """Whether two steps are taken at once: a state in shared memory is read and written half as often then."""
        if self.pair is None or self.in_registers(dtype):
            return False
        return (live_values(self.pair) + 2 * self.problem.dimension) * BYTES[dtype] // 4 <= STATE_REGISTERS

    def _live(self, order: Schedule) -> int:
        extra = self.problem.dimension * (4 if self.backward else 2)
        return live_values(order) + extra

    @property
    def columns(self) -> dict[str, int]:
        """Nothing is told of paths: how much is read depends on their length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Samples of a warp."""
        return WARP

    def shape(self, dtype: str) -> Shape:
        """What it takes for one number type."""
        chunks = 2 * tile_numbers(self._chunk(dtype) * self.problem.dimension)
        rows = sum(tile_numbers(width) for _, width in self._row_homes(dtype))
        if self.in_registers(dtype):
            return shape(self._state_numbers + self._live(self.step), max(chunks, rows), dtype, PATHS_BYTES)
        order = self.pair if self.pair is not None and self.in_pairs(dtype) else self.step
        live = max(self._live(order), live_values(self.end))
        return shape(live, chunks + rows, dtype, PATHS_BYTES)

    def _in_place(self, result: int) -> bool:
        return self.end.in_place[result] >= 0

    def _row_homes(self, dtype: str) -> Iterator[tuple[str, int]]:
        """Rows in shared memory, by name, with their widths."""
        local, size = self.in_registers(dtype), self.problem.size
        if not self.backward:
            if not local:
                yield "state", self.kernel.state_size
            if local or not self._in_place(0):
                yield "out", size
            return
        yield "d_out", size
        yield "log_sig", self.end.prefixes[1]
        if not local and not self._in_place(0):
            yield "d_state", self.kernel.d_state_size
        if not local and not self._in_place(1):
            yield "state", self.kernel.state_size

    def defines(self, dtype: str) -> tuple[str, ...]:
        """The macros of one number type."""
        chunk = self._chunk(dtype)
        stride = row_stride(chunk * self.problem.dimension)
        points = (f"CHUNK_POINTS {chunk}", f"CHUNK_STRIDE {stride}", f"UNROLLED_STEPS {self._unroll(chunk)}")
        choices = (f"REGISTERS {int(self.in_registers(dtype))}", f"PAIRS_AT_ONCE {int(self.in_pairs(dtype))}")
        return (*self.shape(dtype).defines, *choices, *points, *self._homes(dtype))

    def _homes(self, dtype: str) -> Iterator[str]:
        position = 0
        for name, width in self._row_homes(dtype):
            yield f"{name.upper()}_ROW {position}"
            position += tile_numbers(width)

    # -- text ---------------------------------------------------------------------------------------------------

    def view(self) -> WalkView:
        """The view of its file."""
        names = ("step_backprop", "start") if self.backward else ("step", "finish")
        functions = tuple(
            device_function(name, TITLES[name], order) for name, order in zip(names, (self.step, self.end), strict=True)
        )
        if self.pair is not None:
            functions = (*functions, device_function("steps", TITLES["steps"], self.pair))
        name = self.operation.name
        return WalkView(
            symbol=symbol(self.problem, name),
            title=f"{self.operation.title}: dimension {self.problem.dimension}, degree {self.problem.degree}.",
            introduction=tuple(introduction(self.problem, name, tuple(self._described()), device=True)),
            functions=functions,
            shape32=self.defines("float32"),
            shape64=self.defines("float64"),
            walk=tuple(self._walk()),
            parameters=path_parameters(name),
            rows=(),
            body=tuple(self._body_backward() if self.backward else self._body_forward()),
        )

    def _described(self) -> Iterator[str]:
        yield f"The state of a path has {self.kernel.state_size} numbers. Plan: {self.kernel.plan}. Operations:"
        for phase in self.kernel.phases:
            if phase.operation != "steps":
                count = phase.operations
                yield (
                    f"    {phase.operation}: {count.total} ({count.multiply_adds} multiply-adds, "
                    f"{count.additions} additions, {count.scalings} scalings)."
                )

    def _unroll(self, chunk: int) -> int:
        """Steps of a whole chunk in one piece of text: as many as are a few hundred operations."""
        most = UNROLLED // max(1, self.step.program.operations.total)
        return max(n for n in range(1, chunk + 1) if chunk % n == 0 and n <= max(1, most))

    def _walk(self) -> Iterator[str]:
        numbers = f"DIMENSION = {self.problem.dimension}, CHUNK = CHUNK_POINTS, STRIDE = CHUNK_STRIDE"
        yield f"enum {{ {numbers}, PAIRS = PAIRS_AT_ONCE, UNROLL = UNROLLED_STEPS }};"
        yield from step_member("back" if self.backward else "step", self.step)
        if self.pair is not None:
            yield from step_member("steps", self.pair)

    def _body_forward(self) -> Iterator[str]:
        state, size = self.kernel.state_size, self.problem.size
        yield "const long long longest ="
        yield "    logsig_take(paths, warp.lane, first, rows, path_stride, 0, length, lengths, starts);"
        yield "#if REGISTERS"
        yield f"logsig_real w[{state}];"
        yield "#else"
        yield f"logsig_row w = at + STATE_ROW + warp.lane * {row_stride(state)};"
        yield "#endif"
        yield "#pragma unroll"
        yield f"for (int k = 0; k < {state}; k++) w[k] = 0;"
        yield "logsig_walk_forward<logsig_alone<logsig_walk>>(warp.lane, w, chunks, path, paths, longest);"
        yield "logsig_arrived(warp);"
        row = row_stride(size)
        if self._in_place(0):
            yield f"{self._finish('w', 'w')};"
            yield "#if REGISTERS"
            yield f"logsig_row z = at + OUT_ROW + warp.lane * {row};"
            yield "#pragma unroll"
            yield f"for (int k = 0; k < {size}; k++) z[k] = w[k];"
            yield "const volatile logsig_real *const tile_rows = at + OUT_ROW;"
            yield "#else"
            yield "const volatile logsig_real *const tile_rows = at + STATE_ROW;"
            yield "#endif"
        else:
            yield f"logsig_row z = at + OUT_ROW + warp.lane * {row};"
            yield f"{self._finish('w', 'z')};"
            yield "const volatile logsig_real *const tile_rows = at + OUT_ROW;"
        yield "logsig_written(warp);"
        yield f"logsig_store<{size}, {row}>(warp, out + first * out_stride, out_stride, tile_rows, rows);"

    def _finish(self, state: str, out: str) -> str:
        places = {"w": state, "z": out}
        return f"finish({', '.join(places[name] for name in operand_names(self.end.program))})"

    def _body_backward(self) -> Iterator[str]:
        size, prefix = self.problem.size, self.end.prefixes[1]
        state, d_state = self.kernel.state_size, self.kernel.d_state_size
        yield "const long long longest ="
        yield "    logsig_take(paths, warp.lane, first, rows, path_stride, d_path_stride, length, lengths, starts);"
        yield f"logsig_load<{size}, {row_stride(size)}>("
        yield "    warp, at + D_OUT_ROW, d_out + first * d_out_stride, d_out_stride, rows);"
        if prefix:
            yield f"logsig_load<{prefix}, {row_stride(prefix)}>("
            yield "    warp, at + LOG_SIG_ROW, log_sig + first * log_sig_stride, log_sig_stride, rows);"
        yield "logsig_arrived(warp);"
        yield f"logsig_row g = at + D_OUT_ROW + warp.lane * {row_stride(size)};"
        yield f"logsig_row l = at + LOG_SIG_ROW + warp.lane * {row_stride(prefix)};"
        yield "#if REGISTERS"
        yield f"logsig_real dw[{d_state}], w[{max(state, 1)}];"
        for result, (array, row, width) in enumerate((("dw", "g", d_state), ("w", "l", state))):
            if self._in_place(result):
                yield "#pragma unroll"
                yield f"for (int k = 0; k < {width}; k++) {array}[k] = {row}[k];"
        yield f"{self._start(registers=True)};"
        yield "__syncwarp();"
        yield "#else"
        homes = (("dw", "D_STATE", "D_OUT", d_state), ("w", "STATE", "LOG_SIG", state))
        for result, (array, own, shared, width) in enumerate(homes):
            home = shared if self._in_place(result) else own
            yield f"logsig_row {array} = at + {home}_ROW + warp.lane * {row_stride(width)};"
        yield f"{self._start(registers=False)};"
        yield "#endif"
        yield "logsig_real *const first_ones ="
        yield f"    d_first ? d_first + (first + warp.lane) * {self.problem.dimension} : nullptr;"
        yield "logsig_walk_backward<logsig_alone<logsig_walk>>("
        yield "    warp.lane, dw, w, chunks, path, d_path, first_ones, paths, longest);"
        yield "logsig_arrived(warp);"

    def _start(self, *, registers: bool) -> str:
        places = {"g": "g", "l": "l", "dw": "dw", "w": "w"}
        if registers:
            places.update({"g": "dw"} if self._in_place(0) else {}, **({"l": "w"} if self._in_place(1) else {}))
        return f"start({', '.join(places[name] for name in operand_names(self.end.program))})"


TITLES = {
    "step": "Takes the state of a path over a displacement.",
    "steps": "Takes the state of a path over two displacements.",
    "step_backprop": "Takes state and derivative back over a displacement.",
    "start": "State and derivative at the end of a path.",
    "finish": "From the state to the log-signature.",
}


def step_member(name: str, order: Schedule, suffix: str = "") -> tuple[str, ...]:
    """The member function ``back``, ``step`` or ``steps`` of a walk: a call of the device function of a schedule."""
    function = ("step_backprop" if name == "back" else name) + suffix
    types, parameters = "class W, class V", "W &w, V &v"
    if name == "back":
        types, parameters = f"class DW, {types}", f"DW &dw, {parameters}, V &dv"
    head = f"template <{types}> LOGSIG_DEVICE_MEMBER void {name}({parameters})"
    call = f"::{function}({', '.join(parameter_names(order))});"
    if not order.slots:
        return head, f"{{ {call} }}"
    return head, "{", f"    logsig_row s = logsig_slots<{slot_stride(order)}>(BYTES);", f"    {call}", "}"


def path_parameters(operation: str) -> tuple[str, ...]:
    """Parameter declarations of a kernel along paths."""
    described = OPERATIONS[operation]
    rows = [
        f"{'const ' if operand in described.inputs else ''}logsig_real *{operand}, long long {operand}_stride"
        for operand in described.operands
    ]
    after = described.operands.index("path") + 1
    rows.insert(after, "long long length, const long long *lengths, const long long *starts")
    if described.kind == "backward":
        rows.append("logsig_real *d_first")
    return (*rows, "long long batch")
