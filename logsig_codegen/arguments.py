"""How the arguments of the command ``logsig-gen`` are read, and sizes shown."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence

from logsig_codegen.build import platforms
from logsig_codegen.operations import GROUPS

ALL = "all"


def numbers(text: str) -> tuple[int, ...]:
    """``"2,4-6"`` as ``(2, 4, 5, 6)``: numbers and ranges from 1 up, in the order given, each once."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?", part)
        if match is None:
            raise argparse.ArgumentTypeError(f"expected numbers such as 5, 2-5 or 2,4-6, got {text!r}")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if first < 1 or last < first:
            raise argparse.ArgumentTypeError(f"expected numbers from 1 up, and ranges from low to high, got {text!r}")
        if last - first >= 1000:
            raise argparse.ArgumentTypeError(f"expected a range of at most 1000 numbers, got {text!r}")
        found.update(dict.fromkeys(range(first, last + 1)))
    return tuple(found)


def add_platform(parser: argparse._ActionsContainer) -> None:
    """The option that names a machine to compile for."""
    parser.add_argument(
        "--platform",
        choices=tuple(platforms.CROSS),
        metavar="NAME",
        help=f"machine to compile for, by Zig: {', '.join(platforms.CROSS)} (default: this one, by its own compiler)",
    )


def positive(text: str) -> int:
    """A whole number from 1 up; underscores may group its digits."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return number


def choices(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"expected one or more of {', '.join(known)}, got {name!r}")
        return chosen

    return read


def operations(text: str) -> tuple[str, ...] | None:
    """Groups of operations; ``None`` for all that a problem can have."""
    chosen = choices((*GROUPS, ALL))(text)
    return None if ALL in chosen else chosen


def readable_size(count: int) -> str:
    """A number of bytes, in the unit that suits it."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
