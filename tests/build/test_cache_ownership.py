"""The cache touches nothing but its own, with locks and without, and reads nothing that others could have written.

Trusts the operating system: what lies in a folder before and after, owners, modes, and what other processes see. Most
entries are made by a target that compiles nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import RunPython, process_environment
from toy_target import ToyTarget

import logsig_codegen as lg
from logsig_codegen.build import cache
from logsig_codegen.build.artifact import MANIFEST, Artifact, read_artifact
from logsig_codegen.build.cache import locks, marks, places, retention
from logsig_codegen.problem import Problem
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import build_into, cached, make_request

SPEC = BuildSpec(Problem(2, 2), ("join",))
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
LONG_AGO = time.time() - 30 * 24 * 3600


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, and a process that has neither warned nor made a folder of its own yet."""
    base = tmp_path / "base"
    base.mkdir(mode=0o755)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv(places.VARIABLE, str(base))
    monkeypatch.setattr(places, "_private", None)
    monkeypatch.setattr(places, "_warned", set())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return base


def obtain(spec: BuildSpec = SPEC) -> Path:
    return cached(ToyTarget(), spec, lambda: None).path


def key(spec: BuildSpec = SPEC) -> str:
    return make_request(ToyTarget(), spec, None).folder


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Names, kinds and contents of all that lies in a folder; links are not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = os.readlink(path).encode() if stat.S_ISLNK(mode) else path.read_bytes() if stat.S_ISREG(mode) else b""
        found[str(path.relative_to(folder))] = (mode, content)
    return found


def somebodys(folder: Path) -> Path:
    """Fill a folder with what a person may have there, all of it old."""
    for name in (".git/objects", ".staging-mine", ".removed-x", "gaussian", f"{key()[:-4]}-old"):
        (folder / name).mkdir(parents=True)
        (folder / name / "notes.txt").write_text("mine")
    (folder / ".lock-mine").write_text("mine")
    (folder / ".lock-empty").touch()
    (folder / "rbf.py").write_text("mine")
    for path in folder.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    for path in folder.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


