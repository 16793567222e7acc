"""``python arguments_by_hypothesis.py EXAMPLES FOLDER``: calls of arguments.py, chosen and made smaller by hypothesis.

Prints JSON: how many calls were made, and a least call with a wrong outcome, if there is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.arguments import Generator, Kind, attempt, confine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def main(words: Sequence[str]) -> int:
    """The program; see above."""
    examples, folder = int(words[0]), Path(words[1])
    scratch = confine(folder)
    made = 0

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def calls(data: st.DataObject) -> None:
        nonlocal made
        made += 1
        call = Generator(lambda values: data.draw(st.sampled_from(values)), scratch).call()
        outcome = attempt(call)
        assert outcome.kind is not Kind.FINDING, f"{call}\n{outcome.trace}"

    findings = {}
    try:
        calls()
    except AssertionError as error:
        findings = {str(error).splitlines()[0]: str(error)}
    print(json.dumps({"calls": made, "findings": findings}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
