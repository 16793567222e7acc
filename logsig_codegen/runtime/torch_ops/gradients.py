"""What a backward pass will call is built in the background once an operator has recorded a call for autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from logsig_codegen.operations import WHOLE_STEPS, Operation, call_operation, default_state
from logsig_codegen.runtime.registry import provider, watch

_asked: set[tuple[Any, ...]] = set()  # what has been asked for; once is enough


def _forget(_: object) -> None:
    _asked.clear()


watch(_forget)


def gradient_of_rows(operation: Operation) -> Callable[[Sequence[Any]], None]:
    """For the operator of an operation on rows."""
    name, gradient, count = operation.name, operation.gradient, len(operation.inputs)

    def recorded(arguments: Sequence[Any]) -> None:
        key = (name, *arguments[count : count + 2])
        if key not in _asked:
            _asked.add(key)
            provider(*key[1:]).loaded.soon(gradient, name)

    return recorded


def gradient_of_paths(arguments: Sequence[Any]) -> None:
    """For ``log_sig``. Windows that overlap have a gradient of their own, which is built when it is called."""
    path, _, initial, dimension, degree, stream, _, state = (*arguments, False, None, None)[:8]
    multiplied = not stream and (initial is not None or path.shape[-2] > WHOLE_STEPS)
    key = ("log_sig", dimension, degree, stream, state, multiplied)
    if degree > 1 and key not in _asked:
        _asked.add(key)
        loaded = provider(dimension, degree).loaded
        state = state or default_state(loaded.problem)
        forward, gradient = (call_operation(state, stream=stream, backward=back) for back in (False, True))
        loaded.soon(gradient, forward)
        if multiplied:
            loaded.soon("combine_backprop", "combine")
