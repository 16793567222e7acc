"""Log-signatures of paths on a GPU: the counterpart of :mod:`logsig_codegen.runtime.paths` for torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch

from logsig_codegen.runtime.coordinates import change_method_backprop_map, change_method_map
from logsig_codegen.runtime.cuda import maps, pieces, streams
from logsig_codegen.runtime.cuda.calls import Tensor, as_rows, product, product_backprop, shape_of_both
from logsig_codegen.runtime.cuda.lengths import to_device
from logsig_codegen.runtime.cuda.pieces import DevicePaths
from logsig_codegen.runtime.request import PathRequest, window_count

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel


class PathCall:
    """One call: paths, then ``initial`` if there is one, and what is to be done with them."""

    def __init__(self, kernel: LoadedKernel, request: PathRequest, count: int) -> None:
        self.kernel = kernel
        self.request = request
        self.count = count

    def forward(self, *inputs: Tensor) -> Tensor:
        """The result of :meth:`LogSigKernel.log_sig`."""
        return self._laid_out(inputs).forward()

    def backward(self, d_out: Tensor, result: Tensor | None, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Gradients with respect to each input; ``result`` spares a forward pass."""
        return self._laid_out(inputs).backward(d_out, result)

    def _laid_out(self, inputs: Sequence[Tensor]) -> _Call:
        initial = inputs[self.count] if len(inputs) > self.count else None
        return _Call(self.kernel, self.request, list(inputs[: self.count]), initial)


