"""Calls of the C functions that go along paths, on rows of numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from logsig_codegen.operations import WHOLE_STEPS, path_operation
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.arrays import Array, address, function_for, row_stride
from logsig_codegen.runtime.fast import NO_MEMORY

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

Indices: TypeAlias = "np.ndarray[Any, np.dtype[np.intp]]"


@dataclass(frozen=True)
class Paths:
    """``count`` paths in one array.

    Attributes
    ----------
    data : array
        Holds the points of every path one after the other, in C order.
    stride : int
        Numbers from one path to the next, where ``starts`` is ``None``.
    length : int
        Points of a path; the largest number of them where ``lengths`` is given.
    lengths, starts : arrays of ``count`` intp, or None
        Points of each path; number of its first element within ``data``.
    """

    data: Array
    stride: int
    count: int
    length: int
    lengths: Indices | None = None
    starts: Indices | None = None

    def offsets(self) -> Indices:
        """First element of each path."""
        return np.arange(self.count, dtype=np.intp) * self.stride if self.starts is None else self.starts

    def c_arguments(self) -> tuple[Any, ...]:
        """Arguments of the C functions from ``path`` to ``starts``."""
        indices = (ffi.NULL if x is None else ffi.from_buffer("ptrdiff_t[]", x) for x in (self.lengths, self.starts))
        return (address(self.data), self.stride, self.length, *indices)


class Walks:
    """The whole-path operations of one kernel, for one state and number of threads."""

    def __init__(self, kernel: LoadedKernel, state: str, threads: int) -> None:
        self.kernel = kernel
        self.problem = kernel.problem
        self.state = state
        self.threads = threads

    def forward(self, paths: Paths, out: Array | None = None) -> Array:
        """Log-signatures, ``(count, size)``, or into ``out``, which may have any leading axes with one row stride."""
        if out is None:
            out = np.empty((paths.count, self.problem.size), paths.data.dtype)
        if paths.count:
            function = function_for(self.kernel.functions(path_operation(self.state)), out.dtype)
            products = self._products(paths, backward=False)
            target = address(out), row_stride(out)
            _check(function(*paths.c_arguments(), products, *target, paths.count, self.threads))
        return out

    def _products(self, paths: Paths, *, backward: bool) -> Any:
        """What long paths need to be cut into pieces; nothing is loaded for short ones."""
        if paths.length - 1 < WHOLE_STEPS:
            return ffi.NULL
        return self.kernel.loaded.products(self.state, paths.data.dtype, backward=backward)

    def backward(self, d_out: Array, log_sig: Array | None, paths: Paths, d_data: Array) -> None:
        """Gradients with respect to the points, into ``d_data``, which is laid out as ``paths.data``.

        ``d_out`` and ``log_sig``, the result of :meth:`forward` if it is known, are C-contiguous, ``(count, size)``.
        """
        if not paths.count:
            return
        if log_sig is None:
            log_sig = self.forward(paths)
        function = function_for(self.kernel.functions(path_operation(self.state, backward=True)), d_data.dtype)
        size = self.problem.size
        _check(
            function(
                *(address(d_out), size, address(log_sig), size),
                *paths.c_arguments(),
                self._products(paths, backward=True),
                *(address(d_data), paths.length * self.problem.dimension),
                *(paths.count, self.threads),
            )
        )

    def stream(self, paths: Paths, initial: Array | None, out: Array | None = None) -> Array:
        """All expanding log-signatures, ``(count, length - 1, size)``, or into ``out``, which is C-contiguous.

        ``initial`` is ``(count, size)``.
        """
        size, steps = self.problem.size, max(paths.length - 1, 0)
        if out is None:
            out = np.empty((paths.count, steps, size), paths.data.dtype)
        if out.size:
            function = function_for(self.kernel.functions("stream"), out.dtype)
            before = ffi.NULL if initial is None else address(initial)
            arguments = (before, size, address(out), steps * size, paths.count, self.threads)
            _check(function(*paths.c_arguments(), *arguments))
        return out

    def stream_backward(
        self, d_out: Array, stream: Array, paths: Paths, initial: Array | None, d_data: Array
    ) -> Array | None:
        """Gradients of :meth:`stream`: into ``d_data``, and with respect to ``initial``."""
        size, steps = self.problem.size, max(paths.length - 1, 0)
        d_initial = None if initial is None else np.zeros_like(initial)
        if paths.count and steps:
            function = function_for(self.kernel.functions("stream_backprop"), d_out.dtype)
            before, d_before = (ffi.NULL if x is None else address(x) for x in (initial, d_initial))
            _check(
                function(
                    *(address(d_out), steps * size, address(stream), steps * size),
                    *paths.c_arguments(),
                    *(before, size, address(d_data), paths.length * self.problem.dimension, d_before, size),
                    *(paths.count, self.threads),
                )
            )
        return d_initial


def _check(error: int) -> None:
    if error:
        raise MemoryError(NO_MEMORY)
