"""Fair comparison of two ways to do the same work: alternating, warmed up, medians."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax

# Makes fresh arguments (outside the clock) and returns the work to be timed.
Side = Callable[[], Callable[[], Any]]


def measure(sides: dict[str, Side], repeats: int) -> dict[str, float]:
    """Median seconds of each side's work; sides take turns, after one untimed turn each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            work = side()
            began = time.perf_counter()
            jax.block_until_ready(work())
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(times) for name, times in seconds.items()}
