"""The benchmarks' summaries on the pages follow from the measurements that are kept beside the scripts.

Nothing is measured here. What is trusted: the CSV files, and the pages as people have read them.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from golden import ROOT

RESULTS = ROOT / "benchmarks" / "results"
SCRIPTS = {
    "jobs": "jobs",
    "join": "join",
    "paths": "paths",
    "path_accuracy": "path_accuracy",
    "conversions": "conversions",
    "coordinates": "coordinates",
    "jax_programs": "jax_programs",
    "gpu_h100": "gpu",
    "gpu_h200": "gpu",
    "roofline": "roofline",
    "public_suite": "public_suite",
}
"""By file of results: the script that shows it."""
OTHER_PAGES = {
    "coordinates": "docs/performance.md",
    "jobs": "README.md",
    "roofline": "docs/roofline.md",
    "public_suite": "docs/roofline.md",
}
"""Where it is shown, if not on the page of benchmarks."""


@pytest.mark.parametrize("results", SCRIPTS)
def test_pages_show_what_was_measured(results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [results, "--saved", str(RESULTS / f"{results}.csv")]
    pages = {"--document": OTHER_PAGES.get(results, "docs/benchmarks.md")}
    if results == "join":
        pages["--readme"] = "README.md"
    for option, page in pages.items():
        copy = tmp_path / Path(page).name
        copy.write_text((ROOT / page).read_text())
        arguments += [option, str(copy)]
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", arguments)
    importlib.import_module(SCRIPTS[results]).main()
    for page in pages.values():
        assert (tmp_path / Path(page).name).read_text() == (ROOT / page).read_text(), f"{page} differs from {results}"


def test_every_file_of_results_names_its_machine() -> None:
    files = sorted(RESULTS.glob("*.csv"))
    assert {path.stem for path in files} >= set(SCRIPTS)
    for path in files:
        about = path.read_text().splitlines()[0]
        assert re.fullmatch(r"# \w.*[\d.]+; \d{4}-\d\d-\d\d\..*", about), f"{path.name}: {about}"


def test_the_page_of_benchmarks_is_short() -> None:
    assert len((ROOT / "docs" / "benchmarks.md").read_text().splitlines()) <= 250
