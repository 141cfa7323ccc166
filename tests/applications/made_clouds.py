"""Made shapes as clouds: tables, whose tops and legs vary. What is cut off is known."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jaxinv.applications.cloud_training import learn_clouds
from jaxinv.edits.discovery.training import Training
from tests.tiny import Pair

POINTS = 128


def tables(count: int, seed: int = 0, points: int = POINTS) -> np.ndarray:
    """[count, points, 3]: a round or square top of some width at some height, and four legs."""
    draws = np.random.default_rng(seed)
    return np.stack([table(draws, points) for _ in range(count)]).astype(np.float32)


def table(draws: np.random.Generator, points: int) -> np.ndarray:
    wide, deep, high = draws.uniform((0.3, 0.3, 0.2), (0.8, 0.8, 0.8))
    on_top = points * 5 // 8
    top = draws.uniform(-1, 1, (on_top, 2)) * [wide, deep]
    top = np.stack([top[:, 0], np.full(on_top, high / 2), top[:, 1]], 1)
    legs = points - on_top
    feet = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])[np.arange(legs) % 4] * [wide, deep] * 0.9
    heights = draws.uniform(-high / 2 - 0.2, high / 2, legs)
    return np.concatenate([top, np.stack([feet[:, 0], heights, feet[:, 1]], 1)])


def half(cloud: np.ndarray) -> np.ndarray:
    """What lies to the left of the middle: all that a scanner saw."""
    return cloud[cloud[:, 0] < 0]


@lru_cache
def learned(steps: int = 1500) -> Pair:
    """A generator of tables."""
    training = Training(steps, 2e-3, label="tables", report=lambda line: None)
    layers = ((32, 1), (32, 2), (24, 4))
    return learn_clouds(tables(200), "tables", z_dim=4, layers=layers, support=2, training=training)
