"""Log-signatures of paths on arrays: a call becomes the struct ``logsig_path_call``, which the library executes."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from functools import cache, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.operations import WHOLE_STEPS, path_operation
from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.arrays import Array, address, as_rows, plain, row_stride
from logsig_codegen.runtime.checks import DTYPES
from logsig_codegen.runtime.coordinates import chain_of, log_sig_size
from logsig_codegen.runtime.fast import NO_MEMORY, READABLE, FastLogSig
from logsig_codegen.runtime.quick import in_c
from logsig_codegen.runtime.request import PathRequest
from logsig_codegen.runtime.rows import transposed

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

_DTYPES = frozenset(map(np.dtype, DTYPES))
_MANY_SHAPES = 64  # whose structs are kept
_kept: list[Any] = []  # maps whose addresses were handed on
Indices: TypeAlias = "np.ndarray[Any, np.dtype[np.intp]]"


class Call:
    """One call: the paths, and what is to be done with them."""

    def __init__(
        self, kernel: LoadedKernel, request: PathRequest, paths: Sequence[Array], initial: Array | None
    ) -> None:
        self.kernel = kernel
        self.problem = kernel.problem
        self.request = request
        self.options = request.options
        self.inputs = [plain(path) for path in paths]
        self.initial = None if initial is None else plain(initial)
        self._alive: list[Any] = []  # what the struct points to
        self.batch, self._fields = self._paths()
        self.shape = (*request.shape[:-1], log_sig_size(self.problem, request.options.method))
        self._fields.update(self._asked())

    def forward(self, out: Array | None = None) -> Array:
        """The result, in the basis of the method; ``out`` receives it, if given, and was checked."""
        result = plain(out) if out is not None and self._fits(out) else np.empty(self.shape, self.inputs[0].dtype)
        if result.size:
            self._run(backward=False, out=address(result), out_stride=self._stride(result))
        if out is None:
            return result
        if address(result) != address(out):
            out[...] = result
        return out

    def backward(
        self, d_out: Array, result: Array | None = None, out: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Gradients with respect to each path and, last, ``initial`` if there is one; ``result`` spares a forward.

        ``out`` receives them, if given, and was checked.
        """
        fields: dict[str, Any] = dict(zip(("d_out", "d_out_stride"), self._rows(d_out), strict=True))
        if result is not None and self.options.method >= 2 and (self.initial is None or self.options.stream):
            fields.update(zip(("result", "result_stride"), self._rows(result), strict=True))
        targets = (None,) * 2 if out is None else (*map(plain, out), None)
        d_path, d_initial = self._gradient_of_paths(targets[0]), None
        fields.update(d_path=address(d_path), d_path_stride=self._fields["length"] * self.problem.dimension)
        if self.initial is not None:
            d_initial = _room(self.initial.shape, self.initial.dtype, targets[1])
            fields.update(d_initial=address(d_initial), d_initial_stride=self.problem.size)
        self._run(backward=True, **fields)
        gradients = (*self._split(d_path), *(() if d_initial is None else (d_initial,)))
        if out is None:
            return gradients
        for target, gradient in zip(out, gradients, strict=True):
            if address(target) != address(gradient):
                target[...] = gradient
        return out

    # -- the struct ---------------------------------------------------------------------------------------------

    def _run(self, *, backward: bool, **fields: Any) -> None:
        dtype, options = self.inputs[0].dtype, self.options
        loaded = self.kernel.loaded.path_call(
            self.request.state,
            dtype,
            length=self._fields["length"],
            initial=self.initial is not None,
            stream=options.stream,
            windows=options.windows,
            backward=backward,
        )
        if options.method < 2:
            fields["map"] = c_map(_map(self.problem, options.method, backward))[0]
        call = ffi.new("logsig_path_call *", {**self._fields, **fields, "functions": loaded.functions})
        error = loaded.call(call)
        if error == errno.ENOMEM:
            raise MemoryError(NO_MEMORY)
        assert not error, f"the library refused a call that was checked: {errno.errorcode.get(error, error)}"

    def _paths(self) -> tuple[tuple[int, ...], dict[str, Any]]:
        """The leading shape of the paths, and the members that say where they are."""
        dimension = self.problem.dimension
        starts: Indices | None = None
        lengths: Indices | None = None
        if self.request.ragged:
            points = np.array([len(path) for path in self.inputs], np.intp)
            self._keep(data := np.concatenate([path.reshape(-1) for path in self.inputs]))
            starts, lengths = (np.cumsum(points) - points) * dimension, points
            batch: tuple[int, ...] = (len(points),)
            length, stride = int(points.max()), 0
        else:
            (path,) = self.inputs
            batch, length = path.shape[:-2], path.shape[-2]
            data, stride = as_rows(path.reshape(*batch, length * dimension), batch)
            self._keep(data)
            if self.request.lengths is not None:
                lengths = self.request.lengths.reshape(-1)
        fields = {"path": address(data), "path_stride": stride, "batch": prod(batch), "length": length}
        return batch, {**fields, "lengths": self._indices(lengths), "starts": self._indices(starts)}

    def _asked(self) -> dict[str, Any]:
        options = self.options
        window, step = (0, 0) if options.windows is None else options.windows
        return {
            "struct_size": ffi.sizeof("logsig_path_call"),
            "n_jobs": self.request.threads,
            "stream": options.stream,
            "method": options.method,
            "window": window,
            "step": step,
            **self._intervals(),
            **self._before(),
        }

    def _intervals(self) -> dict[str, Any]:
        """The members about intervals."""
        pairs = self.request.intervals
        if pairs is None:
            return {}
        stride = 0 if pairs.ndim == 2 else 2 * pairs.shape[-2]
        return {
            "intervals": self._indices(pairs),
            "intervals_stride": stride,
            "intervals_per_path": pairs.shape[-2],
        }

    def _before(self) -> dict[str, Any]:
        """The members about ``initial``: which row of it, and which path, each row of the result belongs to."""
        if self.initial is None:
            return {}
        lead = self.initial.shape[:-1]
        full = self.batch if self.options.stream else self.shape[:-1]
        rows, stride = as_rows(self.initial, lead) if self.initial.size else (self.initial, 0)
        self._keep(rows)
        return {
            "initial": address(rows),
            "initial_stride": stride,
            "initial_rows": prod(lead),
            "rows": prod(full),
            "initial_of": ffi.NULL if prod(lead) == 1 else self._indices(_shared(lead, full)),
            "path_of": self._indices(_shared(self.batch, full)),
        }

    # -- arrays -------------------------------------------------------------------------------------------------

    def _keep(self, array: Any) -> None:
        self._alive.append(array)

    def _indices(self, numbers: Indices | None) -> Any:
        if numbers is None:
            return ffi.NULL
        self._keep(numbers)
        return ffi.cast("ptrdiff_t *", numbers.__array_interface__["data"][0])

    def _fits(self, rows: Array) -> bool:
        """Whether the library can walk an array of the result's shape."""
        return bool(rows.flags.carray) if self.options.stream else rows.size > 0 and row_stride(rows) is not None

    def _stride(self, rows: Array) -> int:
        """Numbers from one row to the next; for streams, from one path to the next."""
        stride = prod(rows.shape[-2:]) if self.options.stream else row_stride(rows)
        assert stride is not None
        return stride

    def _rows(self, given: Array) -> tuple[Any, int]:
        """Address and stride of derivatives, or of a result, that the library reads."""
        if not prod(self.shape):
            return address(given), 0
        rows, stride = plain(given), 0
        if self.options.stream:
            rows = np.ascontiguousarray(np.broadcast_to(rows, (*self.shape[:-1], rows.shape[-1])))
            stride = prod(rows.shape[-2:])
        else:
            rows, stride = as_rows(rows, self.shape[:-1])
        self._keep(rows)
        return address(rows), stride

    def _gradient_of_paths(self, out: Array | None) -> Array:
        first = self.inputs[0]
        if self.request.ragged:
            return np.empty(sum(path.size for path in self.inputs), first.dtype)
        return _room(first.shape, first.dtype, out)

    def _split(self, d_data: Array) -> tuple[Array, ...]:
        if not self.request.ragged:
            return (d_data,)
        ends = np.cumsum([path.size for path in self.inputs])
        pieces = np.split(d_data, ends[:-1])
        return tuple(piece.reshape(path.shape) for piece, path in zip(pieces, self.inputs, strict=True))


