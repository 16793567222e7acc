"""Join and its backprop against pySigLib, in one process, with interleaved samples, on one thread.

    python benchmarks/join.py                                  # everything, about ten minutes
    python benchmarks/join.py --minutes 2 --dtype float64 --problem 5,3 --problem 3,6
    python benchmarks/join.py --plot docs/figures/join.png --document docs/benchmarks.md --readme README.md
    python benchmarks/join.py --saved benchmarks/results/join.csv    # measures nothing, prints all tables

Every row is checked first: the two libraries have to agree before they are timed. ``copy`` is ``np.copyto`` of the
same rows of log-signatures, which is what reading them once and writing them once costs on the machine at hand; times
are also given as multiples of it. A ratio is pySigLib's time over ours, the median over paired samples.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib
from numpy.typing import NDArray

import harness
import logsig_codegen as lg
from harness import Call, geometric_mean, interleave, paired_ratio

Array = NDArray[Any]
OPERATIONS = ("join", "backprop")
DTYPES = ("float64", "float32")
BATCHES = ("1", "32", "L2", "16MB")
TOLERANCE = {"float64": 1e-11, "float32": 2e-4}


@dataclass(frozen=True)
class Case:
    """One comparison: what is timed on how many rows of which type."""

    operation: str
    dtype: str
    dimension: int
    degree: int
    batch: str

    @property
    def size(self) -> int:
        """Coordinates of one log-signature."""
        return lg.log_sig_length(self.dimension, self.degree)

    @property
    def rows(self) -> int:
        """Samples in the batch."""
        return harness.batch_rows(self.batch, self.size)


@dataclass(frozen=True)
class Measurement:
    """Times are nanoseconds per sample; spreads are half the interquartile range over the median."""

    case: Case
    size: int
    rows: int
    ours: float
    peer: float
    copy: float
    ours_spread: float
    peer_spread: float
    ratio: float


def inputs(case: Case) -> tuple[Array, Array, Array]:
    """Derivatives of the output, log-signatures and displacements, from a fixed seed."""
    generator = np.random.default_rng(20240229)
    shapes = ((case.rows, case.size), (case.rows, case.size), (case.rows, case.dimension))
    scales = (1.0, 0.3, 1.0)
    d_out, log_sig, displacement = (
        (scale * generator.standard_normal(shape)).astype(case.dtype)
        for shape, scale in zip(shapes, scales, strict=True)
    )
    return d_out, log_sig, displacement


def calls(case: Case) -> dict[str, Call]:
    """The three competitors on the same arrays: this package, pySigLib and a copy."""
    d_out, log_sig, displacement = inputs(case)
    d, n = case.dimension, case.degree
    kernel = lg.load(d, n)
    pysiglib.prepare_log_sig(d, n, 3)
    target = np.empty_like(log_sig)
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    if case.operation == "join":

        def ours() -> Any:
            return kernel.join(log_sig, displacement)

        def peer() -> Any:
            return pysiglib.log_sig_join(log_sig, displacement, d, n, n_jobs=1)
    else:

        def ours() -> Any:
            return kernel.join_backprop(d_out, log_sig, displacement)

        def peer() -> Any:
            return pysiglib.log_sig_join_backprop(d_out, log_sig, displacement, d, n, n_jobs=1)

    return {"ours": ours, "peer": peer, "copy": lambda: np.copyto(target, log_sig)}


def difference(competitors: dict[str, Call]) -> float:
    """Largest difference of the two results, relative to the largest number in them."""
    flat = [
        np.concatenate([np.ravel(part) for part in (result if isinstance(result, tuple) else (result,))])
        for result in (competitors["ours"](), competitors["peer"]())
    ]
    return float(np.max(np.abs(flat[0] - flat[1])) / np.max(np.abs(flat[1])))


def measure(case: Case, seconds: float, clock: str) -> Measurement:
    """Check and time one case.

    Raises
    ------
    ArithmeticError
        If the libraries disagree: their times would mean nothing.
    """
    competitors = calls(case)
    error = difference(competitors)
    if not error <= TOLERANCE[case.dtype]:
        raise ArithmeticError(f"{case}: results differ by {error:.1e}")
    times = interleave(competitors, seconds=seconds, clock=clock)
    rows = case.rows
    return Measurement(
        case=case,
        size=case.size,
        rows=rows,
        ours=times["ours"].median / rows,
        peer=times["peer"].median / rows,
        copy=times["copy"].median / rows,
        ours_spread=times["ours"].spread,
        peer_spread=times["peer"].spread,
        ratio=paired_ratio(times["peer"], times["ours"]),
    )


def cases(options: argparse.Namespace) -> list[Case]:
    """What to measure, in the order of the table."""
    return [
        Case(operation, dtype, dimension, degree, batch)
        for operation in options.operation or OPERATIONS
        for dtype in options.dtype or DTYPES
        for batch in options.batch or BATCHES
        for dimension, degree in options.problem or harness.PROBLEMS
    ]


def row(m: Measurement) -> tuple[str, ...]:
    """One line of the table."""
    return (
        f"({m.case.dimension},{m.case.degree})",
        str(m.size),
        str(m.rows),
        f"{m.ours:,.1f} ±{100 * m.ours_spread:.0f}%",
        f"{m.peer:,.0f} ±{100 * m.peer_spread:.0f}%",
        f"{m.copy:,.1f}",
        f"{m.ours / m.copy:.1f}",
        f"{m.peer / m.copy:.0f}",
        f"{m.ratio:.1f}",
    )


HEADER = ("(d,N)", "size", "rows", "ours, ns/row", "pySigLib, ns/row", "copy", "ours/copy", "pySigLib/copy", "ratio")


def groups(measurements: Iterable[Measurement]) -> Iterator[tuple[tuple[str, str, str], list[Measurement]]]:
    """Measurements by operation, dtype and batch, in the order they were made."""
    found: dict[tuple[str, str, str], list[Measurement]] = {}
    for m in measurements:
        found.setdefault((m.case.operation, m.case.dtype, m.case.batch), []).append(m)
    yield from found.items()


def summary(measurements: list[Measurement]) -> str:
    """Geometric means of the ratios over the problems, least and most; a line per operation and type."""
    found = {key: [m.ratio for m in members] for key, members in groups(measurements)}
    batches = list(dict.fromkeys(batch for _, _, batch in found))
    lines = []
    for operation, dtype in dict.fromkeys((operation, dtype) for operation, dtype, _ in found):
        cells = []
        for ratios in (found.get((operation, dtype, batch), []) for batch in batches):
            text = f"{geometric_mean(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})" if ratios else ""
            cells.append(text)
        lines.append((f"{operation}, {dtype}", *cells))
    return harness.table(("pySigLib's time over ours", *map(batch_text, batches)), lines)


def batch_text(batch: str) -> str:
    """The heading of a batch."""
    return f"{batch} row{'s' if batch != '1' else ''}" if batch.isdigit() else batch


def precision_gain(measurements: list[Measurement]) -> str:
    """How many times faster float32 is than float64, as a median over the problems."""
    found = {
        (m.case.operation, m.case.batch, m.case.dtype, m.case.dimension, m.case.degree): m.ours for m in measurements
    }
    batches = list(dict.fromkeys(m.case.batch for m in measurements))
    lines = []
    for operation in dict.fromkeys(m.case.operation for m in measurements):
        cells = []
        for batch in batches:
            gains = [
                time / found[o, b, "float32", d, n]
                for (o, b, dtype, d, n), time in found.items()
                if (o, b, dtype) == (operation, batch, "float64") and (o, b, "float32", d, n) in found
            ]
            cells.append(f"{np.median(gains):.2f} ({min(gains):.2f}–{max(gains):.2f})" if gains else "")
        lines.append((operation, *cells))
    return harness.table(("float64 time over float32 time", *map(batch_text, batches)), lines)


def overview(measurements: list[Measurement]) -> str:
    """The tables that ``docs/benchmarks.md`` shows."""
    return f"{summary(measurements)}\n\n{precision_gain(measurements)}"


def details(measurements: list[Measurement]) -> str:
    """A table per operation, type and batch, with a line per problem."""
    parts = []
    for (operation, dtype, batch), members in groups(measurements):
        title = f"batch {batch}" if batch.isdigit() else f"batches of {batch}"
        parts += [f"### {operation}, {dtype}, {title}", harness.table(HEADER, map(row, members))]
    return "\n\n".join(parts)


def headline(measurements: list[Measurement]) -> str:
    """The few numbers that the README shows: geometric means, and the range over the problems."""
    batches = {"32": "32 rows", "L2": "fits L2", "16MB": "16 MB"}
    found = {key: [m.ratio for m in members] for key, members in groups(measurements)}
    lines = []
    for operation in OPERATIONS:
        for dtype in DTYPES:
            cells = []
            for batch in batches:
                ratios = found.get((operation, dtype, batch), [])
                text = f"{geometric_mean(ratios):.0f}× ({min(ratios):.0f}–{max(ratios):.0f}×)" if ratios else ""
                cells.append(text)
            lines.append((f"{operation}, {dtype}", *cells))
    return harness.table(("times faster than pySigLib 4.0", *batches.values()), lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--minutes", type=float, default=10.0, help="how long the whole run may take, about")
    result.add_argument("--operation", action="append", choices=OPERATIONS)
    result.add_argument("--dtype", action="append", choices=DTYPES)
    result.add_argument("--batch", action="append", help="a number, L2 or 16MB; may be repeated")
    result.add_argument("--problem", action="append", type=harness.problem, help="dimension,degree; may be repeated")
    result.add_argument("--clock", choices=tuple(harness.CLOCKS), default="cpu")
    harness.add_outputs(result, "join")
    result.add_argument("--readme", type=Path, help="put the headline between the marks of this page as well")
    result.add_argument("--plot", type=Path, help="write a figure (PNG) there")
    return result


def measure_all(options: argparse.Namespace) -> list[Measurement]:
    """Measure everything that was asked for, with a line of progress for each."""
    selected = cases(options)
    seconds = 60.0 * options.minutes / len(selected)
    measurements = []
    for number, case in enumerate(selected, start=1):
        # Allocating, checking and warming up take their share of the time too.
        m = measure(case, 0.7 * seconds, options.clock)
        measurements.append(m)
        print(
            f"[{number}/{len(selected)}] {case.operation:8s} {case.dtype} ({case.dimension},{case.degree}) "
            f"{m.rows} rows: {m.ours:.1f} ns against {m.peer:.1f} ns, ratio {m.ratio:.1f}",
            file=sys.stderr,
            flush=True,
        )
    return measurements


def main() -> None:
    """Run, print, save."""
    options = parser().parse_args()
    if options.saved:
        about, measurements = harness.restore(options.saved, Measurement)
    else:
        measurements = measure_all(options)
        about = f"{harness.machine_text()} Nanoseconds per row, {options.clock} time, one thread."
        harness.save(options.results, about, measurements)
    text = overview(measurements)
    print(f"{about}\n\n{details(measurements)}\n\n{text}")
    if options.document:
        harness.put_into(options.document, "join", f"{about}\n\n{text}")
    if options.readme:
        harness.put_into(options.readme, "benchmark", f"{about}\n\n{headline(measurements)}")
    if options.plot:
        from plot import draw  # matplotlib only where a picture is wanted

        draw(measurements, options.plot)


if __name__ == "__main__":
    main()
