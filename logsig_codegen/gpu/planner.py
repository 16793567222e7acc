"""The stages from a kernel to its plan for a GPU.

Each stage takes the plan so far, if there is one, and returns it or a better one, as a pass takes a program and returns
a program. A plan holds schedules, layouts of shared memory and occupancy; ``emit/cuda`` writes it as text.
"""

from __future__ import annotations

from typing import TypeAlias

from logsig_codegen.compiler import Kernel, PathKernel
from logsig_codegen.gpu.block import BlockPlan, block_plan
from logsig_codegen.gpu.cooperative import CooperativePlan, best_cooperative_plan
from logsig_codegen.gpu.hardware import SHARED_BYTES
from logsig_codegen.gpu.path_scan import PathScanPlan, path_scan_plan
from logsig_codegen.gpu.rows import RowsPlan, rows_plan
from logsig_codegen.gpu.sliding import (
    SlidingBackPlan,
    SlidingPlan,
    is_sliding,
    sliding_back_plan,
    sliding_plan,
    without_last_degree,
)
from logsig_codegen.gpu.spilling import spill_to_shared_memory
from logsig_codegen.gpu.stream import StreamPlan, is_stream, stream_plan
from logsig_codegen.operations import OPERATIONS
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage

THREAD_OPERATIONS = 4_500
"""A thread computes samples whose programs have no more operations than this: longer ones take minutes to compile."""
BACK_OPERATIONS = 8_000
"""The same for gradients of windows that overlap, which are five programs: the longest take ten seconds."""
COOPERATIVE_OPERATIONS = 8_000
"""The same for cooperative warps: the longest program, prologue or epilogue, takes ten seconds."""

Plan: TypeAlias = "RowsPlan | PathScanPlan | StreamPlan | SlidingPlan | SlidingBackPlan | CooperativePlan | BlockPlan"
AKernel: TypeAlias = "Kernel | PathKernel"


def plan_kernel(problem: Problem, kernel: AKernel, dtype: str) -> Plan | None:
    """The plan of a kernel for one number type, or ``None`` where not even one sample fits in a block."""
    plan: Plan | None = None
    stages = (thread_per_sample, share_state_among_warps, spill_values, block_of_samples)
    for improve in (thread_per_unit,) if is_sliding(kernel) else stages:
        with stage(f"plan for a GPU: {improve.__name__.replace('_', ' ')}", f"{kernel.operation}, {dtype}"):
            plan = improve(problem, kernel, dtype, plan)
    return plan


def thread_per_sample(problem: Problem, kernel: AKernel, dtype: str, plan: Plan | None) -> Plan | None:
    """A thread for each sample, where its programs are short straight-line code; the same for both number types."""
    if not _is_short(kernel, THREAD_OPERATIONS):
        return plan
    if isinstance(kernel, Kernel):
        return rows_plan(kernel)
    return stream_plan(kernel) if is_stream(kernel) else path_scan_plan(kernel)


def thread_per_unit(problem: Problem, kernel: AKernel, dtype: str, plan: Plan | None) -> Plan | None:
    """A thread for some consecutive windows, where the products of windows that overlap are short straight-line code.

    There is no other form: such windows are walked through one by one where a warp needs too much shared memory.
    """
    backward = OPERATIONS[kernel.operation].backward
    if backward:
        kernel = without_last_degree(problem)
    if not isinstance(kernel, PathKernel) or not _is_short(kernel, BACK_OPERATIONS if backward else THREAD_OPERATIONS):
        return None
    found: SlidingPlan | SlidingBackPlan = sliding_back_plan(kernel) if backward else sliding_plan(kernel)
    return found if found.occupancy(dtype).warp_bytes <= SHARED_BYTES else None


def share_state_among_warps(problem: Problem, kernel: AKernel, dtype: str, plan: Plan | None) -> Plan | None:
    """Cooperative warps for a path scan whose state does not fit in the registers of a thread."""
    if not isinstance(kernel, PathKernel) or not _is_short(kernel, COOPERATIVE_OPERATIONS):
        return plan
    if isinstance(plan, PathScanPlan) and plan.state_in_registers(dtype):
        return plan
    return best_cooperative_plan(kernel, problem, dtype) or plan


def spill_values(problem: Problem, kernel: AKernel, dtype: str, plan: Plan | None) -> Plan | None:
    """Values of a thread that exceed its registers go to shared memory, where that is faster than local memory."""
    return spill_to_shared_memory(plan, dtype) if isinstance(plan, RowsPlan | StreamPlan) else plan


def block_of_samples(problem: Problem, kernel: AKernel, dtype: str, plan: Plan | None) -> Plan | None:
    """A block for a few samples, with tables, where programs are too long or a warp needs too much shared memory.

    There is none for programs that are not made from brackets, as those of the signature.
    """
    if plan is not None and plan.occupancy(dtype).warp_bytes <= SHARED_BYTES:
        return plan
    phases = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
    if any(phase.lie is None for phase in phases):
        return None
    block = block_plan(problem, kernel)
    return block if block.fits(dtype) else None


def _is_short(kernel: AKernel, most: int) -> bool:
    """Whether the programs of a kernel are straight-line code of at most so many operations."""
    phases = (kernel,) if isinstance(kernel, Kernel) else kernel.phases
    straight = all(phase.program is not None for phase in phases)
    return straight and sum(phase.operations.total for phase in phases if phase.operation != "steps") <= most