def fast_in_coordinates(kernel: LoadedKernel, state: str, method: int) -> FastLogSig:
    """Make ``call(path, out, threads)`` for coordinates of method 0 or 1; see :mod:`logsig_codegen.runtime.fast`.

    The struct of a call is made once for each shape and type of paths.
    """
    problem = kernel.problem
    made: dict[Any, tuple[Any, ...]] = {}
    dimension, width, kind = problem.dimension, log_sig_size(problem, method), ffi.typeof("logsig_path_call *")
    ndarray, empty, new, pointer = np.ndarray, np.empty, ffi.new, ffi.from_buffer

    def call(path: Any, out: Any, threads: int) -> Any:
        if type(path) is not ndarray or out is not None or path.flags.num & READABLE != READABLE:
            return None
        dtype, shape = path.dtype, path.shape
        known = made.get((shape, dtype, threads))
        if known is None:
            ordinary = dtype in _DTYPES and len(shape) > 1 and shape[-1] == dimension and shape[-2] <= WHOLE_STEPS
            if not ordinary or not path.size:
                return None
            if len(made) >= _MANY_SHAPES:
                made.clear()
            known = made[shape, dtype, threads] = template(shape, dtype, threads)
        function, struct, result_shape, _ = known
        result = empty(result_shape, dtype)
        fields = new(kind, struct)
        fields.path, fields.out = pointer(path), pointer(result)
        if function(fields):
            raise MemoryError(NO_MEMORY)
        return result

    def template(shape: tuple[int, ...], dtype: np.dtype[Any], threads: int) -> tuple[Any, ...]:
        """The function, its struct without the arrays, the shape of the result, and what the struct points to."""
        function, struct, kept = without_shapes(dtype, threads)
        struct.length, struct.batch = shape[-2], prod(shape[:-2])
        struct.path_stride, struct.out_stride = shape[-2] * dimension, width
        return function, struct[0], (*shape[:-2], width), (struct, kept)

    def without_shapes(dtype: np.dtype[Any], threads: int) -> tuple[Any, Any, object]:
        to_method = c_map(_map(problem, method, False))
        options: Any = {"length": 0, "initial": False, "stream": False, "windows": None, "backward": False}
        loaded = kernel.loaded.path_call(state, dtype, **options)
        fields = {"n_jobs": threads, "method": method, "functions": loaded.functions, "map": to_method[0]}
        struct = new(kind, {"struct_size": ffi.sizeof("logsig_path_call"), **fields})
        return loaded.call, struct, (loaded, to_method)

    dtypes = kernel.functions(path_operation(state))
    made_for = {name: without_shapes(np.dtype(name), 1) for name in dtypes}
    structs = {name: bytes(ffi.buffer(struct)) for name, (_, struct, _) in made_for.items()}
    return in_c(
        "log_sig",
        call,
        {name: function for name, (function, _, _) in made_for.items()},
        width,
        dimension,
        WHOLE_STEPS,
        (structs.get("float64", b""), structs.get("float32", b"")),
        made_for,
    )


