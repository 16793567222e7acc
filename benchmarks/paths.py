"""Log-signatures of whole paths and their gradients, against pySigLib and iisignature, interleaved in one process.

    python benchmarks/paths.py                                   # batch 32 x length 128, about five minutes
    python benchmarks/paths.py --shape 1x10000 --shape 1024x16 --problem 5,3
    python benchmarks/paths.py --grid --memory --plot docs/figures/paths.png --document docs/benchmarks.md
    python benchmarks/paths.py --saved benchmarks/results/paths.csv           # measures nothing, prints all tables

A row compares, per step and path, ``log_sig`` (default state, and the other one) with pySigLib's ``log_sig`` by the
faster of its methods 1 and 2, with its plain signature ``sig``, and, where it is installed, with iisignature's
``logsig`` by the fastest of its methods; then the gradients: ours from ``d_out`` and the path alone, theirs as their
autograd computes them. Results have to agree before they are timed. A ratio is their time over ours, the median over
paired samples. ``--memory`` adds what the gradient of a long path needs beyond its arguments and result. ``--grid``
takes all shapes from one path to 1,024 and from 16 points to 10,000, and some of them on two threads: half an hour.
What takes too long there is left out, and said to be: iisignature, or a whole line.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib
from numpy.typing import NDArray

import harness
import logsig_codegen as lg
from harness import Call, geometric_mean, interleave, paired_ratio, seconds_of
from logsig_codegen.operations import STATES, default_state

Array = NDArray[Any]
DTYPES = ("float64", "float32")
TOLERANCE = {"float64": 1e-9, "float32": 5e-2}
MOST_BYTES = 64 * 2**20
GRID = tuple((batch, length) for length in (16, 128, 1024, 10_000) for batch in (1, 32, 1024))
GRID_ON_TWO_THREADS = ((1, 10_000), (32, 128), (1024, 128))
DRAWN = ((32, 128), (1, 10_000))
"""Shapes that the figure shows."""
SLOWEST_CALL = {"iisignature": 0.5, "pySigLib": 1.5}
"""Seconds: a library whose calls take longer is left out of a line, or the line with it."""
try:
    iisignature: Any = importlib.import_module("iisignature")
except ImportError:
    iisignature = None


@dataclass(frozen=True)
class Case:
    """One comparison."""

    dtype: str
    dimension: int
    degree: int
    batch: int
    length: int
    threads: int


@dataclass(frozen=True)
class Row:
    """Nanoseconds per step and path, and ratios; ``None`` where a library was not there, or only ratios were kept."""

    case: Case
    state: str
    ours: float | None
    other_state: float | None
    log_sig: float | None
    sig: float | None
    iisignature: float | None
    back: float | None
    back_peer: float | None
    back_iisignature: float | None
    spread: float | None
    ratio: float
    ratio_sig: float | None
    ratio_back: float


class TooSlowError(Exception):
    """A line would take too long."""


def iisignature_calls(case: Case, path: Array, d_out: Array) -> dict[str, Call]:
    """iisignature's methods that can be prepared in reasonable time; it computes in float64 whatever comes."""
    size = lg.log_sig_length(case.dimension, case.degree)
    if iisignature is None or size > 1000:
        return {}
    prepared = iisignature.prepare(case.dimension, case.degree, "COS" if size <= 250 else "OS")
    result: dict[str, Call] = {}
    for method in "COS" if size <= 250 else "OS":
        result[f"ii-{method}"] = lambda m=method: iisignature.logsig(path, prepared, m)  # type: ignore[misc]
    result["ii-back"] = lambda: iisignature.logsigbackprop(d_out, path, prepared, "S")
    return {name: call for name, call in result.items() if seconds_of(call) <= SLOWEST_CALL["iisignature"]}


