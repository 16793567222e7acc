"""Where the cache is, and whether what lies there is trusted: by ssh's rule, nothing that others could have written.

A folder that cannot be used is replaced by one of this process alone, with one warning that says why.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from logsig_codegen.build.cache import marks
from logsig_codegen.errors import CacheError, shown

VARIABLE = "LOGSIG_CODEGEN_CACHE"
TRUSTED = "LOGSIG_CODEGEN_CACHE_OWNERS"
NAMES = ("kernels", "logsig_codegen_kernels")
"""Names of the cache's own folder: the second where the first is somebody else's."""
_chosen: Path | None = None  # by set_cache_dir
_private: Path | None = None  # this process's own folder, where no other can be used
_warned: set[Path] = set()


@dataclass(frozen=True)
class Place:
    """The folder of entries in a folder that somebody named.

    Attributes
    ----------
    root : Path
        It need not exist yet.
    refused : str
        Why nothing is read or written there; empty where all is well.
    """

    root: Path
    refused: str = ""


def set_cache_dir(dir: str | os.PathLike[str]) -> None:
    """Keep the cache in ``dir``, an existing folder, from now on in this process.

    Its entries lie in a folder of their own there, ``kernels``; nothing else in ``dir`` is read, changed or removed.

    Raises
    ------
    TypeError
        If ``dir`` is not a path.
    ValueError
        If it does not exist or is not a folder.
    """
    global _chosen
    if not isinstance(dir, (str, os.PathLike)):
        raise TypeError(f"dir: expected a path, got {type(dir).__name__} {shown(dir)}")
    folder = Path(os.fsdecode(dir))
    if not os.path.exists(folder):
        raise ValueError(f"dir: {folder} does not exist")
    if not os.path.isdir(folder):
        raise ValueError(f"dir: {folder} is not a folder")
    _chosen = folder.absolute()


def cache_dir() -> Path:
    """The cache's folder: :func:`set_cache_dir`, else ``$LOGSIG_CODEGEN_CACHE``, else the platform's place for caches.

    It need not exist yet. For a user without a home folder (``$HOME`` is empty or missing) the platform has no such
    place, and it is one below that for temporary files, whose name has the number of the user.

    Raises
    ------
    CacheError
        If the variable names the home folder of a user who has none.
    """
    if _chosen is not None:
        return _chosen
    named = os.environ.get(VARIABLE)
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError:
            raise CacheError(f"${VARIABLE}: {named!r} is below a home folder ($HOME) that is not known") from None
    from platformdirs import user_cache_path

    with contextlib.suppress(RuntimeError):
        folder = user_cache_path("logsig_codegen", appauthor=False)
        if folder.is_absolute():
            return folder
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    return Path(tempfile.gettempdir(), f"logsig_codegen-{user}").absolute()


def place() -> Place:
    """The cache's folder as it is now; nothing is written."""
    base = cache_dir()
    for name in NAMES:
        root = base / name
        try:
            if not _may_be_ours(root):
                continue
            reason = _exposed(root)
            if not reason and root.exists():
                reason = distrust(os.lstat(root))
            reason = reason or _cannot_run(root)
        except OSError as error:
            reason = f"cannot be read ({error})"
        return Place(root, f"{root} {reason}" if reason else "")
    return Place(base / NAMES[0], f"{base} holds other things of these names: {', '.join(NAMES)}")


def roots() -> tuple[Path, ...]:
    """Folders that may hold entries, and may be trusted; a warning says so, once, where the cache's own may not."""
    found = place()
    if found.refused:
        _refuse(found.root, found.refused)
    return (*(() if found.refused else (found.root,)), *(() if _private is None else (_private / NAMES[0],)))


def writable_root() -> Path:
    """The cache's folder if entries can be written there, else, with one warning, a temporary one for this process.

    Raises
    ------
    CacheError
        If neither can be written.
    """
    found = place()
    reason = found.refused
    if not reason:
        try:
            if not marks.bears_mark(found.root):
                marks.mark_root(found.root.parent, found.root.name)
            with tempfile.TemporaryFile(dir=found.root):
                return found.root
        except OSError as error:
            reason = f"{found.root} cannot be written ({error})"
    return private_root(found.root, reason)


def private_root(root: Path, reason: str) -> Path:
    """A folder of this process alone instead of ``root``, removed when it ends; a warning says so, once per reason.

    Raises
    ------
    CacheError
        If there is none.
    """
    global _private
    try:
        if _private is None or not marks.is_own(_private / NAMES[0]):  # gone, or of the user that this process was
            folder = Path(tempfile.mkdtemp(prefix="logsig_codegen-")).absolute()
            marks.mark_root(folder, NAMES[0])
            if _cannot_run(folder):
                shutil.rmtree(folder, ignore_errors=True)
                raise OSError(f"{folder.parent} {_cannot_run(folder.parent)}")
            _private = folder
            atexit.register(_remove_private, folder, os.getpid())
    except OSError as error:
        raise CacheError(f"Neither {root} nor a temporary folder can be written: {reason}; {error}") from error
    _refuse(root, reason)
    return _private / NAMES[0]


def distrust(status: os.stat_result) -> str:
    """Why a file or folder may hold what others have written; empty if it cannot."""
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid not in _trusted():
        return f"belongs to another user ({_user(status.st_uid)}), who is not named in ${TRUSTED}"
    if status.st_mode & 0o022:
        return f"may be written by others (mode {stat.S_IMODE(status.st_mode):04o}); chmod go-w would help"
    return ""


def warn_once(folder: Path, text: str) -> None:
    """Warn about a folder, unless this process has done so before."""
    if folder not in _warned:
        _warned.add(folder)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def _refuse(root: Path, reason: str) -> None:
    warn_once(
        root,
        f"The cache folder {reason}; what this process compiles is kept in a temporary folder and lost when it ends. "
        f"Set ${VARIABLE} or call set_cache_dir to name a better place.",
    )


def _may_be_ours(root: Path) -> bool:
    """Whether it is our folder, or there is nothing yet in its place."""
    try:
        status = os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        return True
    return stat.S_ISDIR(status.st_mode) and (marks.bears_mark(root) or not os.listdir(root))


def _exposed(root: Path) -> str:
    """Why others may put another folder in its place: they can write to one above it."""
    for parent in Path(os.path.realpath(root)).parents:
        try:
            status = os.lstat(parent)
        except (FileNotFoundError, NotADirectoryError):  # it will be made
            continue
        sticky = status.st_mode & stat.S_ISVTX and status.st_uid in _trusted()
        if status.st_mode & stat.S_IWOTH and not sticky and hasattr(os, "geteuid"):
            return f"is in {parent}, which may be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _cannot_run(folder: Path) -> str:
    """Why no library can be loaded from there."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    with contextlib.suppress(OSError, AttributeError):  # not every system tells
        if os.statvfs(there).f_flag & os.ST_NOEXEC:
            return "is on a file system that is mounted noexec: no library can be loaded from there"
    return ""


def _trusted() -> frozenset[int]:
    """Users whose folders are read: oneself, root, and those of the environment variable."""
    return _users(os.geteuid(), os.environ.get(TRUSTED, "")) if hasattr(os, "geteuid") else frozenset((0,))


@lru_cache(maxsize=8)
def _users(me: int, named: str) -> frozenset[int]:
    import pwd

    found = {me, 0}
    for name in filter(None, (part.strip() for part in named.split(","))):
        try:
            found.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            raise CacheError(f"${TRUSTED}: expected names of users with commas between them, got {name!r}") from None
    return frozenset(found)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _remove_private(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not delete its parent's folder
        shutil.rmtree(folder, ignore_errors=True)
