"""Ordinary calls in C instead of Python, where the extension for them has been built.

A program that makes many ordinary calls has it built in the background, and changes over when it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any
from weakref import WeakMethod

from logsig_codegen.build import background, quick_calls
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.stages import LOGGER

MANY = 1000
"""Ordinary calls in Python after which those in C are worth building."""
_calls = 0
_counts: bool | None = None  # None: nobody has looked yet
_extension: Any = None
_watchers: list[WeakMethod[Callable[[], None]]] = []


def in_c(
    kind: str,
    call: Callable[..., Any],
    functions: Mapping[str, Any],
    width: int,
    columns: int,
    longest: int = 0,
    structs: tuple[bytes, bytes] | None = None,
    kept: object = None,
) -> Callable[..., Any]:
    """The call in C that does what ``call`` does, and leaves to it what is not ordinary; else ``call`` itself.

    Parameters
    ----------
    kind : str
        ``"product"``, ``"gradient"`` or ``"log_sig"``, for calls with the arguments ``(left, right, out, threads)``,
        ``(d_out, left, right, out, threads)`` and ``(path, out, threads)``.
    functions : mapping of str to C function
        By number type.
    width, columns : int
        Numbers in a row of the result and of the second operand, or of a point.
    longest : int
        Points of the longest path that the function takes whole.
    structs : pair of bytes, optional
        For functions of calls along paths: ``logsig_path_call`` without arrays and shapes, for float64 and float32.
    kept : object
        What the structs point to.
    """
    if _counts is None:
        _look()
    both = [functions.get(name) for name in ("float64", "float32")]
    if _extension is not None and all(one is None or isinstance(one, ffi.CData) for one in both):
        addresses = tuple(0 if one is None else int(ffi.cast("uintptr_t", one)) for one in both)
        return _extension.make(kind, call, addresses, width, columns, longest, kept, structs)  # type: ignore[no-any-return]
    return _counted(call) if _counts else call


def when_built(remake: Callable[[], None]) -> None:
    """Call a method, if its object still lives, when ordinary calls are no longer what they were."""
    if _extension is None:
        _watchers.append(WeakMethod(remake))


def _look() -> None:
    """Load the extension if it has been built, or begin to count."""
    global _counts
    _counts = False
    path = quick_calls.kept_quick_calls()
    if path is not None:
        load(path)
    else:
        _counts = quick_calls.can_be_built()


def load(path: Path) -> None:
    """Load the extension; ordinary calls that are made from now on are in C."""
    global _extension
    loader = ExtensionFileLoader(quick_calls.MODULE, str(path))
    spec = spec_from_loader(quick_calls.MODULE, loader)
    assert spec is not None
    try:
        module = module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        LOGGER.debug("ordinary calls in C cannot be loaded: %s", error)
    else:
        _extension = module


def _counted(call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        global _calls
        _calls += 1
        if _calls == MANY:
            background.start("ordinary calls in C", quick_calls.sources, _build)
        return call(*arguments)

    return counted


def _build() -> None:
    global _counts
    _counts = False
    try:
        load(quick_calls.obtain_quick_calls())
    finally:
        watchers = [remake() for remake in _watchers]
        _watchers.clear()
        for remake in watchers:
            if remake is not None:
                remake()
