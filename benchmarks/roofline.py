"""How far every operation is from what the machine allows: its time over the larger of two limits.

    python benchmarks/roofline.py                   # after everything is compiled, about ten minutes
    python benchmarks/roofline.py --problem 5,3 --operation join --operation join_backprop

The limits of a call are the time of a copy that reads and writes as many bytes as its operands have, and the time of
its multiplications (of the compiler's programs) at the rate of a bare loop of multiply-adds in vectors of the kernels'
width. All three are measured in C, by ``calls.c``, in turns, on one thread and without Python.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import calls
import harness
from calls import Shape
from harness import batch_rows, geometric_mean
from logsig_codegen.operations import (
    CONVERSION,
    DERIVED_GROUPS,
    MAP,
    OPERATIONS,
    ROWS,
    SLIDING,
    Operation,
    available_groups,
)
from logsig_codegen.problem import Problem

DTYPES = ("float64", "float32")
BATCHES = ("1", "32", "L2", "16MB")
PATHS = (Shape(1, 128), Shape(32, 128))
WINDOWS = Shape(1, 2_000, 100, 1)
LIMITS = {True: "memory", False: "arithmetic"}


@dataclass(frozen=True)
class Row:
    """One call: what was asked for, what it moves and computes, and nanoseconds of it and of each limit.

    ``form`` and ``at_once`` are what the compiler chose: straight-line code, tables or loops; steps in one program.
    """

    operation: str
    dimension: int
    degree: int
    dtype: str
    batch: str
    form: str
    at_once: int
    bytes: int
    multiply_adds: int
    time: float
    copy: float
    arithmetic: float
    spread: float

    @property
    def ratio(self) -> float:
        """Time over the larger limit."""
        return self.time / max(self.copy, self.arithmetic)

    @property
    def limit(self) -> str:
        """Which of the limits is the larger one."""
        return LIMITS[self.copy >= self.arithmetic]


def shapes(operation: Operation, problem: Problem) -> dict[str, Shape]:
    """The sizes an operation is measured at, by name."""
    if operation.kind == ROWS:
        return {name: Shape(batch_rows(name, problem.size)) for name in BATCHES}
    return {str(one): one for one in ((WINDOWS,) if operation.kind == SLIDING else PATHS)}


def measured(problem: Problem, wanted: Sequence[str], rounds: int, seconds: float, folder: Path) -> Iterator[Row]:
    """Every operation of a problem, in both number types and at all sizes."""
    groups = available_groups(problem)
    names = [name for name in wanted if OPERATIONS[name].group in groups]
    artifact = calls.library(problem, names, DTYPES, "native")
    counts, forms = artifact.manifest["operations"], artifact.manifest["form"]
    for dtype in DTYPES:
        executable = folder / f"calls_{dtype}"
        cases = [
            (OPERATIONS[name], at, shape) for name in names for at, shape in shapes(OPERATIONS[name], problem).items()
        ]
        for operation, at, shape in cases:
            lines = [calls.line(artifact, operation, problem, dtype, shape)]
            ((call, copy, multiply),) = calls.times(executable, lines, rounds, seconds)
            work = calls.multiply_adds(counts, operation, shape)
            yield Row(
                operation.name,
                problem.dimension,
                problem.degree,
                dtype,
                at,
                forms[operation.name],
                calls.steps_at_once(counts, operation),
                calls.numbers_moved(operation, problem, shape) * calls.NUMBER_BYTES[dtype],
                work,
                call.median,
                copy.median,
                work * multiply.median,
                call.spread,
            )


def report(rows: Sequence[Row]) -> str:
    """Times over limits, a line for each problem: products in two batches, and in both types what goes along paths."""
    by_case = {(r.operation, r.batch, r.dtype, r.dimension, r.degree): r for r in rows}
    problems = list(dict.fromkeys((r.dimension, r.degree) for r in rows))

    def section(title: str, kinds: Sequence[str], columns: Sequence[tuple[str, str]]) -> str:
        """``columns`` are pairs of batch and number type, side by side in one cell."""
        names = [
            one.name for one in OPERATIONS.values() if one.kind in kinds and any(r.operation == one.name for r in rows)
        ]

        def cell(name: str, problem: tuple[int, int]) -> str:
            found = [by_case.get((name, *column, *problem)) for column in columns]
            return " / ".join("–" if one is None else f"{one.ratio:.1f} {one.limit[0]}" for one in found)

        def mean(name: str) -> str:
            found = [[by_case[key] for p in problems if (key := (name, *column, *p)) in by_case] for column in columns]
            return " / ".join(f"{geometric_mean(one.ratio for one in members):.1f}" for members in found)

        lines = [(f"({d},{n})", *(cell(name, (d, n)) for name in names)) for d, n in problems]
        return harness.table((title, *names), [*lines, ("mean", *map(mean, names))])

    products = {dtype: [(batch, dtype) for batch in ("L2", "16MB")] for dtype in DTYPES}
    paths = [(str(PATHS[-1]), dtype) for dtype in DTYPES]
    along = [kind for kind in dict.fromkeys(one.kind for one in OPERATIONS.values()) if kind not in (ROWS, SLIDING)]
    tables = [section(f"{dtype}, L2 / 16MB", (ROWS,), columns) for dtype, columns in products.items()]
    tables.append(section(f"{PATHS[-1]} points, float64 / float32", along, paths))
    tables.append(section("windows, float64 / float32", (SLIDING,), [(str(WINDOWS), dtype) for dtype in DTYPES]))
    return "\n\n".join(tables)


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    possible = {name: one for name, one in OPERATIONS.items() if one.kind not in (CONVERSION, MAP)}  # conversions.py
    usual = [name for name, one in possible.items() if one.group not in DERIVED_GROUPS]
    parser.add_argument("--problem", action="append", type=harness.problem, help="dimension,degree; several times")
    parser.add_argument("--operation", action="append", choices=tuple(possible), help="several times")
    parser.add_argument("--rounds", type=int, default=7, help="samples of a call, of a copy, of multiply-adds")
    parser.add_argument("--seconds", type=float, default=0.002, help="how long a sample takes, about")
    parser.add_argument("--plot", type=Path, help="draw a figure as well (PNG)")
    harness.add_outputs(parser, "roofline")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            chosen = [calls.choices(calls.program(folder, dtype, "native")) for dtype in DTYPES]
            rows = []
            for dimension, degree in options.problem or harness.PROBLEMS:
                wanted = options.operation or usual
                rows += measured(Problem(dimension, degree), wanted, options.rounds, options.seconds, folder)
        both = ", ".join(f"{one} {' / '.join(str(c[one]) for c in chosen)}" for one in chosen[0])
        about = f"{harness.machine_text()} Nanoseconds of cpu time, one thread. {DTYPES[0]} / {DTYPES[1]}: {both}."
        harness.save(options.results, about, rows)
    text = f"{about}\n\n{report(rows)}"
    print(text)
    if options.plot:
        from plot import plot_roofline

        plot_roofline(rows, options.plot)
    if options.document:
        harness.put_into(options.document, "roofline", text)


if __name__ == "__main__":
    main()
