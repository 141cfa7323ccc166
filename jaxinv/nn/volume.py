"""Volumetric rendering of features in three planes (Chan et al. 2022, EG3D, sections 4.1, 4.2).

Everything is of one sample: rays [n, ...], samples along them [n, depths, ...].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array

NEAR_ZERO, FLOOR, SMALL = 1e-10, 0.01, 1e-5


class Rays(NamedTuple):
    """Origins and directions of length 1, [n, 3]."""

    origins: Array
    directions: Array


class Sampling(NamedTuple):
    """How far rays are followed: `coarse` samples from `start` to `end`, then `fine` ones.

    Without a start and an end (0 both) rays are followed inside the box of side `box`.
    `disparity`: samples are equally far apart in inverse depth. `white`: what is behind all.
    """

    coarse: int
    fine: int
    start: float
    end: float
    box: float
    disparity: bool
    white: bool


class Seen(NamedTuple):
    """Features [n, channels] of rays, their depth [n], and the share [n] that stopped them."""

    features: Array
    depth: Array
    weight: Array


Draws = tuple["Array", "Array"]  # places within the steps of coarse and fine samples, in [0, 1)


def pose(angles: Array, radius: float, pivot: tuple[float, ...]) -> Array:
    """The matrix [4, 4] from camera to world of a camera that looks at `pivot`.

    `angles`: how far it stands to the side and above, in radians; axes point right, down, forward.
    """
    yaw, pitch = angles
    back = jnp.stack([jnp.sin(yaw) * jnp.cos(pitch), jnp.sin(pitch), jnp.cos(yaw) * jnp.cos(pitch)])
    right = jnp.stack([jnp.cos(yaw), jnp.zeros(()), -jnp.sin(yaw)])
    down = jnp.cross(-back, right)
    origin = jnp.asarray(pivot) + radius * back
    columns = jnp.stack([right, down, -back, origin], axis=1)
    return jnp.concatenate([columns, jnp.asarray([[0.0, 0.0, 0.0, 1.0]])])


def rays_of(camera: Array, side: int) -> Rays:
    """The rays of side x side pixels, row by row, of a camera [25].

    Sixteen numbers of the matrix from camera to world, then nine of the intrinsics of a picture
    whose sides are 1.
    """
    world, inner = camera[:16].reshape(4, 4), camera[16:].reshape(3, 3)
    centres = (jnp.arange(side) + 0.5) / side
    v, u = (one.ravel() for one in jnp.meshgrid(centres, centres, indexing="ij"))
    fx, skew, cx, fy, cy = inner[0, 0], inner[0, 1], inner[0, 2], inner[1, 1], inner[1, 2]
    x = (u - cx + cy * skew / fy - skew * v / fy) / fx
    y = (v - cy) / fy
    points = jnp.stack([x, y, jnp.ones_like(x), jnp.ones_like(x)], -1) @ world.T
    # By way of the points, as published: a rounding of them is a visible part of a plane's pixel.
    ahead = points[:, :3] - world[:3, 3]
    directions = ahead / jnp.linalg.norm(ahead, axis=-1, keepdims=True)
    return Rays(jnp.broadcast_to(world[:3, 3], directions.shape), directions)


def _box_limits(rays: Rays, side: float) -> tuple[Array, Array]:
    """Where rays enter and leave a box around the origin; those that miss it, as others do."""
    inverse = 1 / rays.directions
    both = jnp.stack([(-side / 2 - rays.origins) * inverse, (side / 2 - rays.origins) * inverse])
    enter, leave = jnp.max(jnp.min(both, 0), -1), jnp.min(jnp.max(both, 0), -1)
    hit = leave > enter
    first = jnp.min(jnp.where(hit, enter, jnp.inf))
    # As published: a ray that misses ends where the last of the others enters.
    last = jnp.max(jnp.where(hit, enter, -jnp.inf))
    return jnp.where(hit, enter, first), jnp.where(hit, leave, last)


def coarse_depths(rays: Rays, sampling: Sampling, places: Array) -> Array:
    """Depths [n, coarse]; `places` [n, coarse] say where in each step."""
    last = sampling.coarse - 1
    if sampling.start == sampling.end == 0:
        start, end = (one[:, None] for one in _box_limits(rays, sampling.box))
        steps = start + jnp.arange(sampling.coarse) / last * (end - start)
    else:
        start, end = sampling.start, sampling.end
        steps = jnp.asarray(np.linspace(start, end, sampling.coarse), jnp.float32)
    if sampling.disparity:
        shares = jnp.linspace(0.0, 1.0, sampling.coarse) + places / last
        return 1 / (1 / start * (1 - shares) + 1 / end * shares)
    return steps + places * ((end - start) / last)


def look_up(planes: Array, points: Array, box: float) -> Array:
    """Mean features [..., channels] of points [..., 3] projected on planes [3, h, w, channels].

    The coordinates are (x, y), (x, z) and (z, x), bilinear, zero outside; the planes have side
    `box` (EG3D's published code, whose third plane is turned).
    """
    own = points.reshape(-1, 3) * (2 / box)
    axes = ((0, 1), (0, 2), (2, 0))
    pairs = zip(planes, axes, strict=True)
    total = sum(_bilinear(plane, own[:, a], own[:, b]) for plane, (a, b) in pairs)
    return (total / len(axes)).reshape(*points.shape[:-1], planes.shape[-1])


def _bilinear(plane: Array, across: Array, down: Array) -> Array:
    height, width, channels = plane.shape
    x, y = ((across + 1) * width - 1) / 2, ((down + 1) * height - 1) / 2
    left, top = jnp.floor(x), jnp.floor(y)
    flat = plane.reshape(-1, channels)
    total = jnp.zeros((len(x), channels), plane.dtype)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = left + dx, top + dy
            weight = (1 - jnp.abs(x - column)) * (1 - jnp.abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            total = total + jnp.where(inside, weight, 0)[:, None] * flat[index.astype(jnp.int32)]
    return total


def march(
    colours: Array, densities: Array, depths: Array, sampling: Sampling
) -> tuple[Seen, Array]:
    """What rays see of samples [n, d, channels], [n, d] and [n, d], and the weights [n, d - 1].

    By the means of neighbouring samples (Max 1995); features go from [0, 1] to [-1, 1].
    """
    middle, density, depth = (
        (one[:, :-1] + one[:, 1:]) / 2 for one in (colours, densities, depths)
    )
    alpha = 1 - jnp.exp(-jax.nn.softplus(density - 1) * jnp.diff(depths, axis=1))
    passed = jnp.cumprod(1 - alpha + NEAR_ZERO, 1)
    passed = jnp.concatenate([jnp.ones_like(passed[:, :1]), passed[:, :-1]], 1)
    weights = alpha * passed
    total = jnp.sum(weights, 1)
    features = jnp.einsum("nd,ndc->nc", weights, middle)
    features = features + (1 - total)[:, None] if sampling.white else features
    far = jnp.sum(weights * depth, 1) / total
    far = jnp.where(jnp.isnan(far), jnp.inf, far)
    found = Seen(2 * features - 1, jnp.clip(far, jnp.min(depths), jnp.max(depths)), total)
    return found, weights


def fine_depths(depths: Array, weights: Array, places: Array) -> Array:
    """Depths [n, fine] where the weights [n, d - 1] of depths [n, d] are large.

    `places` [n, fine] in [0, 1) are shares of their sum (Mildenhall et al. 2020, section 5.2).
    """
    wide = jnp.pad(weights, ((0, 0), (1, 1)), constant_values=-jnp.inf)
    largest = jnp.maximum(wide[:, :-1], wide[:, 1:])
    smooth = (largest[:, :-1] + largest[:, 1:]) / 2 + FLOOR
    bins = (depths[:, :-1] + depths[:, 1:]) / 2
    share = smooth[:, 1:-1] + SMALL
    share = share / jnp.sum(share, 1, keepdims=True)
    total = jnp.concatenate([jnp.zeros_like(share[:, :1]), jnp.cumsum(share, 1)], 1)
    above = jax.vmap(lambda sums, at: jnp.searchsorted(sums, at, side="right"))(total, places)
    below = jnp.clip(above - 1, 0)
    above = jnp.clip(above, 0, total.shape[1] - 1)
    low, high = (jnp.take_along_axis(total, one, 1) for one in (below, above))
    start, end = (jnp.take_along_axis(bins, one, 1) for one in (below, above))
    length = jnp.where(high - low < SMALL, 1.0, high - low)
    return lax.stop_gradient(start + (places - low) / length * (end - start))


def middle_draws(rays: int, sampling: Sampling) -> Draws:
    """Samples in the middle of their steps: a rendering without random numbers."""
    shares = (jnp.arange(sampling.fine) + 0.5) / sampling.fine
    return jnp.full((rays, sampling.coarse), 0.5), jnp.broadcast_to(shares, (rays, sampling.fine))


def see(
    decode: Callable[[Array], tuple[Array, Array]], rays: Rays, sampling: Sampling, draws: Draws
) -> Seen:
    """What rays see of a field; `decode` gives colours [..., channels] and densities [...]."""

    def sampled(depths: Array) -> tuple[Array, Array]:
        ahead = depths[..., None] * rays.directions[:, None]
        return decode(rays.origins[:, None] + ahead)

    depths = coarse_depths(rays, sampling, draws[0])
    colours, densities = sampled(depths)
    if not sampling.fine:
        return march(colours, densities, depths, sampling)[0]
    _, weights = march(colours, densities, depths, sampling)
    more = fine_depths(depths, lax.stop_gradient(weights), draws[1])
    finer = sampled(more)
    depths = jnp.concatenate([depths, more], 1)
    order = jnp.argsort(depths, 1)
    colours = jnp.concatenate([colours, finer[0]], 1)
    densities = jnp.concatenate([densities, finer[1]], 1)
    colours = jnp.take_along_axis(colours, order[..., None], 1)
    densities, depths = (jnp.take_along_axis(one, order, 1) for one in (densities, depths))
    return march(colours, densities, depths, sampling)[0]
