"""Instructions that forty calls of generated code execute, compared with a baseline: counts have no noise.

    python benchmarks/instructions.py             # count and compare: half a minute with an empty cache
    python benchmarks/instructions.py --accept    # count, and make that the baseline

Callgrind counts, everywhere, and kernels are built for x86-64-v3: it knows no AVX-512, and so a processor with and one
without it, and with and without counters of its own, come to the same numbers. The calls are made in C, by ``calls.c``,
each once before it is counted; instructions of the generated library count, those of the C library and Python do not.

Exit status: 0 if nothing has moved, or if the baseline does not apply here, which is said; 1 if a count has moved; 2 if
nothing could be counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import calls
import harness
from calls import Shape
from logsig_codegen.build import toolchain
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import Problem

MARCH = "x86-64-v3"
TOLERANCE = 0.02
"""Relative: what no one would want to hear of."""
BASELINE = harness.RESULTS / "instructions.csv"
ROWS, PATHS, LONG, WINDOWS = Shape(67), Shape(11, 40), Shape(1, 1_000), Shape(1, 300, 60, 1)
PRODUCTS = ("join", "join_backprop", "combine", "combine_backprop")
WHOLE = ("log_sig", "log_sig_backprop")
CALLS: tuple[tuple[Problem, str, Shape, tuple[str, ...]], ...] = (
    # in registers
    (Problem(3, 3), "float64", Shape(1), ("join", "join_backprop")),
    (Problem(3, 3), "float64", ROWS, PRODUCTS),
    (Problem(3, 3), "float64", PATHS, (*WHOLE, "log_sig_by_signature")),
    (Problem(3, 3), "float64", PATHS, ("stream", "stream_backprop")),
    (Problem(3, 3), "float64", LONG, WHOLE),
    (Problem(3, 3), "float64", WINDOWS, ("windows", "windows_backprop")),
    (Problem(3, 3), "float32", ROWS, PRODUCTS),
    (Problem(3, 3), "float32", PATHS, WHOLE),
    # more values than registers
    (Problem(5, 3), "float64", ROWS, PRODUCTS),
    (Problem(5, 3), "float64", PATHS, (*WHOLE, "log_sig_by_signature", "stream", "stream_backprop")),
    (Problem(3, 5), "float64", ROWS, ("join", "join_backprop")),
    (Problem(3, 5), "float64", PATHS, WHOLE),
    # tables of structure constants; loops over the letters
    (Problem(30, 3), "float64", Shape(5), ("join", "join_backprop")),
    (Problem(150, 2), "float64", Shape(5), ("join", "join_backprop")),
    (Problem(150, 2), "float64", Shape(2, 12), WHOLE),
)


@dataclass(frozen=True)
class Count:
    """Instructions of one call."""

    dimension: int
    degree: int
    dtype: str
    operation: str
    shape: str
    form: str
    instructions: int

    @property
    def name(self) -> str:
        """What is counted; ``form`` is not part of it."""
        return f"({self.dimension},{self.degree}) {self.operation}, {self.dtype}, {self.shape}"


def tools() -> str:
    """What counts depend on, as the baseline names it."""
    version = toolchain.describe(toolchain.find_compiler(), MARCH).version
    return f"callgrind, {MARCH}, {re.sub(r'^[a-z]*cc (?=[(])', 'gcc ', version)}"  # gcc calls itself as it was called


def count() -> list[Count]:
    """Make all calls, once counted, in one run of callgrind for each number type."""
    wanted: dict[tuple[Problem, str], list[str]] = {}
    for problem, dtype, _, names in CALLS:
        wanted.setdefault((problem, dtype), []).extend(names)
    libraries = {one: calls.library(one[0], names, (one[1],), MARCH) for one, names in wanted.items()}
    found: list[Count] = []
    for dtype in calls.NUMBER_BYTES:
        cases = [(libraries[p, dtype], p, name, shape) for p, t, shape, names in CALLS if t == dtype for name in names]
        lines = [calls.line(artifact, OPERATIONS[name], p, dtype, shape) for artifact, p, name, shape in cases]
        for (artifact, p, name, shape), written in zip(cases, counted(lines, dtype), strict=True):
            instructions = executed(written, os.path.realpath(calls.file_of(artifact)))
            if not instructions:
                raise ValueError(f"callgrind saw no instruction of {calls.file_of(artifact)}")
            form = str(artifact.manifest["form"][name])
            found.append(Count(p.dimension, p.degree, dtype, name, str(shape), form, instructions))
    return found


def counted(lines: Sequence[str], dtype: str) -> list[str]:
    """What callgrind writes about each line's call: a file whenever ``measured`` of ``calls.c`` returns."""
    with tempfile.TemporaryDirectory() as name:
        executable = calls.program(Path(name), dtype, MARCH)
        command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured"]
        command += ["--dump-after=measured", f"--callgrind-out-file={name}/out", str(executable), "count"]
        calls.run(command, lines)
        return [Path(name, f"out.{k}").read_text() for k in range(1, len(lines) + 1)]


