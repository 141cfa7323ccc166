"""Settings for every test: repeatable property tests, no windows, no time limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

# OpenVINO reports its use from a forked process, which warns once JAX has started; without this
# module it does not.
_modules: dict[str, Any] = sys.modules
_modules["openvino_telemetry"] = None

# Same examples on every run and no deadline: a slow machine must not turn a test red.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """Compile without optimisations: for modules that compile much and compute little."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()  # other modules must not run what was compiled for this one
