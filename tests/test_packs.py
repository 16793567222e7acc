"""Packs of kernels: wheels that are written, installed by unpacking them, and loaded from.

Trusts ``zipfile``, ``hashlib``, ``importlib.metadata``, ``packaging`` and ``readelf`` about what is in a wheel, a join
by hand, and kernels that use OpenMP for those that start their own threads.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
import textwrap
import venv
import zipfile
from collections.abc import Callable
from importlib.metadata import PathDistribution, distribution
from pathlib import Path
from typing import Any

import numpy as np
import peer
import pysiglib
import pytest
import shared
from packaging.utils import parse_wheel_filename
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen import cli, packing
from logsig_codegen.build import cpu, elf, packs, platforms, policy, wheel
from logsig_codegen.build.cache import package_fingerprint
from logsig_codegen.build.libraries import obtain_library
from logsig_codegen.operations import groups_to_prepare
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import threads

MARCH = platforms.host().levels[0]
NAME = "logsig-kernels-tiny"
FOLDER = Path(packs.NAMESPACE, "logsig_kernels_tiny")
KERNELS = FOLDER / MARCH / "d2_n2"
PROBE = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])
ANSWER = [6.0, 9.0, 1.5]  # 3 + (1 * 7 - 2 * 5) / 2
PREFACE = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"sympy", "jinja2", "torch", "pycparser", "cffi", "filelock", "tqdm"}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import os, subprocess
def refuse(*args, **kwargs):
    raise AssertionError("a process was started")
subprocess.Popen = os.posix_spawn = os.fork = os.system = refuse
"""


def tiny(out: Path) -> packing.WrittenPack:
    spec = packing.PackSpec(NAME, (Problem(2, 2),), (MARCH,), packing.chosen_groups(("join", "join_backprop")))
    return packing.write_pack(out, spec)


@pytest.fixture(scope="module")
def written(session_cache: Path) -> Path:
    """The wheel of a pack with the joins of (2, 2)."""
    (path,) = shared.once(f"pack-{package_fingerprint()[:16]}", tiny).glob("*.whl")
    return path