def calls(case: Case) -> tuple[dict[str, Call], str]:
    """Everything to time, by name, and the default state."""
    d, n = case.dimension, case.degree
    for method in (1, 2):
        pysiglib.prepare_log_sig(d, n, method)
    kernel = lg.load(d, n)
    source = np.random.default_rng(0)
    path = source.normal(size=(case.batch, case.length, d)).cumsum(axis=1) / np.sqrt(case.length)
    path = path.astype(case.dtype)
    d_out = source.normal(size=(case.batch, kernel.size)).astype(case.dtype)
    jobs = case.threads

    def backward(method: int) -> Array:
        sig = pysiglib.sig(path, n, n_jobs=jobs)
        d_sig = pysiglib.sig_to_log_sig_backprop(sig, d_out, d, n, method=method, n_jobs=jobs)
        result: Array = pysiglib.sig_backprop(path, sig, d_sig, n, n_jobs=jobs)
        return result

    result: dict[str, Call] = {
        "psl-1": lambda: pysiglib.log_sig(path, n, method=1, n_jobs=jobs),
        "psl-2": lambda: pysiglib.log_sig(path, n, method=2, n_jobs=jobs),
        "sig": lambda: pysiglib.sig(path, n, n_jobs=jobs),
        "psl-back": lambda: backward(2),
        "back": lambda: kernel.log_sig_backprop(d_out, path, n_jobs=jobs),
    }
    for state in STATES:
        result[state] = lambda s=state: kernel.log_sig(path, state=s, n_jobs=jobs)  # type: ignore[misc]
        agree(case, result[state], result["psl-2"])
    if seconds_of(result["psl-back"]) > SLOWEST_CALL["pySigLib"]:
        raise TooSlowError(f"pySigLib's gradient takes more than {SLOWEST_CALL['pySigLib']} s")
    agree(case, result["back"], result["psl-back"])
    result.update(iisignature_calls(case, path, d_out))
    return result, default_state(kernel.problem)


def agree(case: Case, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    """Raise ``ArithmeticError`` if two results differ: their times would mean nothing."""
    found, expected = ours(), theirs()
    error = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300))
    if not error <= TOLERANCE[case.dtype]:
        raise ArithmeticError(f"{case}: results differ by {error:.1e}")


def measure(case: Case, seconds: float, clock: str) -> Row:
    """Check and time one case."""
    competitors, state = calls(case)
    times = interleave(competitors, seconds=seconds, clock=clock)
    unit = case.batch * max(case.length - 1, 1)
    peer = min(("psl-1", "psl-2"), key=lambda name: times[name].median)
    others = [name for name in times if name.startswith("ii-") and name != "ii-back"]
    best = min(others, key=lambda name: times[name].median, default=None)
    (other,) = (name for name in STATES if name != state)
    return Row(
        case=case,
        state=state,
        ours=times[state].median / unit,
        other_state=times[other].median / unit,
        log_sig=times[peer].median / unit,
        sig=times["sig"].median / unit,
        iisignature=None if best is None else times[best].median / unit,
        back=times["back"].median / unit,
        back_peer=times["psl-back"].median / unit,
        back_iisignature=times["ii-back"].median / unit if "ii-back" in times else None,
        spread=times[state].spread,
        ratio=paired_ratio(times[peer], times[state]),
        ratio_sig=paired_ratio(times["sig"], times[state]),
        ratio_back=paired_ratio(times["psl-back"], times["back"]),
    )


