"""The cache under everything that can happen to it: killed builders, damage, races, folders that cannot be written."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import RunPython, process_environment

import logsig_codegen as lg
from logsig_codegen.build import cache, cpu
from logsig_codegen.build.artifact import MANIFEST, describe_file
from logsig_codegen.build.cache import failures, places
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.errors import ArtifactError, CacheError, CompilerNotFoundError
from logsig_codegen.problem import Problem
from logsig_codegen.targets import C
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import make_request

LOAD = """
import numpy as np, logsig_codegen as lg
kernel = lg.load(2, 2)
print(kernel.join(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])).tolist(), kernel.path)
"""
RESULT = "[6.0, 9.0, 1.5]"  # 3 + (1 * 7 - 2 * 5) / 2


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """A cache folder with one entry, (2, 2); tests copy it."""
    folder = tmp_path_factory.mktemp("filled")
    subprocess.run(
        [sys.executable, "-c", LOAD], env=process_environment({"LOGSIG_CODEGEN_CACHE": str(folder)}), check=True
    )
    return folder


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache"))


@pytest.fixture
def counting(compiler_script: Callable[[str], str], tmp_path: Path) -> tuple[str, Path]:
    """A compiler that writes a line per run into a file."""
    log = tmp_path / "runs"
    log.touch()
    return compiler_script(f'echo "$@" >> {log}; exec $REAL "$@"'), log


def entry_of(folder: Path) -> Path:
    (entry,) = (folder / "kernels").glob("[!.]*")
    return entry


def library_of(folder: Path) -> Path:
    return entry_of(folder) / "liblogsig_d2_n2.so"


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in (folder / "kernels").glob(".*") if path.is_dir() and path.name != failures.FOLDER]


def forbid_compiling(folder: Path) -> dict[str, str | None]:
    """The environment of a process that can use the cache in ``folder`` but whose compiler leads nowhere."""
    return {"LOGSIG_CODEGEN_CACHE": str(folder), "PATH": str(folder), "CC": None}


def test_a_hit_runs_no_compiler(run_python: RunPython, counting: tuple[str, Path], tmp_path: Path) -> None:
    compiler, log = counting
    env = {"LOGSIG_CODEGEN_CACHE": str(tmp_path / "new"), "CC": compiler}
    assert RESULT in run_python(LOAD, env).stdout
    assert log.read_text(encoding="utf-8").count(" -c join.c ") == 2  # in two types
    log.write_text("", encoding="utf-8")
    assert RESULT in run_python(LOAD, env).stdout
    assert log.read_text(encoding="utf-8") == ""


def test_an_entry_is_used_where_the_compiler_was_removed(run_python: RunPython, copy: Path) -> None:
    assert str(entry_of(copy)) in run_python(LOAD, forbid_compiling(copy)).stdout


def test_nothing_to_compile_with_and_nothing_cached(run_python: RunPython, tmp_path: Path) -> None:
    for refused in ({"LOGSIG_CODEGEN_BUILD": "always"}, {"CC": "/nowhere/cc"}):
        result = run_python(LOAD, {**forbid_compiling(tmp_path), **refused}, check=False)
        assert result.returncode == 1
        assert "CompilerNotFoundError: " in result.stderr
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "gone", "a folder"])
def test_a_damaged_library_is_built_again(run_python: RunPython, copy: Path, damage: str) -> None:
    library = library_of(copy)
    content = library.read_bytes()
    library.unlink()
    if damage == "truncated":
        library.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        library.write_bytes(b"")
    elif damage == "one bit":
        library.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    elif damage == "a folder":
        library.mkdir()
    assert RESULT in run_python(LOAD, {"LOGSIG_CODEGEN_CACHE": str(copy)}).stdout
    assert library.read_bytes()[:4] == b"\x7fELF"
    assert leftovers(copy) == []


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"format": 1}', '{"format": 99}', "\x00\xff"])
def test_a_damaged_manifest_is_built_again(run_python: RunPython, copy: Path, text: str | None) -> None:
    manifest = entry_of(copy) / MANIFEST
    manifest.unlink()
    if text is not None:
        manifest.write_text(text, encoding="latin-1")
    assert RESULT in run_python(LOAD, {"LOGSIG_CODEGEN_CACHE": str(copy)}).stdout
    assert json.loads(manifest.read_text(encoding="utf-8"))["dimension"] == 2


def test_a_library_that_is_what_the_manifest_says_but_cannot_be_loaded(run_python: RunPython, copy: Path) -> None:
    library = library_of(copy)
    library.write_bytes(b"this is no library\n" * 1000)
    manifest = json.loads((entry_of(copy) / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][library.name] = describe_file(library)
    (entry_of(copy) / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert RESULT in run_python(LOAD, {"LOGSIG_CODEGEN_CACHE": str(copy)}).stdout
    assert library.read_bytes()[:4] == b"\x7fELF"


def test_an_entry_of_another_request_is_not_used(run_python: RunPython, copy: Path) -> None:
    entry = entry_of(copy)
    manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
    manifest["request"]["flags"].append("-Ofast")
    (entry / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert RESULT in run_python(LOAD, {"LOGSIG_CODEGEN_CACHE": str(copy)}).stdout
    assert "-Ofast" not in (entry / MANIFEST).read_text(encoding="utf-8")


def test_killed_during_a_build(run_python: RunPython, compiler_script: Callable[[str], str], tmp_path: Path) -> None:
    folder, started = tmp_path / "cache", tmp_path / "started"
    compiler = compiler_script(
        f'case "$*" in *join.c*) [ -e {started} ] || {{ touch {started}; sleep 600; }};; esac; exec $REAL "$@"'
    )
    env = {"LOGSIG_CODEGEN_CACHE": str(folder), "CC": compiler}
    victim = subprocess.Popen(
        [sys.executable, "-c", LOAD], env=process_environment(env), start_new_session=True, stderr=subprocess.PIPE
    )
    try:
        wait_for(started, victim)
        assert leftovers(folder) != []
    finally:
        os.killpg(victim.pid, signal.SIGKILL)
        victim.communicate()
    assert not list((folder / "kernels").glob("[!.]*"))
    assert RESULT in run_python(LOAD, env).stdout
    assert leftovers(folder) == []


def test_two_processes_at_once_build_once(counting: tuple[str, Path], tmp_path: Path) -> None:
    compiler, log = counting
    env = process_environment({"LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache"), "CC": compiler})
    both = [
        subprocess.Popen([sys.executable, "-c", LOAD], env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]
    assert RESULT in outputs[0]
    assert log.read_text(encoding="utf-8").count(" -c join.c ") == 2


def test_several_threads_at_once_get_one_kernel(
    run_python: RunPython, counting: tuple[str, Path], tmp_path: Path
) -> None:
    compiler, log = counting
    run_python(
        """
        import concurrent.futures, logsig_codegen as lg
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            kernels = list(pool.map(lambda _: lg.load(2, 2), range(8)))
        assert len(set(map(id, kernels))) == 1
        """,
        {"LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache"), "CC": compiler},
    )
    assert log.read_text(encoding="utf-8").count(" -c join.c ") == 2


@pytest.mark.parametrize("place", ["no home", "a file in the way", "not a folder"])
def test_a_cache_that_cannot_be_written_works_with_one_warning(
    run_python: RunPython, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    env: dict[str, str | None] = {
        "no home": {"LOGSIG_CODEGEN_CACHE": None, "XDG_CACHE_HOME": None, "HOME": "/proc/nonexistent"},
        "a file in the way": {"LOGSIG_CODEGEN_CACHE": str(tmp_path / "file" / "below")},
        "not a folder": {"LOGSIG_CODEGEN_CACHE": str(tmp_path / "file")},
    }[place]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    result = run_python(LOAD + "lg.load(1, 2); lg.clear_cache(); lg.load(2, 2)", {**env, "TMPDIR": str(temporary)})
    assert RESULT in result.stdout
    assert result.stderr.count("RuntimeWarning: The cache folder") == 1
    assert str(temporary) in result.stdout
    assert list(temporary.iterdir()) == []  # gone when the process ended


def test_nothing_can_be_written_at_all(run_python: RunPython) -> None:
    code = """
    import tempfile
    tempfile.tempdir = "/proc/nonexistent"
    import logsig_codegen as lg
    try:
        lg.load(2, 2)
    except lg.CacheError as error:
        print(error)
    """
    output = run_python(code, {"LOGSIG_CODEGEN_CACHE": "/proc/nonexistent"}).stdout
    assert "Neither /proc/nonexistent/kernels nor a temporary folder can be written" in output


def test_an_entry_in_a_folder_that_cannot_be_written_is_used(monkeypatch: pytest.MonkeyPatch, filled: Path) -> None:
    def refuse(*args: object, **kwargs: object) -> Path:
        raise AssertionError("a hit must not look for a place to write")

    monkeypatch.setenv(cache.VARIABLE, str(filled))
    monkeypatch.setattr(cache, "writable_root", refuse)
    lg.clear_cache()
    assert lg.load(2, 2).path == entry_of(filled)
    lg.clear_cache()


def test_what_was_just_built_but_does_not_validate_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    request = make_request(C, BuildSpec(Problem(2, 2), ("join",), ("float64",)), find_compiler())
    with pytest.raises(CacheError, match="What was just built cannot be used"):
        cache.obtain(request, lambda folder: None)
    with pytest.raises(CacheError, match="failed: "):
        cache.obtain(request, fill_the_disk)
    assert leftovers(tmp_path) == []


def fill_the_disk(folder: Path) -> None:
    raise OSError(28, "No space left on device")


def test_everything_that_decides_the_result_is_in_the_key(
    monkeypatch: pytest.MonkeyPatch, counting: tuple[str, Path]
) -> None:
    compiler = find_compiler()
    base = BuildSpec(Problem(2, 3), ("join",))
    others = ({"problem": Problem(3, 2)}, {"groups": ("combine",)}, {"dtypes": ("float64",)}, {"march": "x86-64-v3"})
    requests = [make_request(C, dataclasses.replace(base, **changed), compiler) for changed in ({}, *others)]  # type: ignore[arg-type]
    requests.append(make_request(C, base, compiler, version="1.1"))
    requests.append(make_request(C, base, None))
    requests.append(make_request(C, base, dataclasses.replace(compiler, command=("cc", "-g"))))
    monkeypatch.setenv("CC", counting[0])
    requests.append(make_request(C, base, find_compiler()))
    monkeypatch.setattr(cache, "package_fingerprint", lambda: "edited")
    requests.append(make_request(C, base, compiler))
    monkeypatch.setattr(cpu, "identity", lambda: "another processor")
    requests.append(make_request(C, base, compiler))
    assert len({request.key for request in requests}) == len(requests)
    assert len({request.folder for request in requests}) == len(requests)


def test_the_fingerprint_covers_package_and_templates() -> None:
    covered = {Path(name).suffix for name, *_ in (line.split(" ") for line in cache.fingerprint_lines())}
    names = {line.split(" ")[0] for line in cache.fingerprint_lines()}
    assert {".py", ".j2", ".h"} <= covered
    assert "compiler.py" in names
    assert not any("__pycache__" in name for name in names)


def test_clear_cache_deletes_entries_and_nothing_else(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_chosen", None)
    (copy / "mine.txt").write_text("keep", encoding="utf-8")
    lg.set_cache_dir(copy)
    try:
        assert lg.load(2, 2, march="native") is not None
        lg.clear_cache()
        assert len(cache.entries()) == 1
        lg.clear_cache(use_disk=True)
        assert cache.entries() == ()
        assert (copy / "mine.txt").read_text(encoding="utf-8") == "keep"
    finally:
        monkeypatch.setattr(places, "_chosen", None)
        lg.clear_cache()


def test_set_cache_dir_checks_its_argument(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TypeError, match="dir: expected a path, got int 3"):
        lg.set_cache_dir(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not exist"):
        lg.set_cache_dir(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="is not a folder"):
        lg.set_cache_dir(tmp_path / "file")


def test_a_compiler_that_fails_leaves_no_entry(
    monkeypatch: pytest.MonkeyPatch, compiler_script: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("CC", compiler_script('case "$*" in *join.c*) echo refused >&2; exit 3;; esac; exec $REAL "$@"'))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    lg.clear_cache()
    with pytest.raises(lg.CompilerError, match="refused") as caught:
        lg.load(2, 2)
    assert Path(caught.value.source).name == "join.c"
    assert cache.entries() == ()
    assert leftovers(tmp_path / "cache") == []


def test_errors_form_one_family() -> None:
    for error in (ArtifactError, CacheError, CompilerNotFoundError, lg.GenerationError, lg.UnsupportedError):
        assert issubclass(error, lg.LogSigError)
    assert issubclass(lg.ProblemTooLargeError, ValueError)
    assert issubclass(lg.UnsupportedError, NotImplementedError)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.02)
