"""The object a user holds: the compiled functions of one problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.operations import GROUPS
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.arrays import plain
from logsig_codegen.runtime.checks import NUMPY
from logsig_codegen.runtime.groups import LoadedGroups, Opened
from logsig_codegen.runtime.path_checks import check_call, is_plain
from logsig_codegen.runtime.paths import Call
from logsig_codegen.runtime.products import product, product_backprop
from logsig_codegen.runtime.report import Report
from logsig_codegen.runtime.threads import thread_count

if TYPE_CHECKING:
    import numpy as np
    import torch

    from logsig_codegen.runtime.cuda.programs import CudaPrograms
    from logsig_codegen.symbolic.formulas import Formulas

ArrayOrTensor = TypeVar("ArrayOrTensor", bound="np.ndarray[Any, Any] | torch.Tensor")


class LogSigKernel:
    """Compiled log-signature functions for one dimension and degree; made by :func:`logsig_codegen.load`.

    A log-signature is a vector of :attr:`size` coordinates in the Lyndon bracket basis, ordered as :attr:`words`: by
    length, then lexicographically. Arrays are numpy arrays or torch tensors, on the CPU or a CUDA device, float32 or
    float64; results have the type, dtype and device of the inputs. Leading axes are a batch and broadcast; any strides
    will do. Subclasses of numpy's array are read as plain arrays (masked arrays are refused, for their mask would be
    ignored) and results are plain.

    ``n_jobs`` is the number of threads: 1 serial, -1 all processors this process may use, -2 all but one; it changes
    no bit of the result. Processes made by ``fork`` always run serially, because the OpenMP runtime would wait
    there for threads that do not exist. Kernels can be called from several Python threads at once (the interpreter's
    lock is released) and pickled: the copy is loaded by dimension and degree where it is unpickled.
    """

    def __init__(
        self, problem: Problem, open_group: Callable[[str], Opened], cuda_options: Callable[[], Any] = lambda: ()
    ) -> None:
        self.problem = problem
        self.loaded = LoadedGroups(problem, open_group)
        self._cuda_options = cuda_options

    def prepare(self, *groups: str) -> None:
        """Load groups of operations now, building them if need be, instead of when they are first called.

        Parameters
        ----------
        *groups : str
            ``"join"``, ``"combine"``, ``"log_sig"``, ``"log_sig_backprop"``, ``"stream"``, ``"stream_backprop"``,
            ``"log_sig_by_signature"``, ``"log_sig_by_signature_backprop"``.

        Raises
        ------
        ValueError
            For any other name.
        CompilerError, CacheError, ArtifactError
            As :func:`load`.
        """
        for group in groups:
            if group not in tuple(GROUPS):  # a list would not do as a key
                raise ValueError(f"groups: expected names out of {', '.join(GROUPS)}, got {group!r}")
        for group in groups:
            self.loaded.group(group)

    @property
    def dimension(self) -> int:
        """Number of letters: channels of the path."""
        return self.problem.dimension

    @property
    def degree(self) -> int:
        """Truncation degree."""
        return self.problem.degree

    @property
    def size(self) -> int:
        """Number of coordinates of a log-signature."""
        return self.problem.size

    @cached_property
    def words(self) -> tuple[tuple[int, ...], ...]:
        """The Lyndon word of each coordinate, in order."""
        return lyndon_basis(self.dimension, self.degree).words

    @cached_property
    def brackets(self) -> tuple[str, ...]:
        """The bracket of each coordinate, in order, as text such as ``"[0,[0,1]]"``."""
        basis = lyndon_basis(self.dimension, self.degree)
        return tuple(basis.bracket(coordinate) for coordinate in range(self.size))

    @property
    def report(self) -> Report:
        """Plans, operation counts, bytes moved, compiler, flags and folder of what is loaded; print it for a table."""
        self.prepare("join")
        return Report.from_artifacts(self.loaded.artifacts())

    @cached_property
    def formulas(self) -> Formulas:
        """The formulas that were compiled, for reading: SymPy, LaTeX, text (derived on first use; needs SymPy)."""
        from logsig_codegen.symbolic.formulas import formulas

        return formulas(self.problem)

    @property
    def path(self) -> Path:
        """The folder the join was loaded from."""
        return self.loaded.group("join").artifact.path

    @property
    def sources(self) -> dict[str, str]:
        """File name to text of the join's sources, exactly as compiled.

        Raises ``OSError`` if the folder was deleted since.
        """
        return self._sources("join")

    def _sources(self, group: str) -> dict[str, str]:
        self.prepare(group)
        artifact = self.loaded.group(group).artifact
        return {name: (artifact.path / name).read_text(encoding="utf-8") for name in artifact.manifest["sources"]}

    def source(self, target: str = "c", *, group: str = "join") -> str:
        """All source files of a group of operations, each after a comment with its file name.

        Raises ``ValueError`` for a ``target`` other than ``"c"``, or a group that :meth:`prepare` does not know.
        """
        if target != "c":
            raise ValueError(f"target: expected 'c', got {target!r}")
        return "\n".join(f"/* ==== {name} ==== */\n{text}" for name, text in self._sources(group).items())

    @cached_property
    def cuda(self) -> CudaPrograms:
        """The kernels for GPUs; each is found or compiled when a CUDA tensor first needs it."""
        from logsig_codegen.runtime.cuda.programs import CudaPrograms

        return CudaPrograms(self.problem, *self._cuda_options())

    def functions(self, operation: str) -> Any:
        """The C functions of an operation (``"join"``, ``"log_sig_backprop"``, …) by the name of their number type."""
        return self.loaded.functions(operation)

    def join(
        self,
        log_sig: ArrayOrTensor,
        displacement: ArrayOrTensor,
        *,
        n_jobs: SupportsIndex = 1,
        out: ArrayOrTensor | None = None,
    ) -> ArrayOrTensor:
        """Extend log-signatures by one straight segment each: ``log(exp(log_sig) exp(displacement))``, truncated.

        Parameters
        ----------
        log_sig : array, shape (..., size)
            Log-signatures of the paths so far.
        displacement : array, shape (..., dimension)
            End minus start of the new segments.
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
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        result: Any = self.loaded.join(log_sig, displacement, out, threads)
        if result is None:
            arguments = {"log_sig": log_sig, "displacement": displacement}
            result = product(self, "join", arguments, out, threads)
        return result  # type: ignore[no-any-return]

    def join_backprop(
        self,
        d_out: ArrayOrTensor,
        log_sig: ArrayOrTensor,
        displacement: ArrayOrTensor,
        *,
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
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        result: Any = self.loaded.join_backprop(d_out, log_sig, displacement, threads) if out is None else None
        if result is None:
            arguments = {"d_out": d_out, "log_sig": log_sig, "displacement": displacement}
            result = product_backprop(self, "join", arguments, out, threads)
        return result  # type: ignore[no-any-return]

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
        arguments = {"log_sig1": log_sig1, "log_sig2": log_sig2}
        result: Any = product(self, "combine", arguments, out, thread_count(n_jobs))
        return result  # type: ignore[no-any-return]

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
        arguments = {"d_out": d_out, "log_sig1": log_sig1, "log_sig2": log_sig2}
        result: Any = product_backprop(self, "combine", arguments, out, thread_count(n_jobs))
        return result  # type: ignore[no-any-return]

    def log_sig(
        self,
        path: ArrayOrTensor | Sequence[ArrayOrTensor],
        *,
        lengths: Any = None,
        initial: ArrayOrTensor | None = None,
        stream: bool = False,
        windows: tuple[int, int] | None = None,
        state: str | None = None,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
    ) -> ArrayOrTensor:
        """Log-signatures of piecewise linear paths.

        Parameters
        ----------
        path : array, shape (..., length, dimension), or list of arrays of shape (length, dimension)
            Points of the paths. Those of a list may have different lengths. A path of length 0 or 1 has
            log-signature zero.
        lengths : integers of shape (...), optional
            How many points of each path count, where ``path`` is padded; the rest is not read.
        initial : array, shape (..., size), optional
            Log-signatures (Lyndon brackets) of what came before: the result is that of both, one after the other.
        stream : bool
            All expanding log-signatures: after the first step, the second, and so on. A path that is shorter than the
            others stays at its last point.
        windows : (size, stride), optional
            Log-signatures of all windows of ``size`` points, ``stride`` points apart, that fit ``length`` points.
        state : {"log_derivative", "signature"}, optional
            What a path is carried in; the default depends on dimension and degree. The first is the more accurate one
            on long paths, the second needs fewer operations. ``stream`` does without either.
        method : int
            Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
        n_jobs : int
            Number of threads; see the class.

        Returns
        -------
        array, shape (..., size)
            ``(..., length - 1, size)`` with ``stream``, ``(..., number of windows, size)`` with ``windows``. The last
            axis is longer for method 0. Torch tensors carry gradients for ``path`` and ``initial``.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong type, dtype, shape or value, before anything is computed.
        """
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        if is_plain(lengths, initial, stream, windows, method):
            result: Any = self.loaded.log_sig(state)(path, threads)
            if result is not None:
                return result  # type: ignore[no-any-return]
        options = {"lengths": lengths, "initial": initial, "stream": stream, "windows": windows, "state": state}
        checked = check_call(self.problem, path, method=method, threads=threads, **options)
        if checked.kind == NUMPY:
            return Call(self, checked.options, checked.paths, initial).forward()  # type: ignore[arg-type, return-value]
        from logsig_codegen.runtime import tensors

        return tensors.log_sig(self, checked.options, checked.paths, initial)  # type: ignore[arg-type, return-value]

    def log_sig_backprop(
        self,
        d_out: ArrayOrTensor,
        path: ArrayOrTensor | Sequence[ArrayOrTensor],
        *,
        lengths: Any = None,
        initial: ArrayOrTensor | None = None,
        stream: bool = False,
        windows: tuple[int, int] | None = None,
        state: str | None = None,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
    ) -> Any:
        """Gradients of a scalar with respect to the points of a path, given those with respect to :meth:`log_sig`.

        The memory this needs beyond its arguments and results does not grow with the length of the path.

        Parameters
        ----------
        d_out : array
            Derivative with respect to ``log_sig(path, ...)``; broadcasts to its shape.
        path, lengths, initial, stream, windows, state, method, n_jobs
            The arguments of :meth:`log_sig`.

        Returns
        -------
        d_path : array of the shape of path, or list of them
            Zero for points that do not count. With ``initial``: the pair ``(d_path, d_initial)``.

        Raises
        ------
        TypeError, ValueError
            As for :meth:`log_sig`.
        """
        threads = 1 if type(n_jobs) is int and n_jobs == 1 else thread_count(n_jobs)
        if is_plain(lengths, initial, stream, windows, method):
            gradient: Any = self.loaded.log_sig_backprop(state)(d_out, path, None, threads)
            if gradient is not None:
                return gradient
        options = {"lengths": lengths, "initial": initial, "stream": stream, "windows": windows, "state": state}
        checked = check_call(self.problem, path, method=method, threads=threads, d_out=d_out, **options)
        if checked.kind == NUMPY:
            call = Call(self, checked.options, checked.paths, initial)  # type: ignore[arg-type]
            gradients: Any = call.backward(plain(d_out))  # type: ignore[arg-type]
        else:
            from logsig_codegen.runtime import tensors

            tensors_given: Any = (d_out, checked.paths, initial)
            gradients = tensors.log_sig_backprop(self, checked.options, *tensors_given)
        count = len(checked.paths)
        d_path = list(gradients[:count]) if checked.options.ragged else gradients[0]
        return d_path if initial is None else (d_path, gradients[count])

    def __repr__(self) -> str:
        return f"LogSigKernel(dimension={self.dimension}, degree={self.degree}, size={self.size})"

    def __reduce__(self) -> tuple[Callable[[int, int], LogSigKernel], tuple[int, int]]:
        from logsig_codegen.runtime.loader import obtain

        return obtain, (self.dimension, self.degree)
