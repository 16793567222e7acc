"""Calls of generated C functions without Python: what they move and compute, and a C program that makes them.

``calls.c`` says how the program works. Programs, their operations and operands come from the compiler, by the manifest
of a compiled library and the table of operations; nothing about them is known here, but for how often a call runs each.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness import Timing
from logsig_codegen.build import toolchain
from logsig_codegen.build.artifact import Artifact
from logsig_codegen.operations import (
    BACKWARD,
    FORWARD,
    OPERATIONS,
    POINTS,
    ROWS,
    SLIDING,
    STATES,
    STEPS,
    Operation,
    default_state,
    group_of,
    path_operation,
)
from logsig_codegen.problem import Problem
from logsig_codegen.shipped import template_folder
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import cached
from logsig_codegen.targets.c import C

NUMBER_BYTES = {"float64": 8, "float32": 4}
HERE = Path(__file__).resolve().parent
Counts: TypeAlias = "Mapping[str, Mapping[str, int]]"
"""``operations`` of a report or a manifest: arithmetic of each program."""


@dataclass(frozen=True)
class Shape:
    """How much a call has to do: rows, or paths of so many points, or windows of so many points, so many apart."""

    batch: int
    length: int = 0
    window: int = 0
    step: int = 0

    @property
    def windows(self) -> int:
        """Windows of one path."""
        return (self.length - self.window) // self.step + 1

    def __str__(self) -> str:
        windows = f", windows {self.window}/{self.step}" if self.window else ""
        return f"{self.batch} x {self.length}{windows}" if self.length else str(self.batch)


def numbers_moved(operation: Operation, problem: Problem, shape: Shape) -> int:
    """Numbers of all operands together: each is read or written once, at least."""
    rows = shape.windows if operation.kind == SLIDING else 1
    times = {POINTS: shape.length, STEPS: shape.length - 1}
    per_item = sum(one.columns(problem) * times.get(one.width, rows) for one in operation.all_operands)
    return shape.batch * per_item


def programs_run(operation: Operation, shape: Shape) -> dict[str, int]:
    """How often a call runs each of the operation's programs, by their names in a report.

    Paths are taken step by step here, as short ones are: long ones, cut into chunks, take products besides. Windows
    that overlap take, for each step between two of them, a join and a join on the other side, and a product each;
    gradients the adjoints of all of them and the joins once more.
    """
    name, batch, steps = operation.name, shape.batch, shape.length - 1
    if operation.kind == ROWS:
        return {name: batch}
    if operation.kind == SLIDING:
        each, joins = shape.windows * batch, ("join", "join_left")
        run = {f"{name}.{join}": shape.step * each for join in joins}
        if not operation.backward:
            return {**run, f"{name}.combine": each}
        back = {f"{name}.{OPERATIONS[join].gradient}": shape.step * each for join in joins}
        return {**run, **back, f"{name}.{OPERATIONS['combine'].gradient}": each}
    ends = {FORWARD: ["finish"], BACKWARD: ["start"]}.get(operation.kind, [])
    step = "step_backprop" if operation.backward else "step"
    return {f"{name}.{step}": batch * steps} | {f"{name}.{end}": batch for end in ends}


def multiply_adds(counts: Counts, operation: Operation, shape: Shape) -> int:
    """Multiplications of a call, each with or without an addition; additions alone may run beside them."""
    run = programs_run(operation, shape).items()
    return sum(times * (counts[one]["multiply_adds"] + counts[one]["scalings"]) for one, times in run)


def steps_at_once(counts: Counts, operation: Operation) -> int:
    """Steps of a path that the compiler put into one program; 1 where there are no steps."""
    several = counts.get(f"{operation.name}.steps")
    return 1 if several is None else round(several["total"] / counts[f"{operation.name}.step"]["total"])


def groups_of(problem: Problem, operations: Iterable[str]) -> tuple[str, ...]:
    """Groups that a library needs for calls of these operations."""
    wanted = set()
    for operation in (OPERATIONS[name] for name in operations):
        wanted.add(operation.group)
        if operation.kind == BACKWARD:
            wanted.add(group_of(path_operation(default_state(problem))))
        elif operation.backward and operation.kind != ROWS:  # the forward pass comes first
            wanted |= {one.group for one in OPERATIONS.values() if one.gradient == operation.name}
        if operation.kind in (FORWARD, BACKWARD, SLIDING):
            wanted |= {"combine", "combine_backprop"} if operation.backward else {"combine"}
        if operation.kind == SLIDING:
            state = default_state(problem)
            wanted |= {group_of(path_operation(state, backward=back)) for back in (False, operation.backward)}
    return tuple(dict.fromkeys(one.group for one in OPERATIONS.values() if one.group in wanted))


def library(problem: Problem, operations: Iterable[str], dtypes: Sequence[str], march: str) -> Artifact:
    """A library with these operations, of the cache."""
    spec = BuildSpec(problem, groups_of(problem, operations), dtypes=tuple(dtypes), march=march)
    return cached(C, spec, lambda: C.tools(spec))


def file_of(artifact: Artifact) -> Path:
    """The shared library."""
    return artifact.path / str(artifact.manifest["library"])


def line(artifact: Artifact, operation: Operation, problem: Problem, dtype: str, shape: Shape) -> str:
    """What the program reads for one call."""
    file, prefix = file_of(artifact), f"logsig_{problem.name}_"
    if operation.kind == ROWS:
        columns = [one.columns(problem) for one in operation.all_operands]
        words = [operation.name, shape.batch, len(operation.inputs), len(columns), *columns]
        return " ".join(map(str, ["rows", file, prefix, *words]))
    moved = numbers_moved(operation, problem, shape) * NUMBER_BYTES[dtype]
    state = 1 + STATES.index(operation.state) if operation.state else 0
    words = [shape.batch, problem.dimension, problem.size, shape.length, int(operation.streams), state]
    words += [shape.window, shape.step, int(operation.backward), moved]
    return " ".join(map(str, ["path", file, prefix, *words]))


def program(folder: Path, dtype: str, march: str) -> Path:
    """Compile ``calls.c`` for a number type, as kernels are compiled."""
    described = toolchain.describe(toolchain.find_compiler(), march)
    command = [
        *described.compiler.command,
        *(flag.text for flag in described.compile_flags),
        f"-DLOGSIG_REAL_BITS={8 * NUMBER_BYTES[dtype]}",
        f"-I{template_folder() / 'c' / 'include'}",
        str(HERE / "calls.c"),
        "-o",
        str(folder / f"calls_{dtype}"),
        "-ldl",
        "-lm",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return folder / f"calls_{dtype}"


def run(command: Sequence[str], lines: Iterable[str] = ()) -> str:
    """What a program prints after it has read some lines.

    Raises
    ------
    RuntimeError
        With what it said, if it failed.
    """
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def choices(executable: Path) -> dict[str, int]:
    """The numbers by which the headers choose: lanes, batches taken to be out of the cache, …"""
    pairs = (words.split() for words in run([str(executable), "choices"]).splitlines())
    return {name: int(value) for name, value in pairs}


def times(executable: Path, lines: Sequence[str], rounds: int, seconds: float) -> list[tuple[Timing, Timing, Timing]]:
    """For each line nanoseconds of the call, of a copy of as many bytes, and of a multiply-add of one number."""
    found = run([str(executable), "time", str(rounds), str(seconds)], lines)
    blocks = [[tuple(map(float, row.split())) for row in block.splitlines()] for block in found.split("\n\n") if block]
    call_copy_multiply = [tuple(Timing(column) for column in zip(*block, strict=True)) for block in blocks]
    return [(one[0], one[1], one[2]) for one in call_copy_multiply]
