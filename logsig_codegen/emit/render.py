"""The only place that knows Jinja: strict rendering of the shipped templates."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from logsig_codegen.errors import GenerationError


def template_folder() -> Path:
    """Folder of the templates: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / "c").is_dir():
            return folder
    raise GenerationError(f"the templates are missing: neither {package / 'templates'} nor a checkout has them")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(template_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, **view: Any) -> str:
    """Render one template; a name the view does not define is an error."""
    return _environment().get_template(template).render(**view)


def verbatim(name: str) -> str:
    """The text of a hand-written file that is shipped with the templates."""
    return (template_folder() / name).read_text(encoding="utf-8")
