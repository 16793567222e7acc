"""Changes of coordinates of log-signatures against the same matrix in scipy, and the way by signatures in pySigLib.

    python benchmarks/coordinates.py                                  # about five minutes
    python benchmarks/coordinates.py --document docs/performance.md

Microseconds per call, one thread; results have to agree before they are timed. A ratio is their time over ours.
pySigLib and iisignature have no function for this: in pySigLib the way from one method to another is the exponential,
then the logarithm, in up to 64 rows here.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pysiglib
from scipy.sparse import csr_matrix

import harness
import logsig_codegen as lg
from harness import geometric_mean, interleave, paired_ratio
from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.algebra.hall import brackets_to_hall
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.coordinates import chain_of

PROBLEMS = ((2, 4), (2, 8), (3, 3), (3, 5), (5, 3), (5, 4), (5, 5), (10, 3), (20, 2))
BATCHES = (1, 64, 4096)
DTYPES = ("float64", "float32")
CHANGES: dict[str, tuple[int, int] | None] = {
    "brackets to Lyndon words": (2, 1),
    "Lyndon words to brackets": (1, 2),
    "brackets to all words": (2, 0),
    "brackets to Hall": None,
}
"""By name: the methods; ``None``: from and to what has functions of its own."""
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Row:
    """One change on one batch: microseconds per call, and how many times longer the others take; nan: not measured."""

    dimension: int
    degree: int
    rows: int
    dtype: str
    operation: str
    ours: float
    scipy: float
    pysiglib: float
    over_scipy: float
    over_pysiglib: float


def matrix(maps: Sequence[SparseMap], dtype: str) -> Any:
    """Maps one after the other, as one matrix."""
    found = None
    for one in maps:
        made = csr_matrix((np.array(one.coefficients, dtype), one.indices, one.starts), shape=(one.rows, one.columns))
        found = made if found is None else (made @ found).tocsr()
    return found


def multiplied(operator: Any, x: Array) -> Array:
    """Rows times a matrix, as rows in memory."""
    return np.ascontiguousarray((operator @ x.T).T)


def by_signatures(x: Array, problem: tuple[int, int], source: int, target: int) -> Array:
    """pySigLib's way from one method to another."""
    found: Array = pysiglib.sig_to_log_sig(pysiglib.logsig_to_sig(x, *problem, method=source), *problem, method=target)
    return found


def measure(problem: tuple[int, int], batch: int, dtype: str, seconds: float) -> Iterator[Row]:
    """Check and time one problem."""
    pysiglib.prepare_log_sig(*problem, 2)
    rng, described = np.random.default_rng(0), Problem(*problem)
    for name, methods in CHANGES.items():
        maps = (brackets_to_hall(*problem),) if methods is None else chain_of(described, *methods).maps
        plain = matrix(maps, dtype)
        for operator, backward in ((plain, False), (plain.T.tocsr(), True)):
            x = rng.normal(size=(batch, operator.shape[1])).astype(dtype)
            calls: dict[str, Callable[[], Array]] = {"ours": _ours(x, problem, methods, backward)}
            calls["scipy"] = partial(multiplied, operator, x)
            if methods is not None and not backward and batch <= 64 and methods[1]:
                calls["pysiglib"] = partial(by_signatures, x, problem, *methods)
            found = {who: call() for who, call in calls.items()}
            for who, one in found.items():
                error = float(np.abs(one - found["ours"]).max() / np.abs(one).max())
                if not error < (1e-9 if dtype == "float64" else 1e-3):
                    raise ArithmeticError(f"{problem}, {name}, {who}: results differ by {error:.1e}")
            times = interleave(calls, seconds=seconds)
            ratios = [paired_ratio(times[who], times["ours"]) if who in times else math.nan for who in OTHERS]
            medians = [times[who].median / 1000 if who in times else math.nan for who in ("ours", *OTHERS)]
            yield Row(*problem, batch, dtype, f"gradient, {name}" if backward else name, *medians, *ratios)


OTHERS = ("scipy", "pysiglib")


def _ours(x: Array, problem: tuple[int, int], methods: tuple[int, int] | None, backward: bool) -> Callable[[], Array]:
    if methods is None:
        return partial(lg.log_sig_to_hall_backprop if backward else lg.log_sig_to_hall, x, *problem)
    change = lg.log_sig_change_method_backprop if backward else lg.log_sig_change_method
    return partial(change, x, *problem, *methods)


def overview(rows: Sequence[Row]) -> str:
    """Geometric means over the problems, least and most."""
    columns = [(batch, dtype) for batch in BATCHES for dtype in DTYPES]
    lines = []
    for who in OTHERS:
        for operation in dict.fromkeys(row.operation for row in rows):
            cells = []
            for key in columns:
                chosen = [row for row in rows if (row.operation, row.rows, row.dtype) == (operation, *key)]
                ratios = [one for row in chosen if not math.isnan(one := getattr(row, f"over_{who}"))]
                least = f"{geometric_mean(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})" if ratios else ""
                cells.append(least)
            if any(cells):
                lines.append((f"{operation}, {who}", *cells))
    heads = (f"{batch} × {dtype}" for batch, dtype in columns)
    return harness.table(("their time over ours", *heads), lines)


def details(rows: Sequence[Row]) -> str:
    """All times, a line per measurement."""
    lines = [
        (
            f"({r.dimension},{r.degree})",
            f"{r.rows}",
            r.dtype,
            r.operation,
            *(f"{one:,.1f}" for one in (r.ours, r.scipy, r.pysiglib)),
        )
        for r in rows
    ]
    return harness.table(("(d,N)", "rows", "dtype", "operation", "ours", *OTHERS), lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.3, help="per operation, about")
    harness.add_outputs(parser, "coordinates")
    options = parser.parse_args()
    if options.saved:
        about, rows = harness.restore(options.saved, Row)
    else:
        about = f"{harness.machine_text()} Microseconds per call."
        sizes = [(batch, dtype) for batch in BATCHES for dtype in DTYPES]
        rows = [row for problem in PROBLEMS for size in sizes for row in measure(problem, *size, options.seconds)]
        harness.save(options.results, about, rows)
    text = overview(rows)
    print(f"{about}\n\n{details(rows)}\n\n{text}")
    if options.document:
        harness.put_into(options.document, "coordinates", f"{about}\n\n{text}")


if __name__ == "__main__":
    main()
