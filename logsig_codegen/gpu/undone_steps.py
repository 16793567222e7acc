"""Gradients along paths on a GPU: backward passes that undo each step, and differentiate it.

Of whole paths, CPUs take a linear form back instead, :mod:`logsig_codegen.plans.path_gradient`: fewer operations, but
nobody has measured it on a GPU. Of windows that overlap, CPUs keep what is undone here.
"""

from __future__ import annotations

from dataclasses import replace

from logsig_codegen.compiler import (
    CompiledProblem,
    Kernel,
    PathKernel,
    kernel_of,
    last_degree,
    proved,
    rows_kernel,
    straight,
)
from logsig_codegen.operations import BACKWARD, JOINS, OPERATIONS, SLIDING
from logsig_codegen.plans import path_step, prefix_signature
from logsig_codegen.problem import Problem


def for_gpus(compiled: CompiledProblem) -> CompiledProblem:
    """The problem with the kernels that GPUs run; those that are here already stay."""
    return replace(compiled, kernels=tuple(_on_gpus(compiled.problem, kernel) for kernel in compiled.kernels))


def _on_gpus(problem: Problem, kernel: Kernel | PathKernel) -> Kernel | PathKernel:
    operation = OPERATIONS[kernel.operation]
    if operation.kind == BACKWARD and isinstance(kernel, PathKernel) and not kernel.state_size:
        return UNDOING[operation.state](problem)
    if operation.kind == SLIDING and operation.backward and isinstance(kernel, PathKernel) and not kernel.d_state_size:
        return windows_backward(problem)
    return kernel


def log_derivative_backward(problem: Problem) -> PathKernel:
    """The gradient of whole paths in logarithmic-derivative coordinates."""
    degree = last_degree(problem)
    step, start = (proved(make(degree), problem) for make in (path_step.step_backward, path_step.backward_start))
    phases = (
        kernel_of("step_backprop", step, problem, in_place=(0, 1, -1)),
        kernel_of("start", start, problem, in_place=(-1, -1)),
    )
    return PathKernel("log_sig_backprop", phases, sum(problem.sizes[: degree - 1]), d_state_size=problem.size)


def signature_backward(problem: Problem) -> PathKernel:
    """The gradient of whole paths as the signature on prefixes of Lyndon words."""
    plan, size = prefix_signature.PLAN, len(prefix_signature.prefix_words(problem))
    step = straight("step_backprop", plan, prefix_signature.signature_step_backward(problem), (0, 1, -1), True)
    start = straight("start", plan, prefix_signature.log_sig_backward_start(problem), (-1, -1), True)
    short = prefix_signature.short_prefixes(problem)
    return PathKernel("log_sig_by_signature_backprop", (step, start), short, d_state_size=size)


def windows_backward(problem: Problem) -> PathKernel:
    """The gradient of windows that overlap: adjoints of the three products, and joins of what these read.

    No derivative of a product depends on coordinates of the last degree, so that the states have one degree less.
    """
    below = Problem(problem.dimension, max(1, problem.degree - 1))
    adjoints = (OPERATIONS[one.gradient] for one in (*JOINS, OPERATIONS["combine"]))
    phases = (*(rows_kernel(below, one) for one in JOINS), *(rows_kernel(problem, one) for one in adjoints))
    return PathKernel("windows_backprop", phases, below.size, d_state_size=problem.size)


UNDOING = {"log_derivative": log_derivative_backward, "signature": signature_backward}
"""By the state of a path."""
