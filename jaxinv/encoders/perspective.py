"""Random changes of perspective of what an aligner sees (Wang et al. 2022, HFGI, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from jaxinv.specs import PictureSource
    from jaxinv.types import Array, Key

CORNERS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))  # (row, column), in half sides
UNMOVED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def perspectives(key: Key, count: int, source: PictureSource) -> Array:
    """Eight numbers for each of `count` pictures [count, 8], see `moved`.

    Every corner goes inwards by up to `source.warp` half sides, in a share `source.warped` of them.
    """
    toss, places = jax.random.split(key)
    corners = jnp.asarray(CORNERS)
    inwards = source.warp * jax.random.uniform(places, (count, 4, 2))
    found = jax.vmap(lambda x: _homography(corners * (1 - x), corners))(inwards)
    chosen = jax.random.uniform(toss, (count, 1)) < source.warped
    return jnp.where(chosen, found, jnp.asarray(UNMOVED))


def _homography(ends: Array, starts: Array) -> Array:
    """The eight numbers that take four points [4, 2] to others."""

    def rows(end: Array, start: Array) -> Array:
        zeros, one = jnp.zeros(3), jnp.append(end, 1.0)
        return jnp.stack(
            [
                jnp.concatenate([one, zeros, -start[0] * end]),
                jnp.concatenate([zeros, one, -start[1] * end]),
            ]
        )

    return jnp.linalg.solve(jax.vmap(rows)(ends, starts).reshape(8, 8), starts.ravel())


def moved(x: Array, numbers: Array) -> Array:
    """A picture [h, w, c] seen in another perspective, bilinear, zero where nothing is.

    The pixel at p = (row, column, 1), in half sides from the middle, is that at (a p, b p) / c p,
    where a and b are the first and the next three numbers, and c is the last two and 1.
    """
    rows, columns = x.shape[:2]
    down, right = jnp.linspace(-1, 1, rows), jnp.linspace(-1, 1, columns)
    grid = jnp.stack([*jnp.meshgrid(down, right, indexing="ij"), jnp.ones((rows, columns))])
    matrix = jnp.append(numbers, 1.0).reshape(3, 3)
    a, b, c = jnp.einsum("ij,jhw->ihw", matrix, grid)
    places = [(a / c + 1) / 2 * (rows - 1), (b / c + 1) / 2 * (columns - 1)]
    return jnp.stack(
        [map_coordinates(x[..., k], places, order=1) for k in range(x.shape[-1])], axis=-1
    )
