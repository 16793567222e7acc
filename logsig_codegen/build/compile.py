"""Compile source units, in parallel, and link them into one shared library."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from logsig_codegen.build.cpu import usable_processors
from logsig_codegen.build.toolchain import Toolchain
from logsig_codegen.errors import CompilerError
from logsig_codegen.stages import stage

if TYPE_CHECKING:
    from logsig_codegen.emit.unit import SourceUnit


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
        with stage("compile C"), ThreadPoolExecutor(max_workers=max(1, jobs or usable_processors())) as pool:
            running = [
                pool.submit(_run, command, folder, task[1]) for command, task in zip(commands, tasks, strict=True)
            ]
            try:
                for future in running:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        outputs = [f"{relative}/{target}" for target, _, _ in tasks]
        link = [flag.text for flag in toolchain.link_flags]
        with stage("link C", library):
            _run((*toolchain.compiler.command, *outputs, "-o", library, *link), folder, "")


def _run(command: tuple[str, ...], folder: Path, source: str) -> None:
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        raise CompilerError(f"The C compiler {command[0]!r} cannot be run: {error}", command=command) from error
    if result.returncode != 0:
        kept = os.path.join(_keep(folder), source) if source else _keep(folder)
        raise CompilerError(
            f"The C compiler failed with status {result.returncode}.\n"
            f"command: {shlex.join(command)}\nsource: {kept}\n{result.stderr.strip()}",
            command=command,
            stderr=result.stderr,
            source=kept,
        )


def _keep(folder: Path) -> str:
    """Copy the sources to a temporary folder that outlives the build, for whoever wants to run the command again."""
    kept = tempfile.mkdtemp(prefix="logsig_codegen-failed-")
    for file in sorted(folder.iterdir()):
        if file.is_file():
            shutil.copy(file, kept)
    return kept
