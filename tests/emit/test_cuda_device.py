"""The device functions of generated CUDA text, compiled by the host's compiler, against the interpreter of programs."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated import compile_text
from native import write_sources

import logsig_codegen as lg
from logsig_codegen.compiler import CompiledProblem, compile_problem
from logsig_codegen.emit.cuda.device import parameter_names
from logsig_codegen.emit.cuda.sources import cuda_sources, file_name
from logsig_codegen.emit.statements import SHORT_NAMES
from logsig_codegen.gpu.path_scan import PathScanPlan
from logsig_codegen.gpu.planner import plan_kernel
from logsig_codegen.gpu.rows import RowsPlan
from logsig_codegen.gpu.sliding import SlidingBackPlan, SlidingPlan
from logsig_codegen.gpu.stream import StreamPlan
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.operations import GROUPS, OPERATIONS

QUICK = ((1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (2, 5))
MORE = ((2, 1), (1, 3), (2, 4), (4, 3), (2, 6), (5, 3), (3, 4))
SLOW = ((2, 7), (3, 5), (3, 6), (4, 4), (5, 4), (7, 3), (10, 3), (20, 2))
BITS = {"float32": 32, "float64": 64}
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


def functions(compiled: CompiledProblem, dtype: str) -> dict[str, tuple[str, Schedule]]:
    """Every device function for a number type: its file and the schedule it was printed from."""
    found: dict[str, tuple[str, Schedule]] = {}
    for kernel in compiled.kernels:
        if not OPERATIONS[kernel.operation].on_gpus:
            continue
        plan = plan_kernel(compiled.problem, kernel, dtype)
        if isinstance(plan, RowsPlan):
            found[f"{kernel.operation}::{kernel.operation}_sample"] = file_name(plan), plan.schedule
        elif isinstance(plan, PathScanPlan):
            names = ("step_backprop", "start") if plan.backward else ("step", "finish")
            for name, order in zip(names, (plan.step, plan.end), strict=True):
                found[f"{kernel.operation}::{name}"] = file_name(plan), order
        elif isinstance(plan, StreamPlan):
            name = "step_backprop" if plan.backward else "step"
            found[f"{kernel.operation}::{name}"] = file_name(plan), plan.schedule
        elif isinstance(plan, SlidingPlan | SlidingBackPlan):
            products = plan.products
            found.update({f"{kernel.operation}::{name}": (file_name(plan), one) for name, one in products.items()})
    return found


def compile_functions(folder: Path, found: Mapping[str, tuple[str, Schedule]], bits: int) -> Any:
    """One library with all of them, made from the sources in ``folder``; each file in a namespace of its own."""
    lines = ['#include "logsig_device.cuh"']
    for operation, file in dict.fromkeys((name.partition("::")[0], file) for name, (file, _) in found.items()):
        lines.append(f'namespace {operation} {{\n#include "{file}"\n}}')
    for name, (_, order) in found.items():
        names = parameter_names(order)
        parameters = ", ".join(f"logsig_real *{short}" for short in names)
        lines.append(f'extern "C" void {name.replace("::", "__")}({parameters}) {{ {name}({", ".join(names)}); }}')
    text = "\n".join(lines)
    # Each function runs once: a compiler that optimises takes longer than it saves.
    return compile_text(folder, f"functions{bits}", text, (f"LOGSIG_REAL_BITS={bits}",))


def call(function: Any, order: Schedule, inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Results of a device function; outputs in memory of their own are poisoned before."""
    program = order.program
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for operand, values in zip(program.inputs, inputs, strict=True):
        arrays[SHORT_NAMES[operand.name]] = values.copy()
    results = []
    for result, source in zip(program.outputs, order.in_place, strict=True):
        if source >= 0:
            array = arrays[SHORT_NAMES[program.inputs[source].name]]
        else:
            array = np.full(len(result.values), np.nan, inputs[0].dtype)
        arrays[SHORT_NAMES[result.name]] = array
        results.append(array)
    arrays["s"] = np.full(order.slots, np.nan, inputs[0].dtype)
    function(*(ctypes.c_void_p(arrays[name].ctypes.data) for name in parameter_names(order)))
    return results


def check(folder: Path, dimension: int, degree: int, *, exact: bool) -> None:
    compiled = compile_problem(lg.Problem(dimension, degree), groups=tuple(GROUPS))
    write_sources(folder, cuda_sources(compiled).units)
    source = np.random.default_rng([dimension, degree])
    for dtype, bits in BITS.items():
        found = functions(compiled, dtype)
        assert found
        library = compile_functions(folder, found, bits)
        for name, (_, order) in found.items():
            program = order.program
            inputs = [source.standard_normal(operand.length).astype(dtype) for operand in program.inputs]
            values: dict[str, list[Any]] = {}
            for operand, array in zip(program.inputs, inputs, strict=True):
                values[operand.name] = [Fraction(x) if exact else float(x) for x in array.tolist()]
            number = (lambda c: Fraction(float(c))) if exact else float  # a square root of five is rounded once
            truth = interpret(program, values, number=number)
            results = call(getattr(library, name.replace("::", "__")), order, inputs)
            for result, output in zip(results, program.outputs, strict=True):
                expected = np.array([float(x) for x in truth[output.name]])
                scale = max(float(np.abs(expected).max(initial=0)), 1.0)
                error = float(np.abs(result.astype(float) - expected).max(initial=0))
                assert error <= TOLERANCE[dtype] * scale * (1 + program.operations.total / 100), (name, dtype)


@pytest.mark.parametrize("problem", [*QUICK, *(pytest.param(more, marks=pytest.mark.slow) for more in MORE)], ids=str)
def test_device_functions(problem: tuple[int, int], tmp_path: Path) -> None:
    check(tmp_path, *problem, exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("problem", SLOW, ids=str)
def test_device_functions_of_larger_problems(problem: tuple[int, int], tmp_path: Path) -> None:
    check(tmp_path, *problem, exact=False)


@pytest.mark.parametrize("problem", [(2, 3), (3, 6), (20, 3)])
def test_the_head_of_a_file_has_a_command_for_each_kernel(problem: tuple[int, int]) -> None:
    sources = cuda_sources(compile_problem(lg.Problem(*problem), groups=("join", "log_sig")))
    for unit in sources.units:
        head = unit.text.split(" */")[0]
        kernels = [kernel for kernel in sources.kernels if kernel.source == unit.name]
        assert head.count("nvcc") == len(kernels)
        for kernel in kernels:
            assert f"-D{kernel.definition} -fatbin {unit.name} -o {kernel.symbol}.fatbin" in head