def executed(written: str, file: str) -> int:
    """Instructions of one file's code, in what callgrind wrote: not of the C library, which differs between machines.

    The format: costs follow the object they belong to, and a call's cost, which counts elsewhere, its line ``calls=``.
    """
    objects: dict[str, str] = {}
    here, found, called = "", 0, False
    for text in written.splitlines():
        name = re.match(r"(c?ob)=(\(\d+\))(?: (.+))?", text)
        if name:
            objects[name[2]] = name[3] or objects[name[2]]
            here = objects[name[2]] if name[1] == "ob" else here
        elif re.match(r"[+\-*\d]", text):
            found += int(text.split()[-1]) if here == file and not called else 0
        called = text.startswith("calls=")
    return found


def moved(now: Iterable[Count], before: Iterable[Count], tolerance: float = TOLERANCE) -> list[str]:
    """A line for each call whose count has changed by more than the tolerance, or that is in one of the lists only."""
    old: Mapping[str, Count] = {one.name: one for one in before}
    new: Mapping[str, Count] = {one.name: one for one in now}
    said = []
    for name in dict.fromkeys((*old, *new)):
        if name not in new or name not in old:
            said.append(f"{name}: only in {'the baseline' if name in old else 'this list'}")
            continue
        was, is_now = old[name], new[name]
        change = is_now.instructions / was.instructions - 1
        if abs(change) > tolerance or was.form != is_now.form:
            form = "" if was.form == is_now.form else f", {was.form} -> {is_now.form}"
            said.append(f"{name}: {was.instructions:,} -> {is_now.instructions:,} ({change:+.1%}){form}")
    return said


def compare(now: Sequence[Count], here: str, baseline: Path) -> tuple[int, str]:
    """An exit status and what to say about counts made with the tools ``here``."""
    about, before = harness.restore(baseline, Count)
    there = about.partition(";")[0]
    if there != here:
        return 0, f"NOT COMPARED: the baseline was counted with {there}; here it is {here}."
    lines = moved(now, before)
    if not lines:
        return 0, f"{len(now)} counts are within {TOLERANCE:.0%} of the baseline ({there})."
    advice = "If that is intended: python benchmarks/instructions.py --accept, and say why in the commit."
    return 1, "\n".join([f"{len(lines)} counts have moved:", *lines, advice])


def main() -> int:
    """Count, then compare or accept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="make what is counted the baseline")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="the file to compare with, or to write")
    options = parser.parse_args()
    if platform.machine().lower() not in ("x86_64", "amd64"):
        print(f"NOT COMPARED: the baseline is for x86-64, this machine is {platform.machine()}.")
        return 0
    if shutil.which("valgrind") is None:
        print("NOTHING COUNTED: there is no valgrind (Debian, Ubuntu: apt-get install valgrind).")
        return 2
    here, now = tools(), count()
    if options.accept:
        about = f"{here}; {time.strftime('%Y-%m-%d')}. Instructions of one call each."
        harness.save(options.baseline, about, now)
        print(f"{options.baseline}: {len(now)} counts")
        return 0
    status, text = compare(now, here, options.baseline)
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
