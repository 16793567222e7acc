"""What this machine's processors can run, and how many of them this process may use."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

# Predefined macro of gcc and clang -> the name Linux gives the same feature in /proc/cpuinfo. Only features that
# a compiler uses by itself are listed; it never uses those for encryption and random numbers in this code.
_MACRO_FEATURES = {
    "__SSE3__": "pni",
    "__SSSE3__": "ssse3",
    "__SSE4_1__": "sse4_1",
    "__SSE4_2__": "sse4_2",
    "__SSE4A__": "sse4a",
    "__POPCNT__": "popcnt",
    "__LZCNT__": "abm",
    "__BMI__": "bmi1",
    "__BMI2__": "bmi2",
    "__MOVBE__": "movbe",
    "__ADX__": "adx",
    "__F16C__": "f16c",
    "__FMA__": "fma",
    "__FMA4__": "fma4",
    "__XOP__": "xop",
    "__TBM__": "tbm",
    "__AVX__": "avx",
    "__AVX2__": "avx2",
    "__AVXVNNI__": "avx_vnni",
    "__GFNI__": "gfni",
    "__AVX512F__": "avx512f",
    "__AVX512CD__": "avx512cd",
    "__AVX512BW__": "avx512bw",
    "__AVX512DQ__": "avx512dq",
    "__AVX512VL__": "avx512vl",
    "__AVX512ER__": "avx512er",
    "__AVX512PF__": "avx512pf",
    "__AVX512IFMA__": "avx512ifma",
    "__AVX512VBMI__": "avx512vbmi",
    "__AVX512VBMI2__": "avx512_vbmi2",
    "__AVX512VNNI__": "avx512_vnni",
    "__AVX512BITALG__": "avx512_bitalg",
    "__AVX512VPOPCNTDQ__": "avx512_vpopcntdq",
    "__AVX512BF16__": "avx512_bf16",
    "__AVX512FP16__": "avx512_fp16",
    "__AVX512VP2INTERSECT__": "avx512_vp2intersect",
    "__ARM_FEATURE_ATOMICS": "atomics",
    "__ARM_FEATURE_DOTPROD": "asimddp",
    "__ARM_FEATURE_FP16_VECTOR_ARITHMETIC": "asimdhp",
    "__ARM_FEATURE_BF16": "bf16",
    "__ARM_FEATURE_MATMUL_INT8": "i8mm",
    "__ARM_FEATURE_SVE": "sve",
    "__ARM_FEATURE_SVE2": "sve2",
}

# What macOS calls features (its text: sysctl hw.optional machdep.cpu), in small letters -> the same names. Those of x86
# processors that it calls as Linux does are not listed.
_MACOS_FEATURES = {
    "hw.optional.arm.feat_lse": "atomics",
    "hw.optional.arm.feat_dotprod": "asimddp",
    "hw.optional.arm.feat_fp16": "asimdhp",
    "hw.optional.arm.feat_bf16": "bf16",
    "hw.optional.arm.feat_i8mm": "i8mm",
    "sse3": "pni",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "avx1.0": "avx",
    "lzcnt": "abm",
    "avx512vnni": "avx512_vnni",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512bf16": "avx512_bf16",
}
# Number for IsProcessorFeaturePresent of Windows -> the same names: all that Windows can be asked about.
_WINDOWS_FEATURES = {
    13: "pni",
    36: "ssse3",
    37: "sse4_1",
    38: "sse4_2",
    39: "avx",
    40: "avx2",
    41: "avx512f",
    34: "atomics",
    43: "asimddp",
}


def machine() -> str:
    """Operating system and instruction set, for example ``linux-x86_64``."""
    return f"{sys.platform}-{platform.machine().lower()}"


@lru_cache(maxsize=1)
def features() -> frozenset[str] | None:
    """Features that the system reports of its (first) processor, or ``None`` where it cannot be asked."""
    if sys.platform == "darwin":
        return _features_of_macos()
    if sys.platform == "win32":
        return frozenset(name for number, name in _WINDOWS_FEATURES.items() if _present_on_windows(number))
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return frozenset(value.split())
    except OSError:
        pass
    return None


def _features_of_macos() -> frozenset[str] | None:
    try:
        command = ("/usr/sbin/sysctl", "hw.optional", "machdep.cpu")
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.lower().splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    found = set()
    for name, _, value in (line.partition(":") for line in lines):
        if name.startswith("hw.optional."):
            found |= {name} if value.strip() == "1" else set()
        elif name.endswith("features"):
            found |= set(value.split())
    return frozenset(_MACOS_FEATURES.get(one, one) for one in found) or None


def _present_on_windows(number: int) -> bool:
    import ctypes

    return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(number))  # type: ignore[attr-defined,unused-ignore]


def identity() -> str:
    """Text that differs between processors for which ``-march=native`` means different code."""
    known = features()
    complete = known is not None and sys.platform != "win32"
    return " ".join((machine(), *(() if complete else (platform.processor(),)), *sorted(known or ())))


def required_features(macros: str) -> tuple[str, ...]:
    """Features code needs, given the macros its compiler predefines (the output of ``cc -dM -E``), sorted."""
    defined = {line.split()[1] for line in macros.splitlines() if line.startswith("#define ")}
    return tuple(sorted(feature for macro, feature in _MACRO_FEATURES.items() if macro in defined))


def missing_features(required: Iterable[str]) -> tuple[str, ...]:
    """Those of ``required`` this machine does not have, as far as the system can be asked about them.

    Windows tells of AVX2 and of the first part of AVX-512; what came with either is then taken to be there as well.
    """
    known = features()
    asked = set(required) & set(_WINDOWS_FEATURES.values()) if sys.platform == "win32" else set(required)
    return () if known is None else tuple(sorted(asked - known))


def usable_processors() -> int:
    """Number of processors this process may use: its affinity, and at most its control group's quota, rounded up."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = _quota()
    return max(1, count if quota is None else min(count, math.ceil(quota)))


@lru_cache(maxsize=1)
def _quota() -> float | None:
    """The number of processors that the tightest enclosing control group allows, or ``None`` without a limit."""
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return read_quota(groups, Path("/sys/fs/cgroup"))


def read_quota(groups: Iterable[str], root: Path) -> float | None:
    """The number of processors that the control groups of ``/proc/self/cgroup`` below ``root`` allow; versions 1 and 2.

    A limit of an enclosing group applies too, so that each group is read with all its parents. Inside a container the
    group's own path may not be visible below ``root``; then only the files of ``root`` are read.
    """
    limits = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        folder = base / path.lstrip("/")
        for parent in (folder, *folder.parents):
            limit = _read_v1(parent) if controllers else _read_v2(parent)
            if limit is not None:
                limits.append(limit)
            if parent == base:
                break
    return min(limits, default=None)


def _read_v2(folder: Path) -> float | None:
    words = _words(folder / "cpu.max")
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def _read_v1(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []
