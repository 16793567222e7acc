"""The compiler's table of contents: problem, plans, programs, passes, cost, and the chosen, scheduled program."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from logsig_codegen.cost import estimate, structure_constant_terms
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.ir.lower import lower
from logsig_codegen.ir.program import OperationCount, Program
from logsig_codegen.ir.schedule import Schedule
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.cse import eliminate_common_subexpressions
from logsig_codegen.passes.dead import drop_dead_instructions, drop_dead_statements
from logsig_codegen.passes.inline import inline_single_uses
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.passes.schedule import COLLECTORS, schedule
from logsig_codegen.passes.unit_products import make_products_unit
from logsig_codegen.plans.log_derivative import log_derivative_join
from logsig_codegen.plans.right_normed import right_normed_join
from logsig_codegen.plans.special import special_join
from logsig_codegen.problem import Problem

DEFAULT_MAX_TERMS = 10_000_000
"""Structure constants a problem may need before it is refused."""
UNROLLED_OPERATIONS = 20_000
"""Kernels with more operations than this become loops over tables of structure constants."""


@dataclass(frozen=True)
class Kernel:
    """One operation of one problem, ready to be emitted.

    Attributes
    ----------
    operation : str
        ``"join"`` or ``"join_backprop"``.
    plan : str
        Name of the plan it was made from.
    lie : LieProgram
        The plan (or its adjoint) with scales folded.
    program, schedule : Program and Schedule, or None
        The optimised straight-line program and its order; ``None`` where the kernel is table-driven.
    operations : OperationCount
        Arithmetic per sample (of a table-driven kernel: estimated, all of it counted as multiply-adds).
    """

    operation: str
    plan: str
    lie: LieProgram
    program: Program | None
    schedule: Schedule | None
    operations: OperationCount

    @property
    def form(self) -> str:
        """``"unrolled"`` or ``"tables"``."""
        return "tables" if self.program is None else "unrolled"


@dataclass(frozen=True)
class CompiledProblem:
    """What the compiler hands to an emitter."""

    problem: Problem
    kernels: tuple[Kernel, ...]

    @cached_property
    def bytes_per_sample(self) -> dict[str, dict[str, int]]:
        """Bytes read and written per sample, by operation and dtype: each row once."""
        d, m = self.problem.dimension, self.problem.size
        numbers = {"join": 2 * m + d, "join_backprop": 3 * m + 2 * d}
        return {name: {"float64": 8 * count, "float32": 4 * count} for name, count in numbers.items()}

    def report(self) -> dict[str, Any]:
        """Plan, operations and form of every kernel, as plain data."""
        return {
            "dimension": self.problem.dimension,
            "degree": self.problem.degree,
            "size": self.problem.size,
            "plan": {kernel.operation: kernel.plan for kernel in self.kernels},
            "operations": {
                kernel.operation: {
                    "multiply_adds": kernel.operations.multiply_adds,
                    "additions": kernel.operations.additions,
                    "scalings": kernel.operations.scalings,
                    "total": kernel.operations.total,
                }
                for kernel in self.kernels
            },
            "form": {kernel.operation: kernel.form for kernel in self.kernels},
            "bytes_per_sample": self.bytes_per_sample,
        }


def compile_problem(problem: Problem, *, max_terms: int = DEFAULT_MAX_TERMS) -> CompiledProblem:
    """Derive the join and its adjoint for ``problem``.

    Raises
    ------
    ProblemTooLargeError
        If the problem needs more than ``max_terms`` structure constants; nothing has been computed then.
    PlanProofError
        If a plan does not evaluate the Baker–Campbell–Hausdorff series.
    """
    check_size(problem, max_terms)
    join = choose_plan(problem)
    return CompiledProblem(
        problem,
        (
            _kernel("join", join, problem, in_place=(0,)),
            _kernel("join_backprop", adjoint(join), problem, in_place=(0, -1)),
        ),
    )


def check_size(problem: Problem, max_terms: int = DEFAULT_MAX_TERMS) -> None:
    """Refuse a problem that is too large to build; see :func:`compile_problem`."""
    terms = structure_constant_terms(problem)
    if terms > max_terms:
        raise ProblemTooLargeError(
            f"(dimension={problem.dimension}, degree={problem.degree}) has {problem.size:,} coordinates and needs "
            f"about {terms:,} structure constants (roughly {max(1, terms // 100_000):,} s to build); the limit is "
            f"{max_terms:,}. Pass max_terms={terms} or more to build it all the same"
        )


def candidate_plans(problem: Problem) -> list[LieProgram]:
    """Every plan for the join of ``problem``, proved equal to the series."""
    from logsig_codegen.symbolic.proof import verify_join_plan

    degree = max(k for k, size in enumerate(problem.sizes, start=1) if size)
    plans = [special_join(degree), log_derivative_join(degree)]
    if degree <= 8:
        plans.append(right_normed_join(degree))
    proved = [plan for plan in plans if plan is not None]
    for plan in proved:
        verify_join_plan(plan)
    return proved


def choose_plan(problem: Problem) -> LieProgram:
    """The candidate that needs the fewest operations for ``problem``, with its scales folded."""
    folded = [drop_dead_statements(fold_scales(plan, problem)) for plan in candidate_plans(problem)]
    return min(folded, key=lambda plan: estimate(plan, problem))


def optimise(program: Program) -> Program:
    """The scalar passes, in order."""
    for transform in (
        drop_dead_instructions,
        eliminate_common_subexpressions,
        inline_single_uses,
        make_products_unit,
        drop_dead_instructions,
    ):
        program = transform(program)
    program.verify()
    return program


def _kernel(operation: str, lie: LieProgram, problem: Problem, in_place: tuple[int, ...]) -> Kernel:
    plan = lie.name.split("/")[0]
    operations = estimate(lie, problem)
    if operations > UNROLLED_OPERATIONS:
        looped = OperationCount(estimate(lie, problem, share_slots=False), 0, 0)
        return Kernel(operation, plan, lie, None, None, looped)
    program = replace(optimise(lower(lie, problem)), name=operation)
    backward = operation.endswith("backprop")
    order = schedule(program, in_place=in_place, descending=backward, collectors=COLLECTORS if backward else 0)
    return Kernel(operation, plan, lie, program, order, program.operations)
