"""Rows, streams and overlapping windows of degree two with many letters, in loops over the letters.

Rows of small integers, whose products are exact, are compared with products of matrices of integers; derivatives with
differences of these products, which are exact too, since a product is affine in each of its operands. Streams are
compared with joins, windows with paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native import Native, build

import logsig_codegen as lg
from logsig_codegen.build.cpu import missing_features
from logsig_codegen.build.toolchain import describe, find_compiler
from logsig_codegen.compiler import WIDE_FROM, compile_problem
from logsig_codegen.operations import GROUPS, OPERATIONS, PRODUCTS, ROWS, Operation
from logsig_codegen.problem import Problem

D = WIDE_FROM + 1
"""No multiple of anything: the last vector of letters and the last words are not full."""
WIDE = Problem(D, 2)
ABOVE = np.triu_indices(D, 1)
ROWWISE = tuple(one for one in OPERATIONS.values() if one.kind == ROWS)
RNG = np.random.default_rng(67)
Rows = Sequence[Any]


def bracket(x: Any, y: Any) -> Any:
    """Twice the words of ``[x, y]``, of letters."""
    product = x[:, :D, None] * y[:, None, :D]
    return (product - product.transpose(0, 2, 1))[:, ABOVE[0], ABOVE[1]]


def product(name: str, rows: Rows) -> Any:
    """The product of a name, in twice its coordinates."""
    x, y = (np.pad(row, ((0, 0), (0, WIDE.size - row.shape[1]))) for row in rows)
    sign = -1 if name == "join_left" else 1
    return np.hstack([2 * (x + y)[:, :D], 2 * (x + y)[:, D:] + sign * bracket(x, y)])


def change(name: str, rows: Rows, moved: Rows) -> Any:
    """The derivative of twice a product in the direction of ``moved``: each operand by itself makes a difference."""
    (x, y), (dx, dy) = rows, moved
    return product(name, (x + dx, y)) + product(name, (x, y + dy)) - 2 * product(name, rows)


def integers(operation: Operation, count: int) -> list[Any]:
    return [RNG.integers(-9, 10, (count, one.columns(WIDE))) for one in operation.operand_inputs]


def results(found: Any) -> Rows:
    return found if isinstance(found, tuple) else (found,)


def native_call(native: Native, operation: Operation, rows: Rows) -> Rows:
    """The results of an operation, between numbers that nobody may touch."""
    room = [np.full((len(rows[0]), one.columns(WIDE) + 6), 7, rows[0].dtype) for one in operation.operand_outputs]
    native.call(operation.name, (*rows, *(array[:, 3:-3] for array in room)), len(rows[0]))
    assert all((array[:, :3] == 7).all() and (array[:, -3:] == 7).all() for array in room)
    return [array[:, 3:-3] for array in room]


def inner(left: Rows, right: Rows) -> Any:
    return sum((x * y).sum(axis=1) for x, y in zip(left, right, strict=True))


def gradient(name: str, d_out: Any, rows: Rows, moved: Rows) -> Any:
    """Twice the inner product of the gradient of a product with ``moved``."""
    return inner([d_out], [change(name, rows, moved)])


def check(operation: Operation, function: Callable[[Rows], Rows], dtype: type) -> None:
    rows = integers(operation, 5)
    results = [one.astype(np.float64) for one in function([row.astype(dtype) for row in rows])]
    base = next((name for name in PRODUCTS if operation.name in _derivatives(name)), "")
    if operation.name == "bracket":
        assert np.array_equal(results[0][:, D:], bracket(*rows))
        assert not results[0][:, :D].any()
    elif operation.name == "coadjoint":
        other = RNG.integers(-9, 10, (5, WIDE.size))
        assert np.array_equal(inner(results, [other]), inner([rows[1][:, D:]], [bracket(rows[0], other)]))
    elif operation.name == base:
        assert np.array_equal(2 * results[0], product(base, rows))
    elif operation.name == f"{base}_jvp":
        assert np.array_equal(2 * results[0], change(base, rows[:2], rows[2:]))
    elif operation.name == f"{base}_backprop":
        moved = [RNG.integers(-9, 10, row.shape) for row in rows[1:]]
        assert np.array_equal(2 * inner(results, moved), gradient(base, rows[0], rows[1:], moved))
    else:  # the inner product of the gradient with h is affine in d_out, and in either operand
        assert operation.name == f"{base}_backprop_backprop"
        h, arguments = rows[:2], rows[2:]
        before = gradient(base, arguments[0], arguments[1:], h)
        for k, found in enumerate(results):
            moved = [*arguments]
            step = RNG.integers(-9, 10, arguments[k].shape)
            moved[k] = arguments[k] + step
            assert np.array_equal(2 * inner([found], [step]), gradient(base, moved[0], moved[1:], h) - before)


def _derivatives(name: str) -> tuple[str, ...]:
    return (name, *(f"{name}_{suffix}" for suffix in ("jvp", "backprop", "backprop_backprop")))


@pytest.mark.slow
@pytest.mark.parametrize("march", ["native", "x86-64", "x86-64-v3"])
def test_all_operations_on_rows_are_exact(march: str, tmp_path: Path) -> None:
    if missing_features(describe(find_compiler(), march).features):
        pytest.skip(f"this processor cannot run code for {march}")
    groups = [group for group, (first, *_) in GROUPS.items() if first.kind == ROWS]
    native = build(tmp_path, compile_problem(WIDE, groups=groups), march=march)
    for operation in ROWWISE:
        for dtype in (np.float64, np.float32):
            check(operation, partial(native_call, native, operation), dtype)


@pytest.mark.parametrize("name", ["join", "join_backprop", "combine", "combine_backprop"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_and_their_gradients_are_exact(name: str, dtype: type) -> None:
    function = getattr(lg.load(D, 2), name)
    check(OPERATIONS[name], lambda rows: results(function(*rows)), dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_bit_depends_on_the_company(dtype: type) -> None:
    kernel = lg.load(D, 2)
    numbers: Any = RNG.normal(size=(3, 37, WIDE.size)).astype(dtype)
    log_sig, other, d_out = numbers
    for function, rows in (
        (kernel.combine, (log_sig, other)), (kernel.combine_backprop, (d_out, log_sig, other)),
        (kernel.join, (log_sig, other[:, :D])), (kernel.join_backprop, (d_out, log_sig, other[:, :D])),
    ):  # fmt: skip
        together = results(function(*rows, n_jobs=2))
        for i in (0, 5, 36):
            alone = results(function(*(row[i] for row in rows)))
            assert all(np.array_equal(one, all_[i]) for one, all_ in zip(alone, together, strict=True))


def test_a_number_that_is_none_stays_with_its_letter() -> None:
    kernel = lg.load(D, 2)
    log_sig, d_out, step = RNG.normal(size=WIDE.size), RNG.normal(size=WIDE.size), RNG.normal(size=D)
    log_sig[4] = step[D - 1] = np.inf
    words = [{i} for i in range(D)] + [set(word) for word in zip(*ABOVE, strict=True)]
    assert np.array_equal(np.isfinite(kernel.join(log_sig, step)), [not word & {4, D - 1} for word in words])
    d_log_sig, d_step = kernel.join_backprop(d_out, log_sig, step)  # the matrix of d_out has zeros on the diagonal only
    assert np.flatnonzero(np.isfinite(d_log_sig[:D])).tolist() == [D - 1]
    assert np.flatnonzero(np.isfinite(d_step)).tolist() == [4]


def test_a_stream_is_a_row_of_joins() -> None:
    kernel, lengths = lg.load(D, 2), [9, 4, 1, 0]
    path, initial = RNG.normal(size=(4, 9, D)).cumsum(axis=1), RNG.normal(size=(4, WIDE.size))
    for first in (None, initial):
        found = kernel.log_sig(path, stream=True, lengths=lengths, initial=first)
        d_out = RNG.normal(size=found.shape)
        state, states = np.zeros_like(initial) if first is None else first, []
        moves = np.diff(path, axis=1) * (np.arange(1, 9)[None, :] < np.array(lengths)[:, None])[..., None]
        for t in range(8):
            states.append(state)
            state = kernel.join(state, np.ascontiguousarray(moves[:, t]))
            assert np.array_equal(found[:, t], state)
        gradients = kernel.log_sig_backprop(d_out, path, stream=True, lengths=lengths, initial=first)
        d_state, d_path = np.zeros_like(initial), np.zeros_like(path)
        for t in reversed(range(8)):
            there = np.arange(4) < sum(n > t + 1 for n in lengths)
            d_state, d_step = kernel.join_backprop(d_state + d_out[:, t], states[t], np.ascontiguousarray(moves[:, t]))
            d_path[there, t + 1] += d_step[there]
            d_path[there, t] -= d_step[there]
        for one, expected in zip(results(gradients), (d_path, d_state), strict=False):
            np.testing.assert_allclose(one, expected, rtol=0, atol=1e-11)
        assert len(results(gradients)) == (1 if first is None else 2)


@pytest.mark.parametrize(("window", "step"), [(17, 1), (40, 3), pytest.param(90, 12, marks=pytest.mark.slow)])
def test_windows_are_paths(window: int, step: int) -> None:
    kernel, path = lg.load(D, 2), RNG.normal(size=(2, 120, D)).cumsum(axis=1) / 10
    lengths = [120, 70]
    found = kernel.log_sig(path, windows=(window, step), lengths=lengths)
    d_out, d_path = RNG.normal(size=found.shape), np.zeros_like(path)
    for b, points in enumerate(lengths):
        for k in range(found.shape[1]):
            part = path[b, k * step : max(min(k * step + window, points), k * step)]
            np.testing.assert_allclose(found[b, k], kernel.log_sig(part), rtol=0, atol=1e-11)
            d_path[b, k * step : k * step + len(part)] += kernel.log_sig_backprop(d_out[b, k], part)
    gradient_found = kernel.log_sig_backprop(d_out, path, windows=(window, step), lengths=lengths)
    np.testing.assert_allclose(gradient_found, d_path, rtol=0, atol=1e-10)
    again = kernel.log_sig(path[1:], windows=(window, step), lengths=lengths[1:], n_jobs=2)
    assert np.array_equal(again[0], found[1])
