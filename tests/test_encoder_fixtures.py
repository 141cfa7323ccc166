"""Every fixture of encoders against what the original code gave.

The folder is JAXINV_ENCODER_FIXTURES (default: fixtures-encoders in the shared folder); without it
the tests skip. A folder that no module of `tests/encoder_fixtures` knows is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import encoder_fixtures
from tests.fixture_checks import checks_of, folders
from tests.weights import SHARED

FIXTURES = Path(os.environ.get("JAXINV_ENCODER_FIXTURES", SHARED / "fixtures-encoders"))
CHECKS = checks_of(encoder_fixtures)


@pytest.mark.parametrize("folder", folders(FIXTURES, CHECKS))
def test_fixture(folder: Path) -> None:
    assert folder.name in CHECKS, f"no check of {folder.name!r}; known: {sorted(CHECKS)}"
    CHECKS[folder.name](folder)
