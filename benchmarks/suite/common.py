"""What the adapter uses of the suite's package ``common``, for where the suite is not: same protocol, own text.

Paths are standard Brownian motions on [0, 1] from numpy's global generator, seeded; a measurement is some calls that
are not timed and then ``repeats`` calls, each timed in wall time with the garbage collector off.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class BenchmarkAdapter:
    """A configuration of the suite, its input, and its way of timing."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.N, self.d, self.m = (int(config[name]) for name in ("N", "d", "m"))
        self.operation = str(config["operation"])
        self.backend = str(config.get("backend", ""))
        self.batch_size = int(config.get("batch_size", 1))
        self.seed = int(config.get("seed", 0))
        self.repeats = int(config["repeats"])
        self.warmup_iterations = int(config.get("warmup_iterations", 3))
        self.timing_statistic = str(config.get("timing_statistic", "median"))

    def make_path_input(self) -> Array:
        """Paths, float32, shape (batch_size, N, d); one path has no axis for the batch."""
        np.random.seed(self.seed)
        steps = np.random.standard_normal((self.batch_size, self.N - 1, self.d)) / np.sqrt(self.N - 1)
        paths = np.zeros((self.batch_size, self.N, self.d), np.float32)
        paths[:, 1:] = steps.cumsum(axis=1)
        return paths if self.batch_size > 1 else paths[0]

    def random_cotangent(self, shape: tuple[int, ...]) -> Array:
        """A derivative by a result of this shape, float32."""
        return np.random.default_rng(self.seed).standard_normal(shape).astype(np.float32)

    def manual_timing_loop(self, func: Callable[[], Any]) -> tuple[float, int, list[float]]:
        """The chosen statistic in milliseconds, 0 for allocated bytes, and all samples."""
        for _ in range(self.warmup_iterations):
            func()
        samples = []
        gc.disable()
        try:
            for _ in range(self.repeats):
                start = time.perf_counter()
                func()
                samples.append(1e3 * (time.perf_counter() - start))
        finally:
            gc.enable()
        return (min if self.timing_statistic == "min" else statistics.median)(samples), 0, samples

    def output_result(self, **found: Any) -> dict[str, Any]:
        """A row of results."""
        names = ("N", "d", "m", "batch_size", "seed", "operation", "backend", "timing_statistic")
        return {**{name: getattr(self, name) for name in names}, **found}

    def run(self) -> None:
        """Print the row as a line of JSON, as the suite reads it."""
        result = self._run_benchmark()
        if result is not None:
            print(json.dumps(result), flush=True)

    def _run_benchmark(self) -> dict[str, Any] | None:
        raise NotImplementedError
