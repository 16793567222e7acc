"""Devices and kernels on them, by the launcher, a C library (``templates/cuda/host``). Every call is checked."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from logsig_codegen.build.launcher import obtain_launcher
from logsig_codegen.errors import CudaError, UnsupportedError
from logsig_codegen.runtime.cuda._launcher_abi import ffi


class NoKernelError(UnsupportedError):
    """An operation has no kernel on a device: it is too large for it."""


_library: Any = None
_opening = threading.Lock()


def library(folders: Iterable[str] = ()) -> Any:
    """The launcher: opened once, from one of ``folders``, the cache, or compiled.

    Raises
    ------
    CompilerNotFoundError, CompilerError, CacheError
        If it cannot be had.
    """
    global _library
    if _library is None:
        with _opening:
            if _library is None:
                _library = ffi.dlopen(str(obtain_launcher(map(Path, folders))))
    return _library


def check(status: int) -> None:
    """Raise what a function of the launcher has returned.

    Raises
    ------
    CudaError
        With the name of the driver's function and its error string.
    NoKernelError
        Where a kernel needs more shared memory than there is.
    UnsupportedError
        For a device that is too old.
    """
    if status == 0:
        return
    launcher = library()
    error = {launcher.LOGSIG_NO_KERNEL: NoKernelError, launcher.LOGSIG_UNSUPPORTED: UnsupportedError}
    text = ffi.string(launcher.logsig_gpu_error()).decode(errors="replace")
    if status == launcher.LOGSIG_NO_MEMORY:
        raise MemoryError(text)
    raise error.get(status, CudaError)(text)


@dataclass(frozen=True)
class Device:
    """What is known of one GPU.

    Attributes
    ----------
    arch : str
        What kernels for it are compiled for, such as ``"sm_90"``.
    multiprocessors : int
    """

    arch: str
    multiprocessors: int


@lru_cache(maxsize=64)
def device(ordinal: int) -> Device:
    """The GPU of a number.

    Raises
    ------
    CudaError, UnsupportedError
        If the device cannot be used.
    """
    found = ffi.new("const logsig_device **")
    check(library().logsig_gpu_device(ordinal, found))
    return Device(f"sm_{found[0].architecture}", found[0].multiprocessors)


class Launcher:
    """One kernel, loaded on one device.

    Parameters
    ----------
    ordinal : int
        The device.
    image : bytes
        The kernel's binary.
    kernel : mapping
        Its description, from the manifest.

    Raises
    ------
    CudaError, NoKernelError, UnsupportedError
    """

    def __init__(self, ordinal: int, image: bytes, kernel: Any) -> None:
        self._kept = ffi.new("char[]", image), ffi.new("char[]", kernel["symbol"].encode())  # the driver reads them
        shape = kernel["shape"]
        described = ffi.new(
            "logsig_image *",
            {
                "image": self._kept[0],
                "symbol": self._kept[1],
                "samples": kernel["samples"],
                "warps": shape["warps"],
                "warp_bytes": shape["warp_bytes"],
                "cooperative": kernel["form"] == "block",
            },
        )
        loaded = ffi.new("const logsig_kernel **")
        check(library().logsig_gpu_load(ordinal, described, loaded))
        self.handle = loaded[0]

    def __call__(self, batch: int, arguments: Sequence[int], stream: int) -> None:
        """Start it, in as many blocks as the batch takes.

        ``arguments`` are addresses and 64-bit integers, in the kernel's order; ``batch`` is added as the last one.
        """
        values, count = ffi.new("int64_t[]", arguments), len(arguments)
        check(library().logsig_gpu_launch(self.handle, batch, values, count, ffi.cast("void *", stream)))


def launches() -> int:
    """How many kernels this process has started through the launcher."""
    return int(library().logsig_gpu_launches())


class Loaded:
    """Launchers by device, each made once."""

    def __init__(self) -> None:
        self._launchers: dict[tuple[str, str, int], Launcher] = {}
        self._lock = threading.Lock()

    def get(self, operation: str, dtype: str, ordinal: int) -> Launcher | None:
        """A launcher that was made before."""
        return self._launchers.get((operation, dtype, ordinal))

    def add(self, operation: str, dtype: str, ordinal: int, image: bytes, kernel: Any) -> Launcher:
        """Make a launcher, unless another thread was faster."""
        with self._lock:
            key = (operation, dtype, ordinal)
            if key not in self._launchers:
                self._launchers[key] = Launcher(ordinal, image, kernel)
            return self._launchers[key]