@pytest.fixture
def site(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of distributions, on the path of this process, with the pack in it; nothing is loaded or cached."""
    folder = tmp_path / "site"
    zipfile.ZipFile(written).extractall(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path / "cache"))
    lg.clear_cache()
    return folder


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(policy.VARIABLE, policy.NEVER)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# ---------------------------------------------------------------------------------------------- the wheel


def test_the_wheel_is_one(written: Path) -> None:
    name, version, build, tags = parse_wheel_filename(written.name)
    assert (name, str(version), build) == (NAME, lg.__version__, ())
    assert [(tag.interpreter, tag.abi) for tag in tags] == [("py3", "none")]
    with zipfile.ZipFile(written) as archive:
        assert archive.testzip() is None
        about = f"logsig_kernels_tiny-{version}.dist-info"
        rows = {row[0]: row[1:] for row in csv.reader(archive.read(f"{about}/RECORD").decode().splitlines())}
        assert sorted(rows) == sorted(archive.namelist())
        for member, (digest, size) in rows.items():
            if member != f"{about}/RECORD":
                content = archive.read(member)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={expected}", str(len(content)))
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert f"Tag: py3-none-{next(iter(tags)).platform}" in archive.read(f"{about}/WHEEL").decode().splitlines()


def test_what_the_distribution_says(site: Path) -> None:
    (about,) = site.glob("*.dist-info")
    found = PathDistribution(about)
    assert (found.name, found.version) == (NAME, lg.__version__)
    assert found.requires == [f"logsig-codegen=={lg.__version__}"]
    assert found.metadata["License-Expression"] == "Apache-2.0"
    assert (about / "licenses" / found.metadata["License-File"]).read_text() == Path("LICENSE").read_text()
    assert all(path.locate().is_file() for path in found.files or ())
    assert not list(site.rglob("*.py")), "it is data only"


def share(library: Path, text: str, *flags: str) -> None:
    """Compile a shared library."""
    source = library.with_suffix(".c")
    source.write_text(text)
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(library), *flags], check=True)


def readelf(library: Path) -> tuple[list[str], set[str]]:
    """Libraries, and versions of symbols, that a library needs."""
    printed = subprocess.run(["readelf", "-dVW", str(library)], check=True, capture_output=True, text=True).stdout
    needs = printed.partition("Version needs section")[2]
    return re.findall(r"\(NEEDED\).*\[(.*)\]", printed), set(re.findall(r"Name: (\S+)  Flags", needs))


def test_what_a_library_needs(site: Path, tmp_path: Path) -> None:
    """The pack's needs the C library only; one of the cache needs that of OpenMP."""
    (mine,) = (site / KERNELS).glob("*.so")
    own = tmp_path / "own.so"
    share(own, "#include <omp.h>\nint f(void) { return omp_get_max_threads(); }", "-fopenmp")
    assert "libgomp.so.1" in readelf(own)[0] or "libomp.so" in str(readelf(own)[0])
    for library in (mine, own):
        libraries, versions = readelf(library)
        assert (list(elf.needs(library).libraries), set(elf.needs(library).versions)) == (libraries, versions)
    assert set(readelf(mine)[0]) <= {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    newest = max(tuple(map(int, one[6:].split("."))) for one in readelf(mine)[1])
    machine = cpu.machine().rsplit("-", 1)[1]
    assert wheel.platform_tag([mine], platforms.host()) == "manylinux_{}_{}_{}".format(
        *max(newest, (2, 17))[:2], machine
    )
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("x", "x")
    with pytest.raises(ValueError, match="no ELF file"):
        elf.needs(tmp_path / "foreign.zip")
    (tmp_path / "cut.so").write_bytes(mine.read_bytes()[:3000])
    with pytest.raises(ValueError, match="cut off"):
        elf.needs(tmp_path / "cut.so")


def test_a_library_that_needs_others_is_for_this_system(tmp_path: Path) -> None:
    stub, library = tmp_path / "libx.so", tmp_path / "other.so"
    share(stub, "int x(void) { return 0; }")
    share(library, "extern int x(void); int f(void) { return x(); }", "-L", str(tmp_path), "-lx")
    machine = cpu.machine().rsplit("-", 1)[1]
    assert wheel.platform_tag([library], platforms.host()) == f"linux_{machine}"


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    about = wheel.Wheel("a-b", "1", "any", "s", "d", (), "Apache-2.0")
    (tmp_path / "file").write_bytes(b"content")
    files: list[dict[str, bytes | Path]] = [{"x/a": b"1", "x/b": tmp_path / "file"}, {"x/b": b"content", "x/a": b"1"}]
    first, second = (
        wheel.write_wheel(tmp_path / str(index), about, some, "text").read_bytes() for index, some in enumerate(files)
    )
    assert first == second
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["a_b-1-py3-none-any.whl"]


@pytest.mark.slow
def test_a_pack_that_is_compiled_again_has_the_same_bytes(written: Path, tmp_path: Path) -> None:
    assert tiny(tmp_path).path.read_bytes() == written.read_bytes()


@pytest.mark.parametrize(
    ("dimensions", "degrees", "expected"),
    [
        ((2,), (2,), "logsig-kernels-d2-n2"),
        (range(2, 11), (2, 3), "logsig-kernels-d2-10-n2-3"),
        ((4, 2, 5, 6), (3,), "logsig-kernels-d2-d4-6-n3"),
    ],
)
def test_names_of_packs(dimensions: tuple[int, ...], degrees: tuple[int, ...], expected: str) -> None:
    assert packing.pack_name(dimensions, degrees) == expected
    assert wheel.check_name(expected) == expected


@pytest.mark.parametrize("name", ["", "-a", "a/b", "../a", "a b", "1a", "a-"])
def test_names_that_no_distribution_has(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name: expected"):
        packing.write_pack(tmp_path, packing.PackSpec(name, (Problem(2, 2),), (MARCH,), groups_to_prepare))


def test_a_pack_is_not_for_the_processor_of_this_machine_alone(tmp_path: Path) -> None:
    assert cli.main(["pack", "--dim", "2", "--degree", "2", "--march", "native", "--out", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- loading


def test_a_pack_serves_without_compiler_and_generator(site: Path, tmp_path: Path, run_python: RunPython) -> None:
    """No compiler, SymPy, Jinja2 or OpenMP; several threads all the same."""
    done = run_python(
        PREFACE
        + f"""
sys.path.insert(0, {str(site)!r})
import numpy as np, logsig_codegen as lg
assert lg.load(2, 2).join(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])).tolist() == [6.0, 9.0, 1.5]
assert str(lg.load(2, 2).path) == {str(site / KERNELS)!r}
from logsig_codegen.runtime import threads
threads.usable_processors = lambda: 3
z, v = np.random.default_rng(0).normal(size=(2, 1001, 3))
for dtype in ("float32", "float64"):
    one, three = (lg.log_sig_join(z.astype(dtype), v[:, :2].astype(dtype), 2, 2, n_jobs=n) for n in (1, 3))
    assert one.tobytes() == three.tobytes()
assert "omp" not in open("/proc/self/maps").read()
try:
    lg.load(2, 3)
except lg.BuildForbiddenError as error:
    print(error)
""",
        env={policy.VARIABLE: policy.NEVER, "PATH": "/nowhere", "CC": None, "LOGSIG_CODEGEN_CACHE": str(tmp_path)},
    )
    assert "join of (dimension=2, degree=3)" in done.stdout
    assert "logsig-gen pack --dim 2 --degree 3)" in done.stdout
    assert "logsig-gen pack --common" in done.stdout, "(2, 3) is one of the common problems"


THREADS_REFUSED = "int pthread_create(void *a, const void *b, void *(*c)(void *), void *d) { return 11; }"
JOINS = """
import numpy as np, logsig_codegen as lg
rng = np.random.default_rng(3)
z, v, d = (rng.normal(size=(403, width)) for width in (3, 2, 3))
results = lg.log_sig_join(z, v, 2, 2, n_jobs=5), *lg.log_sig_join_backprop(d, z, v, 2, 2, n_jobs=5)
text = " ".join(array.tobytes().hex() for array in results)
"""


def test_threads_change_no_bit(
    site: Path, tmp_path: Path, session_cache: Path, run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with threads of the pack, of OpenMP, and where the system refuses threads."""
    monkeypatch.setattr(threads, "usable_processors", lambda: 5)
    own: dict[str, str] = {}
    exec(JOINS, own)
    assert lg.load(2, 2).path == site / KERNELS
    share(tmp_path / "refuse.so", THREADS_REFUSED)
    alone = run_python(
        "from logsig_codegen.runtime import threads; threads.usable_processors = lambda: 5" + JOINS + "print(text)",
        env={
            "PYTHONPATH": f"{site}:{Path.cwd()}",
            "LD_PRELOAD": str(tmp_path / "refuse.so"),
            "OPENBLAS_NUM_THREADS": "1",
        },
    )
    assert alone.stdout.strip() == own["text"]
    monkeypatch.setattr(packs, "installed", lambda: ())
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(session_cache))
    lg.clear_cache()
    openmp: dict[str, str] = {}
    exec(JOINS, openmp)
    assert lg.load(2, 2).report.openmp
    assert openmp["text"] == own["text"]


def test_folders_come_before_packs_and_packs_before_the_cache(site: Path, tmp_path: Path, never: None) -> None:
    folder = shutil.copytree(site / KERNELS, tmp_path / "d2_n2")
    assert lg.load(2, 2, artifacts=tmp_path).path == folder
    assert lg.load(2, 2).path == site / KERNELS
    assert lg.load(2, 2, artifacts=shutil.copytree(site / KERNELS.parent, tmp_path / "more")).path.parent.name == "more"
    assert lg.load(2, 2, march=MARCH).path == site / KERNELS


def test_what_a_pack_lacks_comes_from_the_cache(
    site: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(session_cache))
    kernel = lg.load(2, 2)
    kernel.prepare("combine")
    assert kernel.path == site / KERNELS
    assert kernel.combine(PROBE[0], PROBE[0]).tolist() == [2.0, 4.0, 6.0]
    lg.clear_cache()
    monkeypatch.setenv(policy.VARIABLE, policy.NEVER)
    monkeypatch.setenv("CC", "/nowhere/cc")  # any compiler's entry will do
    lg.load(2, 2).prepare("combine")
    with pytest.raises(lg.BuildForbiddenError, match=r"bracket of \(dimension=2, degree=2\).*--operations all"):
        lg.load(2, 2).prepare("bracket")


def test_sources_of_a_pack_are_written_anew(site: Path, never: None) -> None:
    assert "join" in lg.load(2, 2).source()
    assert set(lg.load(2, 2).sources) >= {"join.c", "logsig_rows.h"}


def test_a_damaged_library_of_a_pack_is_named(site: Path, never: None) -> None:
    (library,) = (site / KERNELS).glob("*.so")
    library.write_bytes(library.read_bytes()[:-100])
    with pytest.raises(lg.ArtifactError, match=re.escape(str(library))):
        lg.load(2, 2)


# ---------------------------------------------------------------------------------------------- which one is chosen


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a pack without kernels: ``place("name", {"x86-64-v3": ["avx2"]}, ["d2_n2"], field=…)``."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(cpu, "features", lambda: frozenset({"sse", "avx2", "avx512f"}))

    def make(name: str, needs: dict[str, list[str]], problems: list[str], **changes: Any) -> Path:
        folder = tmp_path / "site" / packs.NAMESPACE / name
        for level in needs:
            for problem in problems:
                (folder / level / problem).mkdir(parents=True)
        text = packs.index_text(
            name, tuple(packs.Level(march, tuple(some)) for march, some in needs.items()), cpu.machine()
        )
        (folder / packs.INDEX).write_text(json.dumps({**json.loads(text), **changes}))
        return folder

    return make


def test_the_best_level_comes_first_then_the_names(place: Callable[..., Path]) -> None:
    b = place("b", {"v3": ["sse", "avx2"], "v4": ["sse", "avx2", "avx512f"], "v9": ["amx"]}, ["d2_n2", "d3_n2"])
    a = place("a", {"v3": ["sse", "avx2"]}, ["d2_n2", "d2_n10"])
    assert list(packs.folders(Problem(2, 2))) == [b / "v4/d2_n2", a / "v3/d2_n2", b / "v3/d2_n2"]
    assert list(packs.folders(Problem(2, 2), "v3")) == [a / "v3/d2_n2", b / "v3/d2_n2"]
    assert list(packs.folders(Problem(2, 2), "v9")) == []
    assert list(packs.folders(Problem(5, 5))) == []
    first, second = packs.installed()
    assert (first.name, second.name) == ("a", "b")
    assert first.problems == (Problem(2, 2), Problem(2, 10))
    assert first.state == "2 problems for v3: (2,2) (2,10)"


def test_where_the_processor_cannot_be_asked_the_least_is_chosen(
    place: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place("a", {"v4": ["sse", "avx2"], "v1": ["sse"]}, ["d2_n2"])
    monkeypatch.setattr(cpu, "features", lambda: None)
    assert list(packs.folders(Problem(2, 2))) == [folder / "v1/d2_n2"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"package_version": "0.0.1"}, f"its package_version is '0.0.1', here it is '{lg.__version__}'"),
        ({"abi_version": 1}, "its abi_version is 1, here it is"),
        ({"machine": "linux-sparc"}, "its machine is 'linux-sparc', here it is"),
        ({"format": 2}, "its format is 2, here it is 1"),
        ({"levels": [{"march": "v9", "features": ["amx", "sse"]}]}, "v9 needs amx, which this processor lacks"),
        ({"levels": [{"march": "../v3", "features": []}]}, "is no index of a pack"),
        ({"levels": None}, "is no index of a pack"),
        ({"levels": []}, "has no levels"),
    ],
)
def test_a_pack_that_does_not_fit_is_passed_over(
    changes: dict[str, Any],
    reason: str,
    place: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place("other", {"v3": ["sse"]}, ["d2_n2"], **changes)
    assert list(packs.folders(Problem(2, 2))) == []
    (pack,) = packs.installed()
    assert pack.state.startswith("passed over: ")
    assert reason in pack.state
    assert reason in packs.advice(Problem(2, 2), ("join",))
    assert cli.main(["cache"]) == 0
    assert f"pack other: {pack.state}" in capsys.readouterr().out
    assert cli.main(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packs"] == {"other": pack.state}


def test_an_index_that_is_no_text_is_passed_over(place: Callable[..., Path]) -> None:
    folder = place("a", {"v3": ["sse"]}, ["d2_n2"])
    (folder / packs.INDEX).write_bytes(b"\xff{")
    (pack,) = packs.installed()
    assert "is no index of a pack" in pack.refused


def test_doctor_names_packs_and_the_switch(
    site: Path, never: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")  # which keeps it short
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert f"pack {NAME}: 1 problem for {MARCH}: (2,2)" in printed
    assert "$LOGSIG_CODEGEN_BUILD is 'never': nothing is compiled." in printed


# ---------------------------------------------------------------------------------------------- the command


def test_the_command_reports_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fake(out: Path, spec: packing.PackSpec, done: Callable[[str], None]) -> packing.WrittenPack:
        asked.append(spec)
        kernels = [
            packing.Packed(one, march, spec.groups(one), 2048) for one in spec.problems for march in spec.marches
        ]
        (out / "x.whl").write_bytes(b"x" * 1536)
        return packing.WrittenPack(out / "x.whl", tuple(kernels))

    monkeypatch.setattr(packing, "write_pack", fake)
    words = ["pack", "--dim", "2-3", "--degree", "2", "--march", "a,b", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    header, first, second, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["(d,N)", "a", "b", "operations"]
    groups = "join,join_backprop,combine,combine_backprop,log_sig,log_sig_backprop"
    assert first.split() == ["(2,2)", "2.0", "KiB", "2.0", "KiB", groups]
    assert second.startswith("(3,2)")
    assert total == f"{tmp_path / 'x.whl'}: 2 problems, 1.5 KiB"
    assert cli.main([*words, "--json", "--operations", "join", "--name", "other"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] == 1536
    assert found["kernels"][1] == {"dimension": 2, "degree": 2, "march": "b", "groups": ["join"], "size": 2048}
    assert cli.main(["pack", "--common", "--out", str(tmp_path)]) == 0
    assert [one.name for one in asked] == ["logsig-kernels-d2-3-n2", "other", packs.COMMON_NAME]
    assert asked[2].problems == packs.COMMON
    assert {"stream", "stream_backprop", "windows", "windows_backprop"} <= set(asked[2].groups(Problem(5, 3)))


def test_the_common_problems() -> None:
    assert Problem(5, 3) in packs.COMMON
    assert Problem(6, 4) not in packs.COMMON
    assert len(set(packs.COMMON)) == len(packs.COMMON)


# ---------------------------------------------------------------------------------------------- the switch


def test_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(policy.VARIABLE, raising=False)
    assert policy.policy() == "auto"
    assert policy.refusal("", lambda: "") is None
    monkeypatch.setenv(policy.VARIABLE, "never")
    assert isinstance(policy.refusal("", lambda: ""), lg.CompilerNotFoundError)
    monkeypatch.setenv(policy.VARIABLE, "sometimes")
    with pytest.raises(ValueError, match=r"\$LOGSIG_CODEGEN_BUILD: expected one of auto, never, always, "):
        policy.policy()


def test_small_libraries_are_not_compiled_either(never: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path))
    with pytest.raises(lg.BuildForbiddenError, match=r"^It is needed\. .*'never'.* --target jax has written has it"):
        obtain_library("x.so", (), lambda target: pytest.fail("it is compiled"), "jax", "It is needed.")


# ---------------------------------------------------------------------------------------------- the common pack

DISTRIBUTIONS = ("numpy", "cffi", "platformdirs")
"""What a process needs to load from a pack."""
WITHOUT = """
import shutil
from importlib.util import find_spec
assert not any(map(shutil.which, ("cc", "gcc", "clang", "c++")))
assert not any(map(find_spec, ("sympy", "jinja2", "torch", "scipy", "sklearn")))
"""
JOBS = """
import sys
import numpy as np, logsig_codegen as lg
from logsig_codegen.runtime import threads
threads.usable_processors = lambda: 2
given = dict(np.load(sys.argv[1]))
path, other, step = given["path"], given["other"], given["step"]
z = lg.log_sig(path, 3, method=2, n_jobs=2)
results = {
    "log_sig": z,
    "stream": lg.log_sig(path, 3, method=2, stream=True)[:, -1],
    "windows": lg.log_sig(path, 3, method=2, windows=(20, 1))[:, 4],
    "join": lg.log_sig_join(z, step, 5, 3, n_jobs=2),
    "combine": lg.log_sig_combine(z, lg.log_sig(other, 3, method=2), 5, 3),
    "d_path": lg.log_sig_backprop(np.ones_like(z), path, 3, method=2),
    "d_z": lg.log_sig_join_backprop(np.ones_like(z), z, step, 5, 3, n_jobs=2)[0],
    "words": lg.log_sig_change_method(z, 5, 3, 2, 1),
    "sig": lg.logsig_to_sig(z, 5, 3, method=2),
}
np.savez(sys.argv[2], **results)
assert "gomp" not in open("/proc/self/maps").read()
"""
EVERYTHING = """
from logsig_codegen.build.packs import COMMON
from logsig_codegen.packing import common_groups
for problem in COMMON:
    kernel = lg.load(problem.dimension, problem.degree)
    kernel.prepare(*common_groups(problem))
    assert "logsig_kernels_common" in str(kernel.path)
"""


def environment(folder: Path, *, checkout: bool = True) -> tuple[Path, Path]:
    """A virtual environment with what this package needs to run, nothing else: its Python and its packages.

    ``checkout``: with this package as well.
    """
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in DISTRIBUTIONS:
        found = distribution(name)
        for top in {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__")}:
            (packages / top).symlink_to(str(found.locate_file(top)))
    if checkout:
        (packages / "checkout.pth").write_text(f"{Path.cwd()}\n")
    return folder / "bin" / "python", packages


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("unoptimised")
def test_the_common_pack_where_there_is_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by the command, installed by pip, used where there is no compiler, generator or OpenMP, and by torch."""
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path / "cache"))
    assert cli.main(["pack", "--common", "--march", MARCH, "--out", str(tmp_path)]) == 0
    (pack,) = tmp_path.glob("*.whl")
    python, packages = environment(tmp_path / "environment")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", str(pack)]
    subprocess.run(pip, check=True)
    assert (packages / packs.NAMESPACE).is_dir()

    rng = np.random.default_rng(5)
    path, other, step = rng.normal(size=(7, 40, 5)), rng.normal(size=(7, 30, 5)), rng.normal(size=(7, 5))
    np.savez(tmp_path / "given.npz", path=path, other=other, step=step)
    variables = {policy.VARIABLE: policy.NEVER, "PATH": "/nowhere", "LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache")}
    words = [str(tmp_path / "given.npz"), str(tmp_path / "results.npz")]
    done = subprocess.run(
        [python, "-c", WITHOUT + JOBS + EVERYTHING, *words], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = dict(np.load(tmp_path / "results.npz"))

    def truth(path: np.ndarray) -> np.ndarray:
        return pysiglib.log_sig(np.ascontiguousarray(path), 3, method=2)

    def slope(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray, direction: np.ndarray) -> float:
        return float(function(at + 1e-4 * direction).sum() - function(at - 1e-4 * direction).sum()) / 2e-4

    pysiglib.prepare_log_sig(5, 3, 2)
    assert_near(found["log_sig"], truth(path))
    assert_near(found["stream"], truth(path))
    assert_near(found["words"], pysiglib.log_sig(path, 3, method=1))
    assert_near(found["sig"], pysiglib.sig(path, 3))
    assert_near(found["windows"], truth(path[:, 4:24]))
    assert_near(found["join"], truth(np.concatenate([path, path[:, -1:] + step[:, None]], axis=1)))
    assert_near(found["combine"], truth(np.concatenate([path, other - other[:, :1] + path[:, -1:]], axis=1)))
    direction = rng.normal(size=path.shape)
    assert_near(np.vdot(found["d_path"], direction), slope(truth, path, direction), 1e-6)
    direction = rng.normal(size=found["log_sig"].shape)
    joined = slope(lambda log_sig: peer.join(log_sig, step, 5, 3), found["log_sig"], direction)
    assert_near(np.vdot(found["d_z"], direction), joined, 1e-6)

    torch_code = """
    import logsig_codegen as lg, numpy as np, sys, torch
    path = torch.tensor(np.load(sys.argv[1])["path"], requires_grad=True)
    lg.log_sig(path, 3, method=2).sum().backward()
    np.save(sys.argv[2], path.grad.numpy())
    """
    variables["PYTHONPATH"] = f"{packages}:{Path.cwd()}"
    words = [str(tmp_path / "given.npz"), str(tmp_path / "gradient.npy")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(torch_code), *words], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert_near(np.load(tmp_path / "gradient.npy"), found["d_path"])


def assert_near(found: Any, expected: Any, error: float = 1e-11) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=error * max(1.0, float(np.abs(expected).max())))
