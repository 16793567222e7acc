"""The C interface every compiled library has, and the small module through which Python calls it.

The declarations never change from one problem to the next, so they are parsed once, when
``logsig_codegen/runtime/_abi.py`` is written, and not each time a library is loaded. To write that file again::

    python -c "from logsig_codegen.build.abi import write_abi; write_abi()"

The same is done with the declarations of the launcher of kernels for GPUs, which stand in its headers.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from logsig_codegen.build.launcher import HEADERS, sources
from logsig_codegen.operations import CONVERSION, MAP, OPERATIONS, SLIDING, Operation
from logsig_codegen.shipped import verbatim

_DESCRIPTION = """
typedef struct { const char *operation; const char *dtype; void (*function)(void); } logsig_entry;
typedef struct {
    int abi_version;
    int dimension;
    int degree;
    int n_entries;
    long long size;
    const logsig_entry *entries;
} logsig_module;
const logsig_module *logsig_describe(void);
typedef struct { void (*log_sig)(void); void (*combine)(void); void (*combine_backprop)(void); } logsig_products;
"""
_CALL = """
typedef int (*logsig_path_call_function)(const logsig_path_call *call);
"""


def declarations() -> str:
    """The C declarations of every operation.

    Pointers to numbers are ``void *`` here: float32 and float64 functions are called in the same way.
    """
    return _DESCRIPTION + _structs() + _CALL + "".join(map(_function_type, OPERATIONS.values()))


def _structs() -> str:
    """The declarations of ``logsig_path_call.h``: what stands between its includes and its functions."""
    text = verbatim("c/include/logsig_path_call.h")
    end = "} logsig_path_call;"
    return text[text.index("#include <stddef.h>") + len("#include <stddef.h>") : text.index(end) + len(end)] + "\n"


def arguments(operation: Operation) -> list[tuple[str, str]]:
    """Type and name of each argument of an operation's function, which returns an ``int``."""
    if operation.kind == SLIDING:
        return [("const void *", "request")]
    found = []
    for operand in operation.operands:
        qualifier = "const " if operand in operation.inputs else ""
        found += [(f"{qualifier}void *", operand), ("ptrdiff_t ", f"{operand}_stride")]
        if operand == "path":
            found += [("ptrdiff_t ", "length"), ("const ptrdiff_t *", "lengths"), ("const ptrdiff_t *", "starts")]
            if operation.in_pieces:
                found.append(("const logsig_products *", "products"))
    if operation.kind in (CONVERSION, MAP):
        found += [("const logsig_map *", "maps"), ("int ", "n_maps"), ("int ", "scalar_term")]
    return [*found, ("ptrdiff_t ", "batch"), ("int ", "n_jobs")]


def _function_type(operation: Operation) -> str:
    listed = ", ".join(f"{kind}{name}" for kind, name in arguments(operation))
    return f"typedef int (*logsig_{operation.name}_function)({listed});\n"


MODULE = "logsig_codegen.runtime._abi"
_HEADER = '''"""Written by ``logsig_codegen.build.abi.write_abi`` from the declarations there; do not edit."""

# fmt: off
# ruff: noqa
# mypy: ignore-errors
'''


LAUNCHER_MODULE = "logsig_codegen.runtime.cuda._launcher_abi"
_MARK = re.compile(
    r"^/\* -- declarations -+ \*/$(.*?)^/\* -- end of the declarations -+ \*/$", re.MULTILINE | re.DOTALL
)


def launcher_declarations() -> str:
    """The C declarations of the launcher of kernels for GPUs, as its headers have them."""
    texts = sources()
    sections = (section for name in HEADERS for section in _MARK.findall(texts[name]))
    return _structs() + "".join(sections).replace("LOGSIG_HOST ", "")


def abi_source(module: str = MODULE) -> str:
    """Text of a module that holds parsed declarations (nothing else needs cffi's parser)."""
    import contextlib
    import io

    from cffi import FFI

    builder = FFI()
    builder.cdef(launcher_declarations() if module == LAUNCHER_MODULE else declarations())
    builder.set_source(module, None)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "_abi.py")
        with contextlib.redirect_stdout(io.StringIO()):  # cffi announces the file it writes
            builder.emit_python_code(str(target))
        return _HEADER + target.read_text(encoding="utf-8")


def write_abi() -> None:
    """Write the modules of parsed declarations."""
    package = Path(__file__).parent.parent
    for module in (MODULE, LAUNCHER_MODULE):
        package.joinpath(*module.split(".")[1:]).with_suffix(".py").write_text(abi_source(module), encoding="utf-8")
