"""Kernels of streams: a join per step of a path, in one launch; the row of every step is written, or read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from logsig_codegen.compiler import PathKernel
from logsig_codegen.emit.cuda.blocks import BlockKernel, BlockView
from logsig_codegen.emit.cuda.device import DeviceFunction, device_function, device_schedule, slot_stride
from logsig_codegen.emit.cuda.frame import BlockFrame
from logsig_codegen.emit.cuda.shape import BYTES, WARP, Shape, macros, row_stride, shape, tile_numbers
from logsig_codegen.emit.cuda.walks import PATHS_BYTES, STATE_REGISTERS, path_parameters, step_member
from logsig_codegen.emit.view import file_suffix, introduction, symbol
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.passes.pressure import live_values
from logsig_codegen.passes.trim import trim_inputs
from logsig_codegen.problem import Problem

SPAN_COLUMNS = 32
"""Numbers of each path that a warp moves at a time, about, where rows are short enough for several steps."""
POINT_COLUMNS = 16
"""Numbers of the points of each path in a chunk, about: fewer than along whole paths, which leaves room for rows."""
ROW_REGISTERS = 104
"""Registers that the log-signature and what a step needs besides may take together: memory wants many warps."""


@dataclass(frozen=True)
class StreamView:
    """One file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    functions: tuple[DeviceFunction, ...]
    shape32: tuple[str, ...]
    shape64: tuple[str, ...]
    stream: tuple[str, ...]
    parameters: tuple[str, ...]
    body: tuple[str, ...]


