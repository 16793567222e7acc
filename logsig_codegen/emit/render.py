"""The only place that knows Jinja: strict rendering of the shipped templates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from logsig_codegen.shipped import template_folder, verbatim

__all__ = ["render", "template_folder", "verbatim"]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(template_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=select_autoescape((".html.j2",), default=False),
    )


def render(template: str, **view: Any) -> str:
    """Render one template; a name the view does not define is an error."""
    return _environment().get_template(template).render(**view)
