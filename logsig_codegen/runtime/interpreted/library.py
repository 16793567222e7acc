"""A library that was never compiled: Python functions in place of C's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from logsig_codegen.build.abi import arguments
from logsig_codegen.build.artifact import DTYPES
from logsig_codegen.operations import (
    BACKWARD,
    CALLS,
    CONVERSION,
    FORWARD,
    GROUPS,
    MAP,
    ROWS,
    SLIDING,
    STREAM,
    STREAM_BACKWARD,
    WORDS,
    Operation,
)
from logsig_codegen.problem import Problem
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.interpreted import conversions
from logsig_codegen.runtime.interpreted.calls import Call
from logsig_codegen.runtime.interpreted.memory import rows
from logsig_codegen.runtime.interpreted.programs import Programs
from logsig_codegen.runtime.interpreted.walks import Walks
from logsig_codegen.runtime.library import Library

Type = np.dtype[Any]
_MEMBERS = frozenset(name for name, _ in ffi.typeof("logsig_path_call").fields)


def interpreted_library(problem: Problem, group: str, max_terms: int | None = None) -> Library:
    """The functions of a group of operations, with the arguments of a compiled library's.

    They are Python functions that return 0: C cannot call them. Programs are derived when they are first run.
    """
    walks = Walks(Programs(problem, max_terms))
    functions: dict[str, dict[str, Any]] = {}
    for name in DTYPES:
        dtype = np.dtype(name)
        made = {one.name: _MAKERS[one.kind](one, walks, dtype) for one in GROUPS[group]}
        made |= {one: partial(_run, walks, dtype=dtype, backward=bool(place)) for place, one in enumerate(CALLS)}
        for operation, function in made.items():
            functions.setdefault(operation, {})[name] = function
    return Library(functions, functions)


# -- a function for each kind of operation --------------------------------------------------------------------------


def _rows(operation: Operation, walks: Walks, dtype: Type) -> Callable[..., int]:
    programs, count = walks.programs, len(operation.inputs)
    widths = [operand.columns(programs.problem) for operand in operation.all_operands]

    def call(*arguments: Any) -> int:
        *pairs, batch, _ = arguments
        operands = [rows(pairs[2 * k], pairs[2 * k + 1], batch, width, dtype) for k, width in enumerate(widths)]
        for target, result in zip(operands[count:], programs.run(operation.name, *operands[:count]), strict=True):
            target[...] = result
        return 0

    return call


def _conversion(operation: Operation, walks: Walks, dtype: Type) -> Callable[..., int]:
    """Conversions and linear maps of rows."""
    problem, convert = walks.programs.problem, getattr(conversions, operation.name)

    def call(*arguments: Any) -> int:
        *pairs, maps, n_maps, scalar, batch, _ = arguments
        if operation.kind == MAP:
            widths = [(scalar & 1) + maps[0].columns, (scalar >> 1) + maps[n_maps - 1].rows]
        else:
            expanded = [one.width == WORDS or not n_maps for one in operation.all_operands]
            widths = [problem.words + scalar if one else problem.size for one in expanded]
        *inputs, out = (rows(pairs[2 * k], pairs[2 * k + 1], batch, one, dtype) for k, one in enumerate(widths))
        out[...] = convert(problem, conversions.maps_at(maps, n_maps), scalar, *inputs)
        return 0

    return call


def _along_paths(operation: Operation, walks: Walks, dtype: Type) -> Callable[..., int]:
    names = [name for _, name in arguments(operation)]

    def call(*given: Any) -> int:
        pointers = (one if isinstance(one, int) else ffi.cast("void *", one) for one in given)
        named = {name: one for name, one in zip(names, pointers, strict=True) if name in _MEMBERS}
        asked = {"stream": operation.streams, "method": 2, "initial_rows": named["batch"]}
        return _run(walks, ffi.new("logsig_path_call *", {**named, **asked}), dtype=dtype, backward=operation.backward)

    return call


def _run(walks: Walks, call: Any, *, dtype: Type, backward: bool) -> int:
    made = Call(walks, call, dtype)
    if backward:
        made.backward()
    else:
        made.forward()
    return 0


def _one_by_one(operation: Operation, walks: Walks, dtype: Type) -> Callable[..., int]:
    """Windows that overlap are taken one by one: nobody calls this."""

    def call(*_: Any) -> int:
        raise AssertionError(operation.name)

    return call


_MAKERS = {
    ROWS: _rows,
    **dict.fromkeys((CONVERSION, MAP), _conversion),
    SLIDING: _one_by_one,
    **dict.fromkeys((FORWARD, BACKWARD, STREAM, STREAM_BACKWARD), _along_paths),
}
