"""The interface to C is written down once; everything else must agree with it."""

from __future__ import annotations

import re
from pathlib import Path

from logsig_codegen.build import abi
from logsig_codegen.emit import c
from logsig_codegen.runtime import _abi
from logsig_codegen.runtime.cuda import _launcher_abi


def test_the_committed_module_is_what_the_declarations_give() -> None:
    for module in (_abi, _launcher_abi):
        assert Path(module.__file__).read_text(encoding="utf-8") == abi.abi_source(module.__name__)


def test_emitted_structures_are_the_declared_ones() -> None:
    from logsig_codegen.compiler import compile_problem
    from logsig_codegen.problem import Problem

    def structures(text: str) -> list[str]:
        return [" ".join(found.split()) for found in re.findall(r"typedef struct \{.*?\} logsig_\w+;", text, re.DOTALL)]

    (module,) = [unit for unit in c.c_sources(compile_problem(Problem(2, 2))) if unit.name == "module.c"]
    assert structures(module.text) == structures(abi.declarations())[:2]
    assert len(structures(module.text)) == 2
