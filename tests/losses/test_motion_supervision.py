"""Dragging: what is pulled, tracked, kept and refused, against loops over pixels in numpy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from jaxinv.losses import motion_supervision as drag
from jaxinv.nn.pool import bilinear

DRAWS = np.random.default_rng(0)
MAP = DRAWS.standard_normal((20, 31, 3)).astype(np.float32)
POINTS, TARGETS = np.array([[3, 4], [0, 30], [12, 9]]), np.array([[9, 1], [4, 26], [12, 10]])


def loop_loss(features: np.ndarray, radius: int) -> float:
    """`motion_loss` pixel by pixel, over the whole map."""
    total, (h, w) = 0.0, features.shape[:2]
    for point, target in zip(POINTS, TARGETS, strict=True):
        way = np.asarray(target - point, float)
        if np.linalg.norm(way) <= 1:
            continue
        way /= np.linalg.norm(way)
        parts = []
        for row, column in np.ndindex(h, w):
            place = np.array([row * h / (h - 1), column * w / (w - 1)])
            if np.linalg.norm(place - point) < radius:
                at = np.array([[row], [column]]) + way[:, None]
                channels = [
                    map_coordinates(np.pad(features[..., c], 2), at + 2, order=1)[0]
                    for c in range(features.shape[2])
                ]
                parts.append(np.abs(features[row, column] - channels).mean())
        total += np.mean(parts)
    return float(total)


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_discs_are_pulled_one_step_ahead(radius: int) -> None:
    found = drag.motion_loss(jnp.asarray(MAP), jnp.asarray(POINTS), jnp.asarray(TARGETS), radius)
    assert float(found) == pytest.approx(loop_loss(MAP, radius), rel=1e-5)


def test_features_follow_the_gradient_to_the_target() -> None:
    def blob(place: jax.Array) -> jax.Array:
        y, x = jnp.meshgrid(jnp.arange(24.0), jnp.arange(24.0), indexing="ij")
        return jnp.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / 18)[..., None]

    place, points, target = jnp.array([8.0, 9.0]), np.array([[6, 9]]), np.array([[17, 14]])
    looks, begin = drag.references(blob(place), points), points
    slope = jax.jit(jax.grad(lambda at, points: drag.motion_loss(blob(at), points, target, 3)))
    for _ in range(60):
        points = drag.track(blob(place), points, looks, 4)
        if drag.arrived(points, target, 24):
            break
        step = slope(place, points)
        place = place - 0.5 * step / jnp.linalg.norm(step)
    apart, before = (np.linalg.norm(np.asarray(at) - target) for at in (points, begin))
    assert apart <= 2 < before


def test_points_are_found_where_their_features_went() -> None:
    looks = drag.references(jnp.asarray(MAP), jnp.asarray(POINTS) + 0.3)
    moved = np.roll(MAP, (2, -1), (0, 1))
    found = drag.track(jnp.asarray(moved), jnp.asarray(POINTS), looks, 2)
    np.testing.assert_array_equal(found, POINTS + np.array([2, -1]))
    flat = jnp.zeros((20, 31, 3))
    first = drag.track(flat, jnp.asarray(POINTS), looks, 2)  # of equals the first in the picture
    np.testing.assert_array_equal(first, [[1, 2], [0, 28], [10, 7]])


def test_what_is_fixed_counts_and_rounding_does_not() -> None:
    fixed = np.zeros((20, 31))
    fixed[:5] = 1
    value = drag.change_where_fixed(jnp.asarray(MAP + 0.5), jnp.asarray(MAP), jnp.asarray(fixed))
    assert float(value) == pytest.approx(0.5 * 5 / 20, rel=1e-5)
    slope = jax.grad(lambda x: drag.change_where_fixed(x, jnp.asarray(MAP), jnp.asarray(fixed)))
    assert not np.any(slope(jnp.asarray(MAP * (1 + 1e-7))))


def test_distances_scale_with_the_picture() -> None:
    assert [drag.radii(side) for side in (86, 256, 512, 1024)] == [
        (1, 2), (2, 6), (3, 12), (6, 24),
    ]  # fmt: skip
    near, far = np.array([[5.0, 5.0]]), np.array([[5.0, 7.5]])
    assert bool(drag.arrived(near, far, 1024))
    assert not bool(drag.arrived(near, far, 512))
    for side in (85, 64, 0, 100.5):
        with pytest.raises(ValueError, match="side must be a whole number of at least 86"):
            drag.radii(side)  # pyright: ignore[reportArgumentType]


def test_what_does_not_fit_is_refused() -> None:
    x, points, looks = jnp.asarray(MAP), jnp.asarray(POINTS), jnp.zeros((3, 3))
    calls: list[tuple[Any, str]] = [
        (lambda: drag.track(x, points, looks[:2], 2), r"references \[2, 3\]; allowed: \[3, 3\]"),
        (lambda: drag.track(x, points, looks, 0), "radius must be a whole number of at least 1"),
        (lambda: drag.track(x[0], points, looks, 2), r"allowed: \[h, w, c\] and \[n, 2\]"),
        (lambda: drag.references(x, points[0]), r"points \[2\]; allowed"),
        (lambda: drag.motion_loss(x, points, points[:2], 2), "3 points, 2 targets; allowed: as"),
        (lambda: drag.motion_loss(x, points, points, 1.5), "radius must be a whole number"),  # pyright: ignore[reportArgumentType]
        (lambda: drag.change_where_fixed(x, x, x), r"fixed \[20, 31, 3\]; allowed"),
        (lambda: drag.check_points("points", [[20, 3]], MAP.shape), r"\[20, 3\] lies outside"),
        (lambda: drag.check_points("points", [[1, -0.5]], MAP.shape), "allowed: 0 to 19, 0 to 30"),
        (lambda: drag.check_points("targets", [1, 2], MAP.shape), r"targets \[2\]; allowed: \[n"),
        (lambda: drag.check_points("points", [[np.nan, 1]], MAP.shape), "points"),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()
    assert drag.check_points("points", [[19, 30]], MAP.shape).shape == (1, 2)


def test_features_are_enlarged_where_someone_looks_as_if_they_all_were() -> None:
    size, small = (40, 62), jnp.asarray(MAP)
    large = bilinear(small, size)
    points, targets = 2 * POINTS, 2 * TARGETS
    looks = drag.references(large, points)
    np.testing.assert_allclose(drag.references(small, points, size), looks, atol=1e-5)
    moved = jnp.roll(small, (1, 1), (0, 1))
    whole = drag.track(bilinear(moved, size), points, looks, 4)
    np.testing.assert_array_equal(drag.track(moved, points, looks, 4, size), whole)

    def loss(x: jax.Array) -> jax.Array:
        return drag.motion_loss(bilinear(x, size), points, targets, 3)

    found = jax.value_and_grad(lambda x: drag.motion_loss(x, points, targets, 3, size))(small)
    for ours, theirs in zip(found, jax.value_and_grad(loss)(small), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
