"""What the benchmarks share: the problems, interleaved sampling, summaries, and a description of the machine."""

from __future__ import annotations

import argparse
import csv
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")
RESULTS = Path(__file__).resolve().parent / "results"
"""Where the measurements that the documents show are kept."""
Call = Callable[[], object]

PROBLEMS = ((2, 4), (2, 8), (3, 3), (3, 5), (3, 6), (5, 3), (5, 4), (5, 5), (10, 3), (10, 4), (20, 2), (20, 3))
"""Pairs of dimension and degree that every comparison covers."""

BATCH_NUMBERS = {"L2": 32_768, "16MB": 2_000_000}
"""How many numbers a batch of log-signatures holds in all: half a megabyte in and out, or 16 MB each as float64."""

CLOCKS: Mapping[str, Callable[[], int]] = {"cpu": time.process_time_ns, "wall": time.perf_counter_ns}
"""``cpu`` counts what this process used, so that a busy neighbour stretches it less than it stretches ``wall``."""


def batch_rows(name: str, size: int) -> int:
    """Rows of a batch called ``name`` (a number, or a key of :data:`BATCH_NUMBERS`) of vectors of ``size``."""
    return max(1, BATCH_NUMBERS[name] // size) if name in BATCH_NUMBERS else int(name)


@dataclass(frozen=True)
class Timing:
    """Nanoseconds per call, one entry per sample."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a fraction of the median."""
        if len(self.samples) < 4:
            return (max(self.samples) - min(self.samples)) / 2 / self.median
        low, _, high = statistics.quantiles(self.samples, n=4)
        return (high - low) / 2 / self.median


@dataclass(frozen=True)
class CallTime:
    """What one call takes, for the record."""

    call: str
    microseconds: float
    spread: float | None
    least: float | None

    @staticmethod
    def of(call: str, timing: Timing) -> CallTime:
        """A timing, summarised."""
        return CallTime(call, timing.median / 1e3, timing.spread, min(timing.samples) / 1e3)


def seconds_of(call: Call, clock: str = "wall") -> float:
    """How long one call takes."""
    start = CLOCKS[clock]()
    call()
    return (CLOCKS[clock]() - start) / 1e9


def calls_per_sample(call: Call, sample_seconds: float) -> int:
    """How often ``call`` has to run to fill one sample; runs it three times to find out."""
    call()
    shortest = math.inf
    for _ in range(2):
        start = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - start)
    return max(1, int(sample_seconds / max(shortest, 1e-9)))


def interleave(
    calls: Mapping[str, Call],
    *,
    seconds: float,
    sample_seconds: float = 0.004,
    least_samples: int = 5,
    most_samples: int = 41,
    clock: str = "cpu",
) -> dict[str, Timing]:
    """Time several calls in turns, so that a change of clock speed or a busy neighbour hits all of them alike.

    Parameters
    ----------
    calls
        What to time, by name. The order is reversed every other round.
    seconds
        When to stop, in wall time; at least ``least_samples`` rounds are run all the same.
    sample_seconds
        A sample is a loop of calls that lasts about this long.
    """
    now = CLOCKS[clock]
    repeats = {name: calls_per_sample(call, sample_seconds) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    for turn in range(most_samples):
        for name in calls if turn % 2 == 0 else reversed(list(calls)):
            call, repeat = calls[name], repeats[name]
            start = now()
            for _ in range(repeat):
                call()
            samples[name].append((now() - start) / repeat)
        if turn + 1 >= least_samples and time.perf_counter() > end:
            break
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def paired_ratio(slower: Timing, faster: Timing) -> float:
    """Median over the rounds of how many times longer ``slower`` took than ``faster``."""
    return statistics.median(a / b for a, b in zip(slower.samples, faster.samples, strict=True))


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean; NaN of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def machine() -> dict[str, Any]:
    """Processor, system and package versions, for the record."""
    processor = platform.processor() or platform.machine()
    flags = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                processor = value.strip()
            if key.strip() == "flags":
                flags = value
    except OSError:
        pass
    vectors = [name for name in ("avx2", "avx512f") if name in flags.split()]
    packages = ("logsig-codegen", "pysiglib", "numpy")
    return {
        "processor": processor,
        "vectors": vectors,
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {name: version(name) for name in packages},
    }


def save(path: Path, about: str, rows: Iterable[Any]) -> None:
    """Write measurements as CSV: a comment that names the machine, a header, then a line per row.

    Parameters
    ----------
    about
        The machine and whatever else a reader has to know, in one line.
    rows
        Data classes of one type; the fields of a nested data class become columns of their own.
    """
    lines = [_flat(asdict(row)) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {about}\n")
        writer = csv.DictWriter(file, list(lines[0]) if lines else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without nesting; numbers with six digits, which is more than a measurement has."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found.update(_flat(value))
        else:
            found[name] = f"{value:.6g}" if isinstance(value, float) else value
    return found


def restore(path: Path, kind: type[T]) -> tuple[str, list[T]]:
    """What :func:`save` wrote: the comment, and the rows as data classes of type ``kind``."""
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    return first.removeprefix("# "), [_build(kind, row) for row in csv.DictReader(lines)]


def _build(kind: type[T], row: Mapping[str, str]) -> T:
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            values[name] = _build(hint, row)  # type: ignore[arg-type]
        else:
            (convert,) = (one for one in get_args(hint) or (hint,) if one is not NoneType)
            values[name] = convert(row[name]) if row[name] else None
    return kind(**values)


def problem(text: str) -> tuple[int, int]:
    """``5,3`` as a pair of dimension and degree."""
    dimension, degree = text.split(",")
    return int(dimension), int(degree)


def add_outputs(parser: argparse.ArgumentParser, name: str) -> None:
    """The options that say where measurements come from and go to."""
    results = RESULTS / f"{name}.csv"
    parser.add_argument("--results", type=Path, default=results, help="where to save the measurements (CSV)")
    parser.add_argument("--saved", type=Path, help="measure nothing, show these measurements (CSV)")
    parser.add_argument("--document", type=Path, help="put the overview between the marks of this page as well")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, first column left-aligned, with padded cells so that it reads well as plain text too."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "-" * (widths[0] + 2) + "|" + "|".join("-" * (width + 1) + ":" for width in widths[1:]) + "|"
    return "\n".join([line(lines[0]), rule, *map(line, lines[1:])])


def machine_text(found: Mapping[str, Any] | None = None) -> str:
    """What :func:`machine` finds, as a sentence."""
    found = found or machine()
    vectors = " with " + " and ".join(found["vectors"]) if found["vectors"] else ""
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    return f"{found['processor']}{vectors}, {found['system']}, Python {found['python']}, {packages}; {found['date']}."


def put_into(document: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->`` in a Markdown page.

    Raises
    ------
    ValueError
        If the page lacks the marks.
    """
    page = document.read_text()
    before, first, rest = page.partition(f"<!-- {name} -->\n")
    _, last, after = rest.partition(f"<!-- /{name} -->")
    if not (first and last):
        raise ValueError(f"{document}: expected the marks <!-- {name} --> and <!-- /{name} -->")
    document.write_text(f"{before}{first}{text}\n\n{last}{after}")
