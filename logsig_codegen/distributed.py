"""Kernels on the workers of a Dask cluster. Only importing this module imports ``distributed``.

>>> from logsig_codegen.distributed import LogSigPlugin
>>> client.register_plugin(LogSigPlugin(5, 3))  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from typing import Any, SupportsIndex

from distributed import WorkerPlugin

from logsig_codegen import functional
from logsig_codegen.functional._arguments import augmented_problem

__all__ = ["LogSigPlugin"]


class LogSigPlugin(WorkerPlugin):
    """Makes every worker, those that join later included, load kernels before its first task, or build them once.

    Without it a worker does so in the first task that needs a kernel. Workers of one machine share its cache.

    Parameters
    ----------
    dimension, degree : int
        Channels of the paths before the transforms, and truncation degree.
    method, time_aug, lead_lag, gradients
        As for :func:`logsig_codegen.prepare_log_sig`.

    Raises
    ------
    TypeError, ValueError
        For a dimension or degree that is not an integer of at least 1.
    """

    idempotent = True

    def __init__(
        self,
        dimension: SupportsIndex,
        degree: SupportsIndex,
        *,
        method: int = 1,
        time_aug: bool = False,
        lead_lag: bool = False,
        gradients: bool = True,
    ) -> None:
        problem = augmented_problem(dimension, degree, time_aug, lead_lag)
        self.name = f"logsig-{problem.name}-method{method}{'-gradients' if gradients else ''}"
        self._arguments = (int(dimension), int(degree), method)
        self._options = {"time_aug": time_aug, "lead_lag": lead_lag, "gradients": gradients}

    async def setup(self, worker: Any) -> None:
        """Prepare the kernels, in a thread, so that the worker answers meanwhile."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        functional.prepare_log_sig(*self._arguments, device="cpu", **self._options)
