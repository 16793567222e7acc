"""The cache, and generated folders, in places that are not theirs alone; see places.py for what is trusted."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.places import OTHER, RESULT, STRANGER, Place, finish, needs_mounts, needs_root, snapshot
from shared import once

DAYS_AGO = time.time() - 9 * 24 * 3600
LONG_AGO = (DAYS_AGO, DAYS_AGO)
REFUSED = """
import logsig_codegen as lg
try:
    exec(CODE)
except lg.LogSigError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def or_refused(code: str) -> str:
    """The code, where an error of the package is printed."""
    return f"CODE = {code!r}\n{REFUSED}"


def filled_cache(folder: Path) -> Path:
    """A copy of a cache with one kernel in it."""

    def fill(made: Path) -> None:
        done = Place(made / "cache").run()
        assert done.returncode == 0, done.stderr

    shutil.copytree(once("faults-cache", fill) / "cache", folder, symlinks=True)
    return folder


def plant(folder: Path, outside: Path, names: list[str]) -> None:
    """Put old things that are not ours into ``folder``: files, folders, links to ``outside``; with ``names`` too."""
    outside.mkdir()
    (outside / "kept").write_text("kept")
    for name in ["notes", ".git", ".hidden", "d2_n2-0123456789abcdef0123456789abcdef", *names]:
        for kind in ("file", "folder", "link"):
            path = folder / f"{name}.{kind}" if kind != "folder" or (folder / name).exists() else folder / name
            if kind == "file":
                path.write_text(name)
            elif kind == "folder":
                (path / "inner").mkdir(parents=True)
                (path / "inner" / "file").write_text(name)
                (path / "manifest.json").write_text("{}")
            else:
                path.symlink_to(outside)
    for path in [*folder.rglob("*"), *outside.rglob("*")]:
        os.utime(path, LONG_AGO, follow_symlinks=False)


def test_nothing_foreign_is_removed(tmp_path: Path) -> None:
    """Building, sweeping and clearing touch nothing that was planted, wherever in the cache's folder it lies."""
    cache, outside = filled_cache(tmp_path / "cache"), tmp_path / "outside"
    ours = set(snapshot(cache))
    names = sorted({path.name for path in cache.rglob("*") if path.is_dir() or path.name.startswith(".")})
    for number, folder in enumerate([cache, *(path for path in cache.iterdir() if path.is_dir())]):
        plant(folder, tmp_path / f"outside{number}", names)
    outside = tmp_path / "outside0"
    before = {name: one for name, one in snapshot(cache).items() if name not in ours}
    beyond = snapshot(outside)
    for path in cache.rglob("*"):  # so that there is something to build, and to sweep
        if path.name == "manifest.json" and str(path.relative_to(cache)) in ours:
            path.write_text("damaged")
    done = Place(cache).run(RESULT + "lg.clear_cache(use_disk=True)\n")
    assert done.returncode == 0, done.stderr
    after = snapshot(cache)
    assert {name: one for name, one in before.items() if after.get(name) != one} == {}
    assert snapshot(outside) == beyond


def test_a_folder_of_ones_own_is_no_cache(tmp_path: Path) -> None:
    """A folder that happens to be named as ours are, in a cache folder that is new."""
    plant(tmp_path, tmp_path / "outside", ["kernels"])
    plant(tmp_path / "kernels", tmp_path / "outside2", [])
    before = snapshot(tmp_path)
    code = (
        f"import logsig_codegen as lg\nlg.set_cache_dir({str(tmp_path)!r})\n{RESULT}\nlg.clear_cache(use_disk=True)\n"
    )
    done = Place(tmp_path / "elsewhere").run(code)
    assert done.returncode == 0, done.stderr
    after = snapshot(tmp_path)
    assert {name for name, one in before.items() if after.get(name) != one} == set()


