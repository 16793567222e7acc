"""A day's worth of faults: ``python tests/faults/soak.py --kernel-calls 1e8 --api-calls 1e6 --kills 1000``.

What is not named is not done. Prints what was tried, how often, and what was found, a line for each part; the exit
status is 1 if anything was found. Numbers of every part begin with ``--seed``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults import native_calls, programs

from logsig_codegen.problem import Problem

PROBLEMS = ((1, 1), (2, 1), (1, 4), (2, 2), (2, 3), (3, 2), (2, 4), (3, 3), (5, 2), (2, 6), (4, 3), (20, 2))
"""For sanitizers and guarded memory."""
WIDTHS = {f"vectors of {width} bytes": (f"-DLOGSIG_MAX_VECTOR_BYTES={width}",) for width in (32, 16, 8)}
"""Other vectors than the processor's own; in one of 8 bytes there is one number."""
AT_A_TIME = 2_000_000
"""Calls of one process."""

Part = Callable[[argparse.Namespace, Path], Iterator[str]]


def _said(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def sanitized(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Under the address and undefined-behaviour sanitizers."""
    for number, problem in enumerate(options.problems):
        flags = (*native_calls.SANITIZERS, "-fopenmp", "-march=native", *(native_calls.SHORT if number % 2 else ()))
        yield from _native(
            options, folder, "sanitized", problem, flags, options.sanitized_calls / len(options.problems)
        )


def guarded(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Compiled as users have it, and small problems for other vectors too, beside pages that cannot be touched."""
    cases: list[tuple[str, tuple[int, int], tuple[str, ...]]]
    cases = [("native vectors", problem, ()) for problem in options.problems]
    for name, flags in WIDTHS.items():
        cases += [(name, problem, flags) for problem in ((2, 3), (3, 2)) if problem in options.problems]
    for name, problem, others in cases:
        flags = (*native_calls.AS_BUILT, *native_calls.NATIVE, *others)
        yield from _native(options, folder, f"guarded, {name}", problem, flags, options.kernel_calls / len(cases))


def refused(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Every allocation of a call is refused in turn."""
    for problem in options.problems:
        flags = (*native_calls.SANITIZERS, "-fopenmp", "-march=native", *native_calls.SHORT)
        share = options.refused_calls / len(options.problems)
        yield from _native(options, folder, "refused", problem, flags, share, refuse=True)


def _native(
    options: argparse.Namespace, folder: Path, name: str, problem: tuple[int, int], flags: Sequence[str], calls: float,
    *, refuse: bool = False,
) -> Iterator[str]:  # fmt: skip
    where = Path(tempfile.mkdtemp(dir=folder))
    program = native_calls.build(where, Problem(*problem), flags)
    made = refusals = 0
    seed = options.seed
    while made < calls:
        try:
            done = native_calls.run(program, int(min(calls - made, AT_A_TIME)) + 1, seed, refuse=refuse)
        except AssertionError as error:
            yield f"{name} {problem}: {error}"
            break
        made, refusals, seed = made + done.calls, refusals + done.refused, seed + 1
    _said(f"{name} {problem}: {made:,} calls" + (f", {refusals:,} refused allocations" if refuse else ""))


def arguments(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Calls of everything public, in processes of 50,000."""
    counted: Counter[str] = Counter()
    seed = options.seed
    while sum(counted.values()) < options.api_calls:
        count = int(min(options.api_calls - sum(counted.values()), 50_000))
        found = programs.report("arguments", [count, seed, folder / "arguments", "thorough"])
        counted.update(found["counted"])
        seed += 1
        yield from (f"{name}\n{text}" for name, text in found["findings"].items())
    _said(f"arguments: {sum(counted.values()):,} calls: {dict(counted)}")


def kills(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Processes killed while they load."""
    found = programs.report("kills", [int(options.kills), options.seed, folder / "kills"])
    yield from (f"{name}: {count} times" for name, count in found["findings"].items())
    _said(f"kills: {found['sent']}, {found['left']} files left in the cleared cache")


def damages(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Damaged files."""
    found = programs.report("damage", [int(options.damages), options.seed, folder / "damage"])
    yield from (f"{name}: {text}" for name, text in found["findings"].items())
    ends = Counter(name.rpartition(": ")[2] for name, count in found["tried"].items() for _ in range(count))
    _said(f"damaged files: {sum(found['tried'].values()):,}: {dict(ends)}")


PARTS: dict[str, Part] = {
    "kernel_calls": guarded, "sanitized_calls": sanitized, "refused_calls": refused, "api_calls": arguments,
    "kills": kills, "damages": damages,
}  # fmt: skip


def _problem(text: str) -> tuple[int, int]:
    dimension, degree = map(int, text.split(","))
    return dimension, degree


def main() -> int:
    """The command; see above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, part in PARTS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=0, help=part.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--problems", type=_problem, nargs="+", default=PROBLEMS, help="as 2,3; for the C (default: 12)"
    )
    options = parser.parse_args()
    findings = 0
    with tempfile.TemporaryDirectory(prefix="logsig-faults-") as folder:
        for name, part in PARTS.items():
            if getattr(options, name):
                for finding in part(options, Path(folder)):
                    findings += 1
                    _said(f"FOUND {finding}")
    _said(f"{findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
