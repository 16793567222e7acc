"""Processes that load kernels from an empty cache are killed; the cache has to be usable, and nothing may work on.

As a program, ``python kills.py KILLS SEED FOLDER`` prints JSON: signals that were sent, how many processes were done
before, and what was found. Signals go to the process alone, at a random moment of its work; every fourth process has a
compiler that hangs, with a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults import children
from native import unoptimised

import logsig_codegen as lg

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
GRACE = 5.0
"""Seconds that what a process has started may take to end after it."""
LEFT = 64
"""Files and folders that may be left in a cache that was cleared, its locks among them, however many were killed."""


def slowly() -> int:
    """Load; where ccache stands before the compiler, without its help."""
    os.environ["CCACHE_DISABLE"] = "1"
    return children.load_and_check()


def with_a_hanging_compiler() -> int:
    """The same, which never ends."""
    os.environ["CC"] = os.environ["LOGSIG_FAULTS_CC"]
    return children.load_and_check()


def and_clear() -> int:
    """The same, with an empty cache left behind."""
    status = children.load_and_check()
    lg.clear_cache(use_disk=True)
    return status


def orphans() -> list[str]:
    """Commands of processes that outlive the one that started them for too long; they are ended."""
    end = time.monotonic() + GRACE
    while (alive := children.marked()) and time.monotonic() < end:
        time.sleep(0.02)
    for number, _ in alive:
        os.kill(number, signal.SIGKILL)
    return [command for _, command in alive]


def main(words: Sequence[str]) -> int:
    """The program; see above."""
    count, seed, folder = int(words[0]), int(words[1]), Path(words[2])
    chance = random.Random(seed)
    cache, temporary = folder / "cache", folder / "tmp"
    for one in (cache, temporary):
        one.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {"LOGSIG_CODEGEN_CACHE": str(cache), "TMPDIR": str(temporary), children.MARK: f"{os.getpid()}-{seed}"}
    )
    output = folder / "output"
    whole = 0.0
    for attempt in (slowly, and_clear):  # how long it takes
        started = time.monotonic()
        assert children.wait(children.start(children.strictly(attempt), output)) == children.RIGHT, output.read_text()
        whole = time.monotonic() - started if attempt is slowly else whole
    hanging = folder / "compiler"
    hanging.write_text("#!/bin/sh\nsleep 60 &\nwait\n", encoding="utf-8")
    hanging.chmod(0o755)
    os.environ["LOGSIG_FAULTS_CC"] = str(hanging)
    sent: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    for turn in range(count):
        number = children.start(slowly if turn % 4 else with_a_hanging_compiler, output)
        time.sleep(chance.uniform(0, 0.9 * whole))
        chosen = chance.choice(SIGNALS)
        os.kill(number, chosen)
        if chosen is signal.SIGINT and not children.ended(number, GRACE):
            sent["SIGINT once more"] += 1  # Python drops the exception where it runs what a fork or a collection calls
            os.kill(number, chosen)
        status = children.wait(number)
        sent["none: it was done" if status == children.RIGHT else chosen.name] += 1
        if status == children.HANGS:
            findings[f"{chosen.name}, a hang: {output.read_text()[-3000:]}"] += 1
        if status == children.RIGHT and "Error" in output.read_text():
            findings[f"done, but: {output.read_text()[-500:]}"] += 1
        for command in orphans():
            findings[f"{chosen.name} leaves a process behind: {command[:80]}"] += 1
        if children.wait(children.start(children.strictly(and_clear), output)) != children.RIGHT:
            findings[f"after {chosen.name}: {output.read_text()[-500:]}"] += 1
            shutil.rmtree(cache)
            cache.mkdir()
    left = sum(1 for _ in cache.rglob("*"))
    if left > LEFT:
        findings[f"{left} files and folders are left in the cleared cache"] += 1
    print(json.dumps({"sent": sent, "left": left, "findings": findings}))
    return 0


if __name__ == "__main__":
    unoptimised(pytest.MonkeyPatch())
    sys.exit(main(sys.argv[1:]))
