"""Every fixture of the newer generators and decoders against what the original code gave.

The folder is JAXINV_GENERATOR_FIXTURES_2 (default: fixtures-generators-2 in the shared folder);
without it the tests skip. A folder of a kind that no module of `tests/generator_fixtures` knows is
a failure.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests import generator_fixtures
from tests.fixture_checks import checks_of, folders
from tests.weights import SHARED

FIXTURES = Path(os.environ.get("JAXINV_GENERATOR_FIXTURES_2", SHARED / "fixtures-generators-2"))
CHECKS = checks_of(generator_fixtures)


@pytest.mark.parametrize("folder", folders(FIXTURES, {}))
def test_a_converted_file_draws_what_the_original_code_drew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr("jaxinv.models.loading.use_compilation_cache", lambda: None)
    kind = json.loads((folder / "meta.json").read_text("utf-8"))["kind"]
    assert kind in CHECKS, f"no check of {kind!r} ({folder.name}); known: {sorted(CHECKS)}"
    CHECKS[kind](folder)
