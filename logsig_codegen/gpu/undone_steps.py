"""Gradients of whole paths on a GPU: backward passes that undo each step, and differentiate it.

A program per step, with the state in the frame: the linear form of :mod:`logsig_codegen.plans.path_gradient`, which CPUs
take back along a path, has not been measured on a GPU.
"""

from __future__ import annotations

from logsig_codegen.compiler import Kernel, PathKernel, kernel_of, last_degree, proved, straight
from logsig_codegen.operations import BACKWARD, OPERATIONS
from logsig_codegen.plans import path_step, prefix_signature
from logsig_codegen.problem import Problem


def for_gpus(problem: Problem, kernel: Kernel | PathKernel) -> Kernel | PathKernel:
    """The kernel that GPUs run instead of ``kernel``."""
    operation = OPERATIONS[kernel.operation]
    return UNDOING[operation.state](problem) if operation.kind == BACKWARD else kernel


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


UNDOING = {"log_derivative": log_derivative_backward, "signature": signature_backward}
"""By the state of a path."""
