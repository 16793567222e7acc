"""The object a user holds: the compiled functions of one problem."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.build.artifact import Artifact
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import arrays
from logsig_codegen.runtime.arrays import check_join, check_join_backprop, plain
from logsig_codegen.runtime.checks import NUMPY
from logsig_codegen.runtime.fast import fast_backprop, fast_join
from logsig_codegen.runtime.library import Library
from logsig_codegen.runtime.report import Report
from logsig_codegen.runtime.threads import thread_count

if TYPE_CHECKING:
    import numpy as np
    import torch

    from logsig_codegen.symbolic.formulas import Formulas

ArrayOrTensor = TypeVar("ArrayOrTensor", bound="np.ndarray[Any, Any] | torch.Tensor")


class LogSigKernel:
    """Compiled log-signature functions for one dimension and degree; made by :func:`logsig_codegen.load`.

    A log-signature is a vector of :attr:`size` coordinates in the Lyndon bracket basis, ordered as :attr:`words`: by
    length, then lexicographically. Arrays are numpy arrays or torch tensors on the CPU, float32 or float64; results
    have the type and dtype of the inputs. Leading axes are a batch and broadcast; any strides will do. Subclasses of
    numpy's array are read as plain arrays (masked arrays are refused, for their mask would be ignored) and results are
    plain.

    ``n_jobs`` is the number of threads: 1 serial, -1 all processors this process may use, -2 all but one; it changes
    no bit of the result. Processes made by ``fork`` always run serially, because the OpenMP runtime would wait
    there for threads that do not exist. Kernels can be called from several Python threads at once (the interpreter's
    lock is released) and pickled: the copy is loaded by dimension and degree where it is unpickled.
    """

    def __init__(self, problem: Problem, artifact: Artifact, library: Library) -> None:
        self.problem = problem
        self._artifact = artifact
        self._library = library
        self.fast_join = fast_join(problem, library.functions["join"])
        self.fast_backprop = fast_backprop(problem, library.functions["join_backprop"])

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

    @cached_property
    def report(self) -> Report:
        """Plans, operation counts, bytes moved, compiler, flags and folder; ``print(kernel.report)`` shows a table."""
        return Report.from_artifact(self._artifact)

    @cached_property
    def formulas(self) -> Formulas:
        """The formulas that were compiled, for reading: SymPy, LaTeX, text (derived on first use; needs SymPy)."""
        from logsig_codegen.symbolic.formulas import formulas

        return formulas(self.problem)

    @property
    def path(self) -> Path:
        """The folder this kernel was loaded from."""
        return self._artifact.path

    @property
    def sources(self) -> dict[str, str]:
        """File name to text, exactly as compiled.

        Raises ``OSError`` if the folder was deleted since.
        """
        return {name: (self.path / name).read_text(encoding="utf-8") for name in self._artifact.manifest["sources"]}

    def source(self, target: str = "c") -> str:
        """All of :attr:`sources`, each after a comment with its file name.

        Raises ``ValueError`` for a ``target`` other than ``"c"``.
        """
        if target != "c":
            raise ValueError(f"target: expected 'c', got {target!r}")
        return "\n".join(f"/* ==== {name} ==== */\n{text}" for name, text in self.sources.items())

    def functions(self, operation: str) -> Any:
        """The C functions of ``"join"`` or ``"join_backprop"`` by the name of their number type."""
        return self._library.functions[operation]

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
        result: Any = self.fast_join(log_sig, displacement, out, threads)
        if result is None:
            result = self._general_join(log_sig, displacement, out, threads)
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
        result: Any = self.fast_backprop(d_out, log_sig, displacement, threads) if out is None else None
        if result is None:
            result = self._general_backprop(d_out, log_sig, displacement, out, threads)
        return result  # type: ignore[no-any-return]

    def _general_join(self, log_sig: Any, displacement: Any, out: Any, threads: int) -> Any:
        if check_join(self.problem, {"log_sig": log_sig, "displacement": displacement}, out) == NUMPY:
            functions = self.functions("join")
            return arrays.join(self.problem, functions, plain(log_sig), plain(displacement), threads, out)
        from logsig_codegen.runtime import tensors

        return tensors.join(self, log_sig, displacement, threads)

    def _general_backprop(self, d_out: Any, log_sig: Any, displacement: Any, out: Any, threads: int) -> Any:
        arguments = {"d_out": d_out, "log_sig": log_sig, "displacement": displacement}
        if check_join_backprop(self.problem, arguments, out) == NUMPY:
            inputs = (plain(d_out), plain(log_sig), plain(displacement))
            return arrays.join_backprop(self.problem, self.functions("join_backprop"), inputs, threads, out)
        from logsig_codegen.runtime import tensors

        return tensors.join_backprop(self, d_out, log_sig, displacement, threads)

    def __repr__(self) -> str:
        return f"LogSigKernel(dimension={self.dimension}, degree={self.degree}, size={self.size})"

    def __reduce__(self) -> tuple[Callable[[int, int], LogSigKernel], tuple[int, int]]:
        from logsig_codegen.runtime.loader import load

        return load, (self.dimension, self.degree)
