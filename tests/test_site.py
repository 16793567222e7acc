"""The site: built without a warning, with every page, every public name, a search, and links that lead somewhere.

Trusts the text of the HTML, and the package's own lists of public names.
"""

from __future__ import annotations

import hashlib
import html
import importlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import documents
import pytest
from shared import once

import logsig_codegen as lg

ROOT = documents.ROOT


def public_names() -> set[str]:
    """Names by which the package is used, within the package; what torch_api and jax_api repeat is left out."""
    front = {name for name in lg.__all__ if name != "__version__"}
    lists = {}
    for module in ("nn", "sklearn", "aeon", "sktime", "jax_api", "dask", "distributed", "xarray"):
        text = (ROOT / "logsig_codegen" / f"{module}.py").read_text()
        found = re.search(r"^__all__ = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        lists[module] = set(re.findall(r'"(\w+)"', found[1])) - (front if module in ("nn", "jax_api") else set())
    return front | {f"{module}.{name}" for module, names in lists.items() for name in names}


def test_the_reference_lists_every_public_name_once() -> None:
    listed = re.findall(r"^\* `([\w.]+)`$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("targets.")} == public_names()


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built as the page of links says."""
    for module in ("sphinx", "myst_parser", "furo"):
        try:
            importlib.import_module(module)
        except ImportError:
            pytest.skip(f'{module} is not installed: pip install -e ".[docs]"')
    sources = [*documents.pages(), *(ROOT / "docs").rglob("*.py"), *(ROOT / "logsig_codegen").rglob("*.py")]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:16]
    return once(f"site-{state}", build)


def build(out: Path) -> None:
    """Build it; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_page_is_there_and_the_address_of_the_site_leads_to_the_first(site: Path) -> None:
    pages = [path.relative_to(ROOT) for path in documents.pages()]
    assert len(pages) > 50
    assert [page for page in pages if not (site / page.with_suffix(".html")).is_file()] == []
    assert "README.html" in (site / "index.html").read_text()
    assert "docs/gallery/activities" in (site / "searchindex.js").read_text()


def test_the_reference_documents_every_public_name(site: Path) -> None:
    page = (site / "docs" / "api.html").read_text()
    anchors = set(re.findall(r'id="logsig_codegen\.([\w.]+)"', page))
    assert public_names() | {"LogSigKernel.log_sig", "LogSigKernel.prepare", "targets.Target"} <= anchors


def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    texts = {path: path.read_text() for path in site.rglob("*.html") if "_modules" not in path.parts}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    broken = []
    for path, text in texts.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            target, _, fragment = html.unescape(unquote(link)).partition("#")
            if re.match(r"\w+:|//", target):
                continue
            file = (path.parent / target.partition("?")[0]).resolve() if target else path
            if not file.is_file() or (fragment and file in anchors and fragment not in anchors[file]):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_the_side_bar_leads_newcomers_first_and_decisions_last(site: Path) -> None:
    text = (site / "README.html").read_text()
    captions = re.findall(r'class="caption-text">([^<]+)<', text)
    assert captions[0] == "First steps"
    assert text.index("Tutorial</a>") < text.index("Gallery</a>") < text.index("Decisions</a>")
