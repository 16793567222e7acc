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
from itertools import product
from pathlib import Path

from native import write_sources

from logsig_codegen.algebra.basis_maps import SparseMap, expanded_to_words
from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.build.toolchain import FLAGS, OPENMP, VECTORISERS
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.functional import sig_length
from logsig_codegen.operations import CONVERSION, GROUPS, MAP, OPERATIONS, ROWS, WORDS, available_groups
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.conversions import maps_of
from logsig_codegen.runtime.coordinates import chain_of

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
    "conversions",
)
"""The groups that the driver cannot do without."""
SHORT = tuple(
    f"-DLOGSIG_{name}={number}"
    for name, number in (
        ("CALL_ROOM", 512), ("CHUNK_COLUMNS", 16), ("PIECE_STEPS", 8), ("LONG_PIECE_STEPS", 16), ("FEW_PIECES", 4),
        ("MOST_PIECES", 16), ("PIECES_ROOM", 4096), ("MAX_SPREAD", 16), ("STACK_BYTES", 1024), ("NEAR_BYTES", 4096),
        ("BLOCK_STEPS(degree)", "(degree)"), ("MAP_COLUMNS", 8),
    )
)  # fmt: skip
"""Limits so low that small calls go every way: pieces, chunks, frames on the heap."""


@dataclass(frozen=True)
class RowCase:
    """A function of rows, with what it takes besides them: maps, and ``scalar_term``."""

    name: str
    function: str
    inputs: int
    columns: tuple[int, ...]
    maps: tuple[SparseMap, ...] | None = None
    scalar: int = 0


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
    rows = _row_cases(problem, groups)
    numbers = {
        "DIMENSION": problem.dimension,
        "SIZE": problem.size,
        "WORDS": sig_length(problem.dimension, problem.degree),
        "ROW_CASES": len(rows),
        "MOST_OPERANDS": max(len(one.columns) for one in rows),
        "MOST_COLUMNS": max(max(one.columns) for one in rows),
    }
    yield f'#include "logsig_{problem.name}.h"'
    yield f"#define SYMBOL(name, suffix) logsig_{problem.name}_##name##_##suffix"
    yield f"enum {{ {', '.join(f'{name} = {value}' for name, value in numbers.items())} }};"
    if "log_sig_by_signature" in groups:
        yield "#define HAS_SIGNATURE"
    for one in rows:
        yield from _maps(one, expanded_to_words(problem.dimension, problem.degree))


def _maps(case: RowCase, selection: SparseMap) -> Iterator[str]:
    """The maps of a case in C; the selection of words has no coefficients, but where it is a map as any other."""
    listed = []
    for place, one in enumerate(case.maps or ()):
        name = f"{case.name}_{place}"
        for kind, part in (("ptrdiff_t", "starts"), ("ptrdiff_t", "indices"), ("double", "coefficients")):
            numbers = ", ".join(map(str, getattr(one, part)))
            yield f"static const {kind} {name}_{part}[] = {{{numbers}}};"
        selects = one is selection and OPERATIONS[case.function].kind == CONVERSION
        coefficients = "NULL" if selects else f"{name}_coefficients"
        listed.append(f"{{{one.rows}, {one.columns}, {name}_starts, {name}_indices, {coefficients}}}")
    if listed:
        yield f"static const logsig_map {case.name}_maps[] = {{{', '.join(listed)}}};"


def _cases(problem: Problem, groups: Sequence[str]) -> Iterator[str]:
    """The functions of rows, with one signature for all, and a table of them."""
    table = []
    for one in _row_cases(problem, groups):
        listed = ", ".join(f"at[{k}], stride[{k}]" for k in range(len(one.columns)))
        if one.maps is not None:
            listed += f", {f'{one.name}_maps' if one.maps else 'NULL'}, {len(one.maps)}, {one.scalar}"
        name = f"REAL_NAME(row_{one.name})"
        yield f"static int {name}(REAL *const *at, const ptrdiff_t *stride, ptrdiff_t batch, int n_jobs)"
        yield f"{{ return FN({one.function})({listed}, batch, n_jobs); }}"
        columns, outputs = ", ".join(map(str, one.columns)), len(one.columns) - one.inputs
        table.append(f'    {{"{one.name}", {name}, {one.inputs}, {outputs}, {{{columns}}}}},')
    yield "static const REAL_NAME(row_case) REAL_NAME(row_cases)[] = {"
    yield from table
    yield "};"


def _row_cases(problem: Problem, groups: Sequence[str]) -> list[RowCase]:
    """Operations on rows, and conversions in all coordinates, with and without scalar terms."""
    cases = []
    for one in (one for group in GROUPS if group in groups for one in GROUPS[group]):
        inputs, operands = len(one.inputs), one.all_operands
        if one.kind == ROWS:
            cases.append(RowCase(one.name, one.name, inputs, tuple(k.columns(problem) for k in operands)))
        for method, scalar in product((0, 1, 2), (0, 1)) if one.kind == CONVERSION else ():
            expanded = (method == 0 or k.width == WORDS for k in operands)
            columns = tuple(problem.words + scalar if words else problem.size for words in expanded)
            maps = maps_of(one.name, problem, method)
            cases.append(RowCase(f"{one.name}_{method}_{scalar}", one.name, inputs, columns, maps, scalar))
        for source, target, scalar in product((0, 1, 2), (0, 1, 2), range(4)) if one.kind == MAP else ():
            if maps := chain_of(problem, source, target).maps:
                columns = maps[0].columns + (scalar & 1), maps[-1].rows + (scalar >> 1)
                cases.append(RowCase(f"{one.name}_{source}_{target}_{scalar}", one.name, inputs, columns, maps, scalar))
    return cases
