"""The compiler's table of contents: problem, plans, programs, passes, cost, and the chosen, scheduled program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from logsig_codegen import operations as table
from logsig_codegen.cost import DEFAULT_MAX_TERMS, check_size, conversion_count, estimate
from logsig_codegen.errors import ProblemTooLargeError
from logsig_codegen.ir.kernel import Kernel as Kernel
from logsig_codegen.ir.kernel import PathKernel as PathKernel
from logsig_codegen.ir.lie import LieProgram, renamed
from logsig_codegen.ir.lower import lower
from logsig_codegen.ir.program import NONE, OperationCount, Program
from logsig_codegen.operations import (
    CONVERSION,
    GROUPS,
    MAP,
    OPERATIONS,
    ROWS,
    Operation,
    path_operation,
)
from logsig_codegen.passes.adjoint import adjoint
from logsig_codegen.passes.cse import eliminate_common_subexpressions
from logsig_codegen.passes.dead import drop_dead_instructions, drop_dead_statements
from logsig_codegen.passes.inline import inline_single_uses
from logsig_codegen.passes.repeat import REGISTER_STATE, repeat, steps_at_once
from logsig_codegen.passes.scales import fold_scales
from logsig_codegen.passes.schedule import ACCUMULATORS, schedule
from logsig_codegen.passes.tangent import tangent
from logsig_codegen.passes.tiles import tiles
from logsig_codegen.passes.unit_products import make_products_unit
from logsig_codegen.plans import path_gradient, path_step, prefix_signature, slots
from logsig_codegen.plans.bracket import coadjoint_action, truncated_bracket
from logsig_codegen.plans.combine import log_derivative_combine, right_normed_combine, special_combine
from logsig_codegen.plans.log_derivative import log_derivative_join
from logsig_codegen.plans.opposite import opposite
from logsig_codegen.plans.right_normed import right_normed_join
from logsig_codegen.plans.special import special_join
from logsig_codegen.problem import Problem
from logsig_codegen.stages import stage
from logsig_codegen.symbolic.path_proof import verify_path_plan
from logsig_codegen.symbolic.proof import verify_combine_plan, verify_join_plan

UNROLLED_OPERATIONS = 20_000
"""Kernels with more operations than this become loops over tables of structure constants."""
WIDE_FROM = 32
"""Letters from which on operations of degree two are loops with a letter per lane; see :func:`in_loops`."""

TILED_COLUMNS, TILED_ADJOINT_COLUMNS, TILED_OPERATIONS = 1_200, 300, 1_500
"""Up to so many columns, of all operands together, and operations, rows move in tiles to variables of a single part and
back. Adjoints need columns at the end that they have read at the beginning: longer ones keep them better in memory."""


@dataclass(frozen=True)
class CompiledProblem:
    """What the compiler hands to an emitter."""

    problem: Problem
    kernels: tuple[Kernel | PathKernel, ...]

    @cached_property
    def bytes_per_sample(self) -> dict[str, dict[str, int]]:
        """Bytes read and written per sample, by operation and dtype: each row once. Paths: per step, points only."""
        result = {}
        for kernel in self.kernels:
            operation = OPERATIONS[kernel.operation]
            per_step = (one for one in operation.all_operands if one.width in (table.POINTS, table.STEPS))
            moved = operation.all_operands if operation.kind in (ROWS, CONVERSION, MAP) else per_step
            count = sum(operand.columns(self.problem) for operand in moved)
            result[kernel.operation] = {"float64": 8 * count, "float32": 4 * count}
        return result

    @property
    def tables(self) -> tuple[LieProgram, ...]:
        """The programs that run over tables of structure constants."""
        looped = {kernel.operation for kernel in self.kernels if in_loops(self.problem, kernel.operation)}
        parts = (part for name, part in self.parts.items() if name.split(".")[0] not in looped)
        return tuple(part.lie for part in parts if part.form == "tables" and part.lie is not None)

    @cached_property
    def parts(self) -> dict[str, Kernel]:
        """All programs: ``"join"``, or ``"log_sig.step"`` for a phase."""
        return {
            part.operation if part is kernel else f"{kernel.operation}.{part.operation}": part
            for kernel in self.kernels
            for part in (kernel.phases if isinstance(kernel, PathKernel) else (kernel,))
        }

    def report(self) -> dict[str, Any]:
        """Plan, operations and form of every kernel, as plain data."""
        return {
            "dimension": self.problem.dimension,
            "degree": self.problem.degree,
            "size": self.problem.size,
            "plan": {kernel.operation: kernel.plan for kernel in self.kernels},
            "operations": {
                name: {**asdict(part.operations), "total": part.operations.total} for name, part in self.parts.items()
            },
            "form": {k.operation: "loops" if in_loops(self.problem, k.operation) else k.form for k in self.kernels},
            "bytes_per_sample": self.bytes_per_sample,
        }


def compile_problem(
    problem: Problem, *, groups: Sequence[str] = ("join", "join_backprop"), max_terms: int = DEFAULT_MAX_TERMS
) -> CompiledProblem:
    """Derive the operations of ``problem`` that belong to ``groups``.

    Raises
    ------
    ProblemTooLargeError
        If the problem needs more than ``max_terms`` structure constants; nothing has been computed then.
    PlanProofError
        If a plan does not evaluate the Baker–Campbell–Hausdorff series.
    """
    wanted = [operation for group, operations in GROUPS.items() if group in groups for operation in operations]
    if any(operation.kind not in (CONVERSION, MAP) for operation in wanted):
        check_size(problem, max_terms)
    return CompiledProblem(problem, tuple(make_kernel(problem, operation) for operation in wanted))


def in_loops(problem: Problem, operation: str) -> bool:
    """Whether C has loops over the letters for an operation, for any batch; decisions 51 and 67 tell why."""
    other = OPERATIONS[operation].kind in (CONVERSION, MAP)
    return problem.degree == 2 and problem.dimension >= WIDE_FROM and not other


@stage("derive")
def make_kernel(problem: Problem, operation: Operation) -> Kernel | PathKernel:
    """The kernel of an operation, as its record in the table says."""
    if operation.kind == ROWS:
        return rows_kernel(problem, operation, alone=True)
    if operation.kind == MAP:
        return Kernel(operation.name, operation.plan, None, None, None, OperationCount(0, 0, 0))
    if operation.kind == CONVERSION:
        return Kernel(operation.name, operation.plan, None, None, None, conversion_count(problem, operation.backward))
    return PATHS[operation.plan](problem, operation.backward)


def rows_kernel(problem: Problem, operation: Operation, *, alone: bool = False) -> Kernel:
    """The kernel of an operation on rows; ``alone``: not within a path."""
    plan = PLANS[operation.plan](problem)
    if operation.opposite:
        plan = _proved_opposite(plan)
    make = stage("differentiate", operation.name)(MADE_BY[operation.made_by])
    return kernel_of(operation.name, make(plan), problem, operation.in_place, in_tiles=alone)


def _proved_opposite(join: LieProgram) -> LieProgram:
    plan = opposite(join)
    verify_join_plan(plan, displacement_first=True)
    return plan


@stage("choose")
def choose_combine_plan(problem: Problem) -> LieProgram:
    """The plan for the full product that needs the fewest operations for ``problem``, with its scales folded."""
    makers = (special_combine, log_derivative_combine, right_normed_combine)
    return _cheapest(_candidates(problem, makers, verify_combine_plan), problem)


def stream_kernel(problem: Problem, backward: bool) -> PathKernel:
    """All expanding log-signatures, a join at a time, or their gradient."""
    join = choose_plan(problem)
    if not backward:
        step = renamed(join, {"log_sig": "state", "out": "next_state"})
        return PathKernel("stream", (kernel_of("step", step, problem, in_place=(0,)),), problem.size)
    step = renamed(adjoint(join), {"d_out": "d_state", "log_sig": "state", "d_log_sig": "d_previous_state"})
    phase = kernel_of("step_backprop", step, problem, in_place=(0, -1))
    return PathKernel("stream_backprop", (phase,), problem.size, d_state_size=problem.size)


def windows_kernel(problem: Problem, backward: bool) -> PathKernel:
    """The products that windows which overlap are made of; for their gradient also the adjoints of these."""
    products = tuple(OPERATIONS[name] for name in ("join", "join_left", "combine"))
    adjoints = tuple(OPERATIONS[one.gradient] for one in products) if backward else ()
    phases = tuple(rows_kernel(problem, one) for one in (*products, *adjoints))
    return PathKernel("windows_backprop" if backward else "windows", phases, problem.size)


def log_derivative_kernel(problem: Problem) -> PathKernel:
    """Whole paths in logarithmic-derivative coordinates."""
    degree = last_degree(problem)
    step = kernel_of("step", proved(path_step.step(degree), problem), problem, in_place=(0,), descending=True)
    finish = kernel_of("finish", proved(path_step.to_log_sig(degree), problem), problem, in_place=(-1,))
    return _with_groups(path_operation("log_derivative"), step, finish, problem.size)


def signature_kernel(problem: Problem) -> PathKernel:
    """Whole paths as the signature on prefixes of Lyndon words.

    Raises
    ------
    ProblemTooLargeError
        If there is too much of it for straight-line code, and it has no other.
    """
    if problem.size > table.SIGNATURE_LIMIT:
        raise ProblemTooLargeError(
            f"state: expected 'log_derivative' for (dimension={problem.dimension}, degree={problem.degree}), which has "
            f"{problem.size:,} coordinates; 'signature' is there for up to {table.SIGNATURE_LIMIT:,}"
        )
    plan, size = prefix_signature.PLAN, len(prefix_signature.prefix_words(problem))
    step = straight("step", plan, prefix_signature.signature_step(problem), (0,), True)
    finish = straight("finish", plan, prefix_signature.signature_to_log_sig(problem), (-1,), False)
    return _with_groups(path_operation("signature"), step, finish, size)


def gradient_kernel(problem: Problem) -> PathKernel:
    """The gradient of whole paths, which is the same for every state."""
    operation, degree = path_operation(table.DEFAULT_STATE, backward=True), last_degree(problem)
    step, start = (proved(make(degree), problem) for make in (path_gradient.step_back, path_gradient.start))
    in_tables = max(estimate(plan, problem) for plan in (step, start)) > UNROLLED_OPERATIONS
    if degree == 1 or problem.size <= REGISTER_STATE or in_tables:
        phases = (
            kernel_of("step_backprop", step, problem, in_place=(0, -1)),
            kernel_of("start", start, problem, in_place=(-1,)),
        )
        return PathKernel(operation, phases, 0, d_state_size=problem.size)
    sizes, plan = slots.layout(problem), path_gradient.PLAN
    beside = straight("step_backprop", plan, slots.step_beside(lower(step, problem)), (0, -1), True)
    counted = beside.operations + OperationCount(sizes.slots, sizes.middle, 0)
    begin = straight("start", plan, slots.start_with(lower(start, problem)), (-1,), True)
    phases = (replace(beside, lie=step, operations=counted), replace(begin, lie=start))
    return PathKernel(operation, phases, 0, d_state_size=sum(sizes), slots=sizes.slots)


def _with_groups(operation: str, step: Kernel, finish: Kernel, state_size: int) -> PathKernel:
    """A forward kernel, with several steps at once where the state does not fit the registers anyhow."""
    at_once = steps_at_once(step.operations.total, state_size) if step.program is not None else 1
    if at_once == 1:
        return PathKernel(operation, (step, finish), state_size)
    assert step.program is not None
    program = replace(repeat(step.program, at_once), name="steps")
    groups = tiles(program, at_once)
    order = schedule(
        program, in_place=(0,), descending=True, accumulators=0, groups=groups, passing=1 if groups else NONE
    )
    steps = replace(step, operation="steps", program=program, schedule=order, operations=program.operations)
    return PathKernel(operation, (step, steps, finish), state_size, at_once)


def candidate_plans(problem: Problem) -> list[LieProgram]:
    """Every plan for the join of ``problem``, proved equal to the series."""
    return _candidates(problem, (special_join, log_derivative_join, right_normed_join), verify_join_plan)


@stage("choose")
def choose_plan(problem: Problem) -> LieProgram:
    """The candidate that needs the fewest operations for ``problem``, with its scales folded."""
    return _cheapest(candidate_plans(problem), problem)


@stage("derive")
def _candidates(
    problem: Problem, makers: Sequence[Callable[[int], LieProgram | None]], verify: Callable[[LieProgram], None]
) -> list[LieProgram]:
    """What ``makers`` make for the degree of a problem, proved; the last of them up to degree 8 only."""
    degree = last_degree(problem)
    made = (make(degree) for make in (makers if degree <= 8 else makers[:-1]))
    plans = [plan for plan in made if plan is not None]
    for plan in plans:
        verify(plan)
    return plans


def _cheapest(plans: Sequence[LieProgram], problem: Problem) -> LieProgram:
    return min((_folded(plan, problem) for plan in plans), key=lambda plan: estimate(plan, problem))


def last_degree(problem: Problem) -> int:
    """The last degree that has coordinates: the first one if there is one letter only."""
    return max(k for k, size in enumerate(problem.sizes, start=1) if size)


def proved(plan: LieProgram, problem: Problem) -> LieProgram:
    """A plan of a path, proved, with its scales folded."""
    verify_path_plan(plan)
    return _folded(plan, problem)


def _folded(plan: LieProgram, problem: Problem) -> LieProgram:
    return drop_dead_statements(fold_scales(plan, problem))


def optimise(program: Program) -> Program:
    """The scalar passes, in order."""
    for transform in (
        drop_dead_instructions,
        eliminate_common_subexpressions,
        inline_single_uses,
        make_products_unit,
        drop_dead_instructions,
    ):
        with stage(transform.__name__.replace("_", " "), program.name):
            program = transform(program)
    program.verify()
    return program


def kernel_of(
    operation: str,
    lie: LieProgram,
    problem: Problem,
    in_place: tuple[int, ...],
    *,
    descending: bool = False,
    in_tiles: bool = False,
) -> Kernel:
    """A kernel in the form that its size allows; ``in_tiles``: see :func:`straight`."""
    plan = lie.name.split("/")[0]
    if estimate(lie, problem) > UNROLLED_OPERATIONS:
        looped = OperationCount(estimate(lie, problem, share_slots=False), 0, 0)
        return Kernel(operation, plan, lie, None, None, looped)
    last_first = descending or bool(lie.dual_inputs)
    kernel = straight(operation, plan, lower(lie, problem), in_place, last_first, in_tiles=in_tiles)
    return replace(kernel, lie=lie)


def straight(
    operation: str,
    plan: str,
    program: Program,
    in_place: tuple[int, ...],
    descending: bool,
    *,
    in_tiles: bool = False,
) -> Kernel:
    """A straight-line kernel; ``in_tiles``: its rows move in tiles, if they are short enough."""
    program = replace(optimise(program), name=operation)
    accumulators = ACCUMULATORS if "d_" in program.inputs[0].name else 0
    columns = program.first + sum(len(one.values) for one in program.outputs)
    short = columns <= (TILED_ADJOINT_COLUMNS if accumulators else TILED_COLUMNS)
    order = schedule(
        program,
        in_place=in_place,
        descending=descending,
        accumulators=accumulators,
        in_tiles=in_tiles and short and program.operations.total <= TILED_OPERATIONS,
    )
    return Kernel(operation, plan, None, program, order, program.operations)


PLANS: dict[str, Callable[[Problem], LieProgram]] = {
    "join": choose_plan,
    "combine": choose_combine_plan,
    "bracket": lambda problem: truncated_bracket(last_degree(problem)),
    "coadjoint": lambda problem: coadjoint_action(last_degree(problem)),
}
"""What chooses the plan of an operation on rows."""
MADE_BY: dict[str, Callable[[LieProgram], LieProgram]] = {
    table.PLAN: lambda plan: plan,
    table.ADJOINT: adjoint,
    table.TANGENT: tangent,
    table.SECOND_ADJOINT: lambda plan: adjoint(adjoint(plan)),
}
"""The pass that makes the program of an operation from its plan."""
PATHS: dict[str, Callable[[Problem, bool], PathKernel]] = {
    "join": stream_kernel,
    "windows": windows_kernel,
    "log_derivative": lambda problem, _: log_derivative_kernel(problem),
    "signature": lambda problem, _: signature_kernel(problem),
    "path_gradient": lambda problem, _: gradient_kernel(problem),
}
"""What makes the kernel of an operation along paths, or of its gradient, by the plan of its steps."""
