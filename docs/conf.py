"""Sphinx's settings: `sphinx-build -W docs OUT` builds the site."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]  # the page maker beside this file, and the library

import preset_pages

from jaxinv import __version__

project, author, copyright = "jaxinv", "The jaxinv authors", "The jaxinv authors"  # noqa: A001
version = release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "jaxinv"
html_copy_source = False
default_role = "literal"  # docstrings put code between single backticks

nb_execution_mode = "off"  # the tests run the notebooks
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False


def make_pages(app: Any) -> None:
    """Pages of the presets, and copies of the notebooks, beside the pages that are written."""
    del app
    made = preset_pages.pages()
    for stale in {p.relative_to(HERE).as_posix() for p in HERE.glob("methods/*.md")} - set(made):
        (HERE / stale).unlink()
    for place, text in made.items():
        page = HERE / place
        page.parent.mkdir(exist_ok=True)
        if not page.is_file() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")
    (HERE / "notebooks").mkdir(exist_ok=True)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy2(notebook, HERE / "notebooks")


def setup(app: Any) -> None:
    """Make the pages before Sphinx looks for them."""
    app.connect("config-inited", lambda app, config: make_pages(app))
