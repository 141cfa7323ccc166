"""Every fixture of nets, edits and metrics against what the original code gave.

The folder is JAXINV_NET_FIXTURES (default: fixtures-nets in the shared folder); without it the
tests skip. A folder that no module of `tests/net_fixtures` knows is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests import net_fixtures
from tests.fixture_checks import checks_of, folders
from tests.net_fixtures.rules import ABSOLUTE, rule_tensor
from tests.weights import SHARED

FIXTURES = Path(os.environ.get("JAXINV_NET_FIXTURES", SHARED / "fixtures-nets"))
CHECKS = checks_of(net_fixtures)


@pytest.mark.parametrize("folder", folders(FIXTURES, CHECKS))
def test_fixture(folder: Path) -> None:
    assert folder.name in CHECKS, f"no check of {folder.name!r}; known: {sorted(CHECKS)}"
    CHECKS[folder.name](folder)


def test_tensors_are_drawn_by_name_and_seed() -> None:
    values = [0.07453537732362747, 0.02352958731353283, 0.24955910444259644]
    np.testing.assert_array_equal(rule_tensor("check", (3,)), np.asarray(values, np.float32))
    other = rule_tensor("check", (3,), 2.0, 1.0, ABSOLUTE, seed=1)
    assert (other >= 1).all()
    assert not np.array_equal(other, rule_tensor("check", (3,), 2.0, 1.0))
