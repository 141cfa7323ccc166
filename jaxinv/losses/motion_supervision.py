"""Points of a picture pulled to other places (Pan et al. 2023, DragGAN, arXiv:2305.10973).

What is looked at are features [h, w, c] enlarged to the picture's `size` (rows, columns), linearly;
they are enlarged only where someone looks. A point is (row, column) in px of the picture. One step
of dragging tracks the points, then lowers `motion_loss` once. The numbers are those of the
published code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.specs.checks import check_array, check_whole

if TYPE_CHECKING:
    from jaxinv.types import Array

    Points = Array | np.ndarray
    Size = tuple[int, ...]

SIDE = 512  # px of the picture for which the published distances are meant
PULLED, SEARCHED, REACHED = 3, 12, 2  # px
FIXED_WEIGHT = 20.0  # of what may not move
ROUNDING = 1e-5  # of the largest feature
SMALLEST = 86  # px; of a smaller picture no pixel would be pulled


def radii(side: int) -> tuple[int, int]:
    """How far around a point of a picture of `side` px is pulled, and is searched for it, in px.

    Raises `ValueError` for less than 86 px, of which the published rule would pull nothing.
    """
    check_whole("side", side, SMALLEST)
    return round(PULLED / SIDE * side), round(SEARCHED / SIDE * side)


def check_points(what: str, points: Any, shape: tuple[int, ...]) -> np.ndarray:
    """`points` as an array [n, 2]; `ValueError` unless all lie in a picture [h, w]."""
    found = check_array(what, points, "biuf", " [n, 2]")
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise ValueError(f"{what} {list(found.shape)}; allowed: [n, 2], rows and columns")
    outside = ((found < 0) | (found > np.array(shape[:2]) - 1)).any(1)
    if outside.any():
        where = found[outside][0].tolist()
        raise ValueError(
            f"{what}: {where} lies outside; allowed: 0 to {shape[0] - 1}, 0 to {shape[1] - 1}"
        )
    return found


def references(features: Array, points: Points, size: Size | None = None) -> Array:
    """The features [n, c] at the nearest pixels of points [n, 2], by which they are tracked."""
    _check_shapes(features, points)
    places = jnp.round(jnp.asarray(points)).astype(int)
    return _at_pixels(features, size or features.shape[:2], places)


def track(
    features: Array, points: Points, looks: Array, radius: int, size: Size | None = None
) -> Array:
    """Where the points are now: whole numbers [n, 2].

    Args:
        features: [h, w, c] of the changed picture.
        points: [n, 2], where they were.
        looks: [n, c], what `references` gave of the first picture.
        radius: of the square that is searched, in px; it ends at the border.
        size: of the picture; by default that of the features.

    The pixel whose features are nearest (Euclidean); of equals the first, row by row. Section 3.3.
    Raises `ValueError` for shapes and radii that do not fit.
    """
    _check_shapes(features, points)
    check_whole("radius", radius, 1)
    if jnp.shape(looks) != (len(points), features.shape[-1]):
        raise ValueError(
            f"references {list(jnp.shape(looks))}; allowed: {[len(points), features.shape[-1]]}"
        )
    sides = size or features.shape[:2]
    shape = jnp.array(sides)
    offsets = jnp.arange(-radius, radius + 1)
    square = jnp.stack(jnp.meshgrid(offsets, offsets, indexing="ij"), -1).reshape(-1, 2)

    def one(point: Array, look: Array) -> Array:
        places = jnp.round(point).astype(int) + square
        inside = ((places >= 0) & (places < shape)).all(-1)
        seen = _at_pixels(features, sides, places)
        apart = jnp.where(inside, jnp.linalg.norm(seen - look, axis=-1), jnp.inf)
        return places[jnp.argmin(apart)]

    return jax.vmap(one)(jnp.asarray(points), looks)


def motion_loss(
    features: Array, points: Points, targets: Points, radius: int, size: Size | None = None
) -> Array:
    """How much features change on one step from points towards their targets: a scalar.

    Args:
        features: [h, w, c]; the gradient flows only into what the features one step ahead are.
        points: [n, 2].
        targets: [n, 2]; a point within 1 px of its own counts nothing.
        radius: of the disc around a point that is pulled, in px. Its pixels lie h / (h - 1) px
            apart, as in the published code.
        size: of the picture; by default that of the features.

    The mean absolute difference over disc and channels, summed over points; outside of the picture
    features are 0. Equation 1, without its second part (see `change_where_fixed`). Raises
    `ValueError` for shapes and radii that do not fit.
    """
    _check_shapes(features, points)
    _check_shapes(features, targets)
    check_whole("radius", radius, 1)
    if jnp.shape(points) != jnp.shape(targets):
        raise ValueError(f"{len(points)} points, {len(targets)} targets; allowed: as many")
    sides = size or features.shape[:2]
    shape = jnp.array(sides)
    offsets = jnp.arange(-radius - 1, radius + 2)
    square = jnp.stack(jnp.meshgrid(offsets, offsets, indexing="ij"), -1).reshape(-1, 2)

    def one(point: Array, target: Array) -> Array:
        way = target - point
        length = jnp.linalg.norm(way)
        places = jnp.round(point).astype(int) + square
        apart = jnp.linalg.norm(places * (shape / (shape - 1)) - point, axis=-1)
        disc = ((places >= 0) & (places < shape)).all(-1) & (apart < radius)
        now = jax.lax.stop_gradient(_at_pixels(features, sides, places))
        then = _between_pixels(features, sides, places + way / (length + 1e-7))
        mean = (jnp.abs(now - then).mean(-1) * disc).sum() / jnp.maximum(disc.sum(), 1)
        return jnp.where(length > 1, mean, 0.0)

    given = (jnp.asarray(points, features.dtype), jnp.asarray(targets, features.dtype))
    return jax.vmap(one)(*given).sum()


def change_where_fixed(features: Array, first: Array, fixed: Array) -> Array:
    """The mean absolute change of features [h, w, c] since the `first`, times `fixed` [h, w].

    `fixed` is 1 where nothing may move. The second part of equation 1; its weight is
    `FIXED_WEIGHT`. Changes below 1e-5 of the largest feature have no gradient: before the first
    step all of them are rounding, which would pull as much as any other. Raises `ValueError`
    for shapes that do not fit.
    """
    if features.shape != first.shape or jnp.shape(fixed) != features.shape[:2]:
        raise ValueError(
            f"features {list(features.shape)}, first {list(first.shape)}, fixed "
            f"{list(jnp.shape(fixed))}; allowed: [h, w, c] twice and [h, w]"
        )
    change = features - first
    counts = jnp.abs(change) > ROUNDING * jnp.abs(first).max()
    pulling = jnp.where(counts, change, jax.lax.stop_gradient(change))
    return (jnp.abs(pulling) * jnp.asarray(fixed)[..., None]).mean()


def arrived(points: Points, targets: Points, side: int) -> Array:
    """Whether all points [n, 2] of a picture of `side` px are as near as dragging ends: a boolean.

    Within 2 px of their targets, more in pictures above 512 px.
    """
    apart = jnp.linalg.norm(jnp.asarray(targets, float) - jnp.asarray(points, float), axis=-1)
    return (apart <= max(REACHED / SIDE * side, REACHED)).all()


def _at_pixels(features: Array, size: Size, places: Array) -> Array:
    """Features [n, c] at pixels [n, 2] of the picture; outside those at its border."""
    places = jnp.clip(places, 0, jnp.array(size) - 1)
    if tuple(size) == features.shape[:2]:
        return features[places[:, 0], places[:, 1]]
    shares = jnp.array(features.shape[:2]) / jnp.array(size)
    last = jnp.array(features.shape[:2]) - 1
    return _linear(features, jnp.clip((places + 0.5) * shares - 0.5, 0, last))


def _between_pixels(features: Array, size: Size, places: Array) -> Array:
    """Features [n, c] at places [n, 2] between the pixels of the picture, 0 outside of it."""
    shape, total = jnp.array(size), jnp.zeros((len(places), features.shape[-1]), features.dtype)
    for corner, weight in _corners(places):
        inside = ((corner >= 0) & (corner < shape)).all(-1)
        total += (weight * inside)[:, None] * _at_pixels(features, size, corner)
    return total


def _linear(features: Array, places: Array) -> Array:
    """Features [n, c] between their own pixels, all places within."""
    last = jnp.array(features.shape[:2]) - 1
    parts = (
        weight[:, None] * features[tuple(jnp.minimum(corner, last).T)]
        for corner, weight in _corners(places)
    )
    return sum(parts, jnp.zeros(()))


def _corners(places: Array) -> list[tuple[Array, Array]]:
    """The four pixels around places [n, 2], each with the weight [n] that it has."""
    low = jnp.floor(places)
    share = places - low
    found: list[tuple[Array, Array]] = []
    for down in (0, 1):
        for right in (0, 1):
            weights = jnp.abs(jnp.array([1 - down, 1 - right]) - share)
            found.append((low.astype(int) + jnp.array([down, right]), weights.prod(-1)))
    return found


def _check_shapes(features: Array, points: Points) -> None:
    shape = jnp.shape(points)
    if features.ndim != 3 or len(shape) != 2 or shape[1] != 2 or not shape[0]:
        raise ValueError(
            f"features {list(features.shape)}, points {list(shape)}; allowed: [h, w, c] and [n, 2]"
        )