class _Call:
    def __init__(
        self, kernel: LoadedKernel, request: PathRequest, inputs: list[Tensor], initial: Tensor | None
    ) -> None:
        self.kernel = kernel
        self.problem = kernel.problem
        self.request = request
        self.options = request.options
        self.inputs = [path.detach().resolve_neg() for path in inputs]
        self.initial = None if initial is None else initial.detach().resolve_neg()
        self.device = self.inputs[0].device
        self.batch, self.paths = self._layout()
        self.windows = self._windows()

    # -- layout -------------------------------------------------------------------------------------------------

    def _indices(self, numbers: Tensor | np.ndarray[tuple[int], np.dtype[np.intp]]) -> Tensor:
        """Numbers, from wherever they are, as one row on the device."""
        if isinstance(numbers, Tensor):
            return numbers.reshape(-1)
        return to_device(torch.from_numpy(numbers), self.device).reshape(-1)

    def _layout(self) -> tuple[tuple[int, ...], DevicePaths]:
        dimension = self.problem.dimension
        if self.request.ragged:
            points = np.array([len(path) for path in self.inputs], np.intp)
            data = torch.cat([path.reshape(-1) for path in self.inputs])
            starts = self._indices((np.cumsum(points) - points) * dimension)
            longest = int(points.max(initial=0))
            return (len(points),), DevicePaths(data, 0, len(points), longest, self._indices(points), starts)
        (path,) = self.inputs
        batch, length = tuple(path.shape[:-2]), path.shape[-2]
        rows, stride = as_rows(path.reshape(*batch, length * dimension), batch)
        lengths = None if self.request.lengths is None else self._indices(self.request.lengths)
        return batch, DevicePaths(rows, stride, prod(batch), length, lengths)

    def _windows(self) -> DevicePaths | None:
        """The windows as paths: those of one path follow one another."""
        if self.options.windows is None:
            return None
        size, stride = self.options.windows
        count = window_count(self.paths.length, size, stride)
        first = torch.arange(count, device=self.device) * stride
        starts = (self.paths.offsets()[:, None] + first * self.problem.dimension).reshape(-1)
        lengths = None
        if self.paths.lengths is not None:
            lengths = (self.paths.lengths[:, None] - first).clamp(0, size).reshape(-1)
            starts = torch.where(lengths > 0, starts, 0)
        return DevicePaths(self.paths.data, 0, len(starts), size, lengths, starts)

    # -- forward ------------------------------------------------------------------------------------------------

    def forward(self) -> Tensor:
        rows = self._along()
        if self.initial is not None and not self.options.stream:
            rows = product(self.kernel, "combine", self.initial, rows)
        return self._to_method(rows)

    def _along(self) -> Tensor:
        """In the Lyndon bracket basis, without ``initial`` except for streams, ``(*rows, size)``."""
        if self.options.stream:
            return self._stream()
        return self._log_sig(self.paths if self.windows is None else self.windows).reshape(
            *self.request.rows, self.problem.size
        )

    def _log_sig(self, paths: DevicePaths) -> Tensor:
        return pieces.log_sig(self.kernel, self.request.state, paths)

    def _to_method(self, rows: Tensor) -> Tensor:
        if self.options.method >= 2:
            return rows
        return maps.apply(change_method_map(rows, self.problem, 2, self.options.method), rows)

    # -- streams ------------------------------------------------------------------------------------------------

    def _initial_rows(self) -> streams.Rows | None:
        return None if self.initial is None else as_rows(self.initial, self.batch)

    def _stream(self) -> Tensor:
        """(*rows, size)."""
        return streams.stream(self.kernel, self.paths, self._initial_rows()).reshape(
            *self.request.rows, self.problem.size
        )

    def _stream_backward(self, d_rows: Tensor, known: Tensor | None) -> tuple[Tensor, ...]:
        """Gradients with respect to each path and, last, ``initial`` if there is one."""
        self._compact()
        shape = (self.paths.count, max(self.paths.length - 1, 0), self.problem.size)
        rows = (self._stream() if known is None else known.detach().resolve_neg().contiguous()).reshape(shape)
        d_data, initial = self._room(), self._initial_rows()
        full = streams.stream_backprop(self.kernel, d_rows.reshape(shape), rows, self.paths, initial, d_data)
        d_paths = self._split(d_data)
        if full is None or self.initial is None:
            return d_paths
        full = full.reshape(*self.batch, self.problem.size)
        d_initial = full if full.shape == self.initial.shape else full.double().sum_to_size(self.initial.shape)
        return (*d_paths, d_initial.to(full.dtype))

    # -- backward -----------------------------------------------------------------------------------------------

    def backward(self, d_out: Tensor, result: Tensor | None) -> tuple[Tensor, ...]:
        """Gradients with respect to each path and, last, ``initial`` if there is one."""
        if self.options.method < 2:
            d_out = maps.apply(change_method_backprop_map(d_out, self.problem, 2, self.options.method), d_out)
            result = None
        d_initial: tuple[Tensor, ...] = ()
        if self.initial is not None and not self.options.stream:
            along = self._along()
            shape = shape_of_both(self.initial, along)
            d_out = d_out.expand(*shape, self.problem.size)
            first, d_out = product_backprop(self.kernel, "combine", d_out, self.initial, along)
            d_initial, result = (first,), along
        d_rows = d_out.detach().resolve_neg().expand(*self.request.rows, self.problem.size).contiguous()
        if self.options.stream:
            return self._stream_backward(d_rows, result)
        self._compact()
        known = None if result is None else result.detach().contiguous().reshape(-1, self.problem.size)
        flat = d_rows.reshape(-1, self.problem.size)
        if self.windows is not None:
            d_data = self._windows_backward(flat, known)
        else:
            d_data = self._room()
            self._log_sig_backprop(flat, known, self.paths, d_data)
        return (*self._split(d_data), *d_initial)

    def _compact(self) -> None:
        """Lay the paths out without gaps, so that their gradients can be laid out in the same way."""
        if self.paths.starts is None and self.paths.stride != self.paths.length * self.problem.dimension:
            (path,) = self.inputs
            self.inputs = [path.contiguous()]
            self.batch, self.paths = self._layout()
            self.windows = self._windows()

    def _room(self) -> Tensor:
        """Room for the gradient: zero where nothing depends on the points."""
        return torch.zeros_like(self.paths.data, memory_format=torch.contiguous_format)

    def _log_sig_backprop(self, d_out: Tensor, known: Tensor | None, paths: DevicePaths, d_data: Tensor) -> None:
        stride = paths.length * self.problem.dimension
        pieces.log_sig_backprop(self.kernel, self.request.state, d_out, known, paths, d_data, stride)

    def _windows_backward(self, d_rows: Tensor, known: Tensor | None) -> Tensor:
        """Windows that share points are taken in turns, since each writes the gradient of all of its points."""
        assert self.windows is not None
        assert self.options.windows is not None
        size, stride = self.options.windows
        per_path = window_count(self.paths.length, size, stride)
        turns = -(-size // stride)
        total = self._room()
        if not self.windows.count:
            return total
        starts = self.windows.offsets().reshape(-1, per_path)
        lengths = None if self.windows.lengths is None else self.windows.lengths.reshape(-1, per_path)
        width = self.problem.size
        d_rows = d_rows.reshape(-1, per_path, width)
        rows = None if known is None else known.reshape(-1, per_path, width)
        for turn in range(min(turns, per_path)):
            chosen = starts[:, turn::turns].reshape(-1).contiguous()
            points = None if lengths is None else lengths[:, turn::turns].reshape(-1).contiguous()
            some = DevicePaths(self.windows.data, 0, len(chosen), size, points, chosen)
            d_data = self._room()
            result = None if rows is None else rows[:, turn::turns].reshape(-1, width).contiguous()
            self._log_sig_backprop(d_rows[:, turn::turns].reshape(-1, width).contiguous(), result, some, d_data)
            total += d_data
        return total

    def _split(self, d_data: Tensor) -> tuple[Tensor, ...]:
        if not self.request.ragged:
            return (d_data.reshape(self.inputs[0].shape),)
        pieces = torch.split(d_data, [path.numel() for path in self.inputs])
        return tuple(piece.reshape(path.shape) for piece, path in zip(pieces, self.inputs, strict=True))