def test_without_locks_several_processes_build_side_by_side(tmp_path: Path) -> None:
    place = Place(tmp_path, lacks="locks")
    for done in finish([place.start() for _ in range(2)]):
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_locks_nobodys_build_is_lost(tmp_path: Path) -> None:
    """Twenty loads by five processes at a time, some of which clear the cache while others build."""
    place = Place(tmp_path, lacks="locks")
    for number in range(4):
        code = RESULT + ("lg.clear_cache(use_disk=True)\n" + RESULT if number % 2 else "")
        for done in finish([place.start(code) for _ in range(5)]):
            assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_another_user_plants_is_not_loaded(tmp_path: Path) -> None:
    """A library with its checksum recomputed, in a cache folder that everybody may write; owned by a stranger."""
    needs_root()
    cache, trace = filled_cache(tmp_path / "cache"), tmp_path / "trace"
    source = (
        f'#include <stdio.h>\n__attribute__((constructor)) static void f(void) {{ fclose(fopen("{trace}", "w")); }}\n'
    )
    (tmp_path / "planted.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "planted.c", "-o", "planted.so"], cwd=tmp_path, check=True)
    from logsig_codegen.build.artifact import describe_file

    for manifest in cache.rglob("manifest.json"):
        data = json.loads(manifest.read_text())
        library = manifest.parent / data["library"]
        shutil.copy(tmp_path / "planted.so", library)
        data["files"][data["library"]] = describe_file(library)
        manifest.write_text(json.dumps(data))
    for path in [cache, *cache.rglob("*")]:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    cache.chmod(0o1777)
    done = Place(cache).run()
    assert done.returncode == 0, done.stderr
    assert not trace.exists(), "what another user planted was run"


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_two_users_share_a_cache_folder(open_folder: Path, mode: int) -> None:
    """Whether or not the second one may use or write what the first one has built, both get their results."""
    needs_root()
    cache = open_folder / "cache"
    cache.mkdir()
    os.chown(cache, OTHER, OTHER)
    cache.chmod(mode)
    variables = {"HOME": "/nonexistent", "CCACHE_DISABLE": "1"}
    for user in (OTHER, STRANGER, OTHER):
        done = Place(cache, user=user, variables=variables).run()
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    needs_root()
    cache = open_folder / "cache"
    cache.mkdir(mode=0o755)
    done = Place(cache, user=STRANGER, variables={"HOME": "/nonexistent", "CCACHE_DISABLE": "1"}).run()
    assert done.returncode == 0, done.stderr
    assert str(cache) in done.stderr
    assert "Warning" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("size", ["16k", "64k", "200k"])
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    needs_mounts(tmp_path)
    place = Place(tmp_path, mount=f"size={size}", variables={"CCACHE_DISABLE": "1"})
    done = place.run(or_refused(RESULT))
    assert done.returncode == 0, done.stderr
    assert not done.stdout or str(tmp_path) in done.stdout or "nothing can be written" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 100, 4096, 20_000])
def test_files_that_cannot_grow(tmp_path: Path, size: int) -> None:
    done = Place(tmp_path, limits={"RLIMIT_FSIZE": size}).run(or_refused(RESULT))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_mount_without_code(tmp_path: Path) -> None:
    """There is a result, or an error that says why not."""
    needs_mounts(tmp_path)
    done = Place(tmp_path, mount="noexec").run(or_refused(RESULT))
    assert done.returncode == 0, done.stderr
    assert "noexec" in done.stdout + done.stderr


@pytest.mark.slow
def test_out_of_descriptors(tmp_path: Path) -> None:
    """From a number that nothing can be opened with to one that suffices: a result, or an error of the package."""
    code = f"""
    import os, resource, sys
    import numpy, logsig_codegen as lg
    import traceback
    from faults import children
    for spare in range(0, 30, 1):
        number = os.fork()
        if not number:
            status = 1
            try:
                used = len(os.listdir("/proc/self/fd")) - 1
                most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, most))
                exec({RESULT!r})
                status = 0
            except lg.LogSigError as error:
                status = 0
            except BaseException as error:
                trace = traceback.format_exc()
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
                sys.stderr.write(f"{{spare}} spare: {{trace}}")
                sys.stderr.flush()
            os._exit(status)
        assert os.waitpid(number, 0)[1] == 0, spare
    """
    done = Place(tmp_path).run(code, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_folder_is_generated_over_ones_own_files(tmp_path: Path) -> None:
    """What a person put into a generated folder stays."""
    code = f"import logsig_codegen as lg\nlg.generate(2, 1, {str(tmp_path / 'out')!r}, emit_only=True)\n"
    place = Place(tmp_path / "cache")
    assert place.run(code).returncode == 0
    folder = tmp_path / "out" / "d2_n1"
    (folder / "notes").mkdir()
    (folder / "notes" / "mine").write_text("mine")
    (folder / "README").write_text("mine")
    place.run(code)
    assert (folder / "notes" / "mine").read_text() == "mine"
    assert (folder / "README").read_text() == "mine"
    assert (folder / "manifest.json").exists()


@pytest.mark.slow
def test_an_error_of_the_system_is_named(tmp_path: Path) -> None:
    """Where neither the cache nor the temporary folder can be written, the message says both and why."""
    done = Place(Path("/proc/nowhere"), variables={"TMPDIR": "/proc/nowhere"}).run(or_refused(RESULT))
    assert "CacheError" in done.stdout or done.returncode == 0, done.stderr
    assert os.strerror(errno.ENOENT) in done.stdout or done.returncode == 0
