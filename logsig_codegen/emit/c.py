"""The C target: a compiled problem becomes source units that lie in one folder."""

from __future__ import annotations

from collections.abc import Sequence

from logsig_codegen.compiler import CompiledProblem
from logsig_codegen.emit.render import render, verbatim
from logsig_codegen.emit.unit import SourceUnit
from logsig_codegen.emit.view import header_view, module_view, unrolled_view

ABI_VERSION = 1
"""Version of the interface between a library and its loader; see ``build/abi.py``."""
DTYPES = ("float64", "float32")
_BITS = {"float64": "LOGSIG_REAL_BITS=64", "float32": "LOGSIG_REAL_BITS=32"}


def c_sources(compiled: CompiledProblem, dtypes: Sequence[str] = DTYPES) -> tuple[SourceUnit, ...]:
    """All source files of ``compiled``: kernels, their description, the public header, and the hand-written headers."""
    dtypes = [dtype for dtype in DTYPES if dtype in dtypes]
    variants = tuple((_BITS[dtype],) for dtype in dtypes)
    units = []
    for kernel in compiled.kernels:
        view = unrolled_view(compiled, kernel)
        units.append(SourceUnit(f"{kernel.operation}.c", render("c/kernel.c.j2", view=view), "c", variants))
    module = render("c/module.c.j2", view=module_view(compiled, ABI_VERSION, dtypes))
    units.append(SourceUnit("module.c", module, "c"))
    header = render("c/public.h.j2", view=header_view(compiled))
    units.append(SourceUnit(f"logsig_{compiled.problem.name}.h", header, "header"))
    names = ["logsig_simd.h", "logsig_rows.h"]
    if any(kernel.form == "tables" for kernel in compiled.kernels):
        names.append("logsig_tables.h")
    units.extend(SourceUnit(name, verbatim(f"c/include/{name}"), "header") for name in names)
    return tuple(units)
