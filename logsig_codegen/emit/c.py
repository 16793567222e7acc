"""The C target: a compiled problem becomes source units that lie in one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from logsig_codegen._version import ABI_VERSION
from logsig_codegen.compiler import CompiledProblem, Kernel, PathKernel, in_loops
from logsig_codegen.emit.alone import walks_alone
from logsig_codegen.emit.calls import call_functions, calls_view, coordinates_view, has_calls
from logsig_codegen.emit.letters import letters_view
from logsig_codegen.emit.path_view import path_kernel_view
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.series import HEADERS, conversion_text, series_unit
from logsig_codegen.emit.tables import bracket_types, tables_view
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.emit.view import has_conversions, header_view, module_view, tables_kernel_view, unrolled_view
from logsig_codegen.emit.wide import wide_view
from logsig_codegen.emit.windows import windows_view
from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.operations import CALLS, CONVERSION, MAP, OPERATIONS, SLIDING
from logsig_codegen.stages import stage

DTYPES = ("float64", "float32")
_BITS = {"float64": "LOGSIG_REAL_BITS=64", "float32": "LOGSIG_REAL_BITS=32"}


@stage("emit C")
def c_sources(
    compiled: CompiledProblem, dtypes: Sequence[str] = DTYPES, *, coordinates: bool = True
) -> tuple[SourceUnit, ...]:
    """All source files of ``compiled``: kernels, their description, the public header, and the hand-written headers.

    ``coordinates``: whether calls along paths come with the maps to method 0 and 1; else callers bring them.
    """
    calls = tuple(call_functions(compiled.problem, coordinates)) if has_calls(compiled) else ()
    dtypes = [dtype for dtype in DTYPES if dtype in dtypes]
    variants = tuple((_BITS[dtype],) for dtype in dtypes)
    units = []
    for kernel in compiled.kernels:
        once = OPERATIONS[kernel.operation].kind in (CONVERSION, MAP)
        units.append(
            SourceUnit(f"{kernel.operation}.c", kernel_text(compiled, kernel), "c", ((),) if once else variants)
        )
    if has_conversions(compiled):
        units.append(series_unit(compiled.problem))
    module = render("c/module.c.j2", view=module_view(compiled, ABI_VERSION, dtypes, CALLS if calls else ()))
    units.append(SourceUnit("module.c", module, "c"))
    header = render("c/public.h.j2", view=header_view(compiled, calls))
    units.append(SourceUnit(f"logsig_{compiled.problem.name}.h", header, "header"))
    names = ["logsig_simd.h", "logsig_rows.h"]
    if any(isinstance(kernel, PathKernel) for kernel in compiled.kernels):
        names += ["logsig_paths.h", "logsig_points.h"]
    loops = [in_loops(compiled.problem, kernel.operation) for kernel in compiled.kernels]
    with_slots = (isinstance(kernel, PathKernel) and kernel.slots > 0 for kernel in compiled.kernels)
    if any(slots and not loop for slots, loop in zip(with_slots, loops, strict=True)):
        names.append("logsig_gradients.h")
    if any(loops):
        names.extend(("logsig_letters.h", "logsig_wide.h", "logsig_letter_streams.h"))
    if any(isinstance(kernel, PathKernel) and walks_alone(compiled.problem, kernel) for kernel in compiled.kernels):
        names.append("logsig_alone.h")
    names.extend(HEADERS if has_conversions(compiled) else ())
    sliding = any(OPERATIONS[kernel.operation].kind == SLIDING for kernel in compiled.kernels)
    if calls or sliding:
        names.extend(("logsig_path_call.h", "logsig_maps.h", "logsig_map_rows.h", "logsig_calls.h"))
        names.extend(("logsig_intervals.h", "logsig_blocks.h"))
    if sliding:
        names.extend(("logsig_sliding.h", *(("logsig_letter_windows.h",) if any(loops) else ())))
    if calls:
        text = render("c/calls.c.j2", view=calls_view(compiled, coordinates))
        units.append(SourceUnit("calls.c", text, "c", variants))
    if calls and coordinates:
        text = render("c/coordinates.c.j2", view=coordinates_view(compiled.problem))
        units.append(SourceUnit("coordinates.c", text, "c"))
    if compiled.tables:
        names.append("logsig_tables.h")
        units.extend(_table_units(compiled, compiled.tables))
    units.extend(SourceUnit(name, verbatim(f"c/include/{name}"), "header") for name in dict.fromkeys(names))
    return tuple(units)


def kernel_text(compiled: CompiledProblem, kernel: Kernel | PathKernel) -> str:
    """The C file of one kernel."""
    if OPERATIONS[kernel.operation].kind in (CONVERSION, MAP):
        assert isinstance(kernel, Kernel)
        return conversion_text(compiled, kernel)
    if OPERATIONS[kernel.operation].kind == SLIDING:
        assert isinstance(kernel, PathKernel)
        return render("c/windows.c.j2", view=windows_view(compiled.problem, kernel))
    if isinstance(kernel, PathKernel):
        loops = in_loops(compiled.problem, kernel.operation)
        view = wide_view(compiled.problem, kernel) if loops else path_kernel_view(compiled, kernel)
        return render("c/path.c.j2", view=view)
    if in_loops(compiled.problem, kernel.operation):
        return render("c/path.c.j2", view=letters_view(compiled.problem, kernel))
    rows = unrolled_view(compiled, kernel) if kernel.schedule else tables_kernel_view(compiled, kernel)
    return render("c/kernel.c.j2", view=rows)


def _table_units(compiled: CompiledProblem, programs: Sequence[LieProgram]) -> Iterator[SourceUnit]:
    """One file per type of bracket, so that they compile side by side, and the header that declares them."""
    view = tables_view(compiled.problem, bracket_types(programs))
    yield SourceUnit("tables.h", render("c/tables.h.j2", view=view), "header")
    for table in view.tables:
        yield SourceUnit(f"{table.name}.c", render("c/table.c.j2", view=table), "c")
