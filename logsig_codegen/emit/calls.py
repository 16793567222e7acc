"""Views of the calls along paths, and of the maps between coordinates that they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from logsig_codegen.algebra.basis_maps import SparseMap, brackets_to_expanded, brackets_to_words
from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.tables import NUMBERS_PER_LINE
from logsig_codegen.emit.view import SUFFIXES, FunctionView, symbol
from logsig_codegen.operations import CALLS, FORWARD, MAPS, OPERATIONS, STATES, STREAM, default_state, path_operation
from logsig_codegen.problem import Problem

_COMMENTS = (
    "What call asks for: log-signatures of paths or windows, or streams; see logsig_path_call.h.",
    "The gradients of what call asks for.",
)


@dataclass(frozen=True)
class CallsView:
    """The file with the calls; ``streams``: there are streams among them."""

    title: str
    header: str
    symbol: str
    functions: tuple[tuple[str, ...], ...]
    arguments: str
    streams: bool


@dataclass(frozen=True)
class NumbersView:
    """One array of numbers."""

    name: str
    length: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class CoordinatesView:
    """The file with the maps."""

    title: str
    header: str
    symbol: str
    arrays: tuple[NumbersView, ...]
    maps: tuple[str, ...]


def has_calls(compiled: CompiledProblem) -> bool:
    """Whether a library of these kernels has calls along paths: if something goes forward along them."""
    return any(OPERATIONS[kernel.operation].kind in (FORWARD, STREAM) for kernel in compiled.kernels)


def calls_view(compiled: CompiledProblem, coordinates: bool) -> CallsView:
    """The view of the calls; ``coordinates``: the library has the maps."""
    problem = compiled.problem
    maps = symbol(problem, MAPS) if coordinates else "NULL"
    return CallsView(
        title=f"Calls along paths: dimension {problem.dimension}, degree {problem.degree}.",
        header=f"logsig_{problem.name}.h",
        symbol=symbol(problem, ""),
        functions=tuple(tuple(_members(compiled, state)) for state in (default_state(problem), *STATES)),
        arguments=f"{problem.dimension}, {problem.degree}, {problem.size}, FUNCTIONS, {maps}",
        streams=any(OPERATIONS[kernel.operation].streams for kernel in compiled.kernels),
    )


def call_members(state: str) -> dict[str, str]:
    """The operation that each member of ``logsig_path_functions`` is, for a state."""
    along, back = path_operation(state), path_operation(state, backward=True)
    rest = ("stream", "stream_backprop", "combine", "combine_backprop", "windows", "windows_backprop")
    return {"log_sig": along, "log_sig_backprop": back, **{name: name for name in rest}}


def _members(compiled: CompiledProblem, state: str) -> Iterator[str]:
    there = {kernel.operation for kernel in compiled.kernels}
    members = [f".{name} = (void (*)(void))ENTRY({op})" for name, op in call_members(state).items() if op in there]
    yield from members or [".log_sig = NULL"]


def call_functions(problem: Problem, coordinates: bool) -> Iterator[FunctionView]:
    """What the public header declares."""
    for name, comment in zip(CALLS, _COMMENTS, strict=True):
        names = (f"{symbol(problem, name)}_{suffix}" for suffix in SUFFIXES.values())
        yield FunctionView((comment,), tuple(f"int {one}(const logsig_path_call *call);" for one in names))
    if coordinates:
        comment = "From Lyndon brackets to method 0 and to method 1, and the transposes of both."
        yield FunctionView((comment,), (f"extern const logsig_map {symbol(problem, MAPS)}[4];",))


def coordinates_view(problem: Problem) -> CoordinatesView:
    """The view of the maps, in the order of the header."""
    forth = [make(problem.dimension, problem.degree) for make in (brackets_to_expanded, brackets_to_words)]
    names = ("words", "lyndon", "words_back", "lyndon_back")
    maps = dict(zip(names, [*forth, *(linear.transpose() for linear in forth)], strict=True))
    return CoordinatesView(
        title=f"Maps between coordinates: dimension {problem.dimension}, degree {problem.degree}.",
        header=f"logsig_{problem.name}.h",
        symbol=symbol(problem, MAPS),
        arrays=tuple(array for name, linear in maps.items() for array in _arrays(name, linear)),
        maps=tuple(
            f"{{{linear.rows}, {linear.columns}, {name}_starts, {name}_indices, {name}_coefficients}}"
            for name, linear in maps.items()
        ),
    )


def _arrays(name: str, linear: SparseMap) -> Iterable[NumbersView]:
    parts = (("ptrdiff_t", "starts"), ("ptrdiff_t", "indices"), ("double", "coefficients"))
    return [NumbersView(f"{kind} {name}_{part}", *_lines(getattr(linear, part))) for kind, part in parts]


def _lines(numbers: Sequence[int]) -> tuple[int, tuple[str, ...]]:
    starts = range(0, len(numbers), NUMBERS_PER_LINE)
    return len(numbers), tuple(", ".join(map(str, numbers[k : k + NUMBERS_PER_LINE])) + "," for k in starts)
