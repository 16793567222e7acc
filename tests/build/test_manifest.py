"""Folders whose manifest, library or sources were damaged in any way: an error that names the file and the field."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import once

import logsig_codegen as lg
from logsig_codegen.build import cache
from logsig_codegen.build.artifact import MANIFEST, describe_file, read_artifact
from logsig_codegen.build.toolchain import find_compiler
from logsig_codegen.targets import CUDA, C
from logsig_codegen.targets.base import BuildSpec
from logsig_codegen.targets.builder import make_request

PROBE = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])
ANSWER = [6.0, 9.0, 1.5]  # 3 + (1 * 7 - 2 * 5) / 2
LIBRARY = "liblogsig_d2_n2.so"


@pytest.fixture(autouse=True)
def nothing_loaded() -> None:
    lg.clear_cache()


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An entry of a cache of its own."""
    source = lg.load(2, 2).path
    root = tmp_path / "cache"
    (root / "kernels").mkdir(parents=True)
    for file in (*source.parent.parent.iterdir(), *source.parent.iterdir()):
        if file.is_file():  # what marks the folders as a cache, if anything does
            shutil.copy(file, root / file.relative_to(source.parent.parent))
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(root))
    lg.clear_cache()
    return Path(shutil.copytree(source, root / "kernels" / source.name))


@pytest.fixture
def folder(entry: Path, tmp_path: Path) -> Path:
    """The same files as a folder that somebody keeps."""
    return Path(shutil.copytree(entry, tmp_path / "folder"))


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))


