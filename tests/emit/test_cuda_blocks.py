"""The kernels of large problems on an emulated grid, made for small ones, against the C kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from emulated import NUMPY, Emulation
from torch_cases import overload

import logsig_codegen as lg
from logsig_codegen import operations as table
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.gather import by_thread, by_warp
from logsig_codegen.emit.cuda.sources import cuda_sources
from logsig_codegen.gpu import planner
from logsig_codegen.gpu.gather import gather
from logsig_codegen.operations import OPERATIONS, columns
from logsig_codegen.runtime.registry import provide

GROUPS = tuple(group for group in table.GROUPS if not group.startswith(("stream", "windows", "log_sig_by")))
QUICK = ((2, 3),)
SLOW = ((1, 2), (2, 1), (3, 3), (2, 5), (2, 7), (3, 4), (4, 4), (5, 4), (5, 5))
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


def check(folder: Path, dimension: int, degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "THREAD_OPERATIONS", -1)
    compiled = compile_problem(lg.Problem(dimension, degree), groups=GROUPS)
    emulation, kernel = Emulation(folder, compiled), lg.load(dimension, degree)
    assert {described.form for described in emulation.sources.operations} == {"block"}
    numbers = np.random.default_rng([dimension, degree])
    for dtype, batch in (("float64", 1), ("float64", 7), ("float32", 7)):
        for described in OPERATIONS.values():
            operation = described.name
            if described.kind != "rows":
                continue
            inputs, outputs = (
                [
                    array.astype(NUMPY[dtype])
                    for name in names
                    for array in [make((batch, columns(kernel.problem, name)))]
                ]
                for names, make in (
                    (described.inputs, numbers.standard_normal),
                    (described.outputs, lambda shape: np.full(shape, np.nan)),
                )
            )
            rows = [part for array in (*inputs, *outputs) for part in (array, array.shape[1])]
            emulation.kernel(operation, dtype)([*rows, batch], blocks=2)
            close(outputs, by_the_processor(kernel, operation, inputs), dtype)
        paths(emulation, kernel, numbers, dtype, batch)


def by_the_processor(kernel: lg.LogSigKernel, operation: str, inputs: list[np.ndarray]) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    """What the C kernel of an operation on rows makes of arrays."""
    provide(kernel)
    result = overload(operation)(*map(torch.from_numpy, inputs), kernel.dimension, kernel.degree)
    return tuple(one.numpy() for one in (result if isinstance(result, tuple) else (result,)))


def paths(emulation: Emulation, kernel: lg.LogSigKernel, numbers: np.random.Generator, dtype: str, batch: int) -> None:
    length, d, size = 6, kernel.dimension, kernel.size
    path = (0.3 * numbers.standard_normal((batch, length, d))).astype(NUMPY[dtype])
    d_out = numbers.standard_normal((batch, size)).astype(NUMPY[dtype])
    for lengths in (None, numbers.integers(0, length + 1, batch)):
        out, d_path = np.full((batch, size), np.nan, path.dtype), np.zeros_like(path)
        given = (path, length * d, length, lengths, None)
        emulation.kernel("log_sig", dtype)([*given, out, size, batch], blocks=2)
        close([out], (kernel.log_sig(path, lengths=lengths, state="log_derivative"),), dtype)
        back = [d_out, size, out, size, *given, d_path, length * d, None, batch]
        emulation.kernel("log_sig_backprop", dtype)(back, blocks=2)
        truth = kernel.log_sig_backprop(d_out, path, lengths=lengths, state="log_derivative")
        close([d_path], (truth,), dtype)


def close(found: list[np.ndarray], expected: tuple[np.ndarray, ...], dtype: str) -> None:  # type: ignore[type-arg]
    for array, truth in zip(found, expected, strict=True):
        assert np.isfinite(array).all()
        scale = max(float(np.linalg.norm(truth)), 1e-3)
        assert float(np.linalg.norm(array - truth)) <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("problem", QUICK, ids=str)
def test_blocks(problem: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, *problem, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("problem", SLOW, ids=str)
def test_blocks_of_larger_problems(problem: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, *problem, monkeypatch)


def test_tables_hold_every_constant_once() -> None:
    problem = lg.Problem(3, 4)
    for kind, p, q in (("bracket", 1, 2), ("bracket", 2, 2), ("coadjoint", 1, 3), ("coadjoint", 2, 1)):
        table = gather(problem, kind, p, q)
        assert table.entries > 0
        for view in (by_thread(table), by_warp(table)):
            entries = "".join(view.entries).replace("},", "}").count("}")
            assert entries == view.length >= table.entries
            assert view.rows == len(table.sums)


def test_large_problems_are_done_by_blocks() -> None:
    (large, *_), (small, *_) = (
        cuda_sources(compile_problem(lg.Problem(*problem)), ("float32",)).kernels for problem in ((5, 5), (5, 3))
    )
    assert (large.form, small.form) == ("block", "thread")
    assert large.samples == 4
