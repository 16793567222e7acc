"""A plugin of pytest: how many processes run the tests, which tests they begin with, and what runs while none ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import TypeVar

import pytest

from logsig_codegen.build.cpu import usable_processors

T = TypeVar("T")
MOST = 8
"""Processes; each imports torch and starts compilers, so more of them want more memory than many machines have."""
SILENCE = 20.0
"""Seconds without the end of a test after which the running ones are named."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per processor that may be used, control groups included; none for tests named one by one."""
    chosen = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    if chosen:
        return int(chosen)
    if all("::" in argument for argument in config.args):
        return 0
    return min(usable_processors(), MOST)


@pytest.hookimpl(trylast=True)  # after those that are not asked for were taken out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each process begins with its share of the long tests: one that began last would leave the others idle."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        long = [item for item in items if item.get_closest_marker("long")]
        others = [item for item in items if not item.get_closest_marker("long")]
        items[:] = dealt(long, others, int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def dealt(long: Sequence[T], others: Sequence[T], processes: int) -> list[T]:
    """All of them, in an order whose equal parts (pytest-xdist gives one to each process) begin with ``long`` ones."""
    found: list[T] = []
    left = list(others)
    for number in range(processes):
        size = (len(long) + len(others) - len(found)) // (processes - number)
        own = list(long[number::processes])
        rest = max(size - len(own), 0)
        found += own + left[:rest]
        del left[:rest]
    return found + left


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("dist", "no") == "no":
        return None
    return f"compilers are at work where no test ends; after {SILENCE:.0f} s the running tests are named"


@pytest.hookimpl(trylast=True)  # where the reporter is there
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and config.getoption("dist", "no") != "no":  # the process that starts the others
        config.pluginmanager.register(_Running(reporter), "running")
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait leave the processor to other workers


class _Running:
    """Names the running tests after a silence; pytest-xdist tells the main process when a worker starts one."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter = reporter
        self.started: dict[str, float] = {}
        self.last = time.monotonic()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def pytest_sessionstart(self) -> None:
        self.thread.start()

    def pytest_sessionfinish(self) -> None:
        self.over.set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        now = time.monotonic()
        if not self.started:
            self.last = now
        self.started[nodeid] = now

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.started.pop(nodeid, None)
        self.last = time.monotonic()

    def _watch(self) -> None:
        while not self.over.wait(1):
            now = time.monotonic()
            if now - self.last >= SILENCE and self.started:
                self.last = now
                running = [f"{name} ({now - start:.0f} s)" for name, start in list(self.started.items())]
                self.reporter.ensure_newline()
                self.reporter.write_line(f"running: {', '.join(running)}")