def _room(shape: tuple[int, ...], dtype: np.dtype[Any], out: Array | None) -> Array:
    """Where a gradient goes: ``out``, if its rows follow one another."""
    return out if out is not None and out.flags.carray else np.empty(shape, dtype)


def _shared(lead: tuple[int, ...], full: tuple[int, ...]) -> Indices | None:
    """The row of an operand that each row of the result belongs to, if it is broadcast."""
    if prod(lead) == prod(full):
        return None
    numbers = np.arange(prod(lead), dtype=np.intp).reshape(lead)
    return np.ascontiguousarray(np.broadcast_to(numbers, full)).reshape(-1)


def _map(problem: Problem, method: int, backward: bool) -> SparseMap:
    """From Lyndon brackets to a method, or the transpose."""
    (linear,) = chain_of(problem, 2, method).maps
    return transposed(linear) if backward else linear


@cache
def coordinate_maps(problem: Problem) -> Any:
    """The four maps of a problem, as a library has them; they stay where they are."""
    order = [(method, backward) for backward in (False, True) for method in (0, 1)]
    kept = [c_map(_map(problem, *which)) for which in order]
    _kept.extend(kept)
    maps = ffi.new("logsig_map[4]", [one[0][0] for one in kept])
    return maps


@lru_cache(maxsize=64)
def c_map(linear: SparseMap) -> tuple[Any, ...]:
    """A map as the struct ``logsig_map``, and the arrays it points to."""
    starts, indices = (np.array(numbers, np.intp) for numbers in (linear.starts, linear.indices))
    coefficients = np.array(linear.coefficients, np.float64)
    found = ffi.new("logsig_map *", {"rows": linear.rows, "columns": linear.columns})
    found.starts, found.indices = (ffi.cast("ptrdiff_t *", array.ctypes.data) for array in (starts, indices))
    found.coefficients = ffi.cast("double *", coefficients.ctypes.data)
    return found, starts, indices, coefficients
