"""The CUDA driver, as far as it is needed: devices, modules, launches. Every call is checked."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from logsig_codegen.errors import CudaError, UnsupportedError

WARP = 32
MOST_BLOCKS = 2**31 - 1
OLDEST = (7, 0)
"""Compute capability below which nothing is compiled."""


class NoKernelError(UnsupportedError):
    """An operation has no kernel on a device: it is too large for it."""


@lru_cache(maxsize=1)
def driver() -> Any:
    """NVIDIA's bindings of the driver, initialised.

    Raises
    ------
    UnsupportedError
        If NVIDIA's Python package is not there.
    CudaError
        If the driver is not, or refuses to start.
    """
    try:
        from cuda.bindings import driver as bindings
    except ImportError as error:
        raise UnsupportedError(
            f"CUDA tensors need NVIDIA's Python package ({error}): pip install 'logsig-codegen[cuda]'"
        ) from error
    try:
        (status,) = bindings.cuInit(0)
    except (RuntimeError, OSError) as error:
        raise CudaError(f"the CUDA driver cannot be loaded: {error}") from error
    _check(bindings, status, "cuInit")
    return bindings


def _check(bindings: Any, status: Any, call: str) -> None:
    if int(status) == 0:
        return
    _, name = bindings.cuGetErrorName(status)
    _, text = bindings.cuGetErrorString(status)
    name, text = (part.decode() if isinstance(part, bytes) else str(part) for part in (name, text))
    raise CudaError(f"{call}: {name}: {text}")


def call(name: str, *arguments: Any) -> Any:
    """Call a function of the driver; its result, or the tuple of them.

    Raises
    ------
    CudaError
        With the driver's error string.
    """
    bindings = driver()
    status, *results = getattr(bindings, name)(*arguments)
    _check(bindings, status, name)
    return results[0] if len(results) == 1 else tuple(results)


@dataclass(frozen=True)
class Device:
    """One GPU, in the primary context that torch uses as well.

    Attributes
    ----------
    ordinal : int
    context : object
    arch : str
        Such as ``"sm_90"``.
    multiprocessors, shared_bytes : int
        How many there are; shared memory a block can have.
    """

    ordinal: int
    context: Any
    arch: str
    multiprocessors: int
    shared_bytes: int

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current for a while; whatever was current before comes back."""
        call("cuCtxPushCurrent", self.context)
        try:
            yield
        finally:
            call("cuCtxPopCurrent")


@lru_cache(maxsize=64)
def device(ordinal: int) -> Device:
    """The GPU of a number."""
    handle = call("cuDeviceGet", ordinal)
    attribute = driver().CUdevice_attribute
    wanted = (
        attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
        attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
    )
    major, minor, multiprocessors, shared_bytes = (int(call("cuDeviceGetAttribute", a, handle)) for a in wanted)
    if (major, minor) < OLDEST:
        raise UnsupportedError(f"device cuda:{ordinal} has compute capability {major}.{minor}; 7.0 is the least")
    context = call("cuDevicePrimaryCtxRetain", handle)
    return Device(ordinal, context, f"sm_{major}{minor}", multiprocessors, shared_bytes)


class Launcher:
    """One kernel, loaded on one device.

    Parameters
    ----------
    on : Device
    image : bytes
        Its binary.
    kernel : mapping
        Its description, from the manifest.
    """

    def __init__(self, on: Device, image: bytes, kernel: Any) -> None:
        self.device = on
        self.kernel = kernel
        shape = kernel["shape"]
        self.warp_bytes: int = shape["warp_bytes"]
        self.warps: int = shape["warps"]
        self.samples: int = kernel["samples"]
        self.together: bool = kernel["form"] == "block"  # all warps of a block work on the same samples
        if self.together:
            self.warp_bytes //= self.warps
        while not self.together and self.warps > 1 and self.warps * self.warp_bytes > on.shared_bytes:
            self.warps -= 1
        if self.warps * self.warp_bytes > on.shared_bytes:
            raise NoKernelError(
                f"{kernel['symbol']} needs {self.warps * self.warp_bytes:,} bytes of shared memory, device "
                f"cuda:{on.ordinal} has {on.shared_bytes:,} for a block"
            )
        self._image = ctypes.create_string_buffer(image, len(image) + 1)  # the driver may read it later
        with on.current():
            self.module = call("cuModuleLoadData", ctypes.addressof(self._image))
            self.function = call("cuModuleGetFunction", self.module, kernel["symbol"].encode())
            attributes = driver().CUfunction_attribute
            most = attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            call("cuFuncSetAttribute", self.function, most, self.warps * self.warp_bytes)
            if not self.together or self.samples == WARP:  # tables want a cache, rows and points do not
                preferred = attributes.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT
                call("cuFuncSetAttribute", self.function, preferred, 100)

    def __call__(self, batch: int, arguments: Sequence[int], stream: int) -> None:
        """Start it, in as many blocks as the batch takes.

        ``arguments`` are addresses and 64-bit integers, in the kernel's order; ``batch`` is added as the last one.
        """
        if batch <= 0:
            return
        tiles = -(-batch // self.samples)
        warps = self.warps
        if not self.together:  # few tiles: a block each, so that every multiprocessor has one
            warps = max(1, min(warps, tiles // self.device.multiprocessors))
            tiles = -(-tiles // warps)
        blocks = min(tiles, MOST_BLOCKS)
        count = len(arguments) + 1
        values = (ctypes.c_longlong * count)(*arguments, batch)
        base = ctypes.addressof(values)
        pointers = (ctypes.c_void_p * count)(*range(base, base + 8 * count, 8))
        with self.device.current():
            call(
                "cuLaunchKernel",
                self.function,
                *(blocks, 1, 1),
                *(WARP * warps, 1, 1),
                warps * self.warp_bytes,
                stream,
                ctypes.addressof(pointers),
                0,
            )


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
                self._launchers[key] = Launcher(device(ordinal), image, kernel)
            return self._launchers[key]
