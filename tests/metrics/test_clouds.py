"""Distances of clouds: values known by hand, invariants, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jaxinv.metrics.clouds import chamfer, earth_movers, f_score, farthest, one_way

CLOUD = np.random.default_rng(0).uniform(-1, 1, (60, 3))


def test_chamfer_by_hand() -> None:
    a, b = np.array([[0.0, 0, 0], [1, 0, 0]]), np.array([[0.0, 0, 0.5]])
    assert chamfer(a, b) == pytest.approx((0.25 + 1.25) / 2 + 0.25)
    assert one_way(b, a) == pytest.approx(0.25)


def test_order_and_repetition_do_not_matter() -> None:
    other = np.random.default_rng(1).uniform(-1, 1, (50, 3))
    mixed = np.random.default_rng(2).permutation(CLOUD)
    assert chamfer(mixed, other) == pytest.approx(chamfer(CLOUD, other), rel=1e-12)
    assert chamfer(CLOUD, other) == pytest.approx(chamfer(other, CLOUD), rel=1e-12)
    assert chamfer(np.concatenate([CLOUD, CLOUD]), CLOUD) == 0


def test_a_small_shift_costs_its_length() -> None:
    moved = CLOUD + np.array([0.003, 0, 0])
    assert earth_movers(np.random.default_rng(0).permutation(CLOUD), moved) == pytest.approx(0.003)
    assert chamfer(CLOUD, moved) == pytest.approx(2 * 0.003**2, rel=1e-3)


def test_earth_movers_feel_density_where_chamfer_does_not() -> None:
    ends = np.array([[-1.0, 0, 0], [1, 0, 0]])
    even, uneven = np.repeat(ends, (10, 10), axis=0), np.repeat(ends, (15, 5), axis=0)
    assert chamfer(even, uneven) == 0
    assert earth_movers(even, uneven) == pytest.approx(5 * 2 / 20)


def test_f_score_counts_near_points() -> None:
    near, far = np.zeros((4, 3)), np.array([[0.0, 0, 0], [5, 0, 0]])
    assert f_score(CLOUD, CLOUD) == 1
    assert f_score(near, far) == pytest.approx(2 / 3)
    assert f_score(near, near + 1) == 0


def test_farthest_clouds_first() -> None:
    clouds = [CLOUD, CLOUD + 0.01, CLOUD + 3, CLOUD + 1]
    assert farthest(clouds, 3) == [0, 2, 3]
    assert sorted(farthest(clouds, 9)) == [0, 1, 2, 3]


@pytest.mark.parametrize("cloud", [np.zeros((0, 3)), np.zeros((4, 2)), np.full((2, 3), np.nan)])
def test_what_is_no_cloud_is_refused(cloud: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed|finite"):
        chamfer(cloud, CLOUD)


def test_unequal_numbers_have_no_pairs() -> None:
    with pytest.raises(ValueError, match="60 and 59 points; allowed: equal numbers"):
        earth_movers(CLOUD, CLOUD[1:])