@contextlib.contextmanager
def the_warning(text: str) -> Iterator[None]:
    """Exactly one warning, with a text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(one.message) for one in caught if text in str(one.message)] == [str(one.message) for one in caught]
    assert len(caught) == 1


def everything() -> None:
    """What may remove something."""
    obtain()
    cache.clean(older_than=0.0, max_size=0)
    obtain()
    lg.clear_cache(use_disk=True)


def test_a_folder_of_the_same_name_is_somebody_elses(folder: Path) -> None:
    before = snapshot(somebodys(folder / "kernels"))
    assert obtain().parent.parent == folder  # beside it, and kept
    everything()
    assert snapshot(folder / "kernels") == before
    assert cache.entries() == ()


def test_what_others_keep_in_the_cache_stays(folder: Path) -> None:
    obtain()
    (folder / "kernels").rename(folder / "aside")
    before = snapshot(somebodys(folder / "kernels"))
    for path in (folder / "aside").iterdir():
        path.rename(folder / "kernels" / path.name)
    assert obtain().parent == folder / "kernels"
    everything()
    assert {name: what for name, what in snapshot(folder / "kernels").items() if name in before} == before


def test_a_copy_of_an_entry_is_no_entry(folder: Path) -> None:
    entry = obtain()
    shutil.copytree(entry, entry.with_name("backup"))
    shutil.copytree(entry, entry.with_name(f".staging-backup-{'0' * 8}"))
    lg.clear_cache(use_disk=True)
    assert sorted(path.name for path in entry.parent.iterdir()) == [
        ".logsig_codegen",
        ".staging-backup-00000000",
        "backup",
    ]


@pytest.mark.parametrize("name", ["kernels", "entry", "mark", "lock", "staging"])
def test_symbolic_links_are_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    obtain()
    elsewhere = tmp_path / "elsewhere"
    where = {
        "kernels": folder / "kernels",
        "entry": folder / "kernels" / key(),
        "mark": folder / "kernels" / key() / marks.MARK,
        "lock": folder / "kernels" / f".lock-{key()}",
        "staging": folder / "kernels" / f".staging-{key()}-01234567",
    }[name]
    if where.exists():
        where.rename(elsewhere)
    else:
        shutil.copytree(folder / "kernels" / key(), elsewhere)
    where.symlink_to(elsewhere)
    before = (elsewhere.read_bytes(), elsewhere.stat().st_mtime_ns) if elsewhere.is_file() else snapshot(elsewhere)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        everything()
    after = (elsewhere.read_bytes(), elsewhere.stat().st_mtime_ns) if elsewhere.is_file() else snapshot(elsewhere)
    assert after == before
    assert where.is_symlink()


def test_something_else_in_the_place_of_an_entry(folder: Path) -> None:
    lg.clear_cache()
    obtain()
    lg.clear_cache(use_disk=True)
    (folder / "kernels" / key()).mkdir()
    (folder / "kernels" / key() / "mine").write_text("mine")
    with the_warning(f"holds a {key()} that is not the cache's"):
        assert obtain().parent.parent != folder
        assert obtain().parent.parent != folder
    assert (folder / "kernels" / key() / "mine").read_text() == "mine"


def refuse_locks(monkeypatch: pytest.MonkeyPatch, folder: Path, how: str) -> None:
    if how == "a folder":
        (folder / "kernels" / f".lock-{key()}").mkdir()
    elif how == "another content":
        (folder / "kernels" / f".lock-{key()}").write_text("mine")
    else:

        def flock(descriptor: int, operation: int) -> None:
            number = getattr(errno, how)
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("how", ["a folder", "another content", "ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def test_without_a_lock_everybody_builds_aside(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    obtain()
    lg.clear_cache(use_disk=True)
    refuse_locks(monkeypatch, folder, how)
    all_build = threading.Barrier(6, timeout=60)
    target = ToyTarget()
    request = make_request(target, SPEC, None)

    def build(staging: Path) -> None:
        all_build.wait()
        build_into(staging, target, SPEC, None, request)
        time.sleep(0.05)
        assert (staging / MANIFEST).is_file()
        all_build.wait()

    def use(artifact: Artifact) -> bytes:
        return (artifact.path / "programs.py").read_bytes()

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: cache.obtain(request, build, use), range(6)))
    assert len(set(results)) == 1
    assert list(cache.entries()) == [key()]
    assert list((folder / "kernels").glob(".staging-*")) == []


@pytest.mark.parametrize("moment", ["before it is published", "before it is read", "before it is removed"])
def test_without_a_lock_others_publish_and_clear_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whatever another process does between two steps of this one, three times in a row."""
    obtain()
    refuse_locks(monkeypatch, folder, "ENOLCK")
    entry = folder / "kernels" / key()
    spare = folder / "spare"
    shutil.copytree(entry, spare)
    publish, remove, read = marks.publish, marks.remove, read_artifact
    left = [3]

    def once() -> bool:
        left[0] -= 1
        return left[0] >= 0

    def put_another() -> None:
        if not entry.exists():
            shutil.copytree(spare, entry)

    def published(staging: marks.Staging, target: Path) -> None:
        if moment == "before it is published" and once():
            put_another()
            try:
                publish(staging, target)
            finally:
                shutil.rmtree(entry)  # it has been cleared when this process looks
        publish(staging, target)

    def removed(path: Path) -> bool:
        if moment == "before it is removed" and path == entry and once():
            shutil.rmtree(entry)
            answer = remove(path)
            put_another()
            (entry / MANIFEST).write_text("damaged")
            return answer
        return remove(path)

    def looked_at(path: Path) -> Artifact:
        if moment == "before it is read" and path == entry and once():
            shutil.rmtree(entry)
            try:
                return read(path)
            finally:
                put_another()
        return read(path)

    monkeypatch.setattr(marks, "publish", published)
    monkeypatch.setattr(marks, "remove", removed)
    monkeypatch.setattr(sys.modules["logsig_codegen.build.cache.entries"], "read_artifact", looked_at)
    (entry / MANIFEST).write_text("damaged")
    assert obtain() == entry
    assert left[0] <= 0
    assert marks.is_own(entry)


