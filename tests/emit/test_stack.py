"""How much stack a call takes: measured in a thread whose stack is painted, above a page that nobody may touch."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared import once

import logsig_codegen as lg
from logsig_codegen.operations import CONVERSION, GROUPS, MAP, OPERATIONS, SLIDING, available_groups, columns
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import registry
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.paths import coordinate_maps

MOST = 64 * 1024
"""What the documents promise (``docs/c_api.md``)."""
STACK = 512 * 1024
"""A thread has so much here, to see by how much a call takes too much."""
LARGE = ((20, 2), (2, 7), (5, 4), (4, 6))
EVERYTHING = [(2, 3), *(pytest.param(numbers, marks=(pytest.mark.slow, pytest.mark.long)) for numbers in LARGE)]


def compile_helper(folder: Path) -> None:
    source = Path(__file__).parent / "stack.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-pthread", str(source), "-o", "stack.so"], cwd=folder, check=True)


@pytest.fixture(scope="module")
def helper() -> Any:
    library = ctypes.CDLL(str(once("stack", compile_helper) / "stack.so"))
    library.stack_of_call.restype = ctypes.c_ssize_t
    return library


def measure(helper: Any, function: Any, arguments: list[int]) -> int:
    """Bytes that a call takes; it has to succeed."""
    padded = (ctypes.c_ssize_t * 24)(*arguments)
    status = ctypes.c_int()
    address = ctypes.c_ssize_t(int(ffi.cast("intptr_t", function)))
    used: int = helper.stack_of_call(address, padded, ctypes.c_size_t(STACK), ctypes.byref(status))
    assert used > 0
    assert status.value == 0
    return used


def kernel_arguments(operation: str, problem: Problem, dtype: str, kept: list[Any]) -> list[int]:
    """Three rows, or three paths of 40 points."""
    described, arguments, length = OPERATIONS[operation], [], 40
    for operand in described.operands:
        along = operand in ("path", "d_path", "stream") or (described.streams and operand in ("out", "d_out"))
        width = columns(problem, operand) * (length if along else 1)
        if described.kind == CONVERSION:
            width = problem.words  # without maps all operands are expanded
        array = np.full((3, width), 0.01, dtype)
        kept.append(array)
        arguments += [array.ctypes.data, width]
        if operand == "path":
            arguments += [length, 0, 0, *([0] if described.in_pieces else [])]
    given = [0, 0, 0] if described.kind == CONVERSION else []
    if described.kind == MAP:  # from Lyndon brackets to Lyndon words
        given = [int(ffi.cast("intptr_t", coordinate_maps(problem) + 1)), 1, 0]
    return [*arguments, *given, 3, 1]


@pytest.mark.parametrize("numbers", EVERYTHING)
def test_no_kernel_takes_more_stack_than_promised(helper: Any, numbers: tuple[int, int]) -> None:
    kernel, kept = lg.load(*numbers), []
    quick = ("join", "combine", "log_sig", "log_sig_backprop", "stream", "stream_backprop")
    for group in quick if numbers == (2, 3) else available_groups(kernel.problem):
        for operation in GROUPS[group]:
            if operation.kind == SLIDING:
                continue  # called by calls along paths only, see below
            for dtype in ("float32", "float64"):
                arguments = kernel_arguments(operation.name, kernel.problem, dtype, kept)
                used = measure(helper, kernel.functions(operation.name)[dtype], arguments)
                assert used <= MOST, (operation.name, dtype, used)


def test_a_frame_that_is_too_large_for_the_stack(helper: Any) -> None:
    """One that is quick to compile: displacements of many channels."""
    kernel, kept = registry.obtain(60, 1), []
    for dtype in ("float32", "float64"):
        arguments = kernel_arguments("log_sig", kernel.problem, dtype, kept)
        assert measure(helper, kernel.functions("log_sig")[dtype], arguments) <= MOST


@pytest.mark.parametrize("numbers", EVERYTHING)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": 0},
        {"windows": (30, 7), "method": 1},
        {"windows": (100, 1)},
        {"intervals": np.array([[0, 9], [3, 289]])},
        {"stream": True},
        {"initial": True},
    ],
    ids=lambda options: " ".join(options) or "whole",
)
def test_no_call_along_paths_takes_more_stack_than_promised(
    helper: Any, numbers: tuple[int, int], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long paths, which are cut into pieces."""
    kernel = lg.load(*numbers)
    path = np.full((2, 300, numbers[0]), 0.01)
    if options.get("initial"):
        options = {"initial": np.zeros(kernel.size)}
    taken, found = [], kernel.loaded.path_call

    def measured(*args: Any, **names: Any) -> Any:
        opened = found(*args, **names)

        def call(struct: Any) -> int:
            taken.append(measure(helper, opened.call, [int(ffi.cast("intptr_t", struct))]))
            return 0

        return replace(opened, call=call)

    monkeypatch.setattr(kernel.loaded, "path_call", measured)
    result = kernel.log_sig(path, lengths=[300, 290], **options)
    kernel.log_sig_backprop(np.ones_like(result), path, lengths=[300, 290], **options)
    assert len(taken) == 2
    assert max(taken) <= MOST
