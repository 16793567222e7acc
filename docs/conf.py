"""The site: the pages as they stand in the checkout, a reference made from the docstrings, and a search.

``sphinx-build -c docs . site`` builds it. The source is the whole checkout, so that every link between pages is the one
that a code host shows. What only the site needs is added here: which pages belong together is read from the lists of
links in the pages named index, and each name in the lists of ``api.md`` becomes the documentation of its object.
"""

from __future__ import annotations

import importlib
import inspect
import posixpath
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.ext.autodoc.mock import mock

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "logsig-codegen"
project_copyright = "the logsig-codegen authors"
version = re.findall(r'^__version__ = "(.*)"', (ROOT / "logsig_codegen" / "_version.py").read_text(), re.MULTILINE)[0]

root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
nitpicky = True
nitpick_ignore_regex = [("py:class", r"(?!logsig_codegen).*")]  # words of docstrings: "array, shape (...)"

myst_heading_anchors = 3  # links to headings, as code hosts make them
myst_enable_extensions = ["dollarmath"]
pygments_style = "friendly"

autodoc_mock_imports = ["torch", "jax", "sklearn", "aeon", "sktime", "dask", "distributed", "xarray"]  # read, not run
autodoc_typehints = "none"  # the docstrings say more: shapes, and what is missing
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_param = napoleon_use_rtype = False

html_theme = "furo"
html_title = f"logsig-codegen {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False

ITEM = re.compile(r"^\* `([\w.]+)`$", re.MULTILINE)
"""An object in the lists of the reference."""
FOLDER = re.compile(r"\[([^]]+)\]\((\.\./)*[a-z/]+\)")
"""A link to a folder of the checkout, which the site does not have."""


def tree(docname: str, text: str, prefix: str = "") -> str:
    """The pages that a page of links lists, as trees of contents that are shown in the side bar only.

    A section's tree has its title. The pages are those whose link begins an item of a list, or a line.
    """
    parts = []
    for section in re.split(r"^## ", f"\n{text}", flags=re.MULTILINE):
        title, _, body = section.partition("\n")
        pages = re.findall(r"^(?:\* )?\[[^]]+\]\(([\w./-]+)\.md\)", body, re.MULTILINE)
        names = [f"/{posixpath.normpath(posixpath.join(posixpath.dirname(docname), page))}" for page in pages]
        if names:
            caption = [f":caption: {title}"] if title else []
            parts.append("\n".join(["", "```{toctree}", ":hidden:", *caption, "", *names, "```", ""]))
    return "".join(parts)


def documented(name: str) -> str:
    """The directive that shows an object of the package, by its name within the package."""
    module, _, attribute = f"logsig_codegen.{name}".rpartition(".")
    with mock([one for one in autodoc_mock_imports if find_spec(one) is None]):
        found = getattr(importlib.import_module(module), attribute)
    options: list[str] = []
    if inspect.isclass(found):
        kind = "autoexception" if issubclass(found, BaseException) else "autoclass"
        options = [] if kind == "autoexception" else [":members:"]
        options += [":inherited-members:"] if not ("." in name or kind == "autoexception") else []  # not the mocks'
    else:
        kind = "autofunction" if callable(found) else "autodata"
    return "\n".join(["```{eval-rst}", f".. {kind}:: {module}.{attribute}", *(f"   {each}" for each in options), "```"])


def add_what_the_site_needs(app: Sphinx, docname: str, content: list[str]) -> None:
    """Trees of contents below pages of links, documentation for names."""
    content[0] = FOLDER.sub(r"\1", content[0])
    if docname == root_doc:
        index = (ROOT / "docs" / "index.md").read_text()
        content[0] += tree("docs/index", index + "\n## All\n\n[All pages](index.md)\n")
    elif posixpath.basename(docname) == "index" and docname != "docs/index":
        content[0] += tree(docname, content[0])
    elif docname == "docs/api":
        content[0] = ITEM.sub(lambda item: documented(item[1]), content[0])


def begin_at_the_readme(app: Sphinx, error: Exception | None) -> None:
    """The address of the site itself leads to its first page."""
    if error is None:
        text = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html"><title>{project}</title>\n'
        Path(app.outdir, "index.html").write_text(text)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_what_the_site_needs)
    app.connect("build-finished", begin_at_the_readme)
