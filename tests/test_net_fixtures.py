"""Every fixture of nets, edits and metrics against what the original code gave.

The folder is JAXINV_NET_FIXTURES (default: fixtures-nets in the shared folder); without it the
tests skip. A folder that no module of `tests/net_fixtures` knows is a failure.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import net_fixtures
from tests.net_fixtures.rules import ABSOLUTE, rule_tensor
from tests.weights import SHARED

FIXTURES = Path(os.environ.get("JAXINV_NET_FIXTURES", SHARED / "fixtures-nets"))
Check = Callable[[Path], None]


def checks() -> dict[str, Check]:
    """The checks of all modules by the names of their folders."""
    found: dict[str, Check] = {}
    for module in pkgutil.iter_modules(net_fixtures.__path__, "tests.net_fixtures."):
        own: dict[str, Check] = getattr(importlib.import_module(module.name), "CHECKS", {})
        twice = found.keys() & own.keys()
        assert not twice, f"{sorted(twice)} have two checks"
        found |= own
    return found


CHECKS = checks()


def folders() -> list[Any]:
    """A case for every folder, slow if its check is; one that is skipped where there is none."""
    found = sorted(path for path in FIXTURES.glob("*") if path.is_dir())
    missing = pytest.mark.skip(reason=f"no fixtures in {FIXTURES.name}")
    return [pytest.param(path, id=path.name, marks=marks(path)) for path in found] or [
        pytest.param(FIXTURES, id="none", marks=missing)
    ]


def marks(folder: Path) -> list[pytest.MarkDecorator]:
    """What the check of a folder is marked with, as a test is: @pytest.mark.slow."""
    return getattr(CHECKS.get(folder.name), "pytestmark", [])


@pytest.mark.parametrize("folder", folders())
def test_fixture(folder: Path) -> None:
    assert folder.name in CHECKS, f"no check of {folder.name!r}; known: {sorted(CHECKS)}"
    CHECKS[folder.name](folder)


def test_tensors_are_drawn_by_name_and_seed() -> None:
    values = [0.07453537732362747, 0.02352958731353283, 0.24955910444259644]
    np.testing.assert_array_equal(rule_tensor("check", (3,)), np.asarray(values, np.float32))
    other = rule_tensor("check", (3,), 2.0, 1.0, ABSOLUTE, seed=1)
    assert (other >= 1).all()
    assert not np.array_equal(other, rule_tensor("check", (3,), 2.0, 1.0))
