"""Put a finished folder in the place of an older one: whoever looks sees the older one or the new one."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from logsig_codegen.build.artifact import MANIFEST, Artifact
from logsig_codegen.errors import ArtifactError

_HERE = -100
"""``AT_FDCWD``: paths are relative to the working folder."""
_RENAME_EXCHANGE = 2


def make_beside(target: Path) -> Path:
    """An empty hidden folder in that of ``target``; as any new folder, it has the mode that the umask leaves."""
    folder = target.parent / f".{target.name}-{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def carry_over(older: Artifact, folder: Path) -> None:
    """Bring what ``older`` was not generated with into ``folder``: hard links, and copies where there can be none.

    Raises
    ------
    ArtifactError
        If ``folder`` has something of the same name; nothing has been brought over then.
    OSError
        If something cannot be copied.
    """
    generated = {MANIFEST, *older.manifest["files"]}
    with os.scandir(older.path) as entries:
        others = [one for one in entries if one.name not in generated or one.is_dir(follow_symlinks=False)]
    for one in others:
        if os.path.lexists(folder / one.name):
            raise ArtifactError(
                f"{one.path}: is not a file that was generated, but has the name of one; move it away, or generate "
                "into another folder"
            )
    for one in others:
        if one.is_dir(follow_symlinks=False):
            shutil.copytree(one.path, folder / one.name, symlinks=True, copy_function=_link)
        else:
            _link(one.path, str(folder / one.name))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def put_in_place(folder: Path, target: Path) -> None:
    """Make ``folder`` the one at ``target``; an older one is afterwards at ``folder``, or gone.

    On Linux the two are exchanged in one step. Where the system or the file system cannot do that, the older one is
    renamed first; if the second renaming fails, it gets its name back.

    Raises
    ------
    OSError
        If that fails; the older folder is where it was.
    """
    if not os.path.lexists(target):
        os.rename(folder, target)
    elif not _exchange(folder, target):
        aside = make_beside(target)
        try:
            os.rename(target, aside)  # onto an empty folder
        except OSError:
            aside.rmdir()
            raise
        try:
            os.rename(folder, target)
        except BaseException:
            os.rename(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, if that can be done."""
    import ctypes

    try:
        function = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):  # TypeError: Windows has no library without a name
        return False
    paths = (ctypes.c_char_p(os.fsencode(path)) for path in (one, other))
    status: int = function(_HERE, next(paths), _HERE, next(paths), ctypes.c_uint(_RENAME_EXCHANGE))
    return status == 0
