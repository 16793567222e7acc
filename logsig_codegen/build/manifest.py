"""What the manifest of a folder has to say: every field with its type, checked once, when it is read.

A manifest is a file that anybody may have written, copied halfway, or edited. What :func:`parse` returns has all fields
of its target, each of the type its readers expect, so that nobody else has to ask.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from logsig_codegen.errors import shown
from logsig_codegen.problem import Problem

MANIFEST = "manifest.json"
FORMAT = 2
MOST_BYTES = 1 << 24
"""A longer file is no manifest: those of the largest problems have some hundred kilobytes."""
MOST_LEVELS = 32
"""Lists and objects within one another, at most."""
MOST = 2**63 - 1
_MOST_INT = 2**31 - 1

Check: TypeAlias = "Callable[[str, Any], None]"
"""Raises ``ValueError`` with the field, what was expected and what is there."""


def parse(content: bytes) -> Mapping[str, Any]:
    """A manifest, checked; numbers, lists and objects as :mod:`json` has them.

    Raises
    ------
    ValueError
        Naming the field, what was expected and what is there.
    """
    try:
        manifest = json.loads(
            content.decode(),
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_float=_finite_number,
            parse_constant=_finite_number,
        )
    except RecursionError:
        raise ValueError(f"is not a manifest: it is nested in more than {MOST_LEVELS} levels") from None
    except ValueError as error:
        raise ValueError(f"is not a manifest: {error}") from None
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int or manifest["format"] != FORMAT:
        raise ValueError(f"is not a manifest of format {FORMAT}")
    if _levels(manifest) > MOST_LEVELS:
        raise ValueError(f"is not a manifest: it is nested in more than {MOST_LEVELS} levels")
    _manifest(manifest)
    return MappingProxyType(manifest)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > 400:  # what is merely too large is told by the name of its field
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]}")
    return number


def _levels(value: Any) -> int:
    """Lists and objects within one another."""
    levels, inside = 0, [value]
    while inside := [one for one in inside if isinstance(one, (dict, list))]:
        levels += 1
        inside = [part for one in inside for part in (one.values() if isinstance(one, dict) else one)]
    return levels


# -- types of fields ------------------------------------------------------------------------------------------------


def _wrong(where: str, expected: str, value: Any) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {shown(value)}")


def _text(where: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong(where, "a text", value)


def _flag(where: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)


def _digest(where: str, value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise _wrong(where, "64 hexadecimal digits", value)


def _file_name(where: str, value: Any) -> None:
    """A file of the folder itself: no way leads out of it, on any system."""
    plain = isinstance(value, str) and value.isprintable() and not set(value) & set("/\\:")
    if not plain or value in ("", ".", "..", MANIFEST):
        raise _wrong(where, "the name of a file in the folder", value)


def _number(least: int = 0, most: int = MOST) -> Check:
    def check(where: str, value: Any) -> None:
        if type(value) is not int or not least <= value <= most:
            raise _wrong(where, f"a number from {least} to {most}", value)

    return check


def _optional(inner: Check) -> Check:
    def check(where: str, value: Any) -> None:
        if value is not None:
            inner(where, value)

    return check


def _list(inner: Check) -> Check:
    def check(where: str, value: Any) -> None:
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        for index, one in enumerate(value):
            inner(f"{where}[{index}]", one)

    return check


def _by_name(inner: Check, name: Check = _text) -> Check:
    def check(where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        for key, one in value.items():
            name(f"{where}: {shown(key)}", key)
            inner(f"{where}.{key}", one)

    return check


def _record(**fields: Check) -> Check:
    def check(where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        _fields(value, fields, f"{where}.", f"{where}: ")

    return check


def _fields(value: Mapping[str, Any], fields: Mapping[str, Check], prefix: str = "", where: str = "") -> None:
    missing = [name for name in fields if name not in value]
    if missing:
        raise ValueError(f"{where}lacks {', '.join(missing)}")
    for name, check in fields.items():
        check(f"{prefix}{name}", value[name])


# -- fields ---------------------------------------------------------------------------------------------------------

_COUNT = _number()
_FIELDS: Mapping[str, Check] = {
    "abi_version": _COUNT,
    "package_version": _text,
    "key": _text,
    "dimension": _number(1),
    "degree": _number(1),
    "size": _number(1),
    "plan": _by_name(_text),
    "operations": _by_name(_record(multiply_adds=_COUNT, additions=_COUNT, scalings=_COUNT, total=_COUNT)),
    "form": _by_name(_text),
    "bytes_per_sample": _by_name(_record(float32=_COUNT, float64=_COUNT)),
    "groups": _list(_text),
    "dtypes": _list(_text),
    "sources": _list(_file_name),
    "library": _optional(_file_name),
    "files": _by_name(_record(size=_COUNT, sha256=_digest), _file_name),
}
"""Those of every folder."""

_LIBRARY: Mapping[str, Check] = {
    "compiler": _record(path=_text, version=_text),
    "flags": _list(_text),
    "openmp": _flag,
    "march": _text,
    "cpu": _record(machine=_text, features=_list(_text)),
}
"""What a C library was compiled with."""

_INT = _number(most=_MOST_INT)
_KERNELS: Mapping[str, Check] = {
    "compiler": _optional(_record(name=_text, version=_text)),
    "architectures": _list(_text),
    "kernels": _list(
        _record(
            operation=_text,
            dtype=_text,
            symbol=_text,
            form=_text,
            samples=_INT,
            columns=_by_name(_INT),
            shape=_record(warps=_INT, warp_bytes=_INT),
            binary=_optional(_file_name),
        )
    ),
}
"""The kernels of a folder for GPUs."""


def _manifest(manifest: Mapping[str, Any]) -> None:
    _fields(manifest, _FIELDS)
    Problem(manifest["dimension"], manifest["degree"])
    target = manifest.get("target", "c")
    _text("target", target)
    if "request" in manifest:
        _by_name(lambda where, value: None)("request", manifest["request"])
    for operation in {name.split(".")[0] for name in manifest["operations"]}:
        for field in ("plan", "form", "bytes_per_sample"):
            if operation not in manifest[field]:
                raise ValueError(f"{field}: lacks {operation!r}, which is among the operations")
    if target == "c":
        without = manifest["library"] is None
        _fields(manifest, {name: _optional(check) for name, check in _LIBRARY.items()} if without else _LIBRARY)
        if not without and manifest["library"] not in manifest["files"]:
            raise ValueError(f"library: {manifest['library']!r} is not among the files")
    elif target == "cuda":
        _fields(manifest, _KERNELS)
