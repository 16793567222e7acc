"""The lowest versions that pyproject.toml admits, as constraints for pip: ``python .ci/floors.py EXTRA...``."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def floors(text: str, *extras: str) -> list[str]:
    """``name==version`` for each ``name>=version`` of the dependencies, and of the extras named, whose word is last."""
    lists = [re.search(rf"^{name} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL) for name in ("dependencies", *extras)]
    found = dict(requirement for one in lists if one for requirement in re.findall(r'"([\w.-]+)>=([\w.]+)', one[1]))
    return [f"{name}=={version}" for name, version in found.items()]


if __name__ == "__main__":
    print("\n".join(floors((Path(__file__).parent.parent / "pyproject.toml").read_text(), *sys.argv[1:])))
