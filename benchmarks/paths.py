"""Log-signatures of whole paths and their gradients, against pySigLib and iisignature, interleaved in one process.

    python benchmarks/paths.py                                   # batch 32 x length 128, about five minutes
    python benchmarks/paths.py --shape 1x10000 --shape 1024x16 --problem 5,3
    python benchmarks/paths.py --grid --memory --plot docs/figures/paths.png --document docs/benchmarks.md

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
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pysiglib
from numpy.typing import NDArray

import harness
import logsig_codegen as lg
from harness import Call, geometric_mean, interleave, paired_ratio
from logsig_codegen.operations import STATES, default_state

Array = NDArray[Any]
DTYPES = ("float64", "float32")
TOLERANCE = {"float64": 1e-9, "float32": 5e-2}
MOST_BYTES = 64 * 2**20
GRID = tuple((batch, length) for length in (16, 128, 1024, 10_000) for batch in (1, 32, 1024))
GRID_ON_TWO_THREADS = ((1, 10_000), (32, 128), (1024, 128))
WHOLE_TABLES = ((32, 128), (1, 10_000))
"""Shapes whose tables are shown in full; of the others, the ratios."""
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
    """Nanoseconds per step and path, and ratios; ``None`` where a library was not there."""

    case: Case
    state: str
    ours: float
    other_state: float
    log_sig: float
    sig: float
    iisignature: float | None
    back: float
    back_peer: float
    back_iisignature: float | None
    spread: float
    ratio: float
    ratio_sig: float
    ratio_back: float


class TooSlowError(Exception):
    """A line would take too long."""


def seconds_of(call: Call) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


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
        f"{row.ours:.2f} ±{100 * row.spread:.0f}%",
        *(number(value) for value in (row.other_state, row.log_sig, row.sig, row.iisignature)),
        f"{row.ratio:.1f}",
        f"{row.ratio_sig:.1f}",
        *(number(value) for value in (row.back, row.back_peer, row.back_iisignature)),
        f"{row.ratio_back:.1f}",
    )


def title(case: Case) -> str:
    threads = "" if case.threads == 1 else f", {case.threads} threads"
    return f"{case.batch} paths of {case.length:,} points, {case.dtype}{threads}"


def report(rows: Sequence[Row]) -> str:
    """All tables as Markdown, geometric means first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(title(row.case), []).append(row)
    summary = []
    for name, members in groups.items():
        line = [name]
        for values in ([m.ratio for m in members], [m.ratio_sig for m in members], [m.ratio_back for m in members]):
            line.append(f"{geometric_mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        summary.append((*line, str(len(members))))
    header = ("", "log_sig to log_sig", "log_sig to sig", "gradient to gradient", "problems")
    parts = ["### Ratios: geometric mean (least to most)", harness.table(header, summary)]
    whole = {
        title(row.case) for row in rows if row.case.threads == 1 and (row.case.batch, row.case.length) in WHOLE_TABLES
    }
    if len(groups) <= len(whole) + 2:
        whole = set(groups)
    parts += ratio_tables([row for row in rows if title(row.case) not in whole])
    for name, members in groups.items():
        if name in whole:
            parts += [f"### {name}", harness.table(HEADER, map(cells, members))]
    return "\n\n".join(parts)


def ratio_tables(rows: Sequence[Row]) -> list[str]:
    """By shape, two ratios per cell: log_sig, and its gradient."""
    parts = []
    for dtype, threads in dict.fromkeys((row.case.dtype, row.case.threads) for row in rows):
        chosen = [row for row in rows if (row.case.dtype, row.case.threads) == (dtype, threads)]
        shapes = list(dict.fromkeys((row.case.batch, row.case.length) for row in chosen))
        problems = sorted({(row.case.dimension, row.case.degree) for row in chosen})
        by_cell = {(row.case.dimension, row.case.degree, row.case.batch, row.case.length): row for row in chosen}
        lines = []
        for problem in problems:
            found = [by_cell.get((*problem, *shape)) for shape in shapes]
            texts = ["" if row is None else f"{row.ratio:.1f} / {row.ratio_back:.1f}" for row in found]
            lines.append((f"({problem[0]},{problem[1]})", *texts))
        on = "" if threads == 1 else f", {threads} threads"
        parts.append(f"### Ratios by batch x length: log_sig / gradient, {dtype}{on}")
        parts.append(harness.table(("(d,N)", *(f"{batch} x {length:,}" for batch, length in shapes)), lines))
    return parts


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


def rows_of(results: Path) -> list[Row]:
    """The lines of an earlier run."""
    return [Row(**{**row, "case": Case(**row["case"])}) for row in json.loads(results.read_text())["rows"]]


def pair(text: str, separator: str) -> tuple[int, int]:
    first, second = text.split(separator)
    return int(first), int(second)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", action="append", type=lambda text: pair(text, ","), help="dimension,degree")
    parser.add_argument("--shape", action="append", type=lambda text: pair(text, "x"), help="batch x length: 32x128")
    parser.add_argument("--dtype", action="append", choices=DTYPES)
    parser.add_argument("--threads", action="append", type=int, help="default: 1")
    parser.add_argument("--seconds", type=float, default=3.0, help="per row, about")
    parser.add_argument("--clock", choices=tuple(harness.CLOCKS), default="cpu")
    parser.add_argument("--grid", action="store_true", help="all shapes, some of them on two threads")
    parser.add_argument("--memory", action="store_true", help="measure the memory of gradients as well")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/paths.json"))
    parser.add_argument("--include", type=Path, action="append", default=[], help="results of an earlier run to add")
    parser.add_argument("--plot", type=Path, help="draw the ratios")
    parser.add_argument("--document", type=Path, help="put the tables between the marks of this page as well")
    options = parser.parse_args()
    shapes = [(threads, shape) for threads in options.threads or [1] for shape in options.shape or [(32, 128)]]
    if options.grid:
        grids = {1: GRID, 2: GRID_ON_TWO_THREADS}
        shapes = [(threads, shape) for threads in options.threads or grids for shape in grids[threads]]
    rows = [row for results in options.include for row in rows_of(results)]
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
        harness.save(options.json, {"machine": harness.machine(), "rows": [asdict(row) for row in rows]})
    text = report(rows)
    if options.memory:
        text += "\n\n" + memory()
    print(f"\n{text}")
    if options.document:
        harness.put_into(options.document, "paths", f"{harness.machine_text(harness.machine())}\n\n{text}")
    if options.plot:
        from plot import plot_paths

        drawn = [row for row in rows if (row.case.batch, row.case.length) in WHOLE_TABLES] or rows
        plot_paths([asdict(row) for row in drawn], options.plot)


if __name__ == "__main__":
    main()
