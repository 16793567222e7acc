"""Where a kernel comes from: what it was loaded with, which its copies remember."""

from __future__ import annotations

import os
from typing import NamedTuple

VARIABLE = "LOGSIG_CODEGEN_PATH"
"""Names folders of artifacts in the environment."""


class Origin(NamedTuple):
    """Where a kernel comes from: what :func:`logsig_codegen.load` was given.

    Attributes
    ----------
    folders : tuple of str, optional
        Folders of artifacts; ``None``: those that the environment names when they are looked through.
    march : str
        Processor that is compiled for.
    max_terms : int, optional
        The limit on the size of problems, where the usual one was not wanted.
    """

    folders: tuple[str, ...] | None = None
    march: str = "native"
    max_terms: int | None = None


DEFAULT_ORIGIN = Origin()


def named_folders(origin: Origin) -> tuple[str, ...]:
    """The folders of artifacts to look through: those given, else those of the environment variable."""
    if origin.folders is not None:
        return origin.folders
    return tuple(filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)))
