"""Runs the Python blocks of the Markdown pages and compares what they print with what the pages say.

A ``python`` block is run in the namespace of its page; a ``text`` block right after it shows its output. As a script,
``python tests/documents.py`` writes the output it sees into the pages, to be read before it is committed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and where the text stands in the page."""

    language: str
    text: str
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Example:
    """A Python block and, if the page shows one, the block with its output."""

    code: Block
    output: Block | None


def pages() -> list[Path]:
    """The pages whose code is run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [
        Block(found[1], found[2], found.start(2), found.end(2), page.count("\n", 0, found.start(2)) + 1)
        for found in FENCE.finditer(page)
    ]


def examples(page: str) -> Iterator[Example]:
    """The Python blocks of a page, each with the output block that follows it with nothing but blank lines between."""
    found = blocks(page)
    for block, following in zip(found, [*found[1:], None], strict=False):
        if block.language != "python":
            continue
        shown = following is not None and following.language == "text"
        between = page[block.end : following.start].removeprefix("```").removesuffix("```text\n") if shown else "-"
        yield Example(block, following if not between.strip() else None)


def run(code: str, namespace: dict[str, Any], name: str) -> str:
    """Run one block and return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, name, "exec"), namespace)
    return printed.getvalue()


def prepare(folder: Path) -> None:
    """Put into ``folder`` what the pages take for granted: the folder of (2, 3), as their commands write it."""
    import logsig_codegen as lg

    lg.generate(2, 3, folder / "generated")


def refresh() -> None:
    """Write the real output into every page."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.chdir(folder)
        for path in pages():
            page, namespace = path.read_text(), {"__name__": "page"}
            replacements = [
                (example.output, run(example.code.text, namespace, f"{path.name}:{example.code.line}"))
                if example.output
                else (None, run(example.code.text, namespace, f"{path.name}:{example.code.line}"))
                for example in examples(page)
            ]
            for output, printed in reversed(replacements):
                if output:
                    page = page[: output.start] + printed + page[output.end :]
            if page != path.read_text():
                print(f"refreshed {path.relative_to(ROOT)}")
                path.write_text(page)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    refresh()
