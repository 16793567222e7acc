"""Write the golden tree again, after an intended change of the generated text: ``python tests/refresh_golden.py``."""

from __future__ import annotations

import shutil

import golden


def main() -> None:
    """Replace the tree, so that files that are no longer written disappear."""
    if golden.GOLDEN.exists():
        shutil.rmtree(golden.GOLDEN)
    golden.write(golden.GOLDEN, hash_seed="0")
    for name in golden.read(golden.GOLDEN):
        print(f"{golden.GOLDEN.relative_to(golden.ROOT)}/{name}")


if __name__ == "__main__":
    main()
