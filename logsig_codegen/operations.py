"""The operations a problem has kernels for: their groups, operands and C interfaces. Plain data, read by every layer.

A group is compiled into one library, and only when something of it is called: nobody waits for what is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

from logsig_codegen.problem import Problem

DEFAULT_STATE = "log_derivative"
STATES = (DEFAULT_STATE, "signature")
"""What a whole path can be carried in; see ``docs/mathematics.md``."""
SIGNATURE_LIMIT = 3_000
"""Coordinates up to which the signature is an option: its programs are straight-line code only."""
_SIGNATURE_FROM = {2: 3, 3: 8, 4: 5, 5: 4, 6: 3}
"""By degree: dimensions from which on a step of the signature takes no more than about two thirds of the time."""
WHOLE_STEPS = 192
"""Paths of fewer steps are never cut: twice LOGSIG_PIECE_STEPS of ``logsig_paths.h``."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    name : str
        Name of the C function, without problem and number type.
    kind : str
        ``"rows"``: every operand is an array of rows; else how it goes along a path: ``"forward"``, ``"backward"``,
        ``"stream"`` or ``"stream_backward"``.
    inputs, outputs : tuple of str
        Operands in the order of the C interface. ``path`` and ``d_path`` are arrays of points.
    summary : str
        What it computes, for the header; ``title`` is the same for a heading.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    title: str
    summary: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (*self.inputs, *self.outputs)

    @property
    def in_pieces(self) -> bool:
        """Whether it cuts long paths into pieces, and takes the functions that multiply them."""
        return self.kind in ("forward", "backward")

    @property
    def backward(self) -> bool:
        """Whether it computes derivatives."""
        return self.name.endswith("backprop")


def _along_a_path(suffix: str, how: str) -> tuple[Operation, Operation]:
    return (
        Operation(
            f"log_sig{suffix}",
            "forward",
            ("path",),
            ("out",),
            f"Log-signatures of paths, {how}",
            f"out: the log-signature of each path, {how}.",
        ),
        Operation(
            f"log_sig{suffix}_backprop",
            "backward",
            ("d_out", "log_sig", "path"),
            ("d_path",),
            f"Gradient of the log-signature of a path, {how}",
            f"d_path: the derivative of <d_out, log_sig(path)>, {how}; log_sig is the log-signature of the path.",
        ),
    )


_JOIN = (
    Operation(
        "join",
        "rows",
        ("log_sig", "displacement"),
        ("out",),
        "Log-signature of a path extended by a displacement",
        "out = log(exp(log_sig) exp(displacement)), row by row.",
    ),
    Operation(
        "join_backprop",
        "rows",
        ("d_out", "log_sig", "displacement"),
        ("d_log_sig", "d_displacement"),
        "Gradient of the log-signature of a path extended by a displacement",
        "d_log_sig and d_displacement: the derivatives of <d_out, join(log_sig, displacement)>, row by row.",
    ),
)
_COMBINE = (
    Operation(
        "combine",
        "rows",
        ("log_sig1", "log_sig2"),
        ("out",),
        "Log-signature of two paths put together",
        "out = log(exp(log_sig1) exp(log_sig2)), row by row.",
    ),
    Operation(
        "combine_backprop",
        "rows",
        ("d_out", "log_sig1", "log_sig2"),
        ("d_log_sig1", "d_log_sig2"),
        "Gradient of the log-signature of two paths put together",
        "d_log_sig1 and d_log_sig2: the derivatives of <d_out, combine(log_sig1, log_sig2)>, row by row.",
    ),
)
_STREAM = (
    Operation(
        "stream",
        "stream",
        ("path", "initial"),
        ("out",),
        "Log-signatures of all expanding paths",
        "out: one row per step, the log-signature of the path so far; initial (or null): what came before.",
    ),
    Operation(
        "stream_backprop",
        "stream_backward",
        ("d_out", "stream", "path", "initial"),
        ("d_path", "d_initial"),
        "Gradient of the log-signatures of all expanding paths",
        "d_path and d_initial: the derivatives of <d_out, stream(path, initial)>; stream is its result.",
    ),
)


