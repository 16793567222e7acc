"""The object a user holds: the compiled functions of one problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import numpy as np

from logsig_codegen.operations import OPERATIONS, default_state
from logsig_codegen.runtime import evaluation, registry
from logsig_codegen.runtime.arrays import check_no_out
from logsig_codegen.runtime.checks import join_operation
from logsig_codegen.runtime.fast import FastLogSig
from logsig_codegen.runtime.fronts import calls_of
from logsig_codegen.runtime.groups import not_loaded
from logsig_codegen.runtime.loaded_kernel import LoadedKernel
from logsig_codegen.runtime.origin import Origin
from logsig_codegen.runtime.parts import Parts, for_each, sum_over_each
from logsig_codegen.runtime.paths import fast_in_coordinates
from logsig_codegen.runtime.products import product, product_backprop, product_elsewhere
from logsig_codegen.runtime.request import PathOptions, in_brackets, path_request
from logsig_codegen.runtime.threads import thread_count
from logsig_codegen.runtime.transforms import filled

if TYPE_CHECKING:
    import jax
    import torch

COMBINE = OPERATIONS["combine"]
APPENDING = join_operation(False).name
ArrayOrTensor = TypeVar("ArrayOrTensor", bound="np.ndarray[Any, Any] | torch.Tensor | jax.Array")


class LogSigKernel(LoadedKernel):
    """Compiled log-signature functions for one dimension and degree; made by :func:`logsig_codegen.load`.

    A log-signature is a vector of :attr:`size` coordinates in the Lyndon bracket basis, ordered as :attr:`words`: by
    length, then lexicographically. Arrays are numpy arrays or torch tensors, on the CPU or a CUDA device, float32 or
    float64; results have the type, dtype and device of the inputs. Leading axes are a batch and broadcast; any strides
    will do. Subclasses of numpy's array are read as plain arrays (masked arrays are refused, for their mask would be
    ignored) and results are plain.

    ``n_jobs`` is the number of threads: 1 serial, -1 all processors this process may use, -2 all but one; it changes
    no bit of the result. Processes made by ``fork`` always run serially, because the OpenMP runtime would wait
    there for threads that do not exist. Kernels can be called from several Python threads at once (the interpreter's
    lock is released), copied and pickled: the copy is loaded by the arguments of :func:`load` where it is unpickled.
    """

    def join(
        self,
        log_sig: ArrayOrTensor,
        displacement: ArrayOrTensor,
        *,
        prepend: bool = False,
        n_jobs: SupportsIndex = 1,
        out: ArrayOrTensor | None = None,
    ) -> ArrayOrTensor:
        """Extend log-signatures by one straight segment each: ``log(exp(log_sig) exp(displacement))``, truncated.

        With ``prepend`` the segment comes before the path: ``log(exp(displacement) exp(log_sig))``.

        Parameters
        ----------
        log_sig : array, shape (..., size)
            Log-signatures of the paths so far.
        displacement : array, shape (..., dimension)
            End minus start of the new segments.
        prepend : bool
            Whether the segments precede the paths.
        n_jobs : int
            Number of threads; see the class.
        out : numpy array, optional
            Receives the result: its shape and dtype, writable, any strides, no memory shared with the inputs.

        Returns
        -------
        array, shape (..., size)
            ``out`` if given. Torch tensors carry a gradient.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong type, dtype, shape or value, before anything is computed.
        """
        name = APPENDING if prepend is False else join_operation(prepend).name
        return self._product(name, (log_sig, displacement), out, n_jobs)  # type: ignore[no-any-return]

    def join_backprop(
        self,
        d_out: ArrayOrTensor,
        log_sig: ArrayOrTensor,
        displacement: ArrayOrTensor,
        *,
        prepend: bool = False,
        n_jobs: SupportsIndex = 1,
        out: tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
    ) -> tuple[ArrayOrTensor, ArrayOrTensor]:
        """Gradients of a scalar with respect to the arguments of :meth:`join`, given those with respect to its result.

        Parameters
        ----------
        d_out : array, shape (..., size)
            Derivative with respect to ``join(log_sig, displacement)``; broadcasts to its shape.
        log_sig, displacement : array, shape (..., size) and (..., dimension)
            The arguments of the join.
        prepend : bool
            As for :meth:`join`.
        n_jobs : int
            Number of threads; see the class.
        out : pair of numpy arrays, optional
            Receives ``(d_log_sig, d_displacement)``; rules as for :meth:`join`.

        Returns
        -------
        d_log_sig, d_displacement : array, shapes of log_sig and displacement
            What was broadcast is summed over.

        Raises
        ------
        TypeError, ValueError
            As for :meth:`join`.
        """
        name = join_operation(prepend).gradient
        return self._gradient(name, (d_out, log_sig, displacement), out, n_jobs)  # type: ignore[no-any-return]

    def combine(
        self,
        log_sig1: ArrayOrTensor,
        log_sig2: ArrayOrTensor,
        *,
        n_jobs: SupportsIndex = 1,
        out: ArrayOrTensor | None = None,
    ) -> ArrayOrTensor:
        """The log-signature of one path after another: ``log(exp(log_sig1) exp(log_sig2))``, truncated.

        Parameters
        ----------
        log_sig1, log_sig2 : array, shape (..., size)
            Log-signatures of the first and of the second path; leading axes broadcast.
        n_jobs, out
            As for :meth:`join`.

        Returns
        -------
        array, shape (..., size)

        Raises
        ------
        TypeError, ValueError
            As for :meth:`join`.
        """
        return self._product(COMBINE.name, (log_sig1, log_sig2), out, n_jobs)  # type: ignore[no-any-return]

    def combine_backprop(
        self,
        d_out: ArrayOrTensor,
        log_sig1: ArrayOrTensor,
        log_sig2: ArrayOrTensor,
        *,
        n_jobs: SupportsIndex = 1,
        out: tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
    ) -> tuple[ArrayOrTensor, ArrayOrTensor]:
        """Gradients with respect to the arguments of :meth:`combine`; everything as for :meth:`join_backprop`.

        Returns
        -------
        d_log_sig1, d_log_sig2 : array, shapes of log_sig1 and log_sig2
        """
        return self._gradient(COMBINE.gradient, (d_out, log_sig1, log_sig2), out, n_jobs)  # type: ignore[no-any-return]

    def _product(self, operation: str, operands: tuple[Any, Any], out: Any, n_jobs: Any) -> Any:
        calls = calls_of(*operands)
        if calls is not None:
            return product_elsewhere(calls, self, operation, operands, out, n_jobs)
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        result = self.loaded.quick[operation](*operands, out, threads)
        return product(self, operation, operands, out, threads) if result is None else result

    def _gradient(self, operation: str, operands: tuple[Any, Any, Any], out: Any, n_jobs: Any) -> Any:
        calls = calls_of(*operands[1:], operands[0])
        if calls is not None:
            return product_elsewhere(calls, self, operation, operands, out, n_jobs)
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        result = self.loaded.quick[operation](*operands, out, threads)
        return product_backprop(self, operation, operands, out, threads) if result is None else result

    def log_sig(
        self,
        path: ArrayOrTensor | Sequence[ArrayOrTensor],
        *,
        lengths: Any = None,
        initial: ArrayOrTensor | None = None,
        stream: bool = False,
        windows: Any = None,
        intervals: Any = None,
        times: Any = None,
        missing: str | None = None,
        state: str | None = None,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
        out: ArrayOrTensor | None = None,
    ) -> Any:
        """Log-signatures of piecewise linear paths.

        The default basis is Lyndon brackets (``method=2``), as for joins and products. :func:`logsig_codegen.log_sig`
        has Lyndon words by default (``method=1``), as pySigLib has: other numbers of the same shape.

        Parameters
        ----------
        path : array, shape (..., length, dimension), or list of arrays of shape (length, dimension)
            Points of the paths. Those of a list may have different lengths. A path of length 0 or 1 has
            log-signature zero.
        lengths : integers of shape (...), optional
            How many points of each path count, where ``path`` is padded; the rest is not read. Those in a tensor on
            a GPU stay there, beside a path that is there, and are checked there.
        initial : array, shape (..., size), optional
            Log-signatures (Lyndon brackets) of what came before: the result is that of both, one after the other.
        stream : bool
            All expanding log-signatures: after the first step, the second, and so on. A path that is shorter than the
            others stays at its last point.
        windows : (size, stride), or list of them, optional
            Log-signatures of all windows of ``size`` points, ``stride`` points apart, that fit ``length`` points. With
            ``times``: ``(duration, step)``, from the first time of a path on. A list of them gives a list of results.
        intervals : integers, shape (W, 2) or (..., W, 2), optional
            Log-signatures of intervals: their first and last points, both included, for all paths or for each, in any
            order. One with ``last = first - 1`` is empty, and zero. A shorter path has no points beyond its end. With
            ``times``, real numbers are beginnings and ends in time; between points the path is straight.
        times : real numbers, shape (length,) or (..., length), optional
            Strictly increasing; for all paths or for each. For a list of paths also a list.
        missing : {"raise", "linear", "forward"}, optional
            What is done about values that are NaN: an error that names the first one; filled in channel by channel, on
            the straight line (in ``times``) between the observations before and after, or by the one before. At both
            ends the nearest observation is held; a channel without any stays at 0. ``None``: nothing is done.
        state : {"log_derivative", "signature"}, optional
            What a path is carried in; the default depends on dimension and degree. The first is the more accurate one
            on long paths, the second needs fewer operations. ``stream`` does without either.
        method : int
            Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
        n_jobs : int
            Number of threads; see the class.
        out : numpy array, optional
            Receives the result; rules as for :meth:`join`.

        Returns
        -------
        array, shape (..., size)
            ``(..., length - 1, size)`` with ``stream``, ``(..., number of windows, size)`` with ``windows``,
            ``(..., W, size)`` with ``intervals``. The last axis is longer for method 0. ``out`` if given. Torch tensors
            and JAX arrays carry gradients for ``path``, ``initial``, ``times`` and the ends of intervals of time.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong type, dtype, shape or value, before anything is computed.
        """
        if stream is False and lengths is initial is windows is intervals is times is missing is None:
            result: Any = self.ordinary_log_sig(path, state, method, n_jobs, out)
            if result is not None:
                return result
        calls = calls_of(path, initial, lengths, intervals, times)
        transform = filled(missing)

        def call(windows: Any, parts: Parts) -> Any:
            options = PathOptions(stream, windows, state, method, n_jobs)  # type: ignore[arg-type]
            others = {"lengths": lengths, "initial": initial, "transform": transform, "parts": parts}
            if calls is not None:
                check_no_out(out)
                calls.provide(self)
                return calls.log_sig(path, self.dimension, self.degree, options, **others)
            request = path_request(path, self.dimension, self.degree, options, **others)
            return evaluation.forward(self, request, path, initial, out)

        return for_each(windows, intervals, times, out, call)

    def log_sig_backprop(
        self,
        d_out: ArrayOrTensor,
        path: ArrayOrTensor | Sequence[ArrayOrTensor],
        *,
        lengths: Any = None,
        initial: ArrayOrTensor | None = None,
        stream: bool = False,
        windows: Any = None,
        intervals: Any = None,
        times: Any = None,
        missing: str | None = None,
        state: str | None = None,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
        out: ArrayOrTensor | tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
    ) -> Any:
        """Gradients of a scalar with respect to the points of a path, given those with respect to :meth:`log_sig`.

        The memory this needs beyond its arguments and results does not grow with the length of the path.

        Parameters
        ----------
        d_out : array
            Derivative with respect to ``log_sig(path, ...)``; broadcasts to its shape. For a list of windows a list.
        path, lengths, initial, stream, windows, intervals, times, missing, state, method, n_jobs
            The arguments of :meth:`log_sig`.
        out : numpy array, or with ``initial`` a pair of them, optional
            Receives the result; rules as for :meth:`join`. Not for a list of paths.

        Returns
        -------
        d_path : array of the shape of path, or list of them
            Zero for points that do not count and values that are missing. With ``initial``: the pair ``(d_path,
            d_initial)``.

        Raises
        ------
        TypeError, ValueError
            As for :meth:`log_sig`.
        """
        if stream is False and lengths is initial is windows is intervals is times is missing is None:
            gradient: Any = self.ordinary_log_sig_backprop(d_out, path, state, method, n_jobs, out)
            if gradient is not None:
                return gradient
        calls = calls_of(path, initial, d_out, lengths, intervals, times)
        transform = filled(missing)

        def call(d_out: Any, windows: Any, parts: Parts) -> Any:
            options = PathOptions(stream, windows, state, method, n_jobs)  # type: ignore[arg-type]
            others = {"lengths": lengths, "initial": initial, "transform": transform, "parts": parts}
            if calls is not None:
                check_no_out(out)
                calls.provide(self)
                return calls.log_sig_backprop(d_out, path, self.dimension, self.degree, options, **others)
            request = path_request(path, self.dimension, self.degree, options, d_out=d_out, **others)
            return evaluation.backward(self, request, d_out, path, initial, out)

        return sum_over_each(d_out, windows, intervals, times, out, call)

    def ordinary_log_sig(self, path: Any, state: Any, method: Any, n_jobs: Any, out: Any) -> Any:
        """:meth:`log_sig` of whole paths, or ``None`` if this is no ordinary call (``runtime/fast.py``)."""
        if type(path) is not np.ndarray:
            return None
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        quick = self.loaded.log_sig(state) if in_brackets(method) else self._in_coordinates(state, method)
        return quick(path, out, threads)

    def ordinary_log_sig_backprop(self, d_out: Any, path: Any, state: Any, method: Any, n_jobs: Any, out: Any) -> Any:
        """:meth:`log_sig_backprop` in the same way."""
        if type(path) is not np.ndarray or not in_brackets(method):
            return None
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        return self.loaded.log_sig_backprop(state)(d_out, path, None, out, threads)

    def _in_coordinates(self, state: Any, method: Any) -> FastLogSig:
        """The ordinary call of ``log_sig`` for method 0 or 1; for anything else what leaves it to the general way."""
        brackets = self.loaded.log_sig(state)
        if type(method) is not int or method not in (0, 1) or brackets is not_loaded:
            return not_loaded
        found = self.loaded.in_coordinates.get((state, method))
        if found is None:
            found = fast_in_coordinates(self, state or default_state(self.problem), method)
            self.loaded.in_coordinates[state, method] = found
        return found

    def __repr__(self) -> str:
        numbers = f"dimension={self.dimension}, degree={self.degree}, size={self.size}"
        return f"LogSigKernel({numbers}, basis='Lyndon brackets (method 2)')"

    def __reduce__(self) -> tuple[Callable[..., LoadedKernel], tuple[int, int, Origin]]:
        return registry.obtain, (self.dimension, self.degree, self.origin)
