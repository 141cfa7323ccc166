"""Settings for every test: repeatable property tests, no windows, no time limits."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

# Same examples on every run and no deadline: a slow machine must not turn a test red.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
