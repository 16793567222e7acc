"""The groups of operations a kernel has in memory: loaded on first use, with the quick calls made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from logsig_codegen.build import background
from logsig_codegen.build.artifact import Artifact
from logsig_codegen.operations import (
    ADJOINT,
    CALLS,
    GROUPS,
    ROWS,
    STATES,
    WHOLE_STEPS,
    default_state,
    group_of,
    path_operation,
)
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import quick
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.arrays import function_for
from logsig_codegen.runtime.fast import (
    FastLogSig,
    FastLogSigBackprop,
    fast_gradient,
    fast_log_sig,
    fast_log_sig_backprop,
    fast_product,
)
from logsig_codegen.runtime.library import Library, untyped
from logsig_codegen.sliding import slides
from logsig_codegen.targets.builder import import_generator


@dataclass(frozen=True)
class Opened:
    """A group of operations in memory, and the folder it came from; ``None`` if it is interpreted."""

    artifact: Artifact | None
    library: Library


@dataclass(frozen=True)
class PathCall:
    """The C function of a call along paths, and the functions it needs, as the struct ``logsig_path_functions``."""

    call: Any
    functions: Any


def not_loaded(*_: Any) -> Any:
    """Stands where the ordinary call will be: leaves everything to the general way, which loads what it needs."""


class _QuickCalls(dict[str, "Callable[..., Any]"]):
    """Ordinary calls by operation; what is not loaded leaves everything to the general way."""

    def __missing__(self, operation: str) -> Callable[..., Any]:
        return not_loaded


class LoadedGroups:
    """The libraries of one problem. ``open_group`` finds or builds the library of a group.

    Attributes
    ----------
    quick : mapping of str to callable
        The ordinary calls of products and their gradients (:mod:`logsig_codegen.runtime.fast`), by operation.
    in_coordinates : dict
        Those of ``log_sig`` in the coordinates of methods 0 and 1, by state (``None`` is the default) and method; the
        kernel makes them.
    """

    def __init__(self, problem: Problem, open_group: Callable[[str], Opened]) -> None:
        self.problem = problem
        self.quick: dict[str, Callable[..., Any]] = _QuickCalls()
        self._open_group = open_group
        self._opened: dict[str, Opened] = {}
        self.in_coordinates: dict[tuple[str | None, int], FastLogSig] = {}
        self._log_sig: dict[str | None, FastLogSig] = {}  # by state; None is the default
        self._log_sig_backprop: dict[str | None, FastLogSigBackprop] = {}
        self._products: dict[tuple[str, np.dtype[Any], bool], Any] = {}
        self._path_calls: dict[tuple[Any, ...], PathCall] = {}
        quick.when_built(self._make_all_fast)

    def group(self, name: str) -> Opened:
        """A group, loaded if it is not yet."""
        found = self._opened.get(name)
        if found is None:
            found = self._opened[name] = self._open_group(name)
            self._make_fast(name, found)
        return found

    def soon(self, operation: str, after: str) -> None:
        """Let the group of an operation be loaded in the background, and built if need be, after a call of another one.

        Where that one is not loaded, somebody else's functions were called, such as those of an extension.
        """
        name = group_of(operation)
        if name not in self._opened and group_of(after) in self._opened:
            background.start(f"{self.problem.name}: {name}", import_generator, partial(self.group, name))

    def artifacts(self) -> list[Artifact]:
        """The folders of what is loaded, in the order of the groups."""
        found = (self._opened[name].artifact for name in GROUPS if name in self._opened)
        return [artifact for artifact in found if artifact is not None]

    def libraries(self) -> list[Library]:
        """The libraries that are loaded, in the order of the groups."""
        return [self._opened[name].library for name in GROUPS if name in self._opened]

    def functions(self, operation: str) -> Any:
        """The C functions of an operation by the name of their number type."""
        return self.group(group_of(operation)).library.functions[operation]

    def log_sig(self, state: Any) -> FastLogSig:
        """The ordinary call of ``log_sig`` for a state, if there is one yet."""
        return self._log_sig.get(state, not_loaded) if state is None or type(state) is str else not_loaded

    def log_sig_backprop(self, state: Any) -> FastLogSigBackprop:
        """The ordinary call of ``log_sig_backprop`` for a state, if there is one yet."""
        return self._log_sig_backprop.get(state, not_loaded) if state is None or type(state) is str else not_loaded

    def products(self, state: str, dtype: np.dtype[Any], *, backward: bool) -> Any:
        """What the C functions of whole paths need to cut long ones: the struct ``logsig_products``."""
        key = (state, dtype, backward)
        found = self._products.get(key)
        if found is None:
            names = {"combine": "combine"}
            if backward:
                names.update(log_sig=path_operation(state), combine_backprop="combine_backprop")
            found = ffi.new("logsig_products *")
            for member, operation in names.items():
                setattr(found, member, untyped(function_for(self.functions(operation), dtype)))
            self._products[key] = found
        return found

    def path_call(
        self,
        state: str,
        dtype: np.dtype[Any],
        *,
        length: int,
        initial: bool,
        stream: bool,
        windows: tuple[int, int] | None,
        backward: bool,
    ) -> PathCall:
        """What calls along paths need: for streams, or for whole paths.

        Long paths, of ``length`` points, and those with ``initial``, what came before, are also multiplied; windows
        that have much in common have functions of their own.
        """
        products = not stream and (length > WHOLE_STEPS or initial)
        sliding = windows is not None and slides(self.problem, *windows)
        key = (state, dtype, stream, products, sliding, backward)
        found = self._path_calls.get(key)
        if found is None:
            forward = "stream" if stream else path_operation(state)
            members = {"stream" if stream else "log_sig": forward}
            if backward:
                members["stream_backprop" if stream else "log_sig_backprop"] = (
                    "stream_backprop" if stream else path_operation(state, backward=True)
                )
            if products or sliding:
                members.update({name: name for name in ("combine", "combine_backprop")[: 1 + backward]})
            if sliding:
                name = "windows_backprop" if backward else "windows"
                members.update({name: name, "log_sig": path_operation(state)})
            functions = ffi.new("logsig_path_functions *")
            for member, operation in members.items():
                setattr(functions, member, untyped(function_for(self.functions(operation), dtype)))
            calls = self.group(group_of(forward)).library.functions[CALLS[backward]]
            found = self._path_calls[key] = PathCall(function_for(calls, dtype), functions)
        return found

    def _make_all_fast(self) -> None:
        for name, opened in tuple(self._opened.items()):
            self._make_fast(name, opened)
        self.in_coordinates.clear()

    def _make_fast(self, name: str, opened: Opened) -> None:
        """Make the ordinary calls of a group that has just been loaded."""
        problem, functions = self.problem, opened.library.functions
        for operation in GROUPS[name]:
            if operation.is_product:
                self.quick[operation.name] = fast_product(problem, operation, functions[operation.name])
            elif operation.kind == ROWS and operation.made_by == ADJOINT:
                self.quick[operation.name] = fast_gradient(problem, operation, functions[operation.name])
        default = default_state(problem)
        for state in STATES:
            names, along = (state, None) if state == default else (state,), path_operation(state)
            back = path_operation(state, backward=True)
            if name == along:
                call = fast_log_sig(problem, functions[name], partial(self.products, state, backward=False))
                self._log_sig.update(dict.fromkeys(names, call))
            elif name == back and state == default:
                self.group(along)
            if name in (along, back) and back in self._opened and along in self._opened:
                products = partial(self.products, state, backward=True)
                quick = fast_log_sig_backprop(problem, self._log_sig[state], self.functions(back), products)
                self._log_sig_backprop.update(dict.fromkeys(names, quick))
