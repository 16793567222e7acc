"""Write the golden tree again, after an intended change of the generated text: ``python tests/refresh_golden.py``."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import golden


def main() -> None:
    """Replace the tree, so that files that are no longer written disappear."""
    with tempfile.TemporaryDirectory() as folder:
        golden.write(Path(folder), hash_seed="0")
        generated, _headers = golden.split(golden.read(Path(folder)))
    if golden.GOLDEN.exists():
        shutil.rmtree(golden.GOLDEN)
    for name, content in generated.items():
        path = golden.GOLDEN / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(path.relative_to(golden.ROOT))
    golden.DIGESTS.write_text(json.dumps(golden.digests(), indent=1) + "\n", encoding="utf-8")
    print(golden.DIGESTS.relative_to(golden.ROOT))


if __name__ == "__main__":
    main()