def test_an_entry_that_is_cleared_while_it_is_looked_at_is_not_foreign(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = obtain()
    (entry / MANIFEST).write_text("damaged")
    is_own = marks.is_own

    def owned(path: Path) -> bool:
        if path == entry:
            shutil.rmtree(entry, ignore_errors=True)
        return is_own(path)

    monkeypatch.setattr(marks, "is_own", owned)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert obtain() == entry


def test_without_a_lock_nothing_is_swept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    obtain()
    other = dataclasses.replace(SPEC, groups=("combine",))
    with monkeypatch.context() as patch:
        refuse_locks(patch, folder, "ENOLCK")
        live = marks.stage(folder / "kernels", "d2_n2-live")
        os.utime(live.folder, (LONG_AGO, LONG_AGO))
        obtain(other)
        assert live.folder.is_dir()
    cache.clear()  # with locks that work again: whoever had none may be alive
    assert live.folder.is_dir()


def test_what_a_killed_process_left_is_swept_by_the_next(folder: Path, run_python: RunPython) -> None:
    obtain()
    code = f"""
    import os, signal
    from pathlib import Path
    from logsig_codegen.build.cache import marks
    root = Path({str(folder / "kernels")!r})
    staging = marks.stage(root, "d2_n2-dead")
    (staging.folder / "half").write_text("half")
    marks.stage(root, "d2_n2-gone").folder.rename(root / ".removed-d2_n2-gone-00000000")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    run_python(code, check=False)
    live = marks.stage(folder / "kernels", "d2_n2-live")
    assert len(list((folder / "kernels").glob(".[sr]*"))) == 3
    obtain(dataclasses.replace(SPEC, groups=("combine",)))
    assert list((folder / "kernels").glob(".[sr]*")) == [live.folder]
    live.close()
    assert list((folder / "kernels").glob(".[sr]*")) == []


def read_again(artifact: Artifact) -> Artifact:
    """As loading a library: an ``ArtifactError`` where it is gone."""
    return read_artifact(artifact.path)


def test_clearing_while_building_and_loading(folder: Path) -> None:
    over = threading.Event()

    def clear() -> int:
        count = 0
        while not over.is_set():
            cache.clear()
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        clearing = pool.submit(clear)
        try:
            for _ in range(30):
                assert cached(ToyTarget(), SPEC, lambda: None, read_again).groups == SPEC.groups
        finally:
            over.set()
        assert clearing.result() > 0


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_clearing_in_another_process_while_loading(folder: Path, compiled: bool) -> None:
    code = "from logsig_codegen.build import cache\nprint('ready', flush=True)\nwhile True: cache.clear()"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=process_environment(), stdout=subprocess.PIPE, text=True
    ) as clearing:
        try:
            assert clearing.stdout is not None
            assert clearing.stdout.readline() == "ready\n"
            for _ in range(3 if compiled else 30):
                if compiled:
                    lg.clear_cache()
                    assert lg.load(1, 1).size == 1
                else:
                    assert cached(ToyTarget(), SPEC, lambda: None, read_again).groups == SPEC.groups
        finally:
            clearing.kill()
            lg.clear_cache()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_follow_the_umask_and_are_never_wider_than_0755(folder: Path, umask: int) -> None:
    os.rmdir(folder)
    before = os.umask(umask)
    try:
        entry = obtain()
    finally:
        os.umask(before)
    for path in (folder, entry.parent, entry):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755 & ~umask, path
    for file in entry.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o644 & ~umask, file


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
@pytest.mark.parametrize("which", ["the cache", "an entry", "a file"])
def test_what_others_may_write_is_not_read(folder: Path, mode: int, which: str) -> None:
    entry = obtain()
    path = {"the cache": entry.parent, "an entry": entry, "a file": entry / MANIFEST}[which]
    path.chmod(mode)
    found = path.stat().st_ino
    with the_warning(f"{path} may be written by others (mode {mode:04o})" if path.is_dir() else "may be written"):
        other = obtain()
        assert obtain() == other
    assert (other.parent.parent != folder) == (which == "the cache")
    if which != "the cache":  # it was built again
        assert (entry.stat() if path == entry else (entry / MANIFEST).stat()).st_ino != found
        assert not entry.stat().st_mode & 0o022


def test_a_folder_that_others_may_replace_is_not_read(folder: Path) -> None:
    entry = obtain()
    folder.chmod(0o777)
    with the_warning(f"is in {folder}, which may be written by others (mode 0777)"):
        assert obtain() != entry
    folder.chmod(0o1777)  # as /tmp: others cannot rename what is there
    assert obtain() == entry


def test_one_warning_even_where_nothing_can_be_built(folder: Path) -> None:
    obtain().parent.chmod(0o777)

    def find() -> None:
        raise lg.CompilerNotFoundError("no compiler")

    with the_warning("may be written by others"):
        for _ in range(2):
            with pytest.raises(lg.CompilerNotFoundError):
                cached(ToyTarget(), SPEC, find)


@as_root
@pytest.mark.parametrize("which", ["the cache", "an entry", "a file"])
def test_what_others_own_is_not_read(folder: Path, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = obtain()
    path = {"the cache": entry.parent, "an entry": entry, "a file": entry / "programs.py"}[which]
    os.chown(path, NOBODY, -1)
    planted = path.stat().st_ino
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = obtain()
        assert obtain() == other
    assert any("belongs to another user (nobody)" in str(one.message) for one in caught)
    assert (other.parent.parent != folder) == (which != "a file")
    assert planted not in [file.stat().st_ino for file in (other, *other.iterdir())]
    monkeypatch.setenv(places.TRUSTED, "nobody")
    if which != "a file":
        assert obtain() == entry
    monkeypatch.setenv(places.TRUSTED, "no such user")
    with pytest.raises(lg.CacheError, match=r"LOGSIG_CODEGEN_CACHE_OWNERS: expected names of users .* 'no such user'"):
        obtain()


@as_root
@pytest.mark.parametrize(("umask", "trusting"), [(0o022, True), (0o022, False), (0o077, True)])
def test_two_users(umask: int, trusting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one user compiled another reads if he trusts him and may; else, and for more, he has a folder of his own."""
    base = Path(tempfile.mkdtemp(prefix="logsig-two-users-", dir="/tmp"))  # pytest's folders are closed to others
    try:
        _two_users(base, umask, trusting, monkeypatch)
    finally:
        shutil.rmtree(base)


def _two_users(base: Path, umask: int, trusting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, temporary = base / "base", base / "temporary"
    folder.mkdir()
    temporary.mkdir()
    for path, mode in ((base, 0o755), (folder, 0o755), (temporary, 0o1777)):
        path.chmod(mode)
    os.chown(folder, NOBODY, NOBODY)
    obtain()  # elsewhere: what is imported is readable
    monkeypatch.setenv(places.VARIABLE, str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def child(user: int, trusted: str, spec: BuildSpec) -> str:
        """What a forked process of a user prints."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:  # pragma: no cover
            try:
                os.umask(umask)
                os.environ[places.TRUSTED] = trusted
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    path = [obtain(spec), obtain(spec)][1]
                os.write(write, f"{path}\n{len(caught)}".encode())
            except BaseException as error:
                os.write(write, f"{type(error).__name__}: {error}".encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        return text

    path, warned = child(NOBODY, "", SPEC).split("\n")
    assert (Path(path).parent.parent, warned) == (folder, "0")
    second, warned = child(1234, "nobody" if trusting else "", SPEC).split("\n")
    if trusting and umask == 0o022:
        assert (second, warned) == (path, "0")
        third, warned = child(1234, "nobody", dataclasses.replace(SPEC, groups=("combine",))).split("\n")
        assert (Path(third).parent.parent.parent, warned) == (temporary, "1")
    else:
        assert (Path(second).parent.parent.parent, warned) == (temporary, "1")


def test_a_file_system_without_execution_is_said_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs

    def statvfs(path: str | Path) -> object:
        return SimpleNamespace(f_flag=os.ST_NOEXEC) if str(folder) in str(path) else real(path)

    obtain()
    monkeypatch.setattr(os, "statvfs", statvfs)
    with the_warning("mounted noexec"):
        assert obtain().parent.parent.parent == tmp_path / "temporary"
    monkeypatch.setattr(places, "_private", None)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_NOEXEC))
    with pytest.raises(lg.CacheError, match=r"noexec.*; .*noexec"):
        obtain()


@as_root
@pytest.mark.slow
def test_a_real_mount_without_execution(tmp_path: Path, compiler_script: Callable[[str], str]) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "runs").touch()
    compiler = compiler_script(f'echo "$@" >> {tmp_path / "runs"}; exec $REAL "$@"')
    mount = f"mount -t tmpfs -o noexec tmpfs {tmp_path / 'mount'}"
    code = "import logsig_codegen as lg; print(lg.load(2, 2).path)"
    environment = process_environment({"LOGSIG_CODEGEN_CACHE": str(tmp_path / "mount"), "CC": compiler})
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} || exit 77; exec "$0" -c "$1"', sys.executable, code],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("mounted noexec") == 1
    assert (tmp_path / "runs").read_text().count(" -c join.c ") == 2  # once


def test_a_lock_is_held_by_one(folder: Path) -> None:
    file = folder / "lock"
    first = locks.try_lock(file, create=True)
    assert first is not None
    assert locks.try_lock(file, create=True) is None  # another thread
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        os._exit(0 if locks.try_lock(file, create=True) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.unlink(file)
    second = locks.try_lock(file, create=True)  # of another file
    assert second is None
    first.release()
    first.release()
    second = locks.try_lock(file, create=True)
    assert second is not None
    second.release()


@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "pipe", "text"])
def test_a_lock_that_is_none_stays_as_it_is(folder: Path, kind: str) -> None:
    (folder / "target").write_text("precious")
    file = folder / "lock"
    if kind == "link":
        file.symlink_to(folder / "target")
    elif kind == "hard link":
        os.link(folder / "target", file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_text("precious")
    before = file.lstat()
    with pytest.raises(OSError, match="lock"):
        locks.try_lock(file, create=True)
    assert (file.lstat().st_mode, file.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert (folder / "target").read_text() == "precious"
    assert locks.wait_for(file, "x", None) is None


def test_who_waits_says_for_whom(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "_FIRST_WORD", 0.05)
    held = locks.wait_for(folder / "lock", "d2_n2", None)
    assert held is not None
    monkeypatch.setattr(locks, "LOGGER", locks.logging.getLogger("nobody listens"))
    locks.LOGGER.addHandler(locks.logging.NullHandler())
    monkeypatch.setattr(locks.LOGGER, "parent", None)
    assert locks.wait_for(folder / "lock", "d2_n2", 0.3) is None
    held.release()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"logsig_codegen: waiting for d2_n2, which process {os.getpid()} on ")
    assert "it is built here as well" in lines[-1]


def test_a_lock_file_is_removed_with_its_entry(folder: Path) -> None:
    obtain()
    assert (folder / "kernels" / f".lock-{key()}").is_file()
    cache.clear()
    assert os.listdir(folder / "kernels") == [marks.MARK]
    assert retention.LOCK == ".lock-"
