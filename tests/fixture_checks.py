"""What the tests of fixtures share: checks by the names of folders, joined from modules."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Check = Callable[[Path], None]


def checks_of(package: ModuleType) -> dict[str, Check]:
    """The checks of all modules of a package by the names of their folders."""
    found: dict[str, Check] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        own: dict[str, Check] = getattr(importlib.import_module(module.name), "CHECKS", {})
        twice = found.keys() & own.keys()
        assert not twice, f"{sorted(twice)} have two checks"
        found |= own
    return found


def folders(place: Path, checks: dict[str, Check]) -> list[Any]:
    """A case for every folder, slow if its check is; one that is skipped where there is none."""
    found = sorted(path for path in place.glob("*") if path.is_dir())
    missing = pytest.mark.skip(reason=f"no fixtures in {place.name}")
    return [
        pytest.param(path, id=path.name, marks=getattr(checks.get(path.name), "pytestmark", []))
        for path in found
    ] or [pytest.param(place, id="none", marks=missing)]