def _second(product: str, operands: tuple[str, str]) -> tuple[Operation, Operation]:
    """What the second derivative of a product is made of."""
    tangents, cotangents = (tuple(f"{prefix}{name}" for name in operands) for prefix in ("t_", "d_d_"))
    gradients = tuple(f"d_{name}" for name in operands)
    listed = ", ".join(operands)
    return (
        Operation(
            f"{product}_jvp",
            "rows",
            (*operands, *tangents),
            ("t_out",),
            f"Tangent of {product}",
            f"t_out: the derivative of {product}({listed}) in the direction ({', '.join(tangents)}), row by row.",
        ),
        Operation(
            f"{product}_backprop_backprop",
            "rows",
            (*cotangents, "d_out", *operands),
            ("d_d_out", *gradients),
            f"Gradient of the gradient of {product}",
            f"The derivatives of <{cotangents[0]}, {gradients[0]}> + <{cotangents[1]}, {gradients[1]}> with respect to "
            f"the arguments of {product}_backprop.",
        ),
    )


_BRACKET = (
    Operation(
        "bracket",
        "rows",
        ("left", "right"),
        ("out",),
        "Lie bracket",
        "out = [left, right], truncated, row by row.",
    ),
    Operation(
        "coadjoint",
        "rows",
        ("actor", "form"),
        ("out",),
        "Coadjoint action",
        "out: the form with <out, x> = <form, [actor, x]> for every x, row by row.",
    ),
)
_BY_LOG_DERIVATIVE = _along_a_path("", "carried in logarithmic-derivative coordinates")
_BY_SIGNATURE = _along_a_path("_by_signature", "carried as the signature on prefixes of Lyndon words")

GROUPS: dict[str, tuple[Operation, ...]] = {
    "join": _JOIN,
    "combine": _COMBINE,
    "log_sig": _BY_LOG_DERIVATIVE[:1],
    "log_sig_backprop": _BY_LOG_DERIVATIVE[1:],
    "stream": _STREAM[:1],
    "stream_backprop": _STREAM[1:],
    "log_sig_by_signature": _BY_SIGNATURE[:1],
    "log_sig_by_signature_backprop": _BY_SIGNATURE[1:],
    "join_second": _second("join", ("log_sig", "displacement")),
    "combine_second": _second("combine", ("log_sig1", "log_sig2")),
    "bracket": _BRACKET,
}
"""Group to operations; the order is that of headers and reports."""
DERIVED_GROUPS = ("join_second", "combine_second", "bracket")
"""Second derivatives of products, and what those beyond are composed of: nothing but torch asks for them."""
OPERATIONS: dict[str, Operation] = {operation.name: operation for group in GROUPS.values() for operation in group}
BY_LETTER = frozenset({"displacement", "d_displacement", "t_displacement", "d_d_displacement"})
"""Operands with one column per letter; all others have one per coordinate."""


def default_state(problem: Problem) -> str:
    """What whole paths of a problem are carried in unless the user says otherwise; ``docs/decisions/`` tells why."""
    least = _SIGNATURE_FROM.get(problem.degree)
    much_cheaper = least is not None and problem.dimension >= least and problem.size <= SIGNATURE_LIMIT
    return "signature" if much_cheaper else DEFAULT_STATE


def available_groups(problem: Problem) -> tuple[str, ...]:
    """The groups a problem can have."""
    large = problem.size > SIGNATURE_LIMIT
    return tuple(group for group in GROUPS if not (large and "by_signature" in group))


def group_of(operation: str) -> str:
    """The group an operation is compiled with."""
    return next(group for group, operations in GROUPS.items() if operation in {member.name for member in operations})


def path_operation(state: str, *, backward: bool = False) -> str:
    """Name of the whole-path operation that carries ``state``."""
    suffix = "" if state == DEFAULT_STATE else f"_by_{state}"
    return f"log_sig{suffix}_backprop" if backward else f"log_sig{suffix}"
