"""Files of cache entries and generated folders are damaged: there is a right result, or an error that names the folder.

As a program, ``python damage.py TIMES SEED FOLDER`` prints JSON: how often what was damaged and what came of it, and
what was found. From the cache the numbers are always right, for what is damaged is built again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults import children
from native import unoptimised

import logsig_codegen as lg

GARBAGE: tuple[Any, ...] = (
    None, 0, -1, 2**70, 1.5, True, "", "x", "/etc/passwd", "../../x", "\0", [], [1], ["x"], {}, {"a": 1}, [[[]]], "NaN",
)  # fmt: skip


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 9)) if content else 0):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(1 + path.stat().st_size))


def append(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.choice((1, 4096))))


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


def swap(path: Path, chance: random.Random) -> None:
    """Two files of a folder change places."""
    other = chance.choice([one for one in path.parent.iterdir() if one.is_file() and one != path] or [path])
    kept = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def to_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def to_link(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(("/nowhere", "/dev/null", "/proc/self/mem", path.name, "..")))


def edit(path: Path, chance: random.Random) -> None:
    """A value somewhere in a manifest becomes another, or vanishes; of other files a line."""
    text = path.read_bytes()
    try:
        data = json.loads(text)
    except ValueError:
        lines = text.splitlines(keepends=True)
        chance.shuffle(lines)
        path.write_bytes(b"".join(lines))
        return
    place: Any = data
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = chance.choice(keys)
        if isinstance(place[key], (dict, list)) and place[key] and chance.random() < 0.6:
            place = place[key]
            continue
        if chance.random() < 0.2:
            del place[key]
        else:
            place[key] = chance.choice(GARBAGE)
        break
    path.write_text(json.dumps(data), encoding="utf-8")


def deepen(path: Path, _: random.Random) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000, encoding="utf-8")


KINDS: tuple[Callable[[Path, random.Random], None], ...] = (
    flip, truncate, append, remove, swap, to_folder, to_link, edit, edit, edit, deepen,
)  # fmt: skip


def everything(**options: Any) -> int:
    """A result, and everything that reads the folder it is from; of the latter an error of the package will do."""
    status = children.load_and_check(**options)
    for name in ("report", "sources", "path"):
        try:
            str(getattr(lg.load(2, 2, **options), name))
        except lg.LogSigError as error:
            print(f"{name}: {type(error).__name__}: {error}")
    return status


def twice(work: Callable[[], int], output: Path) -> list[int]:
    """Statuses of two processes that do the same, one after the other."""
    return [children.wait(children.start(work, output)) for _ in range(2)]


def main(words: Sequence[str]) -> int:
    """The program; see above."""
    times, seed, folder = int(words[0]), int(words[1]), Path(words[2])
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    output, pristine, cache = folder / "output", folder / "pristine", folder / "cache"
    os.environ.update({"LOGSIG_CODEGEN_CACHE": str(cache), "TMPDIR": str(folder)})
    made = pristine / "generated" / "d2_n2"

    def prepare() -> int:
        lg.generate(2, 2, made.parent, operations=("join",))
        return children.load_and_check()

    cache.mkdir()
    assert children.wait(children.start(prepare, output)) == children.RIGHT, output.read_text()
    shutil.copytree(cache, pristine / "cache")
    tried: Counter[str] = Counter()
    findings: dict[str, str] = {}
    for _ in range(times):
        cached = chance.random() < 0.7
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(pristine / "cache", cache, symlinks=True)
        shutil.copytree(pristine / "generated", work)
        files = [one for one in sorted((cache if cached else work).rglob("*")) if one.is_file()]
        manifests = [one for one in files if one.name == "manifest.json"]
        victim, kind = chance.choice(manifests if chance.random() < 0.4 else files), chance.choice(KINDS)
        kind(victim, chance)
        what = f"{'cache' if cached else 'folder'}: {victim.suffix or 'mark or lock'} {kind.__name__}"
        run: Callable[[], int] = everything if cached else partial(everything, artifacts=work)
        found = twice(run, output)
        tried[f"{what}: {'right' if found[0] == children.RIGHT else 'reported'}"] += 1
        allowed = {children.RIGHT} if cached else {children.RIGHT, children.REPORTED}
        if not set(found) <= allowed:
            findings.setdefault(what, f"{victim}, statuses {found}: {output.read_text()[-1500:]}")
    print(json.dumps({"tried": tried, "findings": findings}))
    return 0


if __name__ == "__main__":
    unoptimised(pytest.MonkeyPatch())
    sys.exit(main(sys.argv[1:]))
