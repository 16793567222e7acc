"""Which kernel serves a problem where only plain values are at hand: operators of torch, and copies made by pickle.

The loader installs what makes kernels; nothing here, and nothing that asks here, knows the loader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from logsig_codegen.runtime.origin import DEFAULT_ORIGIN, Origin

if TYPE_CHECKING:
    from logsig_codegen.runtime.loaded_kernel import LoadedKernel

Factory: TypeAlias = "Callable[..., LoadedKernel]"
Watcher: TypeAlias = "Callable[[tuple[int, int] | None], None]"

_factories: list[Factory] = []  # the last one counts
_watchers: list[Watcher] = []
_provided: dict[tuple[int, int], LoadedKernel] = {}


def install(factory: Factory) -> None:
    """Make ``factory(dimension, degree, *origin)`` what :func:`obtain` calls."""
    _factories.append(factory)


def watch(watcher: Watcher) -> None:
    """Call ``watcher`` with a dimension and degree whenever another kernel serves them, with ``None`` when all change.

    Whoever keeps functions of a kernel drops them then.
    """
    _watchers.append(watcher)


def obtain(dimension: int, degree: int, origin: Origin = DEFAULT_ORIGIN) -> LoadedKernel:
    """The kernel of a problem, as the loader makes it; nothing is loaded yet."""
    return _factories[-1](dimension, degree, *origin)


def provide(kernel: LoadedKernel) -> None:
    """Make ``kernel`` the one that serves its problem from now on."""
    key = (kernel.dimension, kernel.degree)
    if _provided.get(key) is not kernel:
        _provided[key] = kernel
        _tell(key)


def provider(dimension: int, degree: int) -> LoadedKernel:
    """The kernel that serves a problem: the one whose methods were last called with tensors, else the default one."""
    kernel = _provided.get((dimension, degree))
    if kernel is None:
        kernel = obtain(dimension, degree)
        provide(kernel)
    return kernel


def forget() -> None:
    """Forget the kernels; the next call obtains them again."""
    _provided.clear()
    _tell(None)


def _tell(key: tuple[int, int] | None) -> None:
    for watcher in _watchers:
        watcher(key)
