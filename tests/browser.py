"""Pages in a real browser: a Chromium that is installed, without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
IN_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """The page at `url`. At the end it must have reported no error and asked no other place."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000
        )
        found = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        found.set_default_timeout(120_000)
        wrong: list[str] = []
        found.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        found.on("pageerror", lambda error: wrong.append(str(error)))
        asked: list[str] = []
        found.on("request", lambda request: asked.append(request.url))
        found.goto(url)
        yield found
        browser.close()
        assert wrong == []
        elsewhere = [one for one in asked if not one.startswith((url, "blob:", "data:"))]
        assert elsewhere == []
