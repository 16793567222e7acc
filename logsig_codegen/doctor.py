"""What would be used on this machine to compile, load and run, and why: ``logsig-gen doctor``."""

from __future__ import annotations

import os
import shutil
from typing import Any

from logsig_codegen import targets
from logsig_codegen._version import __version__
from logsig_codegen.build import cache, cpu, packs, policy, toolchain, ziglang
from logsig_codegen.build.cache import Place
from logsig_codegen.errors import CompilerError
from logsig_codegen.runtime.origin import VARIABLE


def examine(march: str = "native") -> dict[str, Any]:
    """Examine the machine: compilers found, flags and their reasons, processor, cache; JSON-able.

    Runs the compiler to ask what it can do; writes nothing. Problems are reported, not raised: where nothing can be
    compiled ``"compiler"`` is ``None`` and ``"problem"`` says why.

    Raises
    ------
    TypeError, ValueError
        If ``march`` cannot be the name of a processor.
    """
    toolchain.check_march(march)
    folder, place = cache.cache_dir(), cache.place()
    found: dict[str, Any] = {
        "version": __version__,
        "machine": cpu.machine(),
        "processors": cpu.usable_processors(),
        "compilers": {
            "$CC": os.environ.get("CC") or None,
            **{n: shutil.which(n) for n in toolchain.CANDIDATES},
            ziglang.PACKAGE: ziglang.program(),
        },
        "compiler": None,
        "problem": None,
        "cache": {"path": str(folder), "state": _state(place), "entries": _entries()},
        "targets": {name: _found(target) for name, target in targets.known().items()},
        "artifacts": {"variable": VARIABLE, "value": os.environ.get(VARIABLE)},
        "packs": {pack.name: pack.state for pack in packs.installed()},
        "build": {"variable": policy.VARIABLE, "value": policy.policy()},
    }
    try:
        tools = toolchain.describe(toolchain.find_compiler(), march)
    except (CompilerError, OSError) as error:
        return {**found, "problem": str(error)}
    flags = dict.fromkeys((*tools.compile_flags, *tools.link_flags))
    return {
        **found,
        "compiler": {"path": tools.compiler.path, "version": tools.version, "origin": tools.compiler.origin},
        "march": march,
        "openmp": tools.openmp,
        "flags": [{"flag": flag.text, "reason": flag.reason} for flag in flags],
        "rejected_flags": [{"flag": flag.text, "reason": flag.reason} for flag in tools.rejected],
        "features": list(tools.features),
        "missing_features": list(cpu.missing_features(tools.features)),
    }


def _found(target: targets.Target) -> str:
    try:
        return target.found()
    except OSError as error:  # the system refuses what it takes to ask
        return str(error)


def _entries() -> dict[str, list[str]]:
    """The entries of the cache and the groups of operations each has; none where its manifest cannot be read."""
    names = cache.entries()
    return {
        entry.path.name: [] if entry.artifact is None else [str(group) for group in entry.artifact.groups]
        for entry in cache.contents()
        if entry.path.name in names
    }


def _state(place: Place) -> str:
    """Whether the cache can be written, or made."""
    instead = "a temporary folder is used instead"
    if place.refused:
        return f"not used: {place.refused}; {instead}"
    if place.root.is_dir():
        return "writable" if os.access(place.root, os.W_OK) else f"cannot be written; {instead}"
    parent = next(parent for parent in place.root.parents if parent.exists())
    if parent.is_dir() and os.access(parent, os.W_OK):
        return "made when it is first needed"
    return f"cannot be made in {parent}; {instead}"
