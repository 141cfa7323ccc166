"""The site of the documentation, built with warnings as errors."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from jaxinv.presets import PRESETS
from tests.pages import ROOT

NEEDED = ("sphinx", "furo", "myst_nb")


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="needs sphinx: pip install .[docs]")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E"]
    command += ["-d", str(tmp_path / "read"), "docs", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    families = "".join(page.read_text("utf-8") for page in site.glob("methods/*.html"))
    assert [
        name for name in PRESETS if f'id="preset-{name.replace("+", "plus")}"' not in families
    ] == []
    reference = (site / "reference.html").read_text("utf-8")
    assert "Latents from which" in reference
    assert len(list(site.glob("notebooks/*.html"))) == len(list(ROOT.glob("notebooks/*.ipynb")))
