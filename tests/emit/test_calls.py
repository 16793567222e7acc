"""Calls along paths through the C struct: a C program, with sanitizers, against exact arithmetic.

Trusts the truncated tensor algebra over fractions. Results are polynomials in every coordinate of a point, of degree 3
at most, so that their derivatives are exact difference quotients.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from native import COMPILERS, write_sources

import logsig_codegen as lg
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import embed, join_oracle
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.problem import Problem

PATHS, POINTS, D, N, SIZE = 3, 7, 2, 3, 5
LENGTHS = (7, 4, 1)
BASIS = lyndon_basis(D, N)
WORDS = [word for length in range(1, N + 1) for word in product(range(D), repeat=length)]
Numbers = list[Fraction]
GROUPS = ("log_sig", "log_sig_backprop", "log_sig_by_signature", "stream", "stream_backprop", "combine",
          "combine_backprop")  # fmt: skip


def log_sig(points: Sequence[Numbers], before: Numbers | None = None) -> Numbers:
    """In Lyndon brackets, after ``before``."""
    state = (Fraction(0),) * SIZE if before is None else tuple(before)
    for start, end in pairwise(points):
        state = joined(state, tuple(b - a for a, b in zip(start, end, strict=True)))
    return list(state)


@cache  # a difference quotient moves one number, and most windows, rows of streams and paths do without it
def joined(state: tuple[Fraction, ...], step: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    return tuple(join_oracle(D, N, state, step))


def in_method(coordinates: Numbers, method: int) -> Numbers:
    return written(tuple(coordinates), method)


@cache
def written(coordinates: tuple[Fraction, ...], method: int) -> Numbers:
    tensor = embed(BASIS, coordinates)
    words = WORDS if method == 0 else BASIS.words
    return [Fraction(tensor[len(word)].get(word, 0)) for word in words]


def windows(size: int, step: int, method: int) -> Callable[..., Numbers]:
    def result(paths: Sequence[Sequence[Numbers]], _: object) -> Numbers:
        rows = [
            log_sig(path[first : min(first + size, count)])
            for path, count in zip(paths, LENGTHS, strict=True)
            for first in range(0, POINTS - size + 1, step)
        ]
        return [x for row in rows for x in in_method(row, method)]

    return result


def intervals(pairs: Sequence[Sequence[tuple[int, int]]], method: int) -> Callable[..., Numbers]:
    def result(paths: Sequence[Sequence[Numbers]], _: object) -> Numbers:
        rows = [
            log_sig(path[first : min(last + 1, count)])
            for path, count, own in zip(paths, LENGTHS, pairs, strict=True)
            for first, last in own
        ]
        return [x for row in rows for x in in_method(row, method)]

    return result


def after(path_of: Sequence[int], initial_of: Sequence[int], method: int) -> Callable[..., Numbers]:
    def result(paths: Sequence[Sequence[Numbers]], initial: Sequence[Numbers]) -> Numbers:
        rows = [log_sig(paths[b][: LENGTHS[b]], initial[i]) for b, i in zip(path_of, initial_of, strict=True)]
        return [x for row in rows for x in in_method(row, method)]

    return result


def streams(initial_of: Sequence[int], method: int) -> Callable[..., Numbers]:
    def result(paths: Sequence[Sequence[Numbers]], initial: Sequence[Numbers]) -> Numbers:
        rows = [
            log_sig(path[: min(end, count)], initial[i])
            for path, count, i in zip(paths, LENGTHS, initial_of, strict=True)
            for end in range(2, POINTS + 1)
        ]
        return [x for row in rows for x in in_method(row, method)]

    return result


def gradient(function: Callable[[Numbers], Fraction], x: Numbers) -> Numbers:
    def at(k: int, h: int) -> Fraction:
        return function([*x[:k], x[k] + h, *x[k + 1 :]])

    return [(8 * (at(k, 1) - at(k, -1)) - (at(k, 2) - at(k, -2))) / 12 for k in range(len(x))]


ORDER = [2, 0, 1]  # of the paths of the second call within the array: starts are 28, 0 and 14
CASES: list[tuple[Callable[..., Numbers], int, list[int], int, int]] = [
    # result, rows of initial, order of the paths, numbers of a row (of a stream's block), numbers between rows
    (windows(4, 1, 1), 0, [0, 1, 2], SIZE, 1),
    (windows(3, 2, 0), 0, ORDER, len(WORDS), 0),
    (after([0, 1, 2], [0, 0, 0], 1), 1, [0, 1, 2], SIZE, 0),
    (after([2, 0, 1, 0], [0, 1, 1, 0], 0), 2, [0, 1, 2], len(WORDS), 3),
    (streams([1, 0, 1], 0), 2, [0, 1, 2], (POINTS - 1) * len(WORDS), 2),
    (intervals([[(0, 6), (2, 1), (3, 3), (1, 5), (4, 6)]] * 3, 1), 0, [0, 1, 2], SIZE, 1),
    (intervals([[(0, 6), (1, 3)], [(2, 5), (0, 2)], [(6, 6), (0, 1)]], 0), 0, ORDER, len(WORDS), 0),
]


def expected(case: int) -> tuple[Numbers, Numbers]:
    """The result of a case, and its gradient."""
    function, n_initial, order, width, gap = CASES[case]
    numbers = [Fraction(k * k % 13 - 6) for k in range(PATHS * POINTS * D)]
    before = [Fraction(k % 4 - 2) for k in range(n_initial * SIZE)]

    def result(x: Numbers) -> Numbers:
        stored = [[x[(b * POINTS + t) * D : (b * POINTS + t + 1) * D] for t in range(POINTS)] for b in range(PATHS)]
        rest = x[PATHS * POINTS * D :]
        initial = [rest[i * SIZE : (i + 1) * SIZE] for i in range(n_initial)]
        return function([stored[b] for b in order], initial)

    def form(x: Numbers) -> Fraction:
        rows = result(x)
        places = (k // width * (width + gap) + k % width for k in range(len(rows)))
        return sum((y * (place % 11 - 5) for y, place in zip(rows, places, strict=True)), Fraction(0))

    return result([*numbers, *before]), gradient(form, [*numbers, *before])


@pytest.fixture(scope="module", params=COMPILERS)
def printed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[list[float]]:
    """What the program prints, compiled with the library and with sanitizers."""
    folder = tmp_path_factory.mktemp("calls")
    units = c_sources(compile_problem(Problem(D, N), groups=GROUPS), ("float64",))
    write_sources(folder, units)
    sources = [unit.name for unit in units if unit.language == "c"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-Wshadow"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = Path(__file__).with_name("calls.c")
    subprocess.run(
        [request.param, "-O0", "-std=gnu11", "-march=native", "-DLOGSIG_REAL_BITS=64", "-DLOGSIG_CALL_ROOM=64",
         "-DLOGSIG_PIECE_STEPS=2", "-DLOGSIG_BLOCK_STEPS(degree)=(degree)/3",  # intervals of four steps are long
         *warnings, *sanitizers, "-I.", str(program), *sources, "-lm", "-o", "calls"],
        cwd=folder, check=True,
    )  # fmt: skip
    done = subprocess.run([str(folder / "calls")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [[float(x) for x in line.split()] for line in done.stdout.splitlines()]


def test_the_program_of_the_page(tmp_path: Path) -> None:
    """``docs/windows.c``, compiled as the page says it."""
    folder = lg.generate(D, N, tmp_path, operations=("log_sig", "log_sig_backprop"), dtypes=("float64",)).path
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{folder}"]
    link = [f"-L{folder}", f"-llogsig_{folder.name}", f"-Wl,-rpath,{folder}"]
    source = Path(__file__).parent.parent.parent / "docs" / "windows.c"
    subprocess.run(["cc", *flags, str(source), *link, "-o", str(tmp_path / "windows")], check=True)
    printed = subprocess.run([str(tmp_path / "windows")], check=True, capture_output=True, text=True).stdout
    points = [
        [[0, 0], [1, 0], [1, 1], [0, 3], [2, 3], [2, 5], [-1, 4], [0, 0]],
        [[0, 0], [2, 1], [3, -1], [3, 2], [1, 1], [0, 0], [0, 0], [0, 0]],
    ]

    def result(x: Numbers) -> Numbers:
        paths = [[x[16 * b + 2 * t : 16 * b + 2 * t + 2] for t in range(8)] for b in range(2)]
        rows = [
            log_sig(path[first : min(first + 4, count)])
            for path, count in zip(paths, (8, 5), strict=True)
            for first in (0, 2, 4)
        ]
        return [y for row in rows for y in in_method(row, 1)]

    def form(x: Numbers) -> Fraction:
        return sum((y * (k % 7 - 3) for k, y in enumerate(result(x))), Fraction(0))

    numbers = [Fraction(c) for path in points for point in path for c in point]
    truth = [*result(numbers), *gradient(form, numbers)]
    np.testing.assert_allclose(np.array(printed.split(), float), np.array(truth, float), atol=1e-8)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_results_and_gradients_are_exact(printed: list[list[float]], case: int) -> None:
    result, slopes = expected(case)
    found = printed[case]
    assert len(found) == len(result) + len(slopes)
    truth = np.array([float(x) for x in (*result, *slopes)])
    if CASES[case][2] is ORDER:  # with starts only points that count are written
        counted = [LENGTHS[ORDER.index(b)] for b in range(PATHS)]
        unwritten = [len(result) + (b * POINTS + t) * D + i for b in range(PATHS) for t in range(counted[b], POINTS)
                     for i in range(D)]  # fmt: skip
        assert not np.isin(np.array(found)[unwritten], truth).any()
        found = list(np.delete(found, unwritten))
        truth = np.delete(truth, unwritten)
    np.testing.assert_allclose(found, truth, rtol=1e-11, atol=1e-10)
