"""Log-signatures of paths on a GPU: tensors are laid out, and the launcher does the rest.

What a call consists of (chunks of long paths, windows, streams, sums of gradients) is decided in
``templates/cuda/host/logsig_gpu_paths.h``. Nothing waits for the device, and memory on it comes from torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from logsig_codegen.operations import call_operation
from logsig_codegen.runtime.coordinates import change_method_backprop_map, change_method_map
from logsig_codegen.runtime.cuda import calls, maps
from logsig_codegen.runtime.cuda._launcher_abi import ffi
from logsig_codegen.runtime.cuda.calls import Tensor, as_rows, product, product_backprop, shape_of_both
from logsig_codegen.runtime.cuda.driver import library
from logsig_codegen.runtime.cuda.lengths import to_device
from logsig_codegen.runtime.cuda.programs import Place
from logsig_codegen.runtime.request import PathRequest

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

ROOM = 0
"""Numbers of the chunks' log-signatures that are kept at a time, about; 0: as many as the launcher finds good."""


@dataclass(frozen=True)
class DevicePaths:
    """``count`` paths in one tensor.

    Attributes
    ----------
    data : tensor
        Holds the points of every path one after the other.
    stride : int
        Numbers from one path to the next, where ``starts`` is ``None``.
    count, length : int
        Paths; points of a path, the largest number of them where ``lengths`` is given.
    lengths, starts : tensors of ``count`` int64 on the device, or None
        Points of each path; number of its first element within ``data``.
    """

    data: Tensor
    stride: int
    count: int
    length: int
    lengths: Tensor | None = None
    starts: Tensor | None = None


class PathCall:
    """One call: paths, then ``initial`` if there is one, and what is to be done with them."""

    def __init__(
        self, kernel: LoadedKernel, request: PathRequest, count: int, laid_out: DevicePaths | None = None
    ) -> None:
        self.kernel = kernel
        self.request = request
        self.count = count
        self.laid_out = laid_out  # rows to be walked forward that are not the paths

    def forward(self, *inputs: Tensor) -> Tensor:
        """The result of :meth:`LogSigKernel.log_sig`."""
        return self._laid_out(inputs).forward()

    def backward(self, d_out: Tensor, result: Tensor | None, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Gradients with respect to each input; ``result`` spares a forward pass."""
        return self._laid_out(inputs).backward(d_out, result)

    def _laid_out(self, inputs: Sequence[Tensor]) -> _Call:
        initial = inputs[self.count] if len(inputs) > self.count else None
        call = _Call(self.kernel, self.request, list(inputs[: self.count]), initial)
        if self.laid_out is not None:
            call.paths = self.laid_out
        return call


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

    # -- layout -------------------------------------------------------------------------------------------------

    def _indices(self, numbers: Tensor | np.ndarray[tuple[int], np.dtype[np.intp]]) -> Tensor:
        """Numbers, from wherever they are, as one row on the device."""
        if isinstance(numbers, Tensor):
            return numbers.reshape(-1).contiguous()
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

    def _compact(self) -> None:
        """Lay the paths out without gaps, so that their gradients can be laid out in the same way."""
        if self.paths.starts is None and self.paths.stride != self.paths.length * self.problem.dimension:
            (path,) = self.inputs
            self.inputs = [path.contiguous()]
            self.batch, self.paths = self._layout()

    @property
    def _between(self) -> int:
        """Numbers from one row of the result to the next; of a stream, from one path's rows to the next one's."""
        return self.problem.size * (max(self.paths.length - 1, 0) if self.options.stream else 1)

    # -- the launcher -------------------------------------------------------------------------------------------

    def _run(self, *, backward: bool, tensors: dict[str, Tensor | None], **numbers: int) -> None:
        """Carry the call out; ``tensors`` and ``numbers`` are members of ``logsig_path_call``."""
        paths, options = self.paths, self.options
        size, stride = (0, 0) if options.windows is None else options.windows
        given = {"path": paths.data, "lengths": paths.lengths, "starts": paths.starts, **tensors}
        addresses = {name: one.data_ptr() for name, one in given.items() if one is not None}
        call = ffi.new("logsig_path_call *", {"method": 2, "stream": options.stream, **numbers})
        for name, address in addresses.items():
            setattr(call, name, ffi.cast("void *", address))
        states = {"signature": library().LOGSIG_SIGNATURE, "log_derivative": library().LOGSIG_LOG_DERIVATIVE}
        call.state = states[self.request.state]
        call.path_stride, call.batch, call.length = paths.stride, paths.count, paths.length
        call.window, call.step = size, stride
        group = call_operation(self.request.state, stream=options.stream, backward=backward)
        place = Place(calls.dtype_name(paths.data), calls.ordinal_of(paths.data), group)
        run: Any = ffi.new("logsig_gpu_run *", {"extent": paths.data.numel(), "room": ROOM})
        self.kernel.cuda.along_paths(call, run, place, backward=backward)
        workspace = torch.empty(run.bytes, dtype=torch.uint8, device=self.device)
        run.workspace = ffi.cast("void *", workspace.data_ptr())
        run.stream = ffi.cast("void *", calls.stream_of(paths.data))
        self.kernel.cuda.along_paths(call, run, place, backward=backward)

    # -- forward ------------------------------------------------------------------------------------------------

    def forward(self) -> Tensor:
        rows = self._along()
        if self.initial is not None and not self.options.stream:
            rows = product(self.kernel, "combine", self.initial, rows)
        return self._to_method(rows)

    def _along(self) -> Tensor:
        """In the Lyndon bracket basis, without ``initial`` except for streams, ``(*rows, size)``."""
        out = self.paths.data.new_empty((*self.request.rows, self.problem.size))
        if out.numel():
            before, numbers = self._before()
            self._run(backward=False, tensors={"out": out, "initial": before}, out_stride=self._between, **numbers)
        return out

    def _before(self) -> tuple[Tensor | None, dict[str, int]]:
        """What comes before a stream, a row per path, and the distance between the rows: 0 for one row for all."""
        if self.initial is None or not self.options.stream:
            return None, {}
        rows, stride = as_rows(self.initial, self.batch)
        return rows, {"initial_stride": stride, "initial_rows": self.paths.count}

    def _to_method(self, rows: Tensor) -> Tensor:
        if self.options.method >= 2:
            return rows
        return maps.apply(change_method_map(rows, self.problem, 2, self.options.method), rows)

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
        known = None if result is None else result.detach().resolve_neg().contiguous()
        self._compact()
        d_data = torch.empty_like(self.paths.data, memory_format=torch.contiguous_format)
        before, numbers = self._before()
        d_before = None if before is None else d_data.new_empty((*self.batch, self.problem.size))
        tensors = {"d_out": d_rows, "result": known, "d_path": d_data, "initial": before, "d_initial": d_before}
        if d_data.numel() or d_before is not None:
            numbers |= {"d_out_stride": self._between, "result_stride": self._between}
            numbers |= {"d_path_stride": self.paths.length * self.problem.dimension}
            self._run(backward=True, tensors=tensors, d_initial_stride=self.problem.size, **numbers)
        if d_before is not None and self.initial is not None:
            d_initial = (calls.summed_to(self.initial.shape, d_before),)
        return (*self._split(d_data), *d_initial)

    def _split(self, d_data: Tensor) -> tuple[Tensor, ...]:
        if not self.request.ragged:
            return (d_data.reshape(self.inputs[0].shape),)
        parts = torch.split(d_data, [path.numel() for path in self.inputs])
        return tuple(part.reshape(path.shape) for part, path in zip(parts, self.inputs, strict=True))
