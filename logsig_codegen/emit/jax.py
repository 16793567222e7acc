"""The jax target: C handlers that XLA calls, made of the table of operations, and the headers they include.

What writes them is imported when they are written: their names alone decide which compiled ones serve.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from logsig_codegen.operations import CALLS, CONVERSION, LETTERS, OPERATIONS, ROWS, STATES, Operation, call_operation
from logsig_codegen.stages import stage

TEMPLATE = "jax/handlers.c.j2"
HEADERS = (
    "c/include/logsig_path_call.h",
    "c/include/logsig_maps.h",
    "jax/logsig_jax_frame.h",
    "jax/logsig_jax.h",
    "jax/logsig_jax_maps.h",
    "cuda/host/logsig_launcher.h",
    "cuda/host/logsig_gpu_paths.h",
    "jax/logsig_jax_gpu.h",
)
SOURCE = "logsig_jax.c"


@dataclass(frozen=True)
class HandlerView:
    """The handler of an operation on rows, as finished strings."""

    name: str
    group: str
    counts: str
    letters: str
    on_gpus: bool
    parameters: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class HandlersView:
    """What the template sees."""

    functions: tuple[str, ...]
    members: tuple[str, ...]
    n_members: int
    groups: tuple[str, ...]
    rows: tuple[HandlerView, ...]


@stage("emit jax")
def jax_sources() -> dict[str, str]:
    """File name to text: the same for every problem."""
    from logsig_codegen.emit.calls import call_members
    from logsig_codegen.emit.render import render, verbatim

    states = (STATES[0], *STATES)  # the first one is no state of a call that comes from here
    view = HandlersView(
        functions=(*OPERATIONS, *CALLS),
        members=tuple(_list(f"LOGSIG_OF_{name.upper()}" for name in call_members(state).values()) for state in states),
        n_members=len(call_members(STATES[0])),
        groups=tuple(
            _list(
                _list(f'"{call_operation(state, stream=stream, backward=back)}"' for back in (False, True))
                for stream in (False, True)
            )
            for state in states
        ),
        rows=tuple(_handler(one) for one in OPERATIONS.values() if one.kind in (ROWS, CONVERSION)),
    )
    return {SOURCE: render(TEMPLATE, view=view), **{Path(name).name: verbatim(name) for name in HEADERS}}


def _list(texts: Iterable[str]) -> str:
    return f"{{{', '.join(texts)}}}"


def _handler(operation: Operation) -> HandlerView:
    inputs, outputs = len(operation.inputs), len(operation.outputs)
    pointers = ["const void *, ptrdiff_t"] * inputs + ["void *, ptrdiff_t"] * outputs
    data = [f"o[{k}].data" for k in range(inputs)] + [f"(void *)o[{inputs + k}].data" for k in range(outputs)]
    # Conversions are called on expanded coordinates without scalar terms, which need no maps.
    kinds, given = ("const logsig_map *, int, int, ", ("NULL", "0, 0")) if operation.kind == CONVERSION else ("", ())
    return HandlerView(
        name=operation.name,
        group=operation.group,
        counts=f"{inputs}, {outputs}",
        letters=hex(sum(1 << k for k, one in enumerate(operation.all_operands) if one.width == LETTERS)),
        on_gpus=operation.on_gpus,
        parameters=", ".join([*pointers, f"{kinds}ptrdiff_t, int"]),
        arguments=(*(f"{one}, o[{k}].stride" for k, one in enumerate(data)), *given),
    )
