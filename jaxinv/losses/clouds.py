"""Clouds of points compared as sets: a picture holds one point (x, y, z) a pixel, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from jaxinv.losses.base import TermFunctions
from jaxinv.losses.image_terms import layers_of

if TYPE_CHECKING:
    from jaxinv.losses.base import TermInputs
    from jaxinv.specs import Term
    from jaxinv.types import Array

FAR = 1e6  # squared distance from points that are not there
SEEDS, NEIGHBOURS = 32, 8  # of `patch_variance`


def squared_distances(a: Array, b: Array) -> Array:
    """[n, m] of points a [n, 3] and b [m, 3]; exact where two are equal."""
    return jnp.sum(jnp.square(a[:, None] - b[None]), axis=-1)


def nearest(distances: Array, known: Array, count: int) -> Array:
    """Which of n points are among the `count` nearest of any known one of m: [n], 0 or 1.

    The k-mask of Zhang et al. 2021 (ShapeInversion). distances: [n, m]; known: [m].
    """
    _, rows = lax.top_k(-distances.T, count)
    found = jnp.zeros(len(distances)).at[rows.ravel()].max(jnp.repeat(known, count))
    return lax.stop_gradient(found)


def chamfer_distance(ours: Array, theirs: Array, known: Array, count: int = 0) -> Array:
    """Mean squared distance of every point to the nearest of the other cloud, both ways added.

    Args:
        ours: [n, 3].
        theirs: [m, 3], of which those count that are `known`.
        known: [m], 1 or 0.
        count: above 0, only those of ours count that are among so many nearest of a known point.
    """
    distances = jnp.where(known[None] > 0, squared_distances(ours, theirs), FAR)
    shares = jnp.ones(len(ours)) if not count else nearest(distances, known, count)
    there = jnp.sum(distances.min(1) * shares) / jnp.maximum(jnp.sum(shares), 1.0)
    return there + jnp.sum(jnp.where(known > 0, distances.min(0), 0.0)) / jnp.sum(known)


def farthest_points(points: Array, count: int) -> Array:
    """Indices [count] of points [n, 3], each the farthest from those before; the first is 0."""

    def choose(state: Array, _: None) -> tuple[Array, Array]:
        row = jnp.argmax(state)
        apart = jnp.sum(jnp.square(points - points[row]), axis=-1)
        return jnp.minimum(state, apart), row

    apart = jnp.sum(jnp.square(points - points[0]), axis=-1)
    _, rows = lax.scan(choose, apart, None, length=count - 1)
    return jnp.concatenate([jnp.zeros(1, rows.dtype), rows])


def patch_variance(points: Array, seeds: int = SEEDS, count: int = NEIGHBOURS) -> Array:
    """How uneven a cloud [n, 3] is: the variance over patches of their mean squared size, / mean^2.

    A patch is a seed, of `seeds` that lie far apart, with its `count` nearest points (the uniform
    loss of Zhang et al. 2021, ShapeInversion; divided by the square of the mean here,
    so that the size of the cloud does not matter).
    """
    rows = lax.stop_gradient(farthest_points(points, min(seeds, len(points))))
    distances = squared_distances(points[rows], points)
    _, near = lax.top_k(-distances, min(count + 1, len(points)))
    sizes = jnp.mean(jnp.take_along_axis(distances, near, axis=1), axis=1)
    return jnp.var(sizes) / jnp.maximum(jnp.square(jnp.mean(sizes)), 1e-12)


def _chamfer(term: Term, inputs: TermInputs) -> Array:
    (layer,) = layers_of(term, inputs)
    ours, theirs = (x.reshape(-1, x.shape[-1]) for x in layer[:2])
    known = jnp.ones(len(theirs)) if layer.mask is None else (layer.mask.ravel() > 0).astype(float)
    return chamfer_distance(ours, theirs, known, term.neighbours)


def _uneven(term: Term, inputs: TermInputs) -> Array:
    del term
    return patch_variance(inputs.image.reshape(-1, inputs.image.shape[-1]))


CHAMFER, PATCH_VARIANCE = TermFunctions(_chamfer), TermFunctions(_uneven)
