"""What a shared library of Linux needs from other libraries: names and versions, read from the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"
"""How a file of 64 bits, little endian, begins."""
_SEGMENT = "<IIQQQQ"
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS, _VERSIONS, _VERSION_COUNT = 1, 5, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True)
class Needs:
    """What a library needs.

    Attributes
    ----------
    libraries : tuple of str
        Such as ``"libc.so.6"``.
    versions : tuple of str
        Versions of their symbols, such as ``"GLIBC_2.34"``.
    """

    libraries: tuple[str, ...]
    versions: tuple[str, ...]


def needs(path: Path) -> Needs:
    """Read what a library needs.

    Raises
    ------
    ValueError
        If it is no whole ELF file of 64 bits, little endian.
    """
    try:
        return _needs(path.read_bytes())
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"{path}: is no ELF file of 64 bits, or is cut off") from error


def _needs(content: bytes) -> Needs:
    if content[:6] != MAGIC:
        raise IndexError
    found = list(segments(content))
    dynamic: list[tuple[int, int]] = []
    for kind, offset, _, size in found:
        if kind == _DYNAMIC:
            dynamic = [struct.unpack_from("<qQ", content, offset + at) for at in range(0, size - 15, 16)]

    def offset_of(address: int) -> int:
        return next(o + address - a for kind, o, a, size in found if kind == _LOAD and a <= address < a + size)

    tags = dict(dynamic)
    if _STRINGS not in tags:
        return Needs((), ())
    strings = offset_of(tags[_STRINGS])

    def text(index: int) -> str:
        return content[strings + index : content.index(b"\0", strings + index)].decode()

    libraries = tuple(text(value) for tag, value in dynamic if tag == _NEEDED)
    versions = []
    at = offset_of(tags[_VERSIONS]) if _VERSIONS in tags else 0
    for _ in range(tags.get(_VERSION_COUNT, 0)):
        _, count, _, auxiliary, following = struct.unpack_from("<HHIII", content, at)
        one = at + auxiliary
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", content, one)
            versions.append(text(name))
            one += step
        at += following
    return Needs(libraries, tuple(dict.fromkeys(versions)))


def segments(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset, address and size in the file of each segment; raises ``IndexError`` where the table is cut off."""
    (first,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for start in range(first, first + size * count, max(size, 1)):
        if start + struct.calcsize(_SEGMENT) > len(content):
            raise IndexError
        kind, _, offset, address, _, length = struct.unpack_from(_SEGMENT, content, start)
        yield kind, offset, address, length
