"""Packs: installed distributions that bring compiled kernels, as parts of one namespace package.

A pack is a folder of the namespace package ``logsig_kernels`` with an index, ``pack.json``, and in it a folder per
level of processors, with a folder per problem::

    logsig_kernels/logsig_kernels_common/pack.json
    logsig_kernels/logsig_kernels_common/x86-64-v3/d5_n3/manifest.json
    logsig_kernels/logsig_kernels_common/x86-64-v3/d5_n3/liblogsig_d5_n3.so

The import system finds the package's folders in a fifth of a millisecond, wherever distributions are installed; nothing
is imported. Whether a problem is there is asked of the file system: nothing lists the problems but the folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from logsig_codegen._version import ABI_VERSION, __version__
from logsig_codegen.build import cpu
from logsig_codegen.build.platforms import NATIVE
from logsig_codegen.build.toolchain import check_march
from logsig_codegen.errors import shown
from logsig_codegen.operations import groups_to_prepare
from logsig_codegen.problem import Problem

NAMESPACE = "logsig_kernels"
INDEX = "pack.json"
FORMAT = 1
COMMON: tuple[Problem, ...] = tuple(
    Problem(dimension, degree) for degree, most in ((2, 10), (3, 6), (4, 4), (5, 3)) for dimension in range(2, most + 1)
)
"""The problems of the common pack: up to which dimension, for each degree."""
COMMON_NAME = "logsig-kernels-common"


@dataclass(frozen=True)
class Level:
    """The kernels of a pack for one kind of processors.

    Attributes
    ----------
    march : str
        What they were compiled for, such as ``"x86-64-v3"``.
    features : tuple of str
        What a processor must have to run them.
    """

    march: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class Pack:
    """A pack that is installed.

    Attributes
    ----------
    name : str
    folder : Path
    levels : tuple of Level
        As its index lists them.
    refused : str
        Why it is passed over; empty where it is used.
    """

    name: str
    folder: Path
    levels: tuple[Level, ...] = ()
    refused: str = ""

    @property
    def usable(self) -> tuple[Level, ...]:
        """The levels that this processor runs."""
        if self.refused:
            return ()
        if cpu.features() is None:  # it cannot be asked: the one that demands least
            return tuple(sorted(self.levels, key=lambda level: len(level.features))[:1])
        return tuple(level for level in self.levels if not cpu.missing_features(level.features))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems it has, in order."""
        found = set()
        for level in self.levels:
            folder = self.folder / level.march
            for name in os.listdir(folder) if folder.is_dir() else ():
                problem = Problem.named(name)
                if problem is not None:
                    found.add(problem)
        return tuple(sorted(found, key=lambda one: (one.dimension, one.degree)))

    @property
    def state(self) -> str:
        """What it has, or why it is passed over: half a sentence."""
        if self.refused:
            return f"passed over: {self.refused}"
        problems = self.problems
        listed = " ".join(f"({one.dimension},{one.degree})" for one in problems)
        count = f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}"
        return f"{count} for {', '.join(level.march for level in self.levels)}: {listed}"


def installed() -> tuple[Pack, ...]:
    """The packs that are installed now, by name; of two with one name the one that an import would find."""
    found = find_spec(NAMESPACE)
    packs: dict[str, Pack] = {}
    for place in (found and found.submodule_search_locations) or ():
        for folder in Path(place).iterdir() if os.path.isdir(place) else ():
            if (folder / INDEX).is_file():
                packs.setdefault(folder.name, _read(folder))
    return tuple(packs[name] for name in sorted(packs))


def folders(problem: Problem, march: str = NATIVE) -> Iterator[Path]:
    """The folders that packs have for a problem: the best level this processor runs first, then by names of packs.

    ``march``: ``"native"``, or a level; of others packs have nothing.
    """
    levels = [(level, pack) for pack in installed() for level in pack.usable if march in (NATIVE, level.march)]
    for level, pack in sorted(levels, key=lambda one: -len(one[0].features)):
        folder = pack.folder / level.march / problem.name
        if folder.is_dir():
            yield folder


def index_text(name: str, levels: tuple[Level, ...], machine: str) -> str:
    """The index of a pack for a machine."""
    index = {
        "format": FORMAT,
        "name": name,
        "package_version": __version__,
        "abi_version": ABI_VERSION,
        "machine": machine,
        "levels": [{"march": level.march, "features": list(level.features)} for level in levels],
    }
    return json.dumps(index, indent=2) + "\n"


def advice(problem: Problem, groups: Sequence[str]) -> str:
    """How to get kernels that no installed pack has: sentences."""
    made_by = f"logsig-gen pack --dim {problem.dimension} --degree {problem.degree}"
    if not set(groups) <= set(groups_to_prepare(problem)):
        made_by += " --operations all"
    if problem in COMMON:
        made_by = f"logsig-gen pack --common (or {made_by})"
    passed = [f"{pack.name} is {pack.state}." for pack in installed() if pack.refused]
    return " ".join(
        [
            f"Install a pack of kernels that has them; on a machine with a C compiler, {made_by} writes one for pip to "
            "install. Or name a folder written by logsig-gen in $LOGSIG_CODEGEN_PATH.",
            *passed,
        ]
    )


def _read(folder: Path) -> Pack:
    """The pack of a folder with an index."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        levels = tuple(Level(check_march(one["march"]), tuple(map(str, one["features"]))) for one in index["levels"])
        about = {name: index[name] for name in ("name", "format", "package_version", "abi_version", "machine")}
    except OSError as error:
        return Pack(folder.name, folder, refused=f"{folder / INDEX} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Pack(folder.name, folder, refused=f"{folder / INDEX} is no index of a pack: {error!r}")
    return Pack(str(about["name"]), folder, levels, _reason(about, levels))


def _reason(about: dict[str, object], levels: tuple[Level, ...]) -> str:
    """Why a pack that describes itself so is passed over."""
    here = {"format": FORMAT, "package_version": __version__, "abi_version": ABI_VERSION, "machine": cpu.machine()}
    for name, value in here.items():
        if about[name] != value:
            return f"its {name} is {shown(about[name])}, here it is {value!r}"
    if not levels:
        return "it has no levels"
    if not Pack("", Path(), levels).usable:
        lacking = {level.march: ", ".join(cpu.missing_features(level.features)) for level in levels}
        return "; ".join(f"{march} needs {what}, which this processor lacks" for march, what in lacking.items())
    return ""
