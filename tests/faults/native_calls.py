"""Programs that call every function of a generated library at random (driver.c), with sanitizers or in guarded memory.

Trusts the processor, which refuses pages that are not mapped, the sanitizers of gcc, and that a row's result does not
depend on where it lies, on other rows, or on the number of threads.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from native import write_sources

from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.build.toolchain import FLAGS, OPENMP, VECTORISERS
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.functional import sig_length
from logsig_codegen.operations import GROUPS, OPERATIONS, ROWS, available_groups
from logsig_codegen.problem import Problem

HERE = Path(__file__).parent
NATIVE = ("-march=native",)
SANITIZERS = ("-O1", "-g", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DLOGSIG_HEAP")
AS_BUILT = tuple(flag.text for flag in (*FLAGS, *VECTORISERS, OPENMP))
COUNTED = ("-Dmalloc=driver_malloc", "-Dcalloc=driver_calloc", "-Dfree=driver_free")
"""What is allocated by the generated code, and by nothing else, goes through the driver."""
LEAST = (
    "join",
    "join_backprop",
    "combine",
    "combine_backprop",
    "log_sig",
    "log_sig_backprop",
    "stream",
    "stream_backprop",
)
"""The groups that the driver cannot do without."""
SHORT = tuple(
    f"-DLOGSIG_{name}={number}"
    for name, number in (
        ("CALL_ROOM", 512), ("CHUNK_COLUMNS", 16), ("PIECE_STEPS", 8), ("LONG_PIECE_STEPS", 16), ("FEW_PIECES", 4),
        ("MOST_PIECES", 16), ("PIECES_ROOM", 4096), ("MAX_SPREAD", 16), ("STACK_BYTES", 1024), ("NEAR_BYTES", 4096),
        ("BLOCK_STEPS(degree)", "(degree)"),
    )
)  # fmt: skip
"""Limits so low that small calls go every way: pieces, chunks, frames on the heap."""


@dataclass(frozen=True)
class Done:
    """What a program reports: calls of functions of the library, and allocations that were refused."""

    calls: int
    refused: int


def build(folder: Path, problem: Problem, flags: Sequence[str], groups: Sequence[str] | None = None) -> Path:
    """Compile the library of a problem and the driver, statically linked, with ``flags``."""
    chosen = available_groups(problem) if groups is None else tuple(groups)
    units = c_sources(compile_problem(problem, groups=chosen))
    write_sources(folder, units)
    (folder / "header.h").write_text("\n".join(_header(problem, chosen)) + "\n", encoding="utf-8")
    (folder / "cases.h").write_text("\n".join(_cases(problem, chosen)) + "\n", encoding="utf-8")
    tasks = [
        (f"{Path(unit.name).stem}-{k}.o", [*COUNTED, *(f"-D{one}" for one in variant), unit.name])
        for unit in units
        if unit.language == "c"
        for k, variant in enumerate(unit.variants)
    ]
    tasks.append(("driver.o", ["-Wall", "-Wextra", f"-I{HERE}", "-I.", str(HERE / "driver.c")]))

    def compile_one(task: tuple[str, list[str]]) -> None:
        _run(["cc", *flags, *task[1], "-c", "-o", task[0]], folder)

    with ThreadPoolExecutor(usable_processors()) as pool:
        list(pool.map(compile_one, tasks))
    _run(["cc", *flags, *(name for name, _ in tasks), "-lm", "-o", "driver"], folder)
    return folder / "driver"


def run(program: Path, calls: int, seed: int, *, refuse: bool = False, timeout: float | None = None) -> Done:
    """Make at least so many calls; a fault is an ``AssertionError`` with what the program and the sanitizers say."""
    command = [str(program), str(calls), str(seed), *(["refuse"] if refuse else [])]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-6000:]}"
    return Done(*map(int, done.stdout.split()))


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[:6000]}"


def _header(problem: Problem, groups: Sequence[str]) -> Iterator[str]:
    """What the driver has to know of a problem."""
    rows = _row_operations(groups)
    numbers = {
        "DIMENSION": problem.dimension,
        "SIZE": problem.size,
        "WORDS": sig_length(problem.dimension, problem.degree),
        "ROW_CASES": len(rows),
        "MOST_OPERANDS": max(len(OPERATIONS[name].operands) for name in rows),
        "MOST_COLUMNS": max(problem.size, problem.dimension),
    }
    yield f'#include "logsig_{problem.name}.h"'
    yield f"#define SYMBOL(name, suffix) logsig_{problem.name}_##name##_##suffix"
    yield f"enum {{ {', '.join(f'{name} = {value}' for name, value in numbers.items())} }};"
    if "log_sig_by_signature" in groups:
        yield "#define HAS_SIGNATURE"


def _cases(problem: Problem, groups: Sequence[str]) -> Iterator[str]:
    """The functions of rows, with one signature for all, and a table of them."""
    table = []
    for name in _row_operations(groups):
        operands = OPERATIONS[name].all_operands
        listed = ", ".join(f"at[{k}], stride[{k}]" for k in range(len(operands)))
        yield f"static int REAL_NAME(row_{name})(REAL *const *at, const ptrdiff_t *stride, ptrdiff_t batch, int n_jobs)"
        yield f"{{ return FN({name})({listed}, batch, n_jobs); }}"
        columns = ", ".join(str(operand.columns(problem)) for operand in operands)
        inputs, outputs = len(OPERATIONS[name].inputs), len(OPERATIONS[name].outputs)
        table.append(f'    {{"{name}", REAL_NAME(row_{name}), {inputs}, {outputs}, {{{columns}}}}},')
    yield "static const REAL_NAME(row_case) REAL_NAME(row_cases)[] = {"
    yield from table
    yield "};"


def _row_operations(groups: Sequence[str]) -> list[str]:
    return [one.name for group in GROUPS if group in groups for one in GROUPS[group] if one.kind == ROWS]
