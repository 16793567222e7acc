"""What ``benchmarks/gpu.py`` asks of a card: its name, how long calls take on it, and what it can do at most."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

import harness


def describe() -> tuple[str, str]:
    """The card with driver and versions, and its architecture."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU that torch can use")
    found = torch.cuda.get_device_properties(0)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    versions = f"driver {driver}, CUDA {torch.version.cuda}, torch {torch.__version__}"
    return f"{found.name}, {versions}; {time.strftime('%Y-%m-%d')}.", f"sm_{found.major}{found.minor}"


def seconds_of(calls: Sequence[Callable[[], Any]], at_least: float) -> harness.Timing:
    """Seconds of a call, over replays of a CUDA graph that holds all calls once or more, about a millisecond's worth.

    Results are kept until the graph is complete, so that each call writes to memory of its own.
    """
    for call in calls:
        call()
    torch.cuda.synchronize()
    began = time.perf_counter()
    calls[0]()
    torch.cuda.synchronize()
    repeats = max(1, min(50, int(1e-3 / (time.perf_counter() - began) / len(calls))))
    graph, kept = torch.cuda.CUDAGraph(), {}
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            for number, call in enumerate(calls):
                kept[number] = call()
    graph.replay()
    torch.cuda.synchronize()
    samples: list[float] = []
    end = time.perf_counter() + at_least
    while len(samples) < 5 or (time.perf_counter() < end and len(samples) < 40):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        graph.replay()
        last.record()
        torch.cuda.synchronize()
        samples.append(first.elapsed_time(last) * 1e-3 / (repeats * len(calls)))
    return harness.Timing(tuple(samples))


def limits_of(dtypes: Sequence[str], at_least: float) -> dict[str, float]:
    """Bytes a second of the best of several large copies, and multiply-adds a second by type."""
    found = {"copy": 0.0}
    for size in (2**28, 2**30, 2**32):
        count = int(min(size, 0.1 * torch.cuda.mem_get_info()[0])) // 4
        pairs = [(torch.randn(count, device="cuda"), torch.empty(count, device="cuda")) for _ in range(2)]
        for way in (lambda p: p[1].copy_(p[0]), lambda p: torch.neg(p[0], out=p[1])):
            seconds = seconds_of([partial(way, pair) for pair in pairs], at_least).median
            found["copy"] = max(found["copy"], 8 * count / seconds)
        del pairs
        torch.cuda.empty_cache()
    return found | {dtype: multiply_adds(dtype, at_least) for dtype in dtypes}


def multiply_adds(dtype: str, at_least: float) -> float:
    """Multiply-adds a second: eight chains in every thread of a full card."""
    from logsig_codegen.build.nvidia import compile_kernel, find_nvrtc
    from logsig_codegen.emit.unit import SourceUnit
    from logsig_codegen.runtime.cuda.driver import Launcher, device

    ordinal = torch.cuda.current_device()
    on = device(ordinal)
    real = {"float32": "float", "float64": "double"}[dtype]
    described: Any = SimpleNamespace(source="chain.cu", symbol="chain", definition=f"REAL={real}")
    image = compile_kernel(find_nvrtc(), [SourceUnit("chain.cu", CHAIN, "cuda")], described, on.arch)
    geometry = {"warp_bytes": 16, "warps": 8}
    launcher = Launcher(ordinal, image, {"symbol": "chain", "form": "thread", "samples": 32, "shape": geometry})
    threads = on.multiprocessors * 2048 * 4
    out = torch.empty(threads, device="cuda", dtype=getattr(torch, dtype))

    def run() -> None:
        launcher(threads, (out.data_ptr(),), torch.cuda.current_stream().cuda_stream)

    return threads * 8 * ROUNDS / seconds_of([run], at_least).median


ROUNDS = 2048
CHAIN = f"""
extern "C" __global__ void chain(REAL *out, long long threads)
{{
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    const REAL x = (REAL)1 - (REAL)i / (REAL)threads * (REAL)1e-6, y = (REAL)i * (REAL)1e-9;
    REAL a[8] = {{1, 2, 3, 4, 5, 6, 7, 8}}, sum = 0;
    for (int n = 0; n < {ROUNDS} / 16; n++) {{
#pragma unroll
        for (int k = 0; k < 16 * 8; k++) a[k % 8] = fma(a[k % 8], x, y);
    }}
    for (int k = 0; k < 8; k++) sum += a[k];
    if (i < threads) out[i] = sum;
}}
"""
