"""Filters along one axis as products of cells with small matrices: quick to compile and to run.

A sum of shifted images would do the same, but the compiler computes the first of two such sums anew
for every shift of the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from jaxinv.types import Array

BLOCK = 32


def bands(x: Array, axis: int, weights: np.ndarray) -> Array:
    """Cut `axis` of x into cells of k and weigh every run of e neighbours: weights [e, k, m].

    Output cell i has m values, the sum over j of cell i + j times weights[j]; there are e - 1 cells
    fewer than before.
    """
    reach, size, outputs = weights.shape
    wide = jnp.moveaxis(x, axis, -1)
    cells = wide.reshape(*wide.shape[:-1], wide.shape[-1] // size, size)
    count = cells.shape[-2] - reach + 1
    flat = jnp.asarray(weights.swapaxes(0, 1).reshape(size, reach * outputs), x.dtype)
    parts = jnp.matmul(cells, flat, precision=lax.Precision.HIGHEST)
    parts = parts.reshape(*cells.shape[:-1], reach, outputs)
    total = jnp.zeros((), x.dtype)
    for j in range(reach):
        total = total + parts[..., j : j + count, j, :]
    return jnp.moveaxis(total.reshape(*wide.shape[:-1], count * outputs), -1, axis)


def correlate(x: Array, axis: int, taps: np.ndarray) -> Array:
    """Correlate x with `taps` [n] along `axis`, where all taps fit: n - 1 values fewer."""
    count = x.shape[axis] - len(taps) + 1
    reach = -(-(len(taps) - 1) // BLOCK) + 1
    place = np.arange(reach * BLOCK)[:, None] - np.arange(BLOCK)
    inside = (place >= 0) & (place < len(taps))
    weights = np.where(inside, taps[np.clip(place, 0, len(taps) - 1)], 0.0)
    total = (-(-count // BLOCK) + reach - 1) * BLOCK
    pads = [(0, total - x.shape[axis] if a == axis else 0) for a in range(x.ndim)]
    found = bands(jnp.pad(x, pads), axis, weights.reshape(reach, BLOCK, BLOCK))
    return lax.slice_in_dim(found, 0, count, axis=axis)
