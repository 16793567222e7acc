"""What the template of kernels with shared states is given; every string arrives finished."""

from __future__ import annotations

from dataclasses import dataclass

from logsig_codegen.emit.cuda.device import DeviceFunction


@dataclass(frozen=True)
class PartsView:
    """One file."""

    symbol: str
    title: str
    introduction: tuple[str, ...]
    functions: tuple[DeviceFunction, ...]
    shape32: tuple[str, ...]
    shape64: tuple[str, ...]
    parts: tuple[PartView, ...]
    numbers: str
    take: tuple[str, ...]
    columns: tuple[ColumnsView, ...]
    parameters: tuple[str, ...]
    body: tuple[str, ...]


@dataclass(frozen=True)
class PartView:
    """The step of one warp: ``numbers`` are enumerators, ``lines`` its member function."""

    name: str
    numbers: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ColumnsView:
    """A row of which only some columns count; ``places`` are the lines of a table of them."""

    name: str
    places: tuple[str, ...]
