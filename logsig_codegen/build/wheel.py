"""Wheels that hold data: written with fixed dates and in a fixed order, so that equal files give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from logsig_codegen.build.elf import needs
from logsig_codegen.build.platforms import Platform
from logsig_codegen.errors import shown

_OF_C = re.compile(r"lib(c|m|pthread)\.so\.[06]\Z|ld-linux-.*\Z")
_VERSION_OF_C = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_OLDEST = (2, 17)
"""The oldest system that wheels are made for; numpy has none for older ones."""
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can tell
_WHEEL = ("Wheel-Version: 1.0", "Generator: logsig-codegen", "Root-Is-Purelib: false")
_NAME = re.compile(r"[a-z]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)


@dataclass(frozen=True)
class Wheel:
    """What a wheel says about itself.

    Attributes
    ----------
    name, version : str
        Of the distribution.
    platform : str
        The tag of the systems it is for; see :func:`platform_tag`.
    summary : str
    description : str
        Markdown.
    requires : tuple of str
        Distributions that it needs.
    license : str
        SPDX expression; its text is given with the files.
    """

    name: str
    version: str
    platform: str
    summary: str
    description: str
    requires: tuple[str, ...]
    license: str


def check_name(name: str) -> str:
    """Return ``name`` if a distribution can have it.

    Raises
    ------
    ValueError
        If it does not begin with a letter, or has other characters than letters, digits, ``-``, ``_`` and ``.``.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name: expected letters, digits, '-', '_' and '.', a letter first, got {shown(name)}")
    return name


def module_name(name: str) -> str:
    """The importable name of a distribution that has one module."""
    return re.sub(r"[-_.]+", "_", name).lower()


def platform_tag(libraries: Iterable[Path], platform: Platform) -> str:
    """The systems that compiled libraries run on: ``manylinux_2_34_x86_64`` where they need the C library only.

    The two numbers are the newest version of the C library that any of them asks for. Where something else is needed,
    or the platform is not Linux, it is the platform's own tag, such as ``linux_x86_64``.
    """
    plain = platform.wheel_tag
    if not plain.startswith("linux_"):
        return plain
    newest = _OLDEST
    for path in libraries:
        found = needs(path)
        versions = [_VERSION_OF_C.fullmatch(version) for version in found.versions]
        if not all(map(_OF_C.match, found.libraries)) or None in versions:
            return plain
        newest = max(newest, *((int(one[1]), int(one[2])) for one in versions if one), _OLDEST)
    return f"many{plain.replace('_', f'_{newest[0]}_{newest[1]}_', 1)}"


def write_wheel(folder: Path, wheel: Wheel, files: Mapping[str, bytes | Path], license_text: str) -> Path:
    """Write a wheel of ``files``, archive name to content or to a file that has it; returns its path.

    It appears when it is complete. Raises ``OSError`` if it cannot be written.
    """
    about = f"{module_name(wheel.name)}-{wheel.version}.dist-info"
    tag = f"py3-none-{wheel.platform}"
    members: dict[str, bytes | Path] = {
        **dict(sorted(files.items())),
        f"{about}/METADATA": _metadata(wheel).encode(),
        f"{about}/WHEEL": "\n".join([*_WHEEL, f"Tag: {tag}", ""]).encode(),
        f"{about}/licenses/LICENSE": license_text.encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module_name(wheel.name)}-{wheel.version}-{tag}.whl"
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(aside, "w") as archive:
            record = "".join(_add(archive, name, content) for name, content in members.items())
            _add(archive, f"{about}/RECORD", f"{record}{about}/RECORD,,\n".encode())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def _add(archive: zipfile.ZipFile, name: str, source: bytes | Path) -> str:
    """Add a member; its line of RECORD."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    member = zipfile.ZipInfo(name, _DATE)
    member.external_attr = 0o100644 << 16
    member.create_system = 3  # Unix, wherever it is written
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, content, compresslevel=9)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def _metadata(wheel: Wheel) -> str:
    lines = ["Metadata-Version: 2.4", f"Name: {wheel.name}", f"Version: {wheel.version}", f"Summary: {wheel.summary}"]
    lines += [
        f"License-Expression: {wheel.license}",
        "License-File: LICENSE",
        "Description-Content-Type: text/markdown",
    ]
    lines += [f"Requires-Dist: {one}" for one in wheel.requires]
    return "\n".join([*lines, "", wheel.description, ""])
