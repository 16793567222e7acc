"""Operations on rows of numpy arrays: the compiled program, an instruction at a time for many rows."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from logsig_codegen.ir.interpret import interpret, with_constants
from logsig_codegen.ir.program import Program
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import Problem

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

NUMBERS = 1 << 21
"""Numbers that are worked on at a time, about."""


class Programs:
    """The programs of one problem; each is derived when it is first run.

    Raises, like the compiler, ``ProblemTooLargeError`` for a problem beyond ``max_terms``.
    """

    def __init__(self, problem: Problem, max_terms: int | None = None) -> None:
        self.problem = problem
        self._max_terms = max_terms
        self._lock = threading.RLock()
        self._rounded: dict[tuple[str, np.dtype[Any]], Program] = {}

    def run(self, operation: str, *inputs: Array) -> tuple[Array, ...]:
        """The outputs, ``(rows, columns)`` each, of inputs ``(rows, columns)``; all of one number type."""
        rows, dtype = len(inputs[0]), inputs[0].dtype
        program = self.prepare(operation, dtype)
        results = tuple(np.empty((rows, len(one.values)), dtype) for one in program.outputs)
        step = max(64, NUMBERS // (program.first + len(program.instructions)))
        with np.errstate(all="ignore"):  # infinities and NaN of a row go through silently, as in the kernels
            for start in range(0, rows, step):
                part = slice(start, start + step)
                columns = (np.ascontiguousarray(one[part].T) for one in inputs)
                named = {port.name: list(one) for port, one in zip(program.inputs, columns, strict=True)}
                found = interpret(program, named, zero=dtype.type(0))
                for result, values in zip(results, found.values(), strict=True):
                    for column, value in enumerate(values):
                        result[part, column] = value
        return results

    def prepare(self, operation: str, dtype: np.dtype[Any]) -> Program:
        """The program of an operation, its constants rounded to a number type."""
        found = self._rounded.get((operation, dtype))
        if found is None:
            with self._lock:
                program = _program(self.problem, operation, self._max_terms)
                found = with_constants(program, lambda exact: dtype.type(float(exact)))
                self._rounded[operation, dtype] = found
        return found


@lru_cache(maxsize=64)
def _program(problem: Problem, operation: str, max_terms: int | None) -> Program:
    """The straight-line program of an operation, also where a compiled kernel has loops over tables instead."""
    from logsig_codegen.compiler import Kernel, make_kernel, optimise
    from logsig_codegen.cost import DEFAULT_MAX_TERMS, check_size
    from logsig_codegen.ir.lower import lower

    check_size(problem, DEFAULT_MAX_TERMS if max_terms is None else max_terms)
    kernel = make_kernel(problem, OPERATIONS[operation])
    assert isinstance(kernel, Kernel)
    if kernel.program is not None:
        return kernel.program
    assert kernel.lie is not None
    return optimise(lower(kernel.lie, problem))
