"""Compile source units, in parallel, and link them into one shared library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from logsig_codegen.build import progress
from logsig_codegen.build.cache.failures import check
from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.build.processes import Crew, run
from logsig_codegen.build.toolchain import Toolchain
from logsig_codegen.stages import stage

if TYPE_CHECKING:
    from logsig_codegen.emit.unit import SourceUnit

NAME = "The C compiler"


def compile_library(
    folder: Path, units: Sequence[SourceUnit], library: str, toolchain: Toolchain, *, jobs: int | None = None
) -> None:
    """Compile the units, whose texts stand in ``folder``, and link them into ``folder/library``.

    Each C unit is compiled once per variant, at most ``jobs`` (default: the usable processors) at a time. Commands run
    inside the folder and name files relative to it, so that no absolute path reaches the library.

    Raises
    ------
    CompilerError
        With the command, what the compiler printed, and a kept copy of the source (of the folder, if linking failed).
    """
    flags = [flag.text for flag in toolchain.compile_flags]
    tasks = [
        (f"{Path(unit.name).stem}-{index}.o", unit.name, [f"-D{definition}" for definition in variant])
        for unit in sorted(units, key=lambda unit: -len(unit.text))  # the longest first, so that none is left over
        if unit.language == "c"
        for index, variant in enumerate(unit.variants)
    ]
    with tempfile.TemporaryDirectory(prefix="objects-", dir=folder) as objects:
        relative = os.path.basename(objects)
        commands = [
            (*toolchain.compiler.command, *flags, *definitions, "-c", source, "-o", f"{relative}/{target}")
            for target, source, definitions in tasks
        ]
        environment = toolchain.compiler.environment
        workers = max(1, jobs or usable_processors())
        progress.expect(len(tasks))
        with stage("compile C"), Crew() as crew:
            finished = crew.each(commands, folder, workers, environment=environment)
            for (target, source, _), done in zip(tasks, finished, strict=True):
                check(done, NAME, folder, output=f"{relative}/{target}", source=source)
                progress.done()
        outputs = [f"{relative}/{target}" for target, _, _ in tasks]
        link = [flag.text for flag in toolchain.link_flags]
        with stage("link C", library):
            command = (*toolchain.compiler.command, *outputs, "-o", library, *link)
            before = {*os.listdir(folder), library}
            check(run(command, folder, environment=environment), NAME, folder, output=library)
            for other in set(os.listdir(folder)) - before:  # linkers for Windows write libraries for other linkers
                os.unlink(folder / other)
