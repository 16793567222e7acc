"""The table of operations: everything that is known of an operation before it is compiled. Plain data.

Python, the C header, cffi's declarations, torch's operators (in Python and in C++), CUDA kernels and reports derive
what they need from these records. A record names its derivatives, so nobody takes a name apart.

A group is compiled into one library, and only when something of it is called: nobody waits for what is not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial

from logsig_codegen.problem import Problem

DEFAULT_STATE = "log_derivative"
STATES = (DEFAULT_STATE, "signature")
"""What a whole path can be carried in; see ``docs/mathematics.md``."""
SIGNATURE_LIMIT = 3_000
"""Coordinates up to which the signature is an option: its programs are straight-line code only."""
_SIGNATURE_FROM = {2: 3, 3: 7, 4: 5, 5: 4, 6: 3}
"""By degree: dimensions from which on a step of the signature takes no more than about 0.7 of the time."""
WHOLE_STEPS = 192
"""Paths of fewer steps are never cut: twice LOGSIG_PIECE_STEPS of ``logsig_paths.h``."""
CALLS = ("paths", "paths_backprop")
"""Functions of a library that take a whole call along paths, the struct ``logsig_path_call``; gradients second."""
MAPS = "coordinates"
"""The array of maps between coordinates that comes with them in folders made to be copied."""

LETTERS, COORDINATES, WORDS = "letters", "coordinates", "words"
"""Widths of a row: a number per letter (a displacement), per coordinate (a log-signature), per word (a signature)."""
POINTS, STEPS = "points", "steps"
"""Operands along a path: an array of points, and one with a row of coordinates per step."""

ROWS, FORWARD, BACKWARD, STREAM, STREAM_BACKWARD = "rows", "forward", "backward", "stream", "stream_backward"
"""Kinds: every operand is an array of rows; a whole path, forth and back; all expanding paths, forth and back."""
SLIDING = "sliding"
"""Windows that overlap, forth and back: used by calls along paths only."""
CONVERSION = "conversion"
"""Rows of signatures, and of log-signatures in any coordinates: maps say which."""
MAP = "map"
"""Rows of log-signatures in any coordinates, forth and, with transposed maps, back: maps come with the call."""

PLAN, ADJOINT, TANGENT, SECOND_ADJOINT = "plan", "adjoint", "tangent", "second_adjoint"
"""Passes that make a program from a plan: none, reverse mode, forward mode, reverse mode of reverse mode."""


@dataclass(frozen=True)
class Operand:
    """An array that an operation reads or writes.

    Attributes
    ----------
    name : str
        Name of the argument in Python and C.
    width : str
        ``LETTERS``, ``COORDINATES``, ``WORDS``, ``POINTS`` or ``STEPS``.
    of : str
        Of an output that is a gradient: the input it belongs to, whose shape it has. Empty for a result, which has the
        leading shape that all inputs broadcast to.
    """

    name: str
    width: str = COORDINATES
    of: str = ""

    def columns(self, problem: Problem) -> int:
        """Numbers of a row (of ``POINTS``: of a point)."""
        widths = {LETTERS: problem.dimension, POINTS: problem.dimension, WORDS: problem.words}
        return widths.get(self.width, problem.size)


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    name, group : str
        Name of the C function, without problem and number type; the group it is compiled with.
    kind : str
        ``ROWS``, ``FORWARD``, ``BACKWARD``, ``STREAM``, ``STREAM_BACKWARD``, ``SLIDING``, ``CONVERSION`` or ``MAP``.
    operand_inputs, operand_outputs : tuple of Operand
        In the order of the C interface.
    title, summary : str
        What it is, for a heading; what it computes, for the header.
    plan, made_by : str
        The plan its program comes from (a key of ``compiler.PLANS``), and the pass that makes it from that.
    opposite : bool
        Whether the plan's brackets are taken in the opposite order; see ``plans/opposite.py``.
    gradient, tangent : str
        Operations that compute its derivatives: reverse mode, from derivatives of the outputs and the inputs to those
        of the inputs; forward mode, from the inputs and their tangents. Empty where derivatives are composed.
    factors : tuple of str
        Of a product ``log(exp(x) exp(y))``: its operands in the order in which they are multiplied.
    prepended : str
        Of a product: the operation that multiplies the same operands in the other order.
    in_place, in_place_on_gpu : tuple of int
        For each output the input that it replaces in a kernel's memory, -1 for none: inputs that are read in full
        anyhow. On a GPU a displacement is in registers by the time its derivative is known.
    state : str
        What a whole path is carried in.
    """

    name: str
    group: str
    kind: str
    operand_inputs: tuple[Operand, ...]
    operand_outputs: tuple[Operand, ...]
    title: str
    summary: str
    plan: str
    made_by: str = PLAN
    opposite: bool = False
    gradient: str = ""
    tangent: str = ""
    factors: tuple[str, ...] = ()
    prepended: str = ""
    in_place: tuple[int, ...] = ()
    in_place_on_gpu: tuple[int, ...] = ()
    state: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(operand.name for operand in self.operand_inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(operand.name for operand in self.operand_outputs)

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of all operands, in the order of the C interface."""
        return (*self.inputs, *self.outputs)

    @property
    def all_operands(self) -> tuple[Operand, ...]:
        return (*self.operand_inputs, *self.operand_outputs)

    @property
    def like(self) -> tuple[int, ...]:
        """For each output the place of the input whose shape it has; empty where the result is a broadcast one."""
        return tuple(self.inputs.index(operand.of) for operand in self.operand_outputs if operand.of)

    @property
    def backward(self) -> bool:
        """Whether it computes a gradient."""
        return self.made_by in (ADJOINT, SECOND_ADJOINT)

    @property
    def in_pieces(self) -> bool:
        """Whether it cuts long paths into pieces, and takes the functions that multiply them."""
        return self.kind in (FORWARD, BACKWARD)

    @property
    def streams(self) -> bool:
        """Whether it has a row per step of a path."""
        return self.kind in (STREAM, STREAM_BACKWARD)

    @property
    def on_gpus(self) -> bool:
        """Whether there can be a kernel of it for GPUs: not of conversions."""
        return self.kind not in (CONVERSION, MAP)

    @property
    def torch_schema(self) -> str:
        """Schema of the operator of torch for an operation on rows."""
        tensors = ", ".join(f"Tensor {operand}" for operand in self.inputs)
        results = ", ".join(["Tensor"] * len(self.outputs))
        results = f"({results})" if len(self.outputs) > 1 else results
        return f"{self.name}({tensors}, int dimension, int degree, int n_jobs=1) -> {results}"

    @property
    def is_product(self) -> bool:
        """Whether it multiplies two operands, and has all derivatives in the table."""
        return bool(self.factors)


def _product(
    name: str,
    operands: tuple[Operand, Operand],
    factors: tuple[int, int],
    title: str,
    *,
    plan: str = "",
    opposite: bool = False,
    prepended: str = "",
) -> tuple[Operation, ...]:
    """A product of two operands, its gradient, its tangent, and the gradient of its gradient."""
    result, d_out = Operand("out"), Operand("d_out")
    tangents, cotangents = (tuple(Operand(f"{p}{o.name}", o.width) for o in operands) for p in ("t_", "d_d_"))
    gradients = tuple(Operand(f"d_{o.name}", o.width, o.name) for o in operands)
    listed = ", ".join(o.name for o in operands)
    first, second = (operands[k].name for k in factors)
    by_letter = operands[1].width == LETTERS
    record = partial(Operation, kind=ROWS, plan=plan or name, opposite=opposite)
    return (
        record(
            name, name, operand_inputs=operands, operand_outputs=(result,), title=f"Log-signature of {title}",
            summary=f"out = log(exp({first}) exp({second})), row by row.", gradient=f"{name}_backprop",
            tangent=f"{name}_jvp", factors=(first, second), prepended=prepended, in_place=(0,), in_place_on_gpu=(0,),
        ),
        record(
            f"{name}_backprop", f"{name}_backprop", operand_inputs=(d_out, *operands), operand_outputs=gradients,
            title=f"Gradient of the log-signature of {title}",
            summary=f"{gradients[0].name} and {gradients[1].name}: the derivatives of <d_out, {name}({listed})>, "
            "row by row.",
            made_by=ADJOINT, gradient=f"{name}_backprop_backprop", in_place=(0, -1),
            in_place_on_gpu=(0, 2) if by_letter else (0, -1),
        ),
        record(
            f"{name}_jvp", f"{name}_second", operand_inputs=(*operands, *tangents), operand_outputs=(Operand("t_out"),),
            title=f"Tangent of {name}",
            summary=f"t_out: the derivative of {name}({listed}) in the direction "
            f"({', '.join(o.name for o in tangents)}), row by row.",
            made_by=TANGENT, in_place=(-1,), in_place_on_gpu=(2,),
        ),
        record(
            f"{name}_backprop_backprop", f"{name}_second", operand_inputs=(*cotangents, d_out, *operands),
            operand_outputs=(Operand("d_d_out", of="d_out"), *gradients), title=f"Gradient of the gradient of {name}",
            summary=f"The derivatives of <{cotangents[0].name}, {gradients[0].name}> + <{cotangents[1].name}, "
            f"{gradients[1].name}> with respect to the arguments of {name}_backprop.",
            made_by=SECOND_ADJOINT, in_place=(-1, -1, -1), in_place_on_gpu=(0, 3, 4),
        ),
    )  # fmt: skip


def _along_paths(name: str, state: str, how: str) -> Operation:
    """Whole paths."""
    return Operation(
        name, name, FORWARD, (Operand("path", POINTS),), (Operand("out"),), f"Log-signatures of paths, {how}",
        f"out: the log-signature of each path, {how}.", plan=state, gradient="log_sig_backprop", state=state,
    )  # fmt: skip


def _stream() -> tuple[Operation, Operation]:
    """All expanding paths, and their gradient."""
    path, initial = Operand("path", POINTS), Operand("initial")
    return (
        Operation(
            "stream", "stream", STREAM, (path, initial), (Operand("out", STEPS),),
            "Log-signatures of all expanding paths",
            "out: one row per step, the log-signature of the path so far; initial (or null): what came before.",
            plan="join", gradient="stream_backprop",
        ),
        Operation(
            "stream_backprop", "stream_backprop", STREAM_BACKWARD,
            (Operand("d_out", STEPS), Operand("stream", STEPS), path, initial),
            (Operand("d_path", POINTS, "path"), Operand("d_initial", of="initial")),
            "Gradient of the log-signatures of all expanding paths",
            "d_path and d_initial: the derivatives of <d_out, stream(path, initial)>; stream is its result.",
            plan="join", made_by=ADJOINT,
        ),
    )  # fmt: skip


def _windows() -> tuple[Operation, Operation]:
    """Windows that overlap, and their gradient."""
    path = Operand("path", POINTS)
    return (
        Operation(
            "windows", "windows", SLIDING, (path,), (Operand("out"),), "Log-signatures of windows that overlap",
            "For calls along paths: windows from what they have in common; -1: to be taken one by one.",
            plan="windows", gradient="windows_backprop",
        ),
        Operation(
            "windows_backprop", "windows_backprop", SLIDING, (Operand("d_out"), path),
            (Operand("d_path", POINTS, "path"),), "Gradient of the log-signatures of windows that overlap",
            "The same for gradients.", plan="windows", made_by=ADJOINT,
        ),
    )  # fmt: skip


def _conversion(name: str, x: Operand, y: Operand, what: str) -> tuple[Operation, Operation]:
    """A power series ``y`` of ``x`` in the tensor algebra, and its gradient."""
    record, gradient = partial(Operation, group="conversions", kind=CONVERSION, plan="horner"), f"{name}_backprop"
    d_x, d_y = Operand(f"d_{x.name}", x.width, x.name), Operand(f"d_{y.name}", y.width)
    return (
        record(
            name, operand_inputs=(x,), operand_outputs=(y,), title=f"{what} of rows",
            summary=f"{y.name}: the {what.lower()}, row by row.", gradient=gradient,
        ),
        record(
            gradient, operand_inputs=(d_y, x), operand_outputs=(d_x,), title=f"Gradient of the {what.lower()}",
            summary=f"{d_x.name}: the derivatives of <{d_y.name}, {name}({x.name})>, row by row.", made_by=ADJOINT,
        ),
    )  # fmt: skip


_BRACKET = (
    Operation(
        "bracket", "bracket", ROWS, (Operand("left"), Operand("right")), (Operand("out"),), "Lie bracket",
        "out = [left, right], truncated, row by row.", plan="bracket", in_place=(-1,), in_place_on_gpu=(-1,),
    ),
    Operation(
        "coadjoint", "bracket", ROWS, (Operand("actor"), Operand("form")), (Operand("out"),), "Coadjoint action",
        "out: the form with <out, x> = <form, [actor, x]> for every x, row by row.", plan="coadjoint",
        in_place=(-1,), in_place_on_gpu=(-1,),
    ),
)  # fmt: skip
_LOG_SIG, _DISPLACEMENT = Operand("log_sig"), Operand("displacement", LETTERS)
_JOIN = _product("join", (_LOG_SIG, _DISPLACEMENT), (0, 1), "a path extended by a displacement", prepended="join_left")
_JOIN_LEFT = _product(
    "join_left", (_LOG_SIG, _DISPLACEMENT), (1, 0), "a path preceded by a displacement", plan="join", opposite=True
)
_COMBINE = _product("combine", (Operand("log_sig1"), Operand("log_sig2")), (0, 1), "two paths put together")
_LOGARITHM = _conversion("sig_to_log_sig", Operand("sig", WORDS), Operand("out"), "Logarithm")
_EXPONENTIAL = _conversion("logsig_to_sig", _LOG_SIG, Operand("sig", WORDS), "Exponential")
_CHANGE_OF_COORDINATES = Operation(
    "change_coordinates", "conversions", MAP, (_LOG_SIG,), (Operand("out"),), "Change of coordinates",
    "out: log_sig in other coordinates, by one or more maps; scalar_term: 1: log_sig begins with one, 2: out, 3: both.",
    plan="maps",
)  # fmt: skip
_BY_LOG_DERIVATIVE = _along_paths("log_sig", "log_derivative", "carried in logarithmic-derivative coordinates")
_BY_SIGNATURE = _along_paths(
    "log_sig_by_signature", "signature", "carried as the signature on prefixes of Lyndon words"
)
_PATH_GRADIENT = Operation(
    "log_sig_backprop", "log_sig_backprop", BACKWARD, (Operand("d_out"), _LOG_SIG, Operand("path", POINTS)),
    (Operand("d_path", POINTS, "path"),), "Gradient of the log-signature of a path, in any state",
    "d_path: the derivative of <d_out, log_sig(path)>; log_sig is the log-signature of the path.",
    plan="path_gradient", made_by=ADJOINT,
)  # fmt: skip


def _by_name(*operations: Iterable[Operation]) -> dict[str, Operation]:
    return {operation.name: operation for some in operations for operation in some}


OPERATIONS: dict[str, Operation] = _by_name(
    _JOIN[:2], _COMBINE[:2], (_BY_LOG_DERIVATIVE, _PATH_GRADIENT), _stream(), (_BY_SIGNATURE,), _JOIN[2:],
    _COMBINE[2:], _BRACKET, _JOIN_LEFT, _windows(), _LOGARITHM, _EXPONENTIAL, (_CHANGE_OF_COORDINATES,),
)  # fmt: skip
"""Every operation by its name; the order is that of headers and reports."""
PRODUCTS: dict[str, Operation] = {name: one for name, one in OPERATIONS.items() if one.is_product}
"""The products of two operands."""
JOINS = (OPERATIONS["join"], OPERATIONS[OPERATIONS["join"].prepended])
"""The product with a displacement, by whether the displacement comes first."""
GROUPS: dict[str, tuple[Operation, ...]] = {
    group: tuple(operation for operation in OPERATIONS.values() if operation.group == group)
    for group in dict.fromkeys(operation.group for operation in OPERATIONS.values())
}
"""Group to operations."""
DERIVED_GROUPS = tuple(
    group
    for group, operations in GROUPS.items()
    if all(one.made_by in (TANGENT, SECOND_ADJOINT) for one in operations) or operations == _BRACKET
)
"""Second derivatives of products, and what those beyond are composed of: nothing but torch asks for them."""
_WIDTHS = {operand.name: operand for operation in OPERATIONS.values() for operand in operation.all_operands}


def columns(problem: Problem, operand: str) -> int:
    """Numbers in a row of an operand, by its name; what the table does not know is a log-signature."""
    return _WIDTHS[operand].columns(problem) if operand in _WIDTHS else problem.size


def default_state(problem: Problem) -> str:
    """What whole paths of a problem are carried in unless the user says otherwise; ``docs/decisions/`` tells why."""
    least = _SIGNATURE_FROM.get(problem.degree)
    much_cheaper = least is not None and problem.dimension >= least and problem.size <= SIGNATURE_LIMIT
    return "signature" if much_cheaper else DEFAULT_STATE


def groups_to_prepare(
    problem: Problem, others: Iterable[str] = ("join", "combine"), *, gradients: bool = True
) -> tuple[str, ...]:
    """The groups that whole paths of a problem need, and other operations, with or without gradients, in order."""
    operations = (*others, path_operation(default_state(problem)))
    backward = (OPERATIONS[name].gradient for name in operations if gradients)
    wanted = {group_of(name) for name in (*operations, *backward)}
    return tuple(group for group in GROUPS if group in wanted)


def available_groups(problem: Problem) -> tuple[str, ...]:
    """The groups a problem can have."""
    large = problem.size > SIGNATURE_LIMIT
    return tuple(group for group, (first, *_) in GROUPS.items() if not (large and first.state == "signature"))


def group_of(operation: str) -> str:
    """The group an operation is compiled with."""
    return OPERATIONS[operation].group


@cache
def path_operation(state: str, *, backward: bool = False) -> str:
    """Name of the whole-path operation that carries ``state``, or of its gradient, which carries none."""
    forward = next(one for one in OPERATIONS.values() if one.state == state)
    return forward.gradient if backward else forward.name


def call_operation(state: str, *, stream: bool, backward: bool) -> str:
    """Name of the operation that a call along paths is for; its group has the same name."""
    if stream:
        return "stream_backprop" if backward else "stream"
    return path_operation(state, backward=backward)