def write(folder: Path, manifest: Any) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def edited(*way: Any, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Put a value in the place of the one at the end of ``way``."""

    def edit(manifest: dict[str, Any]) -> dict[str, Any]:
        place: Any = manifest
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = value
        return manifest

    return edit


TEXTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a manifest"),
    "binary": (bytes(range(256)), "is not a manifest"),
    "not UTF-8": (b'{"format": 2, "key": "\xff"}', "is not a manifest"),
    "a list": (b"[]", "is not a manifest of format 2"),
    "100,000 lists": (b'{"format": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "levels"),
    "100,000 objects": (b'{"x": ' * 100_000 + b"1" + b"}" * 100_000, "levels"),
    "40 lists": (b'{"format": 2, "x": ' + b"[" * 40 + b"]" * 40 + b"}", "levels"),
    "NaN": (b'{"format": 2, "size": NaN}', "the number NaN"),
    "infinity": (b'{"format": 2, "size": 1e999}', "the number 1e999"),
    "many digits": (b'{"format": 2, "size": ' + b"9" * 5000 + b"}", "5000 digits"),
    "twice": (b'{"format": 2, "key": "a", "key": "b"}', "'key' stands there twice"),
    "true": (b'{"format": true}', "format 2"),
    "huge": (b'{"format": 2, "x": "' + b"x" * 2**24 + b'"}', "bytes"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_are_no_manifest(entry: Path, name: str) -> None:
    text, message = TEXTS[name]
    (entry / MANIFEST).write_bytes(text)
    with pytest.raises(lg.ArtifactError, match=message) as caught:
        lg.load(2, 2, artifacts=entry)
    assert str(entry / MANIFEST) in str(caught.value)


FIELDS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("cpu",), "x", "cpu: expected an object, got 'x'"),
    (("cpu", "features"), {}, r"cpu\.features: expected a list, got {}"),
    (("cpu", "features"), [1], r"cpu\.features\[0\]: expected a text, got 1"),
    (("cpu",), None, "cpu: expected an object, got None"),
    (("files",), [], r"files: expected an object, got \[\]"),
    (("files", LIBRARY), None, r"files\.liblogsig_d2_n2\.so: expected an object"),
    (("files", LIBRARY, "size"), "1", r"files\.liblogsig_d2_n2\.so\.size: expected a number"),
    (("files", LIBRARY, "sha256"), "00", "64 hexadecimal digits"),
    (("files", "../x"), {"size": 0, "sha256": "0" * 64}, "expected the name of a file in the folder"),
    (("dimension",), 2.0, "dimension: expected a number from 1"),
    (("dimension",), True, "dimension: expected a number from 1"),
    (("degree",), 2**70, "degree: expected a number from 1"),
    (("degree",), 2**40, "more than 2"),
    (("groups",), "join", "groups: expected a list"),
    (("groups",), [["join"]], r"groups\[0\]: expected a text"),
    (("operations", "join"), {"total": 1}, r"operations\.join: lacks multiply_adds"),
    (("operations", "other"), {"multiply_adds": 1, "additions": 1, "scalings": 1, "total": 3}, "plan: lacks 'other'"),
    (("bytes_per_sample", "join"), {"float64": 8}, "lacks float32"),
    (("compiler",), None, "compiler: expected an object"),
    (("compiler",), {"path": "cc"}, "compiler: lacks version"),
    (("flags",), [None], r"flags\[0\]: expected a text"),
    (("openmp",), 1, "openmp: expected true or false"),
    (("target",), 3, "target: expected a text"),
    (("request",), [], "request: expected an object"),
    (("library",), "other.so", "library: 'other.so' is not among the files"),
    *(
        (("library",), name, "library: expected the name of a file in the folder")
        for name in ("", ".", "..", "/lib/libc.so", "../libc.so", "a/b.so", "a\\b.so", "C:libc.so", "a\0b", "\ud800", 3)
    ),
    *(
        (("sources",), [name], r"sources\[0\]: expected the name of a file in the folder")
        for name in ("/etc/passwd", "../secret", "a/../../secret", MANIFEST, None)
    ),
]  # fmt: skip


@pytest.mark.parametrize(("way", "value", "message"), FIELDS)
def test_fields_of_a_wrong_type_or_value(entry: Path, way: tuple[Any, ...], value: Any, message: str) -> None:
    write(entry, edited(*way, value=value)(manifest_of(entry)))
    with pytest.raises(lg.ArtifactError, match=message) as caught:
        lg.load(2, 2, artifacts=entry)
    assert str(entry / MANIFEST) in str(caught.value)


def test_fields_that_are_missing(entry: Path) -> None:
    manifest = manifest_of(entry)
    for name in set(manifest) - {"request", "target", "format"}:
        write(entry, {key: value for key, value in manifest.items() if key != name})
        with pytest.raises(lg.ArtifactError, match=f"lacks {name}"):
            lg.load(2, 2, artifacts=entry)


def test_kernels_for_gpus_of_a_wrong_type(tmp_path: Path) -> None:
    folder = lg.generate(2, 2, tmp_path, targets=("cuda",), operations=("join",), emit_only=True).path
    manifest = manifest_of(folder)
    read_artifact(folder)
    for way, value, message in [
        (("kernels",), {}, "kernels: expected a list"),
        (("kernels", 0), [], r"kernels\[0\]: expected an object"),
        (("kernels", 0, "binary"), "../x.cubin", r"kernels\[0\]\.binary: expected the name of a file"),
        (("kernels", 0, "shape"), {"warps": 2**40, "warp_bytes": 0}, r"shape\.warps: expected a number from 0 to 2147"),
        (("architectures",), None, "architectures: expected a list"),
    ]:
        write(folder, edited(*way, value=value)(copy.deepcopy(manifest)))
        with pytest.raises(lg.ArtifactError, match=message):
            CUDA.check(read_artifact(folder), lg.Problem(2, 2))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def ways(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*before, key)
        if isinstance(inner, (dict, list)):
            yield from ways(inner, (*before, key))


def error_of(folder: Path) -> str | None:
    """What is wrong with a folder, if anything: a kernel that is loaded has all that it should have."""
    try:
        kernel = lg.load(2, 2, artifacts=folder)
        sources, report = kernel.sources, kernel.report
    except lg.ArtifactError as error:
        return str(error)
    finally:
        lg.clear_cache()
    assert kernel.join(*PROBE).tolist() == ANSWER
    assert isinstance(sources, dict)
    assert str(report)
    json.dumps(report.to_dict())
    return None


@pytest.mark.parametrize("examples", [30, pytest.param(3000, marks=pytest.mark.slow)])
def test_whatever_a_manifest_says(folder: Path, examples: int) -> None:
    """With any value in any place there is an error of ours, or a kernel with its report and its sources."""
    sound = manifest_of(folder)

    @settings(max_examples=examples)
    @given(way=st.sampled_from(sorted(ways(sound), key=str)), value=JSON)
    def attack(way: tuple[Any, ...], value: Any) -> None:
        write(folder, edited(*way, value=value)(copy.deepcopy(sound)))
        error = error_of(folder)
        assert error is None or str(folder) in error

    attack()


# -- entries of the cache -------------------------------------------------------------------------------------------


def test_a_damaged_entry_answers_nothing(entry: Path) -> None:
    """So that it is built again; see also ``test_cache.py``."""
    request = make_request(C, BuildSpec(lg.Problem(2, 2), ("join",)), find_compiler())
    found = cache.lookup(request)
    assert found is not None
    assert found.path == entry
    manifest = manifest_of(entry)
    for way, value, _ in FIELDS:
        write(entry, edited(*way, value=value)(copy.deepcopy(manifest)))
        assert cache.lookup(request) is None, way
    for text, _ in TEXTS.values():
        (entry / MANIFEST).write_bytes(text)
        assert cache.lookup(request) is None
    (entry / MANIFEST).unlink()
    os.mkfifo(entry / MANIFEST)  # reading it would never end
    with pytest.warns(RuntimeWarning, match="no plain file"):
        assert cache.lookup(request) is None
    with pytest.raises(lg.ArtifactError, match=r"manifest\.json: cannot be read: it is not a regular file"):
        lg.load(2, 2, artifacts=entry)


def foreign_library(kind: str) -> Path:
    """A library that is none of ours."""

    def make(folder: Path) -> None:
        (folder / "x.c").write_text("int x(void) { return 1; }\n", encoding="utf-8")
        subprocess.run(["cc", "-shared", "-fPIC", "x.c", "-o", "x.so"], cwd=folder, check=True)

    return once(f"foreign-{kind}", make) / "x.so"


def replace_library(folder: Path, content: bytes) -> None:
    (folder / LIBRARY).unlink()  # it may be in memory
    (folder / LIBRARY).write_bytes(content)
    manifest = manifest_of(folder)
    manifest["files"][LIBRARY] = describe_file(folder / LIBRARY)
    write(folder, manifest)


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def other_machine(content: bytes) -> bytes:
    return content[:18] + b"\x2b\x00" + content[20:]  # SPARC


@pytest.mark.parametrize("kind", ["another", "cut off", "other machine", "text", "empty"])
def test_libraries_that_their_manifest_vouches_for(entry: Path, kind: str) -> None:
    """The checksum is right, the library is not."""
    content = (entry / LIBRARY).read_bytes()
    replace_library(
        entry,
        {
            "another": lambda _: foreign_library("plain").read_bytes(),
            "cut off": cut_off,
            "other machine": other_machine,
            "text": lambda _: b"no library\n" * 1000,
            "empty": lambda _: b"",
        }[kind](content),
    )
    with pytest.raises(lg.ArtifactError, match="cannot be loaded") as caught:
        lg.load(2, 2, artifacts=entry)
    assert str(entry / LIBRARY) in str(caught.value)
    lg.clear_cache()
    if kind == "another":  # the other kinds take the same way
        kernel = lg.load(2, 2)
        assert kernel.path == entry
        assert kernel.join(*PROBE).tolist() == ANSWER


def test_a_library_that_lacks_what_its_manifest_has(entry: Path) -> None:
    write(entry, edited("groups", value=["join", "combine"])(manifest_of(entry)))
    with pytest.raises(lg.ArtifactError, match=r"lacks combine for float32, float64"):
        lg.load(2, 2, artifacts=entry)


def test_links_that_lead_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.so"
    (folder / LIBRARY).rename(outside)
    (folder / LIBRARY).symlink_to(outside)
    with pytest.raises(lg.ArtifactError, match="is a link that leads out of the folder"):
        lg.load(2, 2, artifacts=folder)
    (folder / LIBRARY).unlink()
    outside.rename(folder / "inside.so")
    (folder / LIBRARY).symlink_to("inside.so")
    assert lg.load(2, 2, artifacts=folder).join(*PROBE).tolist() == ANSWER
    source = folder / "join.c"
    shutil.copy(source, tmp_path / "join.c")
    source.unlink()
    source.symlink_to(tmp_path / "join.c")
    with pytest.raises(lg.ArtifactError, match="is a link that leads out of the folder"):
        _ = lg.load(2, 2, artifacts=folder).sources


def test_sources_of_a_folder_that_are_gone_or_changed(folder: Path) -> None:
    kernel = lg.load(2, 2, artifacts=folder)
    (folder / "join.c").write_text("edited", encoding="utf-8")
    with pytest.raises(lg.ArtifactError, match=r"join\.c: is damaged"):
        _ = kernel.sources
    (folder / "join.c").unlink()
    with pytest.raises(lg.ArtifactError, match=r"join\.c: cannot be read"):
        _ = kernel.sources


def test_sources_in_the_cache_are_built_again(entry: Path) -> None:
    kernel = lg.load(2, 2)
    sources = kernel.sources
    (entry / "join.c").write_text("damaged", encoding="utf-8")
    assert kernel.sources == sources
    assert (entry / "join.c").read_text(encoding="utf-8") == sources["join.c"]
    assert kernel.join(*PROBE).tolist() == ANSWER
