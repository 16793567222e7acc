"""The command ``logsig-gen cache``: what the cache holds, and how it gets smaller."""

from __future__ import annotations

import argparse
import json
import re
import time
from typing import Any

from logsig_codegen.arguments import readable_size
from logsig_codegen.build import cache, packs
from logsig_codegen.build.cache import failures, retention
from logsig_codegen.text_table import table

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
HEADER = ("(d,N)", "target", "groups", "size", "last use", "entry")
EXAMPLES = """\
examples:
  logsig-gen cache                               what it holds, the last used first
  logsig-gen cache clean --older-than 30d        remove what was not used for thirty days
  logsig-gen cache clean --max-size 1G           remove the least recently used until 1 GiB is left
  logsig-gen cache clear                         remove everything"""


def seconds(text: str) -> float:
    """``"30d"`` as seconds; s, m, h, d and w are units."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw])\s*", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected a time such as 12h, 30d or 2w, got {text!r}")
    return float(match[1]) * SECONDS[match[2]]


def _bytes(text: str) -> int:
    try:
        return retention.bytes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parser() -> argparse.ArgumentParser:
    """The parser of the command; the options have the function that carries them out as ``run``."""
    top = argparse.ArgumentParser(
        prog="logsig-gen cache",
        description="List what the cache of compiled kernels holds, or remove some of it. Nothing is removed but what "
        "bears the cache's mark and is not being built.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.set_defaults(run=_list, json=False)
    actions = top.add_subparsers(metavar="ACTION", title="actions")
    listing = actions.add_parser("list", help="what it holds (default)", allow_abbrev=False)
    clean = actions.add_parser("clean", help="remove what is old, or too much", allow_abbrev=False)
    clean.add_argument("--older-than", type=seconds, metavar="AGE", help="what was last used longer ago: 12h, 30d, 2w")
    clean.add_argument("--max-size", type=_bytes, metavar="SIZE", help="until this is left: 500M, 1G")
    clean.set_defaults(run=_clean)
    clear = actions.add_parser("clear", help="remove everything", allow_abbrev=False)
    clear.set_defaults(run=_clear)
    for one in (top, listing, clean, clear):
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    return top


def _list(options: argparse.Namespace) -> int:
    place, entries = cache.place(), sorted(cache.contents(), key=lambda entry: -entry.used)
    failed = [str(folder) for root in cache.roots() for folder in failures.kept(root)]
    limit, total = cache.size_limit(), sum(entry.size for entry in entries)
    if options.json:
        about = {"path": str(place.root), "refused": place.refused, "size": total, "limit": limit}
        known = {pack.name: pack.state for pack in packs.installed()}
        entered = [_data(entry) for entry in entries]
        print(json.dumps({**about, "entries": entered, "failed": failed, "packs": known}, indent=2))
        return 0
    if entries:
        print(table(HEADER, [_cells(entry) for entry in entries], texts=frozenset((0, 1, 2, 4, 5))))
    allowed = "no limit" if limit is None else f"at most {readable_size(limit)}"
    held = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}, {readable_size(total)}"
    print(f"{place.root}: {held} ({allowed})")
    for folder in failed:
        print(f"a failed build: {folder}")
    for pack in packs.installed():
        print(f"pack {pack.name}: {pack.state}")
    return 0


def _clean(options: argparse.Namespace) -> int:
    if options.older_than is None and options.max_size is None:
        raise ValueError("cache clean: expected --older-than, --max-size or both")
    return _report(cache.clean(older_than=options.older_than, max_size=options.max_size), options)


def _clear(options: argparse.Namespace) -> int:
    before = cache.contents()
    cache.clear()
    left = {entry.path for entry in cache.contents()}
    return _report(tuple(entry for entry in before if entry.path not in left), options)


def _report(removed: tuple[cache.Entry, ...], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps({"removed": [_data(entry) for entry in removed]}, indent=2))
    else:
        size = readable_size(sum(entry.size for entry in removed))
        print(f"removed {len(removed)} {'entry' if len(removed) == 1 else 'entries'}, {size}")
    return 0


def _data(entry: cache.Entry) -> dict[str, Any]:
    manifest = {} if entry.artifact is None else entry.artifact.manifest
    known = {name: manifest.get(name) for name in ("dimension", "degree", "target", "groups")}
    used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.used))
    return {"entry": str(entry.path), **known, "size": entry.size, "last_use": used}


def _cells(entry: cache.Entry) -> tuple[str, ...]:
    if entry.artifact is None:
        head = ("-", "-", "-")
    else:
        manifest = entry.artifact.manifest
        groups = ",".join(map(str, entry.artifact.groups))
        head = (f"({manifest['dimension']},{manifest['degree']})", entry.artifact.target, groups)
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return (*head, readable_size(entry.size), used, entry.path.name)
