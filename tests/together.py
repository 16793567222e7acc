"""Libraries of several groups, each compiled once in a run: for many calls along paths, and with everything."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from shared import once

import logsig_codegen as lg
from logsig_codegen.build.cache import package_fingerprint
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.problem import Problem
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import build_into
from logsig_codegen.targets.c import C

PATHS = ("join", "log_sig", "log_sig_backprop", "combine", "combine_backprop")
BY_SIGNATURE = ("log_sig_by_signature", "log_sig_by_signature_backprop")


def load(dimension: int, degree: int, groups: tuple[str, ...] = (*PATHS, *BY_SIGNATURE)) -> lg.LogSigKernel:
    """A kernel with these groups in one library: less work where no other test needs the problem."""
    spec = BuildSpec(Problem(dimension, degree), groups)

    def make(folder: Path) -> None:
        build_into(folder, C, spec, C.tools(spec))

    name = f"together/{package_fingerprint()[:16]}-{spec.problem.name}-{'-'.join(groups)}"
    return lg.load(dimension, degree, artifacts=once(name, make))


def complete() -> Path:
    """A folder that holds the folder of dimension 2 and degree 3, complete, compiled without a warning."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("CC", shlex.join((*find_compiler().command, "-Wall", "-Wextra", "-Werror")))
            lg.generate(2, 3, folder)

    return once(f"complete/{package_fingerprint()[:16]}", make)
