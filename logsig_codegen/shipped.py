"""Files that are shipped with the package: templates, and what is written by hand."""

from __future__ import annotations

from pathlib import Path

from logsig_codegen.errors import GenerationError


def template_folder() -> Path:
    """Folder of the templates: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / "c").is_dir():
            return folder
    raise GenerationError(f"the templates are missing: neither {package / 'templates'} nor a checkout has them")


def license_text() -> str:
    """The text of the license: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parent
    return next(f for f in (package / "LICENSE", package.parent / "LICENSE") if f.is_file()).read_text(encoding="utf-8")


def verbatim(name: str) -> str:
    """The text of a hand-written file that is shipped with the templates."""
    return (template_folder() / name).read_text(encoding="utf-8")
