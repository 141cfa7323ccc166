"""DragBench's two numbers: distances by hand, and what is seen outside of a mask."""

from __future__ import annotations

import numpy as np
import pytest

from jaxinv.metrics.dragging import lpips_outside, mean_distance
from tests.offline import random_net

DRAWS = np.random.default_rng(0)
BEFORE = DRAWS.integers(0, 256, (64, 64, 3)).astype(np.uint8)
MASK = np.zeros((32, 32))
MASK[8:20, 4:12] = 1


def test_distances_are_told_at_256_px() -> None:
    points, targets = np.array([[0.0, 0.0], [10.0, 10.0]]), np.array([[3.0, 4.0], [10.0, 10.0]])
    assert mean_distance(points, targets, 256) == 2.5
    assert mean_distance(points, targets, 1024) == 0.625
    with pytest.raises(ValueError, match=r"points \[2, 2\], targets \[1, 2\]"):
        mean_distance(points, targets[:1], 256)


def test_only_changes_outside_of_the_mask_count() -> None:
    net, inside, outside = random_net("alexnet"), BEFORE.copy(), BEFORE.copy()
    inside[16:40, 8:24] = 0
    outside[40:, 40:] = 0
    assert lpips_outside(net, BEFORE, inside, MASK) < 1e-9
    assert lpips_outside(net, BEFORE, inside) > 0
    assert lpips_outside(net, BEFORE, outside, MASK) > 0
    with pytest.raises(ValueError, match="mask has shape"):
        lpips_outside(net, BEFORE, inside, MASK[:3])
