"""Path scans whose state is partitioned among warps.

Their programs against the whole one over fractions, the kernels on an emulated grid against the C kernels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from emulated import NUMPY, Emulation

import logsig_codegen as lg
from logsig_codegen import compiler
from logsig_codegen.compiler import PathKernel, compile_problem
from logsig_codegen.emit.cuda.sources import cuda_sources
from logsig_codegen.gpu import path_scan, planner
from logsig_codegen.gpu.cooperative import CooperativePlan, cooperative_plan
from logsig_codegen.gpu.partition import lyndon_places
from logsig_codegen.gpu.path_scan import phase_program
from logsig_codegen.gpu.planner import plan_kernel
from logsig_codegen.gpu.shared_memory import chunk_points
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.program import Program
from logsig_codegen.plans import slots

GROUPS = ("log_sig_by_signature", "log_sig_backprop")
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}


def kernels(problem: lg.Problem) -> tuple[PathKernel, PathKernel]:
    """Forward and backward."""
    backward, forward = compile_problem(problem, groups=GROUPS).kernels
    assert isinstance(forward, PathKernel)
    assert isinstance(backward, PathKernel)
    return forward, backward


def fractions(numbers: random.Random, count: int) -> list[Fraction]:
    return [Fraction(numbers.randint(-9, 9), 8) for _ in range(count)]


def trimmed(program: Program, inputs: dict[str, list[Fraction]]) -> dict[str, list[Fraction]]:
    """What a program whose last columns may have been cut off makes of whole inputs."""
    return interpret(program, {operand.name: inputs[operand.name][: operand.length] for operand in program.inputs})


@pytest.mark.parametrize("problem", [(2, 5), (3, 4), (5, 3), (10, 2)], ids=str)
@pytest.mark.parametrize("parts", [2, 5])
def test_the_steps_of_parts_are_the_step_of_the_whole(
    problem: tuple[int, int], parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "REGISTER_STATE", 0)  # slots for small problems, too
    numbers = random.Random(7)
    forward, backward = kernels(lg.Problem(*problem))
    whole = cooperative_plan(forward, lg.Problem(*problem), "float32", parts)
    state, v = fractions(numbers, forward.state_size), fractions(numbers, problem[0])
    expected = interpret(phase_program(forward, "step"), {"state": state, "displacement": v})["next_state"]
    for part, order in zip(whole.parts, whole.steps, strict=True):
        found = trimmed(order.program, {"state": [state[k] for k in part.words], "displacement": v})
        assert found["next_state"] == [expected[k] for k in part.words]
    back = cooperative_plan(backward, lg.Problem(*problem), "float32", parts)
    form = [Fraction(0)] * backward.d_state_size
    for k in {k for part in back.parts for k in part.words}:  # all but slots that are zero anyway
        form[k] = Fraction(numbers.randint(-9, 9), 8)
    step = slots.step_with(phase_program(backward, "step_backprop"))
    truth = interpret(step, {"d_state": form, "displacement": v})
    d_sum, dv_sum = [Fraction(0)] * len(form), [Fraction(0)] * len(v)
    for part, order in zip(back.parts, back.steps, strict=True):
        own = [form[k] if k in part.own else Fraction(0) for k in part.words]
        found = trimmed(order.program, {"d_state": own, "displacement": v})
        for k, value in zip(part.words, found["d_previous_state"], strict=True):
            d_sum[k] += value
        dv_sum = [a + b for a, b in zip(dv_sum, found["d_displacement"], strict=True)]
    assert d_sum == truth["d_previous_state"]
    assert dv_sum == truth["d_displacement"]


@pytest.mark.parametrize("problem", [(1, 3), (2, 1), (2, 6), (3, 4), (4, 4), (10, 2)], ids=str)
@pytest.mark.parametrize("parts", [2, 6])
def test_the_logarithm_is_partitioned(problem: tuple[int, int], parts: int) -> None:
    forward, _ = kernels(lg.Problem(*problem))
    plan = cooperative_plan(forward, lg.Problem(*problem), "float32", parts)
    whole = forward.phase("finish")
    assert whole is not None
    assert whole.program is not None
    state = fractions(random.Random(5), forward.state_size)
    expected = interpret(whole.program, {"state": state})["out"]
    row: list[Fraction | None] = [state[k] for k in lyndon_places(plan.problem)]
    low = len(row) - sum(len(part.columns) for part in plan.epilogue.ranges)
    if plan.epilogue.low is not None:
        row[:low] = interpret(plan.epilogue.low.program, {"state": row[:low]})["out"]
    assert row[:low] == expected[:low]
    assert len(plan.epilogue.ranges) <= parts
    for part in plan.epilogue.ranges:
        columns, order = part.columns, part.schedule
        own = [row[k] for k in columns]
        found = interpret(order.program, {"state": own, "log_sig": row[:low]})["out"]
        assert found == [expected[k] for k in columns]
        for k in columns:
            row[k] = None  # nobody else reads it
    assert row[low:] == [None] * (len(row) - low)


def emulate(
    emulation: Emulation,
    dtype: str,
    points: np.ndarray,  # type: ignore[type-arg]
    stride: int,
    lengths: Sequence[int],
    starts: np.ndarray | None,  # type: ignore[type-arg]
    given: tuple[int, np.ndarray | None],  # type: ignore[type-arg]
    blocks: int,
) -> None:
    """Both kernels on paths within ``points``, against the C kernels; ``given``: length and lengths as arguments."""
    problem, batch, d = emulation.problem, len(lengths), emulation.problem.dimension
    truth, size = lg.load(problem.dimension, problem.degree), problem.size
    where = starts if starts is not None else np.arange(batch) * stride
    paths = [points[w : w + n * d].reshape(n, d) for w, n in zip(where, lengths, strict=True)]
    expected = truth.log_sig(paths, state="signature")
    d_out = np.random.default_rng(3).standard_normal((batch, size)).astype(NUMPY[dtype])
    d_expected = truth.log_sig_backprop(d_out, paths, state="signature")
    out, length = np.full((batch + 1, size), np.nan, points.dtype), given[0]
    arguments = [points, stride, length, given[1], starts]
    emulation.kernel("log_sig_by_signature", dtype)([*arguments, out, size, batch], blocks=blocks)
    if problem.degree > 1:
        assert np.array_equal(out[:batch], expected)
    else:  # `log_sig` subtracts the first point from the last then, and no kernel adds up steps
        np.testing.assert_allclose(out[:batch], expected, rtol=0, atol=TOLERANCE[dtype] * max(length, 1))
    assert np.isnan(out[batch]).all()
    for first in (None, np.full((batch, d), np.nan, points.dtype)):
        d_points = np.full_like(points, 7)
        back = [d_out, size, out, size, *arguments, d_points, stride, first, batch]
        emulation.kernel("log_sig_backprop", dtype)(back, blocks=blocks)
        touched = np.zeros(len(points), bool)
        for row, (w, n) in enumerate(zip(where, lengths, strict=True)):
            found = d_points[w : w + n * d].reshape(n, d).copy()
            touched[w : w + n * d] = True
            if first is not None and n:
                assert (found[0] == 7).all()
                found[0] = first[row]
            scale = TOLERANCE[dtype] * max(1.0, float(np.abs(d_expected[row]).max(initial=0)))
            np.testing.assert_allclose(found, d_expected[row], rtol=0, atol=scale)
        assert (d_points[~touched] == 7).all()


def check(problem: tuple[int, int], folder: Path, monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    def best(kernel: PathKernel, problem: lg.Problem, dtype: str) -> CooperativePlan | None:
        there = kernel.slots or kernel.operation == GROUPS[0]  # a form of one degree, or of one letter, has no parts
        return cooperative_plan(kernel, problem, dtype, parts) if there else None

    with monkeypatch.context() as patch:  # not of the C kernels
        patch.setattr(compiler, "REGISTER_STATE", 0)
        patch.setattr(path_scan, "STATE_REGISTERS", 0)
        patch.setattr(planner, "best_cooperative_plan", best)
        emulation = Emulation(folder, compile_problem(lg.Problem(*problem), groups=GROUPS))
    for described in emulation.sources.operations:
        if min(problem) > 1 or described.operation == GROUPS[0]:
            assert (described.form, described.samples, described.shape.warps) == ("block", 32, parts)
    numbers = np.random.default_rng([*problem, parts])
    d = problem[0]
    for dtype in ("float32", "float64"):
        chunk = chunk_points(d, dtype)

        def make(count: int, dtype: str = dtype) -> np.ndarray:  # type: ignore[type-arg]
            return (0.3 * numbers.standard_normal(count)).astype(NUMPY[dtype])

        for length in (2, chunk + 1, 2 * chunk + 2):  # whole chunks, and one step more; rows without gaps
            emulate(emulation, dtype, make(70 * length * d), length * d, [length] * 70, None, (length, None), 2)
        length = 2 * chunk + 3
        stride = length * d + 3  # rows that begin at any address
        points = make(40 * stride + 1)[1:]
        emulate(emulation, dtype, points, stride, [length] * 40, None, (length, None), 1)
        lengths = numbers.integers(0, length + 1, 33)
        lengths[:4] = 0, 1, 2, length
        emulate(emulation, dtype, points[: 33 * stride], stride, lengths.tolist(), None, (length, lengths), 3)
        starts = np.cumsum(lengths) - lengths  # one after the other
        packed = make(int(lengths.sum()) * d)
        emulate(emulation, dtype, packed, 0, lengths.tolist(), starts * d, (length, lengths), 1)
        windows = np.array([0, length * d])  # the same number of points each, from wherever they start
        emulate(emulation, dtype, make(2 * length * d), 0, [length] * 2, windows, (length, None), 1)


@pytest.mark.parametrize(("problem", "parts"), [pytest.param((2, 5), 2, marks=pytest.mark.slow), ((3, 3), 3)], ids=str)
def test_kernels(problem: tuple[int, int], parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(problem, tmp_path, monkeypatch, parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "parts"), [((1, 2), 2), ((2, 1), 4), ((5, 4), 6), ((10, 3), 7), ((20, 2), 5), ((4, 5), 5)], ids=str
)
def test_kernels_of_more_problems(
    problem: tuple[int, int], parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(problem, tmp_path, monkeypatch, parts)


def test_states_that_do_not_fit_in_a_thread_are_partitioned() -> None:
    problem = lg.Problem(5, 4)
    forward, backward = kernels(problem)
    assert isinstance(plan_kernel(problem, backward, "float32"), CooperativePlan)
    plan = plan_kernel(problem, forward, "float32")
    assert isinstance(plan, CooperativePlan)
    assert plan.cost == min(cooperative_plan(forward, problem, "float32", parts).cost for parts in (2, 4, 8, 12, 16))
    names = [kernel.source for kernel in cuda_sources(compile_problem(problem, groups=GROUPS[:1])).operations]
    assert sorted(names) == ["log_sig_by_signature_f32.cu", "log_sig_by_signature_f64.cu"]
