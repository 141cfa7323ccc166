"""Fair comparison of ways to do the same work: alternating, warmed up, medians."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jax

# Makes fresh arguments (outside the clock) and returns the work to be timed.
Side = Callable[[], Callable[[], Any]]
# "wall" is what users feel. "cpu" counts the seconds of all threads of this process, also while
# others keep the machine busy; with one thread it is as good as the time on a quiet machine.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(sides: dict[str, Side], repeats: int, clock: str = "wall") -> dict[str, float]:
    """Median seconds of each side's work; sides take turns, after one untimed turn each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    now = CLOCKS[clock]
    for turn in range(repeats + 1):
        for name, side in sides.items():
            work = side()
            began = now()
            jax.block_until_ready(work())
            if turn:
                seconds[name].append(now() - began)
    return {name: median(times) for name, times in seconds.items()}
