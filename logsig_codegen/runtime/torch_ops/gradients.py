"""What a backward pass will call is built in the background once an operator has recorded a call for autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logsig_codegen.operations import WHOLE_STEPS, Operation, call_operation, default_state
from logsig_codegen.runtime.registry import provider, watch

_asked: list[set[tuple[Any, ...]]] = []  # what has been asked for, by operator; once is enough


def _new_set() -> set[tuple[Any, ...]]:
    _asked.append(set())
    return _asked[-1]


def _forget(_: object) -> None:
    for some in _asked:
        some.clear()


watch(_forget)
_asked_of_paths = _new_set()


def gradient_of_rows(operation: Operation) -> Callable[[tuple[Any, ...]], None]:
    """For the operator of an operation on rows."""
    numbers = slice(len(operation.inputs), len(operation.inputs) + 2)  # dimension and degree
    asked = _new_set()

    def recorded(arguments: tuple[Any, ...]) -> None:
        key = arguments[numbers]
        if key not in asked:
            asked.add(key)
            provider(*key).loaded.soon(operation.gradient, operation.name)

    return recorded


def gradient_of_paths(arguments: tuple[Any, ...]) -> None:
    """For ``log_sig``. Windows that overlap have a gradient of their own, which is built when it is called."""
    path, _, initial, dimension, degree, stream, _, state = (*arguments, False, None, None)[:8]
    multiplied = not stream and (initial is not None or path.shape[-2] > WHOLE_STEPS)
    key = (dimension, degree, stream, state, multiplied)
    if degree > 1 and key not in _asked_of_paths:
        _asked_of_paths.add(key)
        loaded = provider(dimension, degree).loaded
        state = state or default_state(loaded.problem)
        forward, gradient = (call_operation(state, stream=stream, backward=back) for back in (False, True))
        loaded.soon(gradient, forward)
        if multiplied:
            loaded.soon("combine_backprop", "combine")
