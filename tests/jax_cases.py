"""Calls of every function that takes JAX arrays: small, with all options; the same call serves numpy's arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import logsig_codegen as lg
from logsig_codegen.runtime.checks import namespace

D, N = 2, 3
M, S = 5, 14
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Case:
    """A function of arrays of some shapes."""

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]

    def arrays(self, dtype: str = "float64") -> tuple[Array, ...]:
        """Fixed arguments, of size about one half."""
        source = np.random.default_rng(5)
        return tuple((source.normal(size=shape) * 0.5).astype(dtype) for shape in self.shapes)


def case(name: str, *shapes: tuple[int, ...], others: tuple[Any, ...] = (), **options: Any) -> Case:
    def call(*arrays: Any) -> Any:
        return getattr(lg, name)(*arrays, *others, **options)

    return Case(call, shapes)


def along(name: str, *shapes: tuple[int, ...], **options: Any) -> Case:
    """Paths, and if there are two shapes, what came before."""

    def call(path: Any, initial: Any = None) -> Any:
        return getattr(lg, name)(path, N, initial=initial, **options)

    return Case(call, shapes)


def ragged(first: Any, second: Any) -> Any:
    return lg.log_sig([first, second], N, method=2, time_aug=True)


def gaps(name: str, *others: Any, **options: Any) -> Case:
    """Paths of five points some of whose values are missing: in the middle, at the ends, and all of a channel."""

    def call(path: Any) -> Any:
        xp = namespace(path)
        return getattr(lg, name)(xp.where(OBSERVED, path, xp.nan), *others, **options)

    return Case(call, ((3, 5, D),))


def moments(path: Any, steps: Any, ends: Any) -> Any:
    """What depends on times and on ends of intervals, none of which is at a point."""
    times = TIMES + 0.1 * steps
    ends = np.array([[0.2, 3.1], [1.0, 1.2], [0.7, 3.8]]) + 0.05 * ends
    return lg.log_sig(path, N, method=2, times=times, intervals=ends, time_aug=True)


def moments_of_gaps(path: Any, steps: Any) -> Any:
    path, times = namespace(path).where(OBSERVED, path, np.nan), TIMES + 0.1 * steps
    return lg.log_sig(path, 2, times=times, missing="linear", lead_lag=True, lengths=[5, 3, 4])


LENGTHS = [4, 1, 0, 3]
PAIRS = np.array([[0, 4], [3, 2], [2, 2], [1, 3]])
EACH = np.stack([PAIRS, PAIRS[::-1]])
TIMES = np.array([0.0, 0.5, 1.5, 2.0, 4.0])
ENDS = np.array([[0.25, 3.0], [0.5, 4.0], [1.0, 1.0]])
OBSERVED = np.ones((3, 5, D), bool)
OBSERVED[0, 1:3, 0] = OBSERVED[1, 0, 1] = OBSERVED[1, 3:, 0] = OBSERVED[2, :, 1] = False
CASES: dict[str, Case] = {
    "join": case("log_sig_join", (3, M), (3, D), others=(D, N)),
    "join, broadcast": case("log_sig_join", (2, 1, M), (3, D), others=(D, N)),
    "join, no batch": case("log_sig_join", (M,), (D,), others=(D, N)),
    "join, prepended": case("log_sig_join", (2, M), (D,), others=(D, N), prepend=True),
    "combine": case("log_sig_combine", (3, M), (M,), others=(D, N)),
    "log_sig": along("log_sig", (2, 5, D), method=2),
    "log_sig, words": along("log_sig", (2, 5, D)),
    "log_sig, expanded": along("log_sig", (5, D), method=0, scalar_term=True),
    "log_sig, state": along("log_sig", (2, 5, D), method=2, state="signature"),
    "log_sig, one point": along("log_sig", (2, 1, D), method=2),
    "log_sig, no points": along("log_sig", (2, 0, D), method=2),
    "log_sig, empty batch": along("log_sig", (0, 4, D), method=2),
    "log_sig, lengths": along("log_sig", (4, 4, D), method=2, lengths=LENGTHS),
    "log_sig, initial": along("log_sig", (2, 4, D), (M,), method=2),
    "log_sig, wide initial": along("log_sig", (4, D), (3, M), method=1),
    "log_sig, crossed initial": along("log_sig", (2, 1, 4, D), (3, M), method=2),
    "log_sig, transformed": along("log_sig", (2, 3, D), time_aug=True, lead_lag=True, end_time=2.0),
    "log_sig, lengths of transformed": along("log_sig", (4, 4, D), time_aug=True, lead_lag=True, lengths=LENGTHS),
    "log_sig, list": Case(ragged, ((4, D), (2, D))),
    "stream": along("log_sig", (2, 4, D), method=2, stream=True),
    "stream, initial": along("log_sig", (4, 4, D), (M,), method=0, stream=True, lengths=LENGTHS),
    "stream, one point": along("log_sig", (2, 1, D), method=2, stream=True),
    "windows": along("log_sig", (2, 6, D), method=2, windows=(3, 2)),
    "windows, lengths": along("log_sig", (4, 4, D), method=1, windows=(3, 1), lengths=LENGTHS),
    "windows, none fits": along("log_sig", (2, 3, D), method=2, windows=(4, 1)),
    "intervals": along("log_sig", (2, 5, D), method=2, intervals=PAIRS),
    "intervals, each path": along("log_sig", (2, 5, D), method=0, scalar_term=True, intervals=EACH, lengths=[5, 3]),
    "intervals, none": along("log_sig", (2, 5, D), method=2, intervals=PAIRS[:0]),
    "intervals, no points": along("log_sig", (2, 0, D), method=2, intervals=[[0, -1]]),
    "intervals, lead-lag": along("log_sig", (2, 3, D), time_aug=True, lead_lag=True, intervals=PAIRS),
    "times, lead-lag": along("log_sig", (2, 5, D), times=TIMES, time_aug=True, lead_lag=True),
    "missing, raise": along("log_sig", (2, 5, D), missing="raise", lengths=[5, 3]),
    "missing, forward": gaps("log_sig", 2, missing="forward", count_observations=True, intervals=PAIRS),
    "transform_path, times": case("transform_path", (2, 5, D), times=TIMES, lead_lag=True, time_aug=True),
    "hall_windows": case("hall_windows", (2, 5, D), others=(2, 2)),
    "sig_to_log_sig": case("sig_to_log_sig", (2, S), others=(D, N)),
    "sig_to_log_sig, expanded": case("sig_to_log_sig", (2, S + 1), others=(D, N), method=0),
    "logsig_to_sig": case("logsig_to_sig", (2, M), others=(D, N), scalar_term=True),
    "logsig_to_sig, brackets": case("logsig_to_sig", (M,), others=(D, N), method=2),
    "logsig_to_sig, expanded": case("logsig_to_sig", (2, S), others=(D, N), method=0),
    "linear_log_sig": case("linear_log_sig", (2, D), others=(D, N), method=0, scalar_term=True),
    "linear_log_sig, degree 0": case("linear_log_sig", (2, D), others=(D, 0), method=0, scalar_term=True),
    "change_method": case("log_sig_change_method", (2, M), others=(D, N, 1, 0)),
    "change_method, expanded": case("log_sig_change_method", (2, S), others=(D, N, 0, 2)),
    "to_hall": case("log_sig_to_hall", (2, M), others=(D, N)),
    "from_hall": case("log_sig_from_hall", (2, M), others=(D, N)),
    "transform_path": case("transform_path", (2, 3, D), time_aug=True, lead_lag=True),
    "transform_path, time": case("transform_path", (4, D), time_aug=True, end_time=3.0),
}
ROUNDED: dict[str, Case] = {
    "times and ends": Case(moments, ((2, 5, D), (5,), (3, 2))),
    "times of each path, and ends": Case(moments, ((2, 5, D), (2, 5), (2, 3, 2))),
    "times of gaps": Case(moments_of_gaps, ((3, 5, D), (5,))),
    "intervals of time": along("log_sig", (2, 5, D), times=TIMES, intervals=ENDS, time_aug=True),
    "windows of time": along("log_sig", (2, 5, D), times=[TIMES, 2 * TIMES], windows=(2.0, 1.0), lengths=[5, 4]),
    "missing, linear": gaps("log_sig", N, missing="linear", times=TIMES, lengths=[5, 4, 5]),
    "transform_path, missing": gaps("transform_path", missing="linear", count_observations=True, lead_lag=True),
    "logsig_windows": gaps("logsig_windows", 2, 1.5, TIMES),
}
"""Cases with points between others: XLA rounds them once less, and inserts more of them where times are traced."""
DEGREE_ONE: dict[str, Case] = {
    f"{name}, degree 1": Case(lambda *a, options=options: lg.log_sig(a[0], 1, initial=(*a, None)[1], **options), shapes)
    for name, shapes, options in (
        ("log_sig", ((2, 5, D),), {}),
        ("initial", ((2, 5, D), (D,)), {"lengths": [4, 0]}),
        ("stream", ((2, 5, D), (D,)), {"stream": True, "lengths": [5, 1]}),
        ("windows", ((2, 5, D),), {"windows": (3, 1), "lengths": [5, 2]}),
        ("no points", ((2, 0, D),), {}),
        ("intervals", ((2, 5, D),), {"intervals": EACH, "lengths": [5, 3]}),
    )
}