class StreamKernel:
    """A stream, one thread per path.

    ``order``: a schedule of the step with slots, which the threads have in shared memory, for one number type.
    """

    form = "thread"
    template = "cuda/stream.cu.j2"
    headers: tuple[str, ...] = ("logsig_tiles.cuh", "logsig_walks.cuh", "logsig_streams.cuh")

    def __init__(self, problem: Problem, kernel: PathKernel, order: Schedule | None = None, dtype: str = "") -> None:
        (phase,) = kernel.phases
        assert phase.program is not None
        self.problem = problem
        self.phase = phase
        self.dtype = dtype
        self.suffix = file_suffix(dtype)
        self.operation = OPERATIONS[kernel.operation]
        self.backward = self.operation.backward
        in_place = (0, -1) if self.backward else (0,)
        self.schedule = order or device_schedule(trim_inputs(phase.program), in_place, descending=self.backward)
        assert self.schedule.in_place == in_place  # one array is what goes in and what comes out
        self._live = live_values(self.schedule) + self.beside
        self.prefix = self.schedule.program.inputs[1].length if self.backward else problem.size
        """Leading columns of a row that a step reads."""

    # -- the cost model -----------------------------------------------------------------------------------------

    @property
    def beside(self) -> int:
        """Numbers a thread keeps that are not the step's: points, displacements, and their derivatives."""
        return self.problem.dimension * (4 if self.backward else 2)

    @property
    def moved(self) -> int:
        """Numbers of a step that are read and written."""
        size, d = self.problem.size, self.problem.dimension
        return size + self.prefix + 2 * d if self.backward else size + d

    def in_registers(self, dtype: str) -> bool:
        """Whether the log-signature, or its derivative, stays in the registers of its thread."""
        limit = STATE_REGISTERS if self.backward else ROW_REGISTERS
        return not self.schedule.slots and (self.problem.size + self._live) * BYTES[dtype] // 4 <= limit

    def group(self, dtype: str) -> int:
        """Steps whose rows are moved together."""
        return max(1, SPAN_COLUMNS // self.problem.size) if self.in_registers(dtype) else 1

    def chunk(self, dtype: str) -> int:
        """Steps whose points are loaded together: whole groups."""
        group = self.group(dtype)
        return group * max(1, POINT_COLUMNS // (group * self.problem.dimension))

    def span(self, dtype: str) -> int:
        """Distance in shared memory of what two paths have of the rows of a group."""
        return _odd((self.group(dtype) - 1) * self.problem.size + self.prefix)

    def d_span(self, dtype: str) -> int:
        """The same for rows of derivatives."""
        return _odd(self.group(dtype) * self.problem.size)

    @property
    def columns(self) -> dict[str, int]:
        """Nothing is told of streams: how much is read depends on their length."""
        return {}

    def samples(self, dtype: str) -> int:
        """Samples of a warp."""
        return WARP

    def shape(self, dtype: str) -> Shape:
        """What it takes for one number type."""
        local = self.in_registers(dtype)
        numbers = 2 * tile_numbers(self.chunk(dtype) * self.problem.dimension)
        numbers += WARP * self.span(dtype) * (2 if self.backward else 1)
        if self.backward:
            numbers += WARP * self.d_span(dtype) * (2 if local else 1)
        if self.schedule.slots:
            numbers += WARP * slot_stride(self.schedule)
        live = self._live + (self.problem.size if local else 0)
        return shape(live, numbers, dtype, PATHS_BYTES)

    def defines(self, dtype: str) -> tuple[str, ...]:
        """The macros of one number type."""
        chunk = self.chunk(dtype)
        choices = [f"REGISTERS {int(self.in_registers(dtype))}", f"STEPS_OF_A_GROUP {self.group(dtype)}"]
        choices += [f"STEPS_OF_A_CHUNK {chunk}", f"CHUNK_STRIDE {row_stride(chunk * self.problem.dimension)}"]
        choices.append(f"SPAN_STRIDE {self.span(dtype)}")
        if self.backward:
            choices.append(f"D_SPAN_STRIDE {self.d_span(dtype)}")
        return (*self.shape(dtype).defines, *choices)

    # -- text ---------------------------------------------------------------------------------------------------

    def view(self) -> StreamView:
        """The view of its file."""
        name, phase = self.operation.name, self.phase.operation
        return StreamView(
            symbol=symbol(self.problem, name),
            title=f"{self.operation.title}: dimension {self.problem.dimension}, degree {self.problem.degree}.",
            introduction=tuple(introduction(self.problem, name, tuple(self._described()), device=True)),
            functions=(device_function(phase, _TITLES[phase], self.schedule),),
            shape32=macros("float32", self.dtype, self.defines),
            shape64=macros("float64", self.dtype, self.defines),
            stream=tuple(self._stream()),
            parameters=path_parameters(name),
            body=tuple(self._body_backward() if self.backward else self._body_forward()),
        )

    def _described(self) -> Iterator[str]:
        count = self.phase.operations
        yield f"Plan: {self.phase.plan}. Operations per step: {count.total} ({count.multiply_adds} multiply-adds,"
        yield f"{count.additions} additions, {count.scalings} scalings). A thread goes along a path."
        if self.schedule.slots:
            yield f"Up to {self.schedule.slots} numbers wait in shared memory."

    def _stream(self) -> Iterator[str]:
        numbers = f"DIMENSION = {self.problem.dimension}, SIZE = {self.problem.size}, PREFIX = {self.prefix}"
        yield f"enum {{ {numbers}, LOCAL = REGISTERS }};"
        yield "enum { GROUP = STEPS_OF_A_GROUP, CHUNK = STEPS_OF_A_CHUNK, STRIDE = CHUNK_STRIDE, SPAN = SPAN_STRIDE };"
        if self.backward:
            yield "enum { D_SPAN = D_SPAN_STRIDE };"
        yield from step_member("back" if self.backward else "step", self.schedule)

    def _body_forward(self) -> Iterator[str]:
        size = self.problem.size
        yield "logsig_take(paths, warp.lane, first, rows, path_stride, 0, length, lengths, starts);"
        yield "if (initial)"
        yield f"    logsig_load<{size}, SPAN_STRIDE>(warp, at, initial + first * initial_stride, initial_stride, rows);"
        yield "logsig_arrived(warp);"
        yield "logsig_row before = at + warp.lane * SPAN_STRIDE;"
        yield "#if REGISTERS"
        yield f"logsig_real w[{size}];"
        yield "#pragma unroll"
        yield f"for (int k = 0; k < {size}; k++) w[k] = initial ? before[k] : 0;"
        yield "__syncwarp();"
        yield "#else"
        yield "logsig_row w = before;"
        yield f"for (int k = 0; k < {size} && !initial; k++) w[k] = 0;"
        yield "#endif"
        yield "logsig_stream_forward<logsig_stream>("
        yield "    warp.lane, w, chunks, at, path, paths, length, out + first * out_stride, out_stride, rows);"
        yield "logsig_arrived(warp);"

    def _body_backward(self) -> Iterator[str]:
        size = self.problem.size
        yield "logsig_take(paths, warp.lane, first, rows, path_stride, d_path_stride, length, lengths, starts);"
        yield "const logsig_stream_rows given = {"
        for name in ("d_out", "stream"):
            yield f"    {name} + first * {name}_stride, {name}_stride,"
        yield "    initial ? initial + first * initial_stride : nullptr, initial_stride, rows,"
        yield "};"
        yield "volatile logsig_real *const d_spans = at;"
        yield "#if REGISTERS"
        yield f"logsig_real dw[{size}];"
        yield "#pragma unroll"
        yield f"for (int k = 0; k < {size}; k++) dw[k] = 0;"
        yield "volatile logsig_real *const spans = at + 2 * LOGSIG_WARP * D_SPAN_STRIDE;"
        yield "#else"
        yield "logsig_row dw = d_spans + warp.lane * D_SPAN_STRIDE;"
        yield f"for (int k = 0; k < {size}; k++) dw[k] = 0;"
        yield "volatile logsig_real *const spans = at + LOGSIG_WARP * D_SPAN_STRIDE;"
        yield "#endif"
        yield "logsig_stream_backward<logsig_stream>("
        yield "    warp.lane, dw, chunks, d_spans, spans, given, path, d_path, paths, length);"
        yield "logsig_arrived(warp);"
        yield "if (d_initial) {"
        yield "    logsig_real *const to = d_initial + first * d_initial_stride;"
        yield "#if REGISTERS"
        yield f"    logsig_give_local<{size}, D_SPAN_STRIDE>(warp.lane, to, d_initial_stride, dw, d_spans, rows);"
        yield "#else"
        yield f"    logsig_give_spans<{size}, D_SPAN_STRIDE>(warp.lane, to, d_initial_stride, d_spans, {size}, rows);"
        yield "#endif"
        yield "}"


class StreamBlockKernel(BlockKernel):
    """A stream of a large problem: a block takes a few paths along together."""

    def _lay_out(self) -> None:
        if not self.operation.backward:
            super()._lay_out()
            return
        problem, size = self.problem, self.problem.size
        (program,) = self.programs.values()
        apart = {port.operand: index * 2 * (size + 1) for index, port in enumerate((*program.inputs, *program.outputs))}
        for name in ("displacement", "d_displacement", "after"):
            self._home(name, problem.dimension)
        self._home("d_state", size)
        self._share("d_previous_state", "d_state")
        self.prefix = BlockFrame(program, problem, apart, 0).used("state")
        self._home("state", self.prefix)

    def view(self, dtypes: Sequence[str] = ("float32", "float64")) -> BlockView:
        """The view of its file."""
        return replace(super().view(dtypes), parameters=path_parameters(self.operation.name))

    def _body_path(self) -> Iterator[str]:
        d, d_stride = self.problem.dimension, "d_path_stride" if self.operation.backward else "0"
        yield "const logsig_group group ="
        yield f"    logsig_take_group(first, batch, path_stride, {d_stride}, length, lengths, starts);"
        threads = f"for (int k = threadIdx.x; k < {d}; k += blockDim.x)"
        displacements = f"{threads} ({self._at('displacement')})[k] = logsig_displacement(group, path, {d}, t, k);"
        yield from (self._back if self.operation.backward else self._forth)(threads, displacements)

    def _at(self, operand: str) -> str:
        return f"frame + {self.homes[operand]}"

    def _forth(self, _: str, displacements: str) -> Iterator[str]:
        size, state = self.problem.size, self._at("state")
        yield f"if (initial) logsig_take_rows({state}, {size}, initial, initial_stride, first, batch);"
        yield f"else logsig_clear_vector({state}, {size});"
        yield "for (long long t = 0; t < length - 1; t++) {"
        yield "    if (t < group.longest - 1) {"
        yield f"        {displacements}"
        yield "        __syncthreads();"
        yield "        step_block(frame);"
        yield "    }"
        yield "    __syncthreads();"
        yield f"    logsig_give_rows(out + t * {size}, out_stride, {state}, {size}, first, batch);"
        yield "}"

    def _back(self, threads: str, displacements: str) -> Iterator[str]:
        d, size = self.problem.dimension, self.problem.size
        d_state, state, after = (self._at(name) for name in ("d_state", "state", "after"))
        yield f"logsig_clear_vector({d_state}, {size});"
        yield f"logsig_clear_vector({after}, {d});"
        yield "for (long long t = length - 2; t >= 0; t--) {"
        yield f"    logsig_add_to_rows({d_state}, {size}, d_out + t * {size}, d_out_stride, first, batch);"
        yield "    if (t < group.longest - 1) {"
        rows = f"{state}, {self.prefix}"
        yield f"        if (t > 0) logsig_take_rows({rows}, stream + (t - 1) * {size}, stream_stride, first, batch);"
        yield f"        else if (initial) logsig_take_rows({rows}, initial, initial_stride, first, batch);"
        yield f"        else logsig_clear_vector({rows});"
        yield f"        {displacements}"
        yield "        __syncthreads();"
        yield "        step_backprop_block(frame);"
        yield "        __syncthreads();"
        yield f"        {threads}"
        dv = f"({self._at('d_displacement')})[k], ({after})[k]"
        yield f"            logsig_give_derivative(group, d_path, {d}, t, k, {dv});"
        yield "    }"
        yield "    __syncthreads();"
        yield "}"
        yield f"{threads} logsig_give_first(group, d_path, nullptr, {d}, k, ({after})[k]);"
        initial = f"d_initial, d_initial_stride, {d_state}, {size}, first, batch"
        yield f"if (d_initial) logsig_give_rows({initial});"


def is_stream(kernel: PathKernel) -> bool:
    """Whether a kernel is one of those of this module, rather than of whole paths."""
    return OPERATIONS[kernel.operation].streams


def _odd(columns: int) -> int:
    """Threads that read one column of 32 paths meet all banks of shared memory."""
    return columns | 1


_TITLES = {
    "step": "Takes the log-signature of a path over a displacement.",
    "step_backprop": "Takes the derivative back over a displacement.",
}
