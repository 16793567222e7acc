"""Log-signatures of paths: arguments of every shape become rows for :mod:`logsig_codegen.runtime.walks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from logsig_codegen.runtime import arrays, conversions
from logsig_codegen.runtime.arrays import Array, address, as_rows, plain, row_stride, sum_to
from logsig_codegen.runtime.request import PathRequest, window_count
from logsig_codegen.runtime.walks import Paths, Walks

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel


class Call:
    """One call: the paths, laid out as rows, and what is to be done with them."""

    def __init__(
        self, kernel: LoadedKernel, request: PathRequest, paths: Sequence[Array], initial: Array | None
    ) -> None:
        self.kernel = kernel
        self.problem = kernel.problem
        self.request = request
        self.options = request.options
        self.run = Walks(kernel, request.state, request.threads)
        self.inputs = [plain(path) for path in paths]
        self.initial = None if initial is None else plain(initial)
        self.batch, self.paths = self._layout()
        self.windows = self._windows()

    # -- layout -------------------------------------------------------------------------------------------------

    def _layout(self) -> tuple[tuple[int, ...], Paths]:
        dimension = self.problem.dimension
        if self.request.ragged:
            points = np.array([len(path) for path in self.inputs], np.intp)
            dtype = self.inputs[0].dtype if self.inputs else np.dtype(np.float64)
            data = np.concatenate([path.reshape(-1) for path in self.inputs] or [np.empty(0, dtype)])
            starts = (np.cumsum(points) - points) * dimension
            longest = int(points.max(initial=0))
            return (len(points),), Paths(data, 0, len(points), longest, points, starts)
        (path,) = self.inputs
        batch, length = path.shape[:-2], path.shape[-2]
        count = int(np.prod(batch, dtype=np.intp))
        rows, stride = as_rows(path.reshape(*batch, length * dimension), batch)
        lengths = self.request.lengths
        return batch, Paths(rows, stride, count, length, None if lengths is None else lengths.reshape(-1))

    def _windows(self) -> Paths | None:
        """The windows as paths: those of one path follow one another."""
        if self.options.windows is None:
            return None
        size, stride = self.options.windows
        count = window_count(self.paths.length, size, stride)
        first = np.arange(count, dtype=np.intp) * stride
        starts = (self.paths.offsets()[:, None] + first * self.problem.dimension).reshape(-1)
        lengths = None
        if self.paths.lengths is not None:
            lengths = np.clip(self.paths.lengths[:, None] - first, 0, size).reshape(-1)
            starts = np.where(lengths > 0, starts, 0)
        return Paths(self.paths.data, 0, len(starts), size, lengths, starts)

    # -- forward ------------------------------------------------------------------------------------------------

    def forward(self, out: Array | None = None) -> Array:
        """The result, in the basis of the method; ``out`` receives it, if given, and was checked."""
        brackets = out if self.options.method >= 2 else None
        multiplied = self.initial is not None and not self.options.stream
        rows = self.along(None if multiplied or brackets is None else plain(brackets))
        if self.initial is not None and multiplied:
            functions = self.kernel.functions("combine")
            rows = arrays.product(self.problem, functions, self.initial, rows, self.run.threads, brackets)
        if self.options.method < 2:
            rows = conversions.change_method(rows, self.problem, 2, self.options.method)
        if out is None:
            return rows
        if rows is not brackets:
            out[...] = rows
        return out

    def along(self, out: Array | None = None) -> Array:
        """In the Lyndon bracket basis, without ``initial`` except for streams, ``(*rows, size)``.

        Where ``out`` is an array that the C functions can walk, it holds the result.
        """
        if self.options.stream:
            target = out if out is not None and out.flags.carray else None
            rows = self.run.stream(self.paths, self._initial_rows(), target)
        else:
            target = out if out is not None and row_stride(out) is not None else None
            rows = self.run.forward(self.paths if self.windows is None else self.windows, target)
        return rows.reshape(*self.request.rows, self.problem.size) if target is None else target

    def _initial_rows(self) -> Array | None:
        if self.initial is None:
            return None
        full = np.broadcast_to(self.initial, (*self.batch, self.problem.size))
        return np.ascontiguousarray(full).reshape(self.paths.count, self.problem.size)

    # -- backward -----------------------------------------------------------------------------------------------

    def backward(
        self, d_out: Array, result: Array | None = None, out: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Gradients with respect to each path and, last, ``initial`` if there is one; ``result`` spares a forward.

        ``out`` receives them, if given, and was checked.
        """
        if self.options.method < 2:
            d_out = conversions.change_method_backprop(d_out, self.problem, 2, self.options.method)
            result = None
        d_initial: tuple[Array, ...] = ()
        if self.initial is not None and not self.options.stream:
            along = self.along()
            functions = self.kernel.functions("combine_backprop")
            operands = (d_out, self.initial, along)
            first, d_out = arrays.product_backprop(functions, operands, self.run.threads, None)
            d_initial, result = (first,), along
        shape = (*self.request.rows, self.problem.size)
        d_rows = np.ascontiguousarray(np.broadcast_to(d_out, shape))
        known = None if result is None else np.ascontiguousarray(result)
        self._compact()
        d_data = self._zeros(None if out is None else plain(out[0]))
        if self.options.stream:
            before = self._stream_backward(d_rows, known, d_data)
            d_initial = () if before is None else (before,)
        elif self.windows is not None:
            self._windows_backward(d_rows, known, d_data)
        else:
            self.run.backward(self._flat(d_rows), None if known is None else self._flat(known), self.paths, d_data)
        gradients = (*self._split(d_data), *d_initial)
        if out is None:
            return gradients
        for target, gradient in zip(out, gradients, strict=True):
            if address(target) != address(gradient):
                target[...] = gradient
        return out

    def _flat(self, rows: Array) -> Array:
        return rows.reshape(-1, self.problem.size)

    def _compact(self) -> None:
        """Lay the paths out without gaps, so that their gradients can be laid out in the same way."""
        if self.paths.starts is None and self.paths.stride != self.paths.length * self.problem.dimension:
            (path,) = self.inputs
            self.inputs = [np.ascontiguousarray(path)]
            self.batch, self.paths = self._layout()
            self.windows = self._windows()

    def _zeros(self, out: Array | None = None) -> Array:
        """Room for the gradient, zero where nothing depends on the points: that of ``out``, if it is laid out so."""
        if out is None or not out.flags.carray:
            return np.zeros(self.paths.data.shape, self.paths.data.dtype)
        room = out.reshape(self.paths.data.shape)
        room.fill(0)
        return plain(room)

    def _stream_backward(self, d_rows: Array, known: Array | None, d_data: Array) -> Array | None:
        """Fill ``d_data``; the gradient with respect to ``initial``, if there is one."""
        initial = self._initial_rows()
        stream = self.run.stream(self.paths, initial) if known is None else known
        d_before = self.run.stream_backward(d_rows, stream, self.paths, initial, d_data)
        if d_before is None or self.initial is None:
            return None
        full = d_before.reshape(*self.batch, self.problem.size)
        if full.shape == self.initial.shape:
            return full
        d_initial = np.empty_like(self.initial)
        sum_to(full, d_initial)
        return d_initial

    def _windows_backward(self, d_rows: Array, known: Array | None, total: Array) -> None:
        """Windows that share points are taken in turns, since each writes the gradient of all of its points."""
        assert self.windows is not None
        assert self.options.windows is not None
        size, stride = self.options.windows
        per_path = window_count(self.paths.length, size, stride)
        turns = -(-size // stride)
        position = np.arange(self.windows.count, dtype=np.intp) % max(per_path, 1)
        d_rows = self._flat(d_rows)
        for turn in range(min(turns, per_path)):
            chosen = np.flatnonzero(position % turns == turn)
            lengths = None if self.windows.lengths is None else self.windows.lengths[chosen]
            starts = self.windows.offsets()[chosen]
            some = Paths(self.windows.data, 0, len(chosen), size, lengths, starts)
            d_data = self._zeros()
            result = None if known is None else self._flat(known)[chosen]
            self.run.backward(d_rows[chosen], result, some, d_data)
            total += d_data

    def _split(self, d_data: Array) -> tuple[Array, ...]:
        if not self.request.ragged:
            return (d_data.reshape(self.inputs[0].shape),)
        ends = np.cumsum([path.size for path in self.inputs])
        pieces = np.split(d_data, ends[:-1]) if self.inputs else []
        return tuple(piece.reshape(path.shape) for piece, path in zip(pieces, self.inputs, strict=True))
