"""The scripts of the page by themselves, run by node where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import jaxinv.studio.app

PAGE = Path(jaxinv.studio.app.__file__).parent / "page"
HERE = Path(__file__).parent
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="no node on this machine")
def test_the_connection_comes_back_or_polls() -> None:
    done = subprocess.run(
        [str(NODE), "--test", str(HERE / "connection.test.mjs")],
        env={**os.environ, "CONNECTION": str(PAGE / "connection.js")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_small_readable_and_complete() -> None:
    index = (PAGE / "index.html").read_text("utf-8")
    for file in PAGE.iterdir():
        text = file.read_text("utf-8")
        assert len(text.splitlines()) <= 400
        assert file.name in jaxinv.studio.app.PAGE or file.name == "index.html"
        assert "innerHTML" not in text
        assert "eval(" not in text
    assert "<script>" not in index
    assert "style=" not in index
    for name, (file, _) in jaxinv.studio.app.PAGE.items():
        assert (PAGE / file).is_file(), name