HEADER = (
    "(d,N)", "state", "ours, ns/step", "other state", "pySigLib", "sig", "iisignature", "ratio", "to sig",
    "gradient", "pySigLib", "iisignature", "ratio",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"

    return (
        f"({row.case.dimension},{row.case.degree})",
        row.state,
        "" if row.ours is None or row.spread is None else f"{row.ours:.2f} ±{100 * row.spread:.0f}%",
        *(number(value) for value in (row.other_state, row.log_sig, row.sig, row.iisignature)),
        f"{row.ratio:.1f}",
        number(row.ratio_sig),
        *(number(value) for value in (row.back, row.back_peer, row.back_iisignature)),
        f"{row.ratio_back:.1f}",
    )


def title(case: Case) -> str:
    """Batch, length, type and threads."""
    return f"{case.batch} x {case.length:,} points, {case.dtype}, {threads_text(case.threads)}"


def threads_text(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def overview(rows: Sequence[Row]) -> str:
    """The table that ``docs/benchmarks.md`` shows: geometric means over the problems, a line per shape."""
    lines = []
    for threads, batch, length in dict.fromkeys((r.case.threads, r.case.batch, r.case.length) for r in rows):
        line = [f"{batch} x {length:,} points, {threads_text(threads)}"]
        counts = set()
        for dtype in DTYPES:
            wanted = (threads, batch, length, dtype)
            members = [r for r in rows if (r.case.threads, r.case.batch, r.case.length, r.case.dtype) == wanted]
            counts.add(len(members))
            for values in ([r.ratio for r in members], [r.ratio_back for r in members]):
                text = f"{geometric_mean(values):.1f} ({min(values):.1f}–{max(values):.1f})" if values else ""
                line.append(text)
        lines.append((*line, str(max(counts))))
    columns = (f"{what}, {dtype}" for dtype in DTYPES for what in ("log_sig", "gradient"))
    return harness.table(("paths", *columns, "problems"), lines)


def details(rows: Sequence[Row]) -> str:
    """A table per shape and type, with a line per problem."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(title(row.case), []).append(row)
    tables = (f"### {name}\n\n{harness.table(HEADER, map(cells, members))}" for name, members in groups.items())
    return "\n\n".join(tables)


_PEAK = """
import resource, sys
import numpy as np
length, who, d, n = int(sys.argv[1]), sys.argv[2], 5, 4
path = np.random.default_rng(0).normal(size=(1, length, d)).cumsum(axis=1)
if who == "ours":
    import logsig_codegen as lg
    kernel = lg.load(d, n)
    g = np.ones((1, kernel.size))
    run = lambda p: kernel.log_sig_backprop(g, p)
else:
    import pysiglib
    pysiglib.prepare_log_sig(d, n, 2)
    g = np.ones((1, pysiglib.log_sig_length(d, n)))
    def run(p):
        sig = pysiglib.sig(p, n)
        return pysiglib.sig_backprop(p, sig, pysiglib.sig_to_log_sig_backprop(sig, g, d, n, method=2), n)
run(path[:, :1000].copy())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = run(path)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - result.nbytes)
"""


def memory() -> str:
    """Peak memory of the gradient of one path of dimension 5, degree 4, beyond arguments and result."""
    rows = []
    for length in (10_000, 100_000, 1_000_000):
        line = [f"{length:,}"]
        for who in ("ours", "pySigLib"):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", _PEAK, str(length), who],
                capture_output=True,
                text=True,
                check=True,
            )
            line.append(f"{max(int(done.stdout), 0) / 2**20:.1f}")
        rows.append(line)
    return "### Memory of the gradient of one path, (5,4), MiB\n\n" + harness.table(
        ("points", "ours", "pySigLib"), rows
    )


def shape(text: str) -> tuple[int, int]:
    """``32x128`` as a pair of batch and length."""
    batch, length = text.split("x")
    return int(batch), int(length)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", action="append", type=harness.problem, help="dimension,degree")
    parser.add_argument("--shape", action="append", type=shape, help="batch x length: 32x128")
    parser.add_argument("--dtype", action="append", choices=DTYPES)
    parser.add_argument("--threads", action="append", type=int, help="default: 1")
    parser.add_argument("--seconds", type=float, default=3.0, help="per row, about")
    parser.add_argument("--clock", choices=tuple(harness.CLOCKS), default="cpu")
    parser.add_argument("--grid", action="store_true", help="all shapes, some of them on two threads")
    parser.add_argument("--memory", action="store_true", help="measure the memory of gradients as well")
    harness.add_outputs(parser, "paths")
    parser.add_argument("--plot", type=Path, help="draw the times")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        about = f"{harness.machine_text()} Nanoseconds per step and path."
        rows = measure_all(options, about)
    text = overview(rows)
    print(f"\n{about}\n\n{details(rows)}\n\n{text}")
    if options.memory:
        print(f"\n{memory()}")
    if options.document:
        harness.put_into(options.document, "paths", f"{about}\n\n{text}")
    if options.plot:
        from plot import plot_paths

        drawn = [row for row in rows if (row.case.batch, row.case.length) in DRAWN] or rows
        plot_paths([asdict(row) for row in drawn], options.plot)


def measure_all(options: argparse.Namespace, about: str) -> list[Row]:
    """Measure everything that was asked for; save after each shape."""
    shapes = [(threads, shape) for threads in options.threads or [1] for shape in options.shape or [(32, 128)]]
    if options.grid:
        grids = {1: GRID, 2: GRID_ON_TWO_THREADS}
        shapes = [(threads, shape) for threads in options.threads or grids for shape in grids[threads]]
    rows: list[Row] = []
    for threads, (batch, length) in shapes:
        for dtype in options.dtype or DTYPES:
            for dimension, degree in options.problem or harness.PROBLEMS:
                case = Case(dtype, dimension, degree, batch, length, threads)
                if batch * length * dimension * 8 > MOST_BYTES:
                    print(f"# left out, more than 64 MB: {case}", flush=True)
                    continue
                try:
                    rows.append(measure(case, options.seconds, options.clock if threads == 1 else "wall"))
                except TooSlowError as reason:
                    print(f"# left out, {reason}: {case}", flush=True)
                else:
                    print("  ".join((title(case), *cells(rows[-1]))), flush=True)
        harness.save(options.results, about, rows)
    return rows


if __name__ == "__main__":
    main()
