"""Kernels for many calls along paths, compiled into one library: half the work of a library for each group."""

from __future__ import annotations

from pathlib import Path

from shared import once

import logsig_codegen as lg
from logsig_codegen.build.cache import package_fingerprint
from logsig_codegen.problem import Problem
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import build_into
from logsig_codegen.targets.c import C

PATHS = ("join", "log_sig", "log_sig_backprop", "combine", "combine_backprop")
BY_SIGNATURE = ("log_sig_by_signature", "log_sig_by_signature_backprop")


def load(dimension: int, degree: int, groups: tuple[str, ...] = (*PATHS, *BY_SIGNATURE)) -> lg.LogSigKernel:
    """A kernel with these groups; others cannot be called. Use it where no other test needs the problem."""
    spec = BuildSpec(Problem(dimension, degree), groups)

    def make(folder: Path) -> None:
        build_into(folder, C, spec, C.tools(spec))

    name = f"together/{package_fingerprint()[:16]}-{spec.problem.name}-{'-'.join(groups)}"
    return lg.load(dimension, degree, artifacts=once(name, make))
