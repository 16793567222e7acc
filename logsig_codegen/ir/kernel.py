"""Kernels: programs in the order in which they are run, ready to be emitted."""

from __future__ import annotations

from dataclasses import dataclass

from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.ir.program import OperationCount, Program
from logsig_codegen.ir.schedule import Schedule


@dataclass(frozen=True)
class Kernel:
    """One operation of one problem, ready to be emitted.

    Attributes
    ----------
    operation : str
        ``"join"``, ``"combine_backprop"``, …, or the name of a phase of a :class:`PathKernel`.
    plan : str
        Name of the plan it was made from.
    lie : LieProgram or None
        The plan (or its adjoint) with scales folded; ``None`` where the program was not made from brackets.
    program, schedule : Program and Schedule, or None
        The optimised straight-line program and its order; ``None`` where the kernel is table-driven or loops.
    operations : OperationCount
        Arithmetic per sample (of a table-driven kernel: estimated, all of it counted as multiply-adds).
    """

    operation: str
    plan: str
    lie: LieProgram | None
    program: Program | None
    schedule: Schedule | None
    operations: OperationCount

    @property
    def form(self) -> str:
        """``"unrolled"``, ``"tables"`` or, where it is written by hand, ``"loops"``."""
        return "unrolled" if self.program is not None else "loops" if self.lie is None else "tables"


@dataclass(frozen=True)
class PathKernel:
    """An operation along paths, ready to be emitted: several programs on a state that never leaves the frame.

    Attributes
    ----------
    operation : str
        Its name in :data:`~logsig_codegen.operations.OPERATIONS`.
    phases : tuple of Kernel
        ``step`` takes the state over a displacement (``steps``: over ``steps_at_once`` of them, with the same result;
        ``step_backprop``: back); ``finish`` turns it into the result;
        ``start`` makes state and derivative from the operands of a backward pass. Not all kinds have all of them. For
        windows: products and their adjoints, by their names in the table.
    state_size : int
        Numbers the state consists of.
    steps_at_once : int
        See ``phases``.
    d_state_size : int
        Numbers its derivative consists of: more, where a backward pass needs only a part of the state, or none.
    slots : int
        How many of those are slots (:mod:`logsig_codegen.plans.slots`), which a loop multiplies; 0: no loop.
    """

    operation: str
    phases: tuple[Kernel, ...]
    state_size: int
    steps_at_once: int = 1
    d_state_size: int = 0
    slots: int = 0

    def phase(self, name: str) -> Kernel | None:
        """The phase of a name, if there is one."""
        return next((phase for phase in self.phases if phase.operation == name), None)

    @property
    def plan(self) -> str:
        return self.phases[0].plan

    @property
    def form(self) -> str:
        return self.phases[0].form
