"""Views of conversions: power series in the tensor algebra and linear maps, in loops that are written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from logsig_codegen.algebra.tensor import exponential_coefficients, logarithm_coefficients
from logsig_codegen.compiler import CompiledProblem, Kernel
from logsig_codegen.emit.printer import c_number
from logsig_codegen.emit.render import render
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.emit.view import SUFFIXES, origin, parameters, symbol
from logsig_codegen.operations import MAP, OPERATIONS, WORDS, Operation
from logsig_codegen.problem import Problem

HEADERS = ("logsig_path_call.h", "logsig_maps.h", "logsig_map_rows.h", "logsig_series_call.h", "logsig_series.h")
"""What the sources of conversions include, besides the headers of all kernels."""
LANES_WORDS = 4_096
"""Words up to which full blocks of rows go through the lanes: their memory fits the second-level cache, or nearly."""
_REALS = {"float64": "double", "float32": "float"}


@dataclass(frozen=True)
class SeriesView:
    """The file with the loops."""

    title: str
    symbol: str
    defines: tuple[str, ...]
    logarithm: tuple[str, ...]
    exponential: tuple[str, ...]


@dataclass(frozen=True)
class EntryView:
    """The function for one number type; ``numbers``: what its type decides of the call that it passes on."""

    symbol: str
    parameters: tuple[str, ...]
    numbers: str


@dataclass(frozen=True)
class ConversionView:
    """The file of one conversion; ``operands``: the last members of the struct."""

    title: str
    introduction: tuple[str, ...]
    series: str
    operands: str
    entries: tuple[EntryView, ...]


@dataclass(frozen=True)
class MapView:
    """The file of rows through maps; ``arguments``: operands, then their strides."""

    title: str
    introduction: tuple[str, ...]
    arguments: str
    entries: tuple[EntryView, ...]


def series_unit(problem: Problem) -> SourceUnit:
    """The file with the loops, which all conversions call; it is for both number types."""
    return SourceUnit("series.c", render("c/series.c.j2", view=series_view(problem)), "c")


def series_view(problem: Problem) -> SeriesView:
    """The view of the loops."""
    powers = [problem.dimension**length for length in range(problem.degree + 1)]
    starts = [sum(powers[1 : length + 1]) for length in range(problem.degree + 1)]
    return SeriesView(
        title=f"Power series in the tensor algebra: dimension {problem.dimension}, degree {problem.degree}.",
        symbol=symbol(problem, "series"),
        defines=(
            "#define LOGSIG_REAL_BITS 64 /* whatever the rows are */",
            f"#define LOGSIG_DIMENSION {problem.dimension}",
            f"#define LOGSIG_DEGREE {problem.degree}",
            f"#define LOGSIG_POWERS {', '.join(map(str, powers))}",
            f"#define LOGSIG_STARTS {', '.join(map(str, starts))}",
            f"#define LOGSIG_WORDS {starts[-1]}",
            f"#define LOGSIG_STAGES {sum(starts)} /* words of all stages of Horner's scheme */",
            f"#define LOGSIG_SERIES_IN_LANES {int(starts[-1] <= LANES_WORDS)}",
        ),
        logarithm=_numbers(logarithm_coefficients(problem.degree)),
        exponential=_numbers(exponential_coefficients(problem.degree)),
    )


def _numbers(coefficients: Sequence[Fraction]) -> tuple[str, ...]:
    return tuple(c_number(coefficient) for coefficient in coefficients)


def conversion_text(compiled: CompiledProblem, kernel: Kernel) -> str:
    """The file of one conversion."""
    if OPERATIONS[kernel.operation].kind == MAP:
        return render("c/map.c.j2", view=map_view(compiled.problem, kernel))
    return render("c/conversion.c.j2", view=conversion_view(compiled.problem, kernel))


def map_view(problem: Problem, kernel: Kernel) -> MapView:
    """The view of rows through maps."""
    operation = OPERATIONS[kernel.operation]
    return MapView(
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=(*origin(problem), operation.summary, "The maps come with the call; see logsig_maps.h."),
        arguments=", ".join((*operation.operands, *(f"{one}_stride" for one in operation.operands))),
        entries=tuple(_entries(problem, operation)),
    )


def conversion_view(problem: Problem, kernel: Kernel) -> ConversionView:
    """The view of one conversion."""
    operation = OPERATIONS[kernel.operation]
    x, derivs = operation.operand_inputs[-1], operation.inputs[0] if operation.backward else "NULL"
    of = (x.name, derivs, operation.outputs[0])
    strides = (f"{one}_stride" if one != "NULL" else "0" for one in of)
    return ConversionView(
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(_introduction(problem, kernel, operation)),
        series=symbol(problem, "series"),
        operands=", ".join((*of, *strides)),
        entries=tuple(_entries(problem, operation, f"{int(x.width == WORDS)}, ")),
    )


def _entries(problem: Problem, operation: Operation, before: str = "") -> Iterator[EntryView]:
    for dtype, real in _REALS.items():
        yield EntryView(
            symbol=f"{symbol(problem, operation.name)}_{SUFFIXES[dtype]}",
            parameters=parameters(operation.name, real),
            numbers=f"{before}{int(dtype == 'float32')}",
        )


def _introduction(problem: Problem, kernel: Kernel, operation: Operation) -> Iterator[str]:
    count = kernel.operations
    yield from origin(problem)
    yield operation.summary
    yield f"Plan: {kernel.plan}. Operations per sample: {count.total} ({count.multiply_adds} multiply-adds,"
    yield f"{count.additions} additions, {count.scalings} scalings), without maps. Loops; see logsig_series.h."
